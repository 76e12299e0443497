//! Sends one HTTP request of a channel, and judges the response.
//!
//! Redirects are not followed, response bodies are bounded, certificates are verified, and metadata services of clouds
//! are never connected to. No text that is returned contains the URL, which is a secret.

use std::error::Error as _;
use std::net::IpAddr;
use std::time::Duration;

use headwind_registry::address::refusal;
use jiff::Timestamp;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::{Client, Response, StatusCode, Url};

use super::secret::Secret;
use super::text::one_line;

/// Timeout of a connection.
const CONNECT: Duration = Duration::from_secs(5);
/// Timeout of a request, including the response.
pub(super) const TIMEOUT: Duration = Duration::from_secs(10);
/// Maximum number of bytes of a response that are read. Slack's Web API repeats the whole message.
const BODY: usize = 64 * 1024;
/// Maximum number of characters of a response that are shown.
const SHOWN: usize = 200;

/// The result of one attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The receiver accepted it. The text is its response.
    Delivered(String),
    /// It may succeed later.
    Retry {
        /// The problem.
        problem: String,
        /// The pause that the receiver requests.
        after: Option<Duration>,
    },
    /// It cannot succeed.
    Refused(String),
}

/// Creates the client of all channels.
pub(super) fn client() -> Result<Client, String> {
    Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(CONNECT)
        .dns_resolver(Resolver)
        .timeout(TIMEOUT)
        .user_agent(concat!("headwind/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|error| explain(&error.without_url()))
}

/// Resolves names, without the addresses of metadata services.
#[derive(Debug, Clone)]
struct Resolver;

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let (allowed, refused): (Vec<_>, Vec<_>) = found.partition(|address| refusal(address.ip()).is_none());
            match refused.first().and_then(|address| refusal(address.ip())) {
                Some(why) if allowed.is_empty() => Err(never(why).into()),
                _ => Ok(Box::new(allowed.into_iter()) as Addrs),
            }
        })
    }
}

fn never(why: &str) -> String {
    format!("the host resolves to {why}; Headwind never connects there")
}

/// Returns why Headwind does not connect to the host of a URL, if it is an address.
fn refused_literal(url: &Url) -> Option<&'static str> {
    let host = url.host_str()?;
    refusal(host.trim_matches(['[', ']']).parse::<IpAddr>().ok()?)
}

/// Posts JSON.
pub(super) async fn post(client: &Client, url: &Secret, body: String, headers: HeaderMap, timeout: Duration) -> Outcome {
    call(client, url, body, headers, timeout).await.0
}

/// Posts JSON. Returns the body of the response too.
pub(super) async fn call(client: &Client, url: &Secret, body: String, headers: HeaderMap, timeout: Duration) -> (Outcome, Vec<u8>) {
    let Ok(parsed) = Url::parse(url.expose()) else { return (Outcome::Refused("the URL is not valid".to_owned()), Vec::new()) };
    if let Some(why) = refused_literal(&parsed) {
        return (Outcome::Refused(never(why)), Vec::new());
    }
    let request = client.post(parsed).headers(headers).timeout(timeout).header("content-type", "application/json").body(body);
    match request.send().await {
        Ok(response) => judge(response, url).await,
        // Somebody may repair the cause: no connection, no certificate, or no response in time.
        Err(error) => (Outcome::Retry { problem: explain(&error.without_url()), after: None }, Vec::new()),
    }
}

async fn judge(response: Response, url: &Secret) -> (Outcome, Vec<u8>) {
    let status = response.status();
    let after = response.headers().get(RETRY_AFTER).and_then(|value| retry_after(value.to_str().ok()?, Timestamp::now()));
    let body = bounded(response).await;
    let shown = shown(&body, url);
    let answer = if shown.is_empty() { status.to_string() } else { format!("{status}: {shown}") };
    let outcome = if status.is_success() {
        Outcome::Delivered(answer)
    } else if status.is_server_error()
        || matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY)
    {
        Outcome::Retry { problem: format!("the receiver answered {answer}"), after }
    } else if status.is_redirection() {
        Outcome::Refused(format!("the receiver answered {status}, and Headwind does not follow redirects"))
    } else {
        Outcome::Refused(format!("the receiver answered {answer}"))
    };
    (outcome, body)
}

async fn bounded(mut response: Response) -> Vec<u8> {
    let mut body = Vec::new();
    while body.len() < BODY
        && let Ok(Some(chunk)) = response.chunk().await
    {
        body.extend_from_slice(chunk.get(..chunk.len().min(BODY - body.len())).unwrap_or_default());
    }
    body
}

/// Returns the start of a response. A receiver may echo the path, which is a secret.
fn shown(body: &[u8], url: &Secret) -> String {
    let text = String::from_utf8_lossy(body);
    let secrets = url.expose().split(['/', '?', '&', '=']).filter(|part| part.len() >= 8);
    if secrets.into_iter().any(|part| text.contains(part)) { String::new() } else { one_line(&text, SHOWN) }
}

/// Returns an error with its causes, without the URL.
fn explain(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let next_text = next.to_string();
        if !text.contains(&next_text) {
            text = format!("{text}: {next_text}");
        }
        cause = next.source();
    }
    one_line(&text, 2 * SHOWN)
}

/// Parses `Retry-After`: seconds (some senders write fractions), or an HTTP date.
fn retry_after(value: &str, now: Timestamp) -> Option<Duration> {
    let value = value.trim();
    if let Ok(seconds) = value.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    let at = jiff::fmt::rfc2822::parse(value).ok()?.timestamp();
    Some(Duration::try_from(at.duration_since(now)).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_read_as_seconds_or_as_a_date() {
        let now: Timestamp = "2026-11-28T17:00:00Z".parse().unwrap();
        assert_eq!(retry_after("30", now), Some(Duration::from_secs(30)));
        assert_eq!(retry_after("0.5", now), Some(Duration::from_millis(500)));
        assert_eq!(retry_after("Sat, 28 Nov 2026 17:01:00 GMT", now), Some(Duration::from_mins(1)));
        assert_eq!(retry_after("Sat, 28 Nov 2026 16:00:00 GMT", now), Some(Duration::ZERO));
        for bad in ["", "-1", "NaN", "soon", "inf"] {
            assert_eq!(retry_after(bad, now), None, "{bad}");
        }
    }

    #[test]
    fn metadata_services_are_never_connected_to() {
        let refused = |host: &str| refused_literal(&Url::parse(&format!("http://{host}/latest")).unwrap());
        for host in ["169.254.169.254", "[fd00:ec2::254]", "0xa9fea9fe", "[::ffff:169.254.169.254]"] {
            assert!(refused(host).is_some(), "{host}");
        }
        for host in ["127.0.0.1", "[::1]", "10.0.0.1", "hooks.example"] {
            assert_eq!(refused(host), None, "{host}");
        }
    }

    #[test]
    fn a_response_that_echoes_the_secret_is_not_shown() {
        let url = Secret::new("https://hooks.example/services/T0/canarycanary");
        assert_eq!(shown(b"no such path /services/T0/canarycanary", &url), "");
        assert_eq!(shown(b"invalid\ntoken", &url), "invalid token");
    }
}
