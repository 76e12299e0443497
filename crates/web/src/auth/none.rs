//! Mode `none`: every caller is the same user.

/// Returns the name of the caller.
pub(super) fn user() -> String {
    "web-ui-user".to_owned()
}
