//! The namespaces whose requests and workloads a caller may see.

use std::collections::BTreeSet;
use std::sync::Arc;

/// The namespaces that a caller may list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Visible {
    /// All namespaces.
    All,
    /// These namespaces, and no other.
    Only(Arc<BTreeSet<String>>),
}

/// None: a query without the caller's namespaces finds nothing.
impl Default for Visible {
    fn default() -> Self {
        Self::Only(Arc::default())
    }
}

impl Visible {
    /// Returns true if the caller may see objects in the namespace.
    pub fn includes(&self, namespace: &str) -> bool {
        match self {
            Self::All => true,
            Self::Only(names) => names.contains(namespace),
        }
    }

    /// Returns true if there is no namespace that the caller may see.
    pub fn is_empty(&self) -> bool {
        matches!(self, Self::Only(names) if names.is_empty())
    }
}
