//! A right that Headwind needs on the API server.

use serde_json::{Value, json};

/// The scope in which a right is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// In every namespace that is watched.
    Watched,
    /// In every namespace, only if all are watched: cluster-wide.
    Cluster,
    /// In every watched namespace, only if they are listed by name.
    Listed,
    /// In Headwind's own namespace.
    Own,
    /// Cluster-wide, whichever namespaces are watched: the resource has no namespace.
    Callers,
}

/// One row of the table: verbs on a resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Right {
    /// The API group; empty for the core group.
    pub group: &'static str,
    /// The resource, with its subresource.
    pub resource: &'static str,
    /// The verbs.
    pub verbs: &'static [&'static str],
    /// The name of the only object, if RBAC can restrict the verb to a name.
    pub name: Option<&'static str>,
    /// The scope.
    pub reach: Reach,
    /// The purpose.
    pub why: &'static str,
}

impl Right {
    /// Returns a right that is needed in every watched namespace.
    pub const fn watched(group: &'static str, resource: &'static str, verbs: &'static [&'static str], why: &'static str) -> Self {
        Self { group, resource, verbs, name: None, reach: Reach::Watched, why }
    }

    /// Returns the right as a rule of a Role or ClusterRole.
    pub fn rule(&self) -> Value {
        let mut rule = json!({"apiGroups": [self.group], "resources": [self.resource], "verbs": self.verbs});
        if let (Some(name), Some(rule)) = (self.name, rule.as_object_mut()) {
            rule.insert("resourceNames".to_owned(), json!([name]));
        }
        rule
    }
}
