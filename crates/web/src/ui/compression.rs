//! Compression of pages for browsers that accept gzip. Assets are compressed when the binary is built.
//!
//! No page contains a secret: the session is in a cookie, and foreign pages are refused by their origin. So an
//! attacker cannot learn a secret from the size of a compressed page (the attack BREACH).

use std::io::Write as _;

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, VARY};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use flate2::Compression;
use flate2::write::GzEncoder;

/// A smaller body is sent as it is, in bytes.
const SMALL: usize = 1024;
pub(super) const GZIP: HeaderValue = HeaderValue::from_static("gzip");
pub(super) const BY_ENCODING: HeaderValue = HeaderValue::from_static("accept-encoding");

/// Returns true if the sender of a request accepts gzip.
pub(super) fn accepts_gzip(headers: &HeaderMap) -> bool {
    headers.get(ACCEPT_ENCODING).and_then(|value| value.to_str().ok()).is_some_and(|accepted| accepted.contains("gzip"))
}

/// Compresses pages and parts of pages. Everything else passes as it is, streams too.
pub(super) async fn compress(request: Request, next: Next) -> Response {
    let accepts = accepts_gzip(request.headers());
    let response = next.run(request).await;
    let is_page = response.headers().get(CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"text/html"));
    if !accepts || !is_page {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    // The body of a page is in memory already.
    let Ok(plain) = to_bytes(body, usize::MAX).await else { return StatusCode::INTERNAL_SERVER_ERROR.into_response() };
    if plain.len() < SMALL {
        return Response::from_parts(parts, Body::from(plain));
    }
    let mut encoder = GzEncoder::new(Vec::with_capacity(plain.len() / 4), Compression::fast());
    let Ok(compressed) = encoder.write_all(&plain).and_then(|()| encoder.finish()) else {
        return Response::from_parts(parts, Body::from(plain));
    };
    parts.headers.remove(CONTENT_LENGTH);
    parts.headers.insert(CONTENT_ENCODING, GZIP);
    parts.headers.insert(VARY, BY_ENCODING);
    Response::from_parts(parts, Body::from(compressed))
}
