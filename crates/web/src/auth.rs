//! Who the caller is (SPEC section 11), for the API now and the UI later.
//!
//! The recorded approver is always the user found here, never a field of a form.

use std::fmt;
use std::str::FromStr;

use axum::http::HeaderMap;
use axum::http::header::{HOST, ORIGIN};

/// How long a user's name may be.
const NAME: usize = 256;

/// `HEADWIND_UI_AUTH_MODE`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// Everybody is `web-ui-user`.
    #[default]
    None,
    /// The header `X-User` is believed.
    Simple,
}

/// A mode that is not known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown authentication mode {0:?}; this version knows none and simple")]
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
        f.write_str(match self {
            Mode::None => "none",
            Mode::Simple => "simple",
        })
    }
}

/// Why a caller is turned away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// Nobody said who they are.
    #[error("the header X-User is missing or is no name")]
    Unknown,
    /// The request comes from a page of another origin.
    #[error("requests from another origin are refused")]
    Foreign,
}

impl Mode {
    /// The user behind a request.
    ///
    /// # Errors
    /// When the mode wants a name and there is none.
    pub fn user(self, headers: &HeaderMap) -> Result<String, Denied> {
        match self {
            Mode::None => Ok("web-ui-user".to_owned()),
            Mode::Simple => {
                let name = headers.get("x-user").and_then(|value| value.to_str().ok()).map(str::trim).unwrap_or_default();
                if name.is_empty() || name.len() > NAME { Err(Denied::Unknown) } else { Ok(name.to_owned()) }
            }
        }
    }
}

/// Refuses what a browser sends on behalf of another site's page.
///
/// # Errors
/// When `Sec-Fetch-Site` or `Origin` say so.
pub fn same_origin(headers: &HeaderMap) -> Result<(), Denied> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if matches!(text("sec-fetch-site"), Some("cross-site" | "same-site")) {
        return Err(Denied::Foreign);
    }
    let Some(origin) = headers.get(ORIGIN) else { return Ok(()) };
    let from = origin.to_str().ok().and_then(|origin| origin.split_once("://")).map(|(_, host)| host);
    if from.is_some() && from == text(HOST.as_str()) { Ok(()) } else { Err(Denied::Foreign) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(all: &[(&'static str, &'static str)]) -> HeaderMap {
        all.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn the_user_of_each_mode() {
        assert_eq!(Mode::None.user(&headers(&[("x-user", "eve")])).as_deref(), Ok("web-ui-user"), "a header is not believed unasked");
        assert_eq!(Mode::Simple.user(&headers(&[("x-user", " ann ")])).as_deref(), Ok("ann"));
        assert_eq!(Mode::Simple.user(&headers(&[])), Err(Denied::Unknown));
        assert!("oauth".parse::<Mode>().is_err());
    }

    #[rstest::rstest]
    #[case::curl(&[("host", "h:1")], true)]
    #[case::own_page(&[("host", "h:1"), ("origin", "http://h:1"), ("sec-fetch-site", "same-origin")], true)]
    #[case::other_page(&[("host", "h:1"), ("origin", "http://evil")], false)]
    #[case::other_port(&[("host", "h:1"), ("origin", "http://h:2")], false)]
    #[case::null_origin(&[("host", "h:1"), ("origin", "null")], false)]
    #[case::other_site(&[("host", "h:1"), ("sec-fetch-site", "cross-site")], false)]
    fn origins(#[case] all: &[(&'static str, &'static str)], #[case] fine: bool) {
        assert_eq!(same_origin(&headers(all)).is_ok(), fine);
    }
}
