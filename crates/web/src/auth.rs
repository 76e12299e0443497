//! Who the caller is, and what the caller may do, for the API and the UI.
//!
//! Each mode lives in one file. The recorded approver is always the caller found here, never a field of a form.

mod none;
mod simple;

use std::fmt;
use std::str::FromStr;

use axum::http::HeaderMap;
use headwind_operator::Caller;

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

/// Something that a caller wants to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Look at what there is.
    Read,
    /// Approve, reject, reopen or roll back.
    Act,
}

/// The caller is not let in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    /// The request does not say who the caller is, or the proof is bad.
    #[error("{0}")]
    Unknown(String),
    /// The caller may not do it.
    #[error("{0}")]
    Forbidden(String),
}

/// How callers are authenticated and authorized.
#[derive(Debug, Clone, Copy, Default)]
pub struct Auth {
    /// The mode.
    pub mode: Mode,
    /// Whether callers that prove nothing may act: the port is bound to loopback, or the administrator says so.
    pub anonymous_actions: bool,
}

impl Mode {
    /// The mode's name.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Mode::None => "none",
            Mode::Simple => "simple",
        }
    }
}

impl Auth {
    /// Returns the caller of a request from `peer`.
    ///
    /// # Errors
    /// When the mode needs a name for this access and the headers hold none.
    #[expect(clippy::unused_async, reason = "a mode that queries the API server waits here")]
    pub(crate) async fn authenticate(&self, headers: &HeaderMap, peer: &str, access: Access) -> Result<Caller, Refused> {
        let name = match self.mode {
            Mode::None => none::user(),
            Mode::Simple => match (simple::user(headers), access) {
                (Some(name), _) => name,
                // Everybody may read.
                (None, Access::Read) => none::user(),
                (None, Access::Act) => return Err(Refused::Unknown(simple::EXPECTED.to_owned())),
            },
        };
        Ok(Caller { name, method: self.mode.as_str(), peer: peer.to_owned(), ..Caller::default() })
    }

    /// Returns whether the caller may do it.
    ///
    /// # Errors
    /// [`Refused::Forbidden`] with what the caller can do about it.
    #[expect(clippy::unused_async, reason = "a mode that queries the API server waits here")]
    pub(crate) async fn authorize(&self, _caller: &Caller, access: Access) -> Result<(), Refused> {
        match (self.mode, access) {
            (_, Access::Read) => Ok(()),
            (Mode::None | Mode::Simple, Access::Act) if self.anonymous_actions => Ok(()),
            (Mode::None | Mode::Simple, Access::Act) => Err(Refused::Forbidden(format!(
                "mode {} does not prove who the caller is, so this port only answers reads; approve with kubectl, or set HEADWIND_UI_ANONYMOUS_ACTIONS=true",
                self.mode
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes() {
        assert_eq!("simple".parse(), Ok(Mode::Simple));
        assert!("oauth".parse::<Mode>().is_err());
    }

    #[tokio::test]
    async fn everybody_may_read_and_nobody_acts_without_a_name() {
        let auth = Auth { mode: Mode::Simple, anonymous_actions: true };
        let caller = async |access| auth.authenticate(&HeaderMap::new(), "127.0.0.1", access).await;
        assert_eq!(caller(Access::Read).await.unwrap().name, "web-ui-user");
        assert!(matches!(caller(Access::Act).await, Err(Refused::Unknown(_))));
    }
}
