//! One query to a registry.

use reqwest::Method;

/// A query to a repository.
pub(crate) struct Question<'a> {
    pub(crate) method: Method,
    /// The path after `/v2/<repository>/`, with its query.
    pub(crate) tail: &'a str,
    pub(crate) accept: &'static str,
    pub(crate) etag: Option<&'a str>,
    /// Maximum size of the body.
    pub(crate) largest: usize,
}
