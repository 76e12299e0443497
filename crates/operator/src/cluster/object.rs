//! The identity of an object of the API server, and an object that does not decode.

use headwind_k8s::update_request::UpdateRequest;

/// The identity of an object and of its version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ObjectVersion {
    pub(crate) uid: String,
    pub(crate) resource_version: String,
}

impl ObjectVersion {
    /// Returns the identity of a request from the API server.
    pub(crate) fn of(request: &UpdateRequest) -> Self {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        Self { uid: text(&request.metadata.uid), resource_version: text(&request.metadata.resource_version) }
    }
}

/// An object that does not decode.
#[derive(Debug, Clone)]
pub(crate) struct Undecodable {
    pub(crate) api_version: String,
    pub(crate) uid: String,
    pub(crate) problem: String,
}

/// Returns true if the resource version `a` is newer than `b`. Kubernetes compares them as numbers. If they are not
/// numbers, any other version counts as newer.
pub(crate) fn is_newer(a: &str, b: &str) -> bool {
    match (a.parse::<u128>(), b.parse::<u128>()) {
        (Ok(a), Ok(b)) => a > b,
        (Err(_), _) | (_, Err(_)) => a != b,
    }
}

/// Returns true if the text can be the name of an object. Headwind does not query the API server for an invalid name.
pub(crate) fn is_object_name(text: &str) -> bool {
    (1..=253).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte))
}
