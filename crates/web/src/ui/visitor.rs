//! The person who looks at a page, with what every page needs.

use std::convert::Infallible;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use headwind_operator::{Caller, Counts, Visible};
use jiff::Timestamp;

use super::preferences::Preferences;
use super::{Ui, permissions};

/// A request from a browser.
#[derive(Debug, Clone)]
pub(super) struct Visitor {
    pub(super) caller: Caller,
    pub(super) preferences: Preferences,
    /// The namespaces that the caller may list.
    pub(super) visible: Visible,
    /// Why that is not known, if it is not.
    pub(super) unavailable: Option<String>,
    /// The counts in these namespaces.
    pub(super) counts: Counts,
    /// The time of the page.
    pub(super) now: Timestamp,
    /// The last change that the page knows.
    pub(super) version: String,
    /// True if htmx sent it.
    pub(super) is_htmx: bool,
    /// The query of the address.
    pub(super) query: String,
}

impl FromRequestParts<Arc<Ui>> for Visitor {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, ui: &Arc<Ui>) -> Result<Self, Self::Rejection> {
        let caller = parts.extensions.get::<Caller>().cloned().unwrap_or_default();
        let version = ui.hub.position();
        let (visible, unavailable) = match permissions::visible(ui, &caller).await {
            Ok(visible) => (visible, None),
            Err(why) => (Visible::default(), Some(why)),
        };
        Ok(Self {
            counts: ui.handle.counts(&visible),
            visible,
            unavailable,
            preferences: Preferences::read(&parts.headers),
            now: Timestamp::now(),
            version,
            is_htmx: parts.headers.contains_key("hx-request"),
            query: parts.uri.query().unwrap_or_default().to_owned(),
            caller,
        })
    }
}
