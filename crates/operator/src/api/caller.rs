//! The person or program that requests something.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::auth_method::AuthMethod;

/// A caller, as far as the authentication mode proves its identity.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Caller {
    /// The name for the record.
    pub name: String,
    /// The user's UID in Kubernetes, if a token proved it.
    pub uid: Option<String>,
    /// The user's groups.
    pub groups: Vec<String>,
    /// Further attributes for Kubernetes' authorizers.
    pub extra: BTreeMap<String, Vec<String>>,
    /// The authentication method.
    pub method: AuthMethod,
    /// The peer's address.
    pub peer: String,
    /// The caller's own token, if the API server accepts it. Headwind writes decisions with it.
    pub token: Option<BearerToken>,
}

/// A bearer token. Never displayed.
#[derive(Clone, PartialEq, Eq)]
pub struct BearerToken(Arc<str>);

impl BearerToken {
    /// Creates a bearer token.
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
