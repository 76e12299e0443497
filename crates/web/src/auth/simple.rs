//! Mode `simple`: the header `X-User` names the caller, without proof.

use axum::http::{HeaderMap, HeaderName};
use headwind_operator::Caller;

/// Maximum length of a user's name, in bytes.
const NAME: usize = 256;
/// The header.
const USER: HeaderName = HeaderName::from_static("x-user");
/// Distinguishes the name from a proven one.
const PREFIX: &str = "simple:";
/// The required header.
pub(super) const EXPECTED: &str =
    "the header X-User must occur once and contain a user name: at most 256 printable characters, not beginning with system:";

/// Returns the caller's name, if the header occurs once and contains one.
pub(super) fn user(headers: &HeaderMap) -> Option<String> {
    let mut values = headers.get_all(USER).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    let name = value.to_str().ok()?.trim();
    let fits = !name.is_empty() && name.len() <= NAME && !name.chars().any(char::is_control);
    // Otherwise a name that Kubernetes reserves for its own users would be taken for one of them.
    (fits && !name.starts_with("system:")).then(|| format!("{PREFIX}{name}"))
}

/// Returns true if the header named the caller.
pub(super) fn names(caller: &Caller) -> bool {
    caller.name.starts_with(PREFIX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case::one(&[" ann "], Some("simple:ann"))]
    #[case::missing(&[], None)]
    #[case::empty(&[" "], None)]
    #[case::twice(&["ann", "bob"], None)]
    #[case::of_kubernetes(&["system:admin"], None)]
    #[case::tab(&["a\tb"], None)]
    fn the_name_in_the_header(#[case] names: &[&str], #[case] expected: Option<&str>) {
        let mut headers = HeaderMap::new();
        for name in names {
            headers.append(USER, name.parse().unwrap());
        }
        assert_eq!(user(&headers).as_deref(), expected);
    }

    #[test]
    fn a_name_has_a_bounded_length() {
        assert!(user(&[(USER, "a".repeat(257).parse().unwrap())].into_iter().collect()).is_none());
    }
}
