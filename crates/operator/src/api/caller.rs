//! The person or program that asks for something.

use std::collections::BTreeMap;

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
    /// How the name was proven, as audit lines name it: none, simple.
    pub method: &'static str,
    /// The peer's address.
    pub peer: String,
}
