//! The person or program that asks for something.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// A caller, as far as an authentication mode proved it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Caller {
    /// The name that is recorded.
    pub name: String,
    /// The uid that Kubernetes knows the user by, if a token proved it.
    pub uid: Option<String>,
    /// The user's groups.
    pub groups: Vec<String>,
    /// What else Kubernetes' authorizers may ask about the user.
    pub extra: BTreeMap<String, Vec<String>>,
    /// How the name was proven, as audit lines name it: none, simple, token, cookie, proxy.
    pub method: &'static str,
    /// The peer's address.
    pub peer: String,
    /// The caller's own token, if the API server accepts it. Headwind writes decisions with it.
    pub token: Option<BearerToken>,
}

/// A bearer token. Never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct BearerToken(Arc<str>);

impl BearerToken {
    /// Wraps the token.
    pub fn new(token: &str) -> Self {
        Self(token.into())
    }

    /// Returns the token itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for BearerToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BearerToken(…)")
    }
}
