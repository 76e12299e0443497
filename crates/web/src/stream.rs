//! The common parts of the event streams of the API and the UI.

use std::convert::Infallible;
use std::time::Duration;

use axum::http::{HeaderName, HeaderValue};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use futures_util::Stream;

/// Interval of the comments that keep the connection open.
const BEAT: Duration = Duration::from_secs(15);
/// Interval at which the caller's permissions are checked again.
pub(crate) const CHECK: Duration = Duration::from_secs(5);

/// Returns the response that sends the events. Proxies must not buffer it.
pub(crate) fn respond(events: impl Stream<Item = Result<Event, Infallible>> + Send + 'static) -> Response {
    let headers = [
        (HeaderName::from_static("cache-control"), HeaderValue::from_static("no-cache")),
        (HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no")),
    ];
    (headers, Sse::new(events).keep_alive(KeepAlive::new().interval(BEAT).text("beat"))).into_response()
}
