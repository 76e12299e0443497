//! A right that Headwind needs on the API server.

use serde_json::{Value, json};

/// Where a right is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// In every namespace that is watched.
    Watched,
    /// In every namespace that is watched, and only where all are: cluster-wide.
    Cluster,
    /// In every namespace that is watched, and only where they are listed one by one.
    Listed,
    /// In Headwind's own namespace.
    Own,
    /// For the whole cluster, whichever namespaces are watched: the resource has no namespace.
    Callers,
}

/// One row: verbs on a resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Right {
    /// The API group; empty for the core group.
    pub group: &'static str,
    /// The resource, with its subresource.
    pub resource: &'static str,
    /// The verbs.
    pub verbs: &'static [&'static str],
    /// The one object it is for, where RBAC can say that.
    pub name: Option<&'static str>,
    /// Where.
    pub reach: Reach,
    /// What for.
    pub why: &'static str,
}

impl Right {
    /// Returns a right that is needed in every watched namespace.
    pub const fn watched(group: &'static str, resource: &'static str, verbs: &'static [&'static str], why: &'static str) -> Self {
        Self { group, resource, verbs, name: None, reach: Reach::Watched, why }
    }

    /// The row as a rule of a Role or ClusterRole.
    pub fn rule(&self) -> Value {
        let mut rule = json!({"apiGroups": [self.group], "resources": [self.resource], "verbs": self.verbs});
        if let (Some(name), Some(rule)) = (self.name, rule.as_object_mut()) {
            rule.insert("resourceNames".to_owned(), json!([name]));
        }
        rule
    }
}
