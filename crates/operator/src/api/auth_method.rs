//! The way in which a caller was authenticated.

headwind_core::named! {
    /// The authentication method of a caller. Audit lines contain it.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    pub enum AuthMethod("authentication method", str::eq) {
        /// Nothing names the caller.
        #[default]
        None = "none",
        /// A header names the caller, without proof.
        Simple = "simple",
        /// A bearer token.
        Token = "token",
        /// The cookie of a session, which a token began.
        Cookie = "cookie",
        /// A header of a trusted proxy.
        Proxy = "proxy",
        /// A button in Slack, which Slack signs.
        Slack = "slack",
    }
}

impl AuthMethod {
    /// Returns true if the method proves who the caller is. Other callers have one name, or any that they like.
    pub fn is_proven(self) -> bool {
        match self {
            Self::Token | Self::Cookie | Self::Proxy | Self::Slack => true,
            Self::None | Self::Simple => false,
        }
    }

    /// Returns true if the web UI can end what authenticates the caller.
    pub fn can_sign_out(self) -> bool {
        match self {
            Self::Token | Self::Cookie => true,
            Self::None | Self::Simple | Self::Proxy | Self::Slack => false,
        }
    }

    /// Returns the method as a sentence for the caller.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::None => "Not signed in: mode none",
            Self::Simple => "Named by the header X-User",
            Self::Token => "Signed in with a token",
            Self::Cookie => "Signed in with a session",
            Self::Proxy => "Signed in by the proxy",
            Self::Slack => "Signed in to Slack",
        }
    }
}
