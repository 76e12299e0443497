//! Who the caller is, for the API and later the UI.
//!
//! The recorded approver is always the caller found here, never a field of a form.

use std::fmt;
use std::str::FromStr;

use axum::http::{HeaderMap, HeaderName};

/// Maximum length of a user's name, in bytes.
const NAME: usize = 256;
/// The header that mode `simple` reads.
const USER: HeaderName = HeaderName::from_static("x-user");

/// `HEADWIND_UI_AUTH_MODE`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// Everybody is `web-ui-user`.
    #[default]
    None,
    /// The header `X-User` is believed. The name is a label, not a proof.
    Simple,
}

/// A mode that is not known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown authentication mode {0:?}; use none or simple")]
pub struct UnknownMode(String);

impl FromStr for Mode {
    type Err = UnknownMode;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "none" => Ok(Mode::None),
            "simple" => Ok(Mode::Simple),
            other => Err(UnknownMode(other.chars().take(64).collect())),
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An authenticated caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Caller {
    /// The name that is recorded.
    pub(crate) name: String,
    /// How the name was proven, as audit lines call it.
    pub(crate) method: &'static str,
    /// The peer's address, as audit lines show it.
    pub(crate) peer: String,
}

/// The caller did not say who they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the header X-User must occur once and hold a user name: at most 256 printable characters, not beginning with system:")]
pub(crate) struct Unknown;

impl Mode {
    /// The mode's name.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Mode::None => "none",
            Mode::Simple => "simple",
        }
    }

    /// Returns the name of the caller.
    ///
    /// # Errors
    /// When the mode needs a name and the headers hold none.
    pub(crate) fn user(self, headers: &HeaderMap) -> Result<String, Unknown> {
        match self {
            Mode::None => Ok("web-ui-user".to_owned()),
            Mode::Simple => {
                let mut values = headers.get_all(USER).iter();
                let (Some(value), None) = (values.next(), values.next()) else { return Err(Unknown) };
                let name = value.to_str().map_err(|_| Unknown)?.trim();
                let fits = !name.is_empty() && name.len() <= NAME && !name.chars().any(char::is_control);
                // A name that Kubernetes keeps for its own users would be taken for one of them.
                if fits && !name.starts_with("system:") { Ok(format!("simple:{name}")) } else { Err(Unknown) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case::none(Mode::None, &["eve"], Ok("web-ui-user"))]
    #[case::simple(Mode::Simple, &[" ann "], Ok("simple:ann"))]
    #[case::missing(Mode::Simple, &[], Err(Unknown))]
    #[case::empty(Mode::Simple, &[" "], Err(Unknown))]
    #[case::twice(Mode::Simple, &["ann", "bob"], Err(Unknown))]
    #[case::of_kubernetes(Mode::Simple, &["system:admin"], Err(Unknown))]
    #[case::tab(Mode::Simple, &["a\tb"], Err(Unknown))]
    fn the_user_of_each_mode(#[case] mode: Mode, #[case] names: &[&str], #[case] expected: Result<&str, Unknown>) {
        let mut headers = HeaderMap::new();
        for name in names {
            headers.append(USER, name.parse().unwrap());
        }
        assert_eq!(mode.user(&headers), expected.map(str::to_owned));
    }

    #[test]
    fn modes() {
        assert!(Mode::Simple.user(&[(USER, "a".repeat(257).parse().unwrap())].into_iter().collect()).is_err());
        assert_eq!("simple".parse(), Ok(Mode::Simple));
        assert!("oauth".parse::<Mode>().is_err());
    }
}
