//! The time that a registry asks clients to wait.
//!
//! Sources, in this order: `Retry-After` (seconds or a date, RFC 9110 section 10.2.3), the reset of a rate limit
//! (`RateLimit-Reset` in seconds, draft-ietf-httpapi-ratelimit-headers-07; `X-RateLimit-Reset` and Docker Hub's
//! `X-Retry-After` as a Unix time), the window of a used-up limit (Docker Hub's `RateLimit-Remaining: 0;w=21600`), and
//! the body (Google's `RetryInfo.retryDelay`, "retry after 30 seconds" in other messages).

use std::time::Duration;

use jiff::Timestamp;
use reqwest::header::HeaderMap;

/// Maximum wait, whatever the registry asks for.
pub(crate) const LONGEST: Duration = Duration::from_hours(6);
/// The time for which a remaining quota is valid if the response states neither a reset nor a window.
const VALID: Duration = Duration::from_hours(1);
/// Maximum number of bytes of a body that are searched.
const BODY: usize = 16 * 1024;

/// Returns the wait that a 429 or 503 asks for, if it states one.
pub(crate) fn wait(headers: &HeaderMap, body: &[u8], now: Timestamp) -> Option<Duration> {
    let wait = retry_after(headers, now).or_else(|| reset(headers, now)).or_else(|| window(headers)).or_else(|| in_body(body))?;
    Some(wait.min(LONGEST))
}

/// Returns the wait that a successful response asks for, because it used up the limit.
pub(crate) fn used_up(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let (count, _) = quota(headers)?;
    // A window alone is not a reset: Docker Hub counts no HEAD, and reports 0 for six hours.
    if count == 0 { reset(headers, now).map(|wait| wait.min(LONGEST)) } else { None }
}

/// Returns the number of requests that the registry still allows, and for how long the number is valid: until the limit
/// resets, or for the window of the limit.
pub(crate) fn remaining(headers: &HeaderMap, now: Timestamp) -> Option<(u64, Duration)> {
    let (count, window) = quota(headers)?;
    Some((count, reset(headers, now).or(window).unwrap_or(VALID).min(LONGEST)))
}

/// Parses `RateLimit-Remaining` and `X-RateLimit-Remaining`: a number, and the window of the limit if it is stated.
fn quota(headers: &HeaderMap) -> Option<(u64, Option<Duration>)> {
    let mut parts = text(headers, "ratelimit-remaining").or_else(|| text(headers, "x-ratelimit-remaining"))?.split(';');
    let count = parts.next()?.trim().parse().ok()?;
    let window = parts.find_map(|part| part.trim().strip_prefix("w=")?.parse().ok());
    Some((count, window.map(Duration::from_secs)))
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok().map(str::trim)
}

fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let value = text(headers, "retry-after")?;
    if let Ok(seconds) = value.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let date = jiff::fmt::rfc2822::parse(value).ok()?.timestamp();
    Some(until(date, now))
}

fn reset(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    ["ratelimit-reset", "x-ratelimit-reset", "x-retry-after"].iter().find_map(|name| {
        let number: i64 = text(headers, name)?.split(';').next()?.trim().parse().ok()?;
        // A number this large is a Unix time; a smaller one is a number of seconds.
        if number > 1_000_000_000 {
            Some(until(Timestamp::from_second(number).ok()?, now))
        } else {
            u64::try_from(number).ok().map(Duration::from_secs)
        }
    })
}

fn window(headers: &HeaderMap) -> Option<Duration> {
    let (0, Some(window)) = quota(headers)? else { return None };
    // The window slides: part of the limit is free again well before the window ends.
    Some(window / 6)
}

/// Parses "… retry after 30 seconds", "try again in 5 minutes", `"retryDelay": "12s"`.
fn in_body(body: &[u8]) -> Option<Duration> {
    let text = String::from_utf8_lossy(body.get(..BODY.min(body.len()))?).to_ascii_lowercase();
    let words = ["\"retrydelay\"", "retry after", "try again in", "retry in"];
    words.iter().find_map(|word| {
        let rest = text.split_once(word)?.1.trim_start_matches([' ', ':', '"']);
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let (number, unit) = rest.split_at(digits);
        let number: u64 = number.parse().ok()?;
        let unit = unit.trim_start_matches(|c: char| c == '.' || c.is_ascii_digit()).trim_start();
        Some(match unit.as_bytes() {
            [b'm', b's', ..] => Duration::from_millis(number),
            [b'm', ..] => Duration::from_secs(number.saturating_mul(60)),
            [b'h', ..] => Duration::from_secs(number.saturating_mul(3600)),
            _ => Duration::from_secs(number),
        })
    })
}

