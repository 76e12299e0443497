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

    /// Returns true if the caller may see objects in all of these namespaces, and in at least one.
    pub fn covers(&self, namespaces: &BTreeSet<String>) -> bool {
        *self == Self::All || (!self.is_empty() && namespaces.iter().all(|namespace| self.includes(namespace)))
    }

    /// Returns true if there is no namespace that the caller may see.
    pub fn is_empty(&self) -> bool {
        matches!(self, Self::Only(names) if names.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_are_for_those_who_see_every_namespace() {
        let names = |all: &[&str]| all.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
        let only = |all: &[&str]| Visible::Only(Arc::new(names(all)));
        assert!(Visible::All.covers(&names(&["shop", "pay"])));
        assert!(only(&["shop", "pay", "other"]).covers(&names(&["shop", "pay"])), "Headwind watches these alone");
        assert!(!only(&["shop"]).covers(&names(&["shop", "pay"])));
        assert!(!Visible::default().covers(&names(&[])), "who may list nothing");
    }
}
