//! The style sheet, the scripts and the icons. They are in the binary, compressed.

use axum::extract::Path;
use axum::http::header::{ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, VARY};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};

/// Another content has another address, so browsers need not ask again.
const FOREVER: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");

const GZIP: HeaderValue = HeaderValue::from_static("gzip");
const BY_ENCODING: HeaderValue = HeaderValue::from_static("accept-encoding");

/// A file of the UI.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asset {
    /// The path, with a hash of the content.
    pub(crate) address: &'static str,
    content_type: &'static str,
    plain: &'static [u8],
    gzip: &'static [u8],
}

include!(concat!(env!("OUT_DIR"), "/assets.rs"));

/// What a browser loads for its first page.
#[cfg(test)]
pub(super) const FIRST_VISIT: &[Asset] = &[STYLES, SCRIPT, HTMX, SSE, ICONS, FAVICON];

#[cfg(test)]
impl Asset {
    /// Returns the number of bytes that a browser loads.
    pub(super) fn size(&self) -> usize {
        self.gzip.len()
    }
}

/// `GET /assets/{name}`
pub(super) async fn get(Path(name): Path<String>, headers: HeaderMap) -> Response {
    let Some(asset) = ALL.iter().find(|asset| asset.address.strip_prefix("/assets/") == Some(&name)) else {
        return (StatusCode::NOT_FOUND, "there is no such file").into_response();
    };
    let content_type = HeaderValue::from_static(asset.content_type);
    let mut response =
        if accepts_gzip(&headers) { ([(CONTENT_ENCODING, GZIP)], asset.gzip).into_response() } else { asset.plain.into_response() };
    let more = [(CONTENT_TYPE, content_type), (CACHE_CONTROL, FOREVER), (VARY, BY_ENCODING)];
    for (name, value) in more {
        response.headers_mut().insert(name, value);
    }
    response
}

/// Returns true if the sender of a request accepts gzip.
fn accepts_gzip(headers: &HeaderMap) -> bool {
    headers.get(ACCEPT_ENCODING).and_then(|value| value.to_str().ok()).is_some_and(|accepted| accepted.contains("gzip"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size(assets: &[Asset]) -> usize {
        assets.iter().map(Asset::size).sum()
    }

    #[test]
    fn the_assets_stay_small() {
        assert!(size(&[STYLES]) <= 20 * 1024, "style sheet: {} bytes", size(&[STYLES]));
        assert!(size(&[SCRIPT, HTMX, SSE]) <= 25 * 1024, "scripts: {} bytes", size(&[SCRIPT, HTMX, SSE]));
        let first = size(FIRST_VISIT);
        assert!(first <= 45 * 1024, "first visit without its page: {first} bytes");
    }

    /// The page's policy allows nothing from elsewhere.
    #[test]
    fn the_style_sheet_loads_nothing() {
        let text = String::from_utf8(STYLES.plain.to_vec()).unwrap();
        assert!(!text.contains("url(") && !text.contains("@import"), "{:?}", text.find("url("));
    }

    #[tokio::test]
    async fn an_asset_is_served_compressed_and_for_good() {
        let name = STYLES.address.strip_prefix("/assets/").unwrap().to_owned();
        let gzip = get(Path(name.clone()), [(ACCEPT_ENCODING, "gzip, br".parse().unwrap())].into_iter().collect()).await;
        assert_eq!((gzip.headers()[CONTENT_ENCODING].as_bytes(), gzip.headers()[CACHE_CONTROL].clone()), (&b"gzip"[..], FOREVER));
        let plain = get(Path(name), HeaderMap::new()).await;
        assert!(!plain.headers().contains_key(CONTENT_ENCODING) && plain.headers()[CONTENT_TYPE] == "text/css; charset=utf-8");
        assert_eq!(get(Path("app.css".to_owned()), HeaderMap::new()).await.status(), 404);
    }
}
