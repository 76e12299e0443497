//! The modes of authentication.

use headwind_operator::AuthMethod;

headwind_core::named! {
    /// `HEADWIND_UI_AUTH_MODE`.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    pub enum Mode("authentication mode", str::eq) {
        /// Every caller is `web-ui-user`.
        #[default]
        None = "none",
        /// The header `X-User` names the caller, without proof.
        Simple = "simple",
        /// A `TokenReview` identifies the user of the bearer token.
        Token = "token",
        /// A header from a trusted proxy names the caller.
        Proxy = "proxy",
    }
}

impl Mode {
    /// Returns the authentication method of a request in this mode.
    pub(super) fn method(self) -> AuthMethod {
        match self {
            Self::None => AuthMethod::None,
            Self::Simple => AuthMethod::Simple,
            Self::Token => AuthMethod::Token,
            Self::Proxy => AuthMethod::Proxy,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes() {
        for mode in Mode::ALL.iter().copied() {
            assert_eq!(mode.to_string().parse(), Ok(mode));
            assert_eq!(mode.method().as_str(), mode.as_str(), "audit lines name the mode");
        }
        assert!("oauth".parse::<Mode>().is_err());
    }
}
