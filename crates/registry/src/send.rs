//! One request and its response: redirects, error responses, and the body.

use std::time::Instant;

use jiff::Timestamp;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue, LOCATION};
use reqwest::{RequestBuilder, Response, StatusCode, Url};

use crate::budget::Held;
use crate::error::{Class, Error};
use crate::host::Host;
use crate::rules::authority;
use crate::throttle;

/// Maximum number of redirects.
const REDIRECTS: usize = 5;
/// Maximum length of a redirect's URL, in bytes.
const ADDRESS: usize = 4096;
/// Maximum number of bytes read of an error response.
pub(crate) const REFUSAL: usize = 16 * 1024;

/// A response.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
    /// The URL that answered in the end.
    pub(crate) url: Url,
    /// The budget that the body uses.
    _held: Held,
}

/// Sends the request that `asked` builds from a URL and the client for it, and follows redirects. Another host than the
/// first gets the credential only if `passed_on`, and never the client certificate.
pub(crate) async fn follow(
    host: &Host,
    url: &Url,
    asked: impl Fn(&reqwest::Client, &Url) -> RequestBuilder,
    authorization: Option<&HeaderValue>,
    passed_on: bool,
) -> Result<Response, Error> {
    let refused = |what: &str| Error::new(Class::Refused, &host.name, what.to_owned());
    let mut at = url.clone();
    for _ in 0..=REDIRECTS {
        let is_own = origin(&at) == origin(url);
        let elsewhere = || host.elsewhere(&at);
        if let Some(elsewhere) = elsewhere() {
            host.guard.allow(&elsewhere).map_err(|refusal| refusal.of(&host.name).reported_by(Some(elsewhere)))?;
        }
        host.guard.admit(&at).await.map_err(|refusal| refusal.of(&host.name).reported_by(elsewhere()))?;
        let mut request = asked(if is_own { &host.clients.own } else { &host.clients.elsewhere }, &at);
        if let Some(authorization) = authorization.filter(|_| passed_on || is_own) {
            request = request.header(AUTHORIZATION, authorization.clone());
        }
        let response = request.send().await.map_err(|error| Error::of_transport(&host.name, error).reported_by(elsewhere()))?;
        if !response.status().is_redirection() || response.status() == StatusCode::NOT_MODIFIED {
            return Ok(response);
        }
        let answer = take(host, response, REFUSAL).await?;
        let location = answer.headers.get(LOCATION).filter(|value| value.len() <= ADDRESS);
        let location = location.and_then(|value| value.to_str().ok()).and_then(|text| at.join(text).ok());
        let next = location.ok_or_else(|| refused("it redirects without a location"))?;
        if next.scheme() != "https" && !(next.scheme() == "http" && url.scheme() == "http") {
            return Err(refused("it redirects to another scheme than HTTPS"));
        }
        at = next;
    }
    Err(refused("it redirects too many times"))
}

/// Reads a response of up to `largest` bytes. 429 and server errors become errors and back off the host. The caller
/// handles any other status.
pub(crate) async fn take(host: &Host, response: Response, largest: usize) -> Result<Answer, Error> {
    let elsewhere = host.elsewhere(response.url());
    read(host, response, largest).await.map_err(|error| error.reported_by(elsewhere))
}

async fn read(host: &Host, mut response: Response, largest: usize) -> Result<Answer, Error> {
    let mut held = host.budget.reader();
    let (status, headers, url) = (response.status(), response.headers().clone(), response.url().clone());
    let serves = status.is_success();
    let largest = if serves { largest } else { REFUSAL };
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| Error::of_transport(&host.name, error))? {
        if body.len() + chunk.len() > largest {
            if serves {
                return Err(Error::new(Class::Broken, &host.name, format!("its answer is larger than {}", in_words(largest))));
            }
            break;
        }
        held.grow(chunk.len()).await.map_err(|error| Error::new(Class::Refused, &host.name, error.to_string()))?;
        body.extend_from_slice(&chunk);
    }
    let now = Timestamp::now();
    note_quota(host, &url, &headers, now);
    let throttled = status == StatusCode::TOO_MANY_REQUESTS
        // GitHub's secondary rate limits answer 403 with a time.
        || status == StatusCode::FORBIDDEN && (headers.contains_key("retry-after") || throttle::used_up(&headers, now).is_some());
    if throttled || status.is_server_error() || status == StatusCode::REQUEST_TIMEOUT {
        let wait = throttle::wait(&headers, &body, now);
        if let Some(wait) = wait {
            host.hold(wait);
        }
        let (class, what) = if throttled {
            (Class::Throttled, "it returned too many requests")
        } else {
            (Class::Unavailable, "it returned a server error")
        };
        return Err(Error::new(class, &host.name, format!("{what} ({})", status.as_u16())).wait(wait));
    }
    back_off(host, &headers, now);
    Ok(Answer { status, headers, body, url, _held: held })
}

/// Stores the remaining quota that this response states, and backs off the host if it used up its rate limit.
pub(crate) fn heed(host: &Host, url: &Url, headers: &HeaderMap, now: Timestamp) {
    note_quota(host, url, headers, now);
    back_off(host, headers, now);
}

/// Stores the remaining quota, if the host itself answered, over the transport that the administrator configured.
fn note_quota(host: &Host, url: &Url, headers: &HeaderMap, now: Timestamp) {
    if let Some((remaining, valid)) = throttle::remaining(headers, now)
        && host.transport().is_none()
        && host.elsewhere(url).is_none()
    {
        host.quotas.note(&host.name, remaining, valid, Instant::now());
    }
}

fn back_off(host: &Host, headers: &HeaderMap, now: Timestamp) {
    if let Some(wait) = throttle::used_up(headers, now) {
        host.hold(wait);
    }
}

/// Returns scheme, host and port.
fn origin(url: &Url) -> (&str, Option<String>) {
    (url.scheme(), authority(url))
}

fn in_words(bytes: usize) -> String {
    if bytes >= 1 << 20 { format!("{} MiB", bytes >> 20) } else { format!("{} KiB", bytes >> 10) }
}

/// Returns a header that is not printed.
pub(crate) fn sensitive(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}
