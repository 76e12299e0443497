//! One question to a registry.

use reqwest::Method;

/// What is asked of a repository.
pub(crate) struct Question<'a> {
    pub(crate) method: Method,
    /// The path behind `/v2/<repository>/`, with its query.
    pub(crate) tail: &'a str,
    pub(crate) accept: &'static str,
    pub(crate) etag: Option<&'a str>,
    /// The largest body.
    pub(crate) largest: usize,
}
