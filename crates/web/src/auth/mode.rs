//! The modes of authentication.

use std::fmt;
use std::str::FromStr;

/// `HEADWIND_UI_AUTH_MODE`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// Every caller is `web-ui-user`.
    #[default]
    None,
    /// The header `X-User` names the caller, without proof.
    Simple,
    /// A `TokenReview` identifies the user of the bearer token.
    Token,
    /// A header from a trusted proxy names the caller.
    Proxy,
}

/// An unknown mode.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown authentication mode {0:?}; use none, simple, token or proxy")]
pub struct UnknownMode(String);

impl FromStr for Mode {
    type Err = UnknownMode;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "none" => Ok(Mode::None),
            "simple" => Ok(Mode::Simple),
            "token" => Ok(Mode::Token),
            "proxy" => Ok(Mode::Proxy),
            other => Err(UnknownMode(other.chars().take(64).collect())),
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Mode {
    /// Returns the mode's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Mode::None => "none",
            Mode::Simple => "simple",
            Mode::Token => "token",
            Mode::Proxy => "proxy",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes() {
        for mode in [Mode::None, Mode::Simple, Mode::Token, Mode::Proxy] {
            assert_eq!(mode.to_string().parse(), Ok(mode));
        }
        assert!("oauth".parse::<Mode>().is_err());
    }
}
