//! The modes of authentication.

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