fn until(at: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(at.duration_since(now)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::header::{HeaderName, HeaderValue};
    use rstest::rstest;

    fn headers(all: &[(&'static str, &'static str)]) -> HeaderMap {
        all.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
    }

    /// 2026-11-24T12:00:00Z
    fn now() -> Timestamp {
        Timestamp::from_second(1_795_521_600).unwrap()
    }

    #[rstest]
    #[case::seconds(&[("retry-after", "17")], "", Some(17))]
    #[case::date(&[("retry-after", "Tue, 24 Nov 2026 12:01:30 GMT")], "", Some(90))]
    #[case::past(&[("retry-after", "Tue, 24 Nov 2026 11:00:00 GMT")], "", Some(0))]
    #[case::absurd(&[("retry-after", "99999999999")], "", Some(6 * 3600))]
    #[case::reset_seconds(&[("ratelimit-reset", "30")], "", Some(30))]
    #[case::reset_time(&[("x-ratelimit-reset", "1795521660")], "", Some(60))]
    #[case::hub_api(&[("x-retry-after", "1795521605")], "", Some(5))]
    #[case::hub_window(&[("ratelimit-limit", "100;w=21600"), ("ratelimit-remaining", "0;w=21600")], "", Some(3600))]
    #[case::hub_window_not_used(&[("ratelimit-remaining", "3;w=21600")], "", None)]
    #[case::first_counts(&[("retry-after", "1"), ("ratelimit-reset", "30")], "", Some(1))]
    #[case::google(&[], r#"{"error":{"details":[{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"12.5s"}]}}"#, Some(12))]
    #[case::words(&[], r#"{"errors":[{"code":"TOOMANYREQUESTS","message":"Too many requests. Retry after 45 seconds"}]}"#, Some(45))]
    #[case::minutes(&[], "rate limited, try again in 2 minutes", Some(120))]
    #[case::nothing(&[], r#"{"errors":[{"code":"TOOMANYREQUESTS"}]}"#, None)]
    #[case::garbage(&[("retry-after", "soon")], "retry after dinner", None)]
    #[case::negative(&[("ratelimit-reset", "-5")], "", None)]
    fn waits(#[case] all: &[(&'static str, &'static str)], #[case] body: &str, #[case] seconds: Option<u64>) {
        assert_eq!(wait(&headers(all), body.as_bytes(), now()), seconds.map(Duration::from_secs));
    }

    #[test]
    fn a_limit_that_is_used_up() {
        assert_eq!(used_up(&headers(&[("ratelimit-remaining", "0"), ("ratelimit-reset", "9")]), now()), Some(Duration::from_secs(9)));
        assert_eq!(used_up(&headers(&[("ratelimit-remaining", "1"), ("ratelimit-reset", "9")]), now()), None);
        assert_eq!(used_up(&headers(&[("ratelimit-remaining", "0;w=21600")]), now()), None);
    }

    #[rstest]
    #[case::hub(&[("ratelimit-limit", "100;w=21600"), ("ratelimit-remaining", "76;w=21600")], Some((76, 21600)))]
    #[case::reset(&[("ratelimit-remaining", "5"), ("ratelimit-reset", "30")], Some((5, 30)))]
    #[case::reset_time(&[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1795521660")], Some((0, 60)))]
    #[case::number_alone(&[("x-ratelimit-remaining", "59")], Some((59, 3600)))]
    #[case::absurd(&[("ratelimit-remaining", "1;w=99999999999")], Some((1, 6 * 3600)))]
    #[case::limit_alone(&[("ratelimit-limit", "100;w=21600")], None)]
    #[case::garbage(&[("ratelimit-remaining", "many")], None)]
    #[case::negative(&[("ratelimit-remaining", "-1")], None)]
    fn quotas(#[case] all: &[(&'static str, &'static str)], #[case] expected: Option<(u64, u64)>) {
        assert_eq!(remaining(&headers(all), now()), expected.map(|(count, seconds)| (count, Duration::from_secs(seconds))));
    }

    proptest::proptest! {
        #[test]
        fn nothing_breaks_it(value in ".{0,40}", body in proptest::collection::vec(proptest::arbitrary::any::<u8>(), 0..200)) {
            let mut all = HeaderMap::new();
            if let Ok(value) = HeaderValue::from_str(&value) {
                all.insert("retry-after", value.clone());
                all.insert("ratelimit-reset", value.clone());
                all.insert("ratelimit-remaining", value);
            }
            proptest::prop_assert!(wait(&all, &body, now()).is_none_or(|wait| wait <= LONGEST));
            proptest::prop_assert!(remaining(&all, now()).is_none_or(|(_, valid)| valid <= LONGEST));
        }
    }
}
