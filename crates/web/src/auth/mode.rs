//! The modes of authentication.

use std::fmt;
use std::str::FromStr;

/// `HEADWIND_UI_AUTH_MODE`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// Every caller is `web-ui-user`.
    #[default]
    None,
    /// The header `X-User` names the caller. The name is a label, not a proof.
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

impl Mode {
    /// Returns the mode's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Mode::None => "none",
            Mode::Simple => "simple",
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
}
