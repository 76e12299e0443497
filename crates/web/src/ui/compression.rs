//! Compression of pages for browsers that accept gzip. Assets are compressed when the binary is built.
//!
//! No page contains a secret: the session is in a cookie, and foreign pages are refused by their origin. So an
//! attacker cannot learn a secret from the size of a compressed page (the attack BREACH).

use axum::http::header::CONTENT_TYPE;
use axum::http::{Extensions, HeaderMap, StatusCode, Version};
use tower_http::CompressionLevel;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{Predicate, SizeAbove};

/// A smaller body is sent as it is, in bytes.
const SMALL: u16 = 1024;

/// Returns the layer that compresses pages and parts of pages. Everything else passes as it is, streams too.
pub(super) fn layer() -> CompressionLayer<impl Predicate> {
    CompressionLayer::new().quality(CompressionLevel::Fastest).compress_when(SizeAbove::new(SMALL).and(is_page))
}

fn is_page(_: StatusCode, _: Version, headers: &HeaderMap, _: &Extensions) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"text/html"))
}
