//! The manifests that ship: CRD, RBAC and admission policy, as values and as YAML.
//!
//! `headwind crds` and `headwind rbac` print them; `make generate` writes them into the chart and into `deploy/k8s`,
//! and a test compares the two.

use kube::CustomResourceExt;
use serde_json::{Value, json};

use crate::access::{self, Reach};
use crate::update_request::UpdateRequest;

mod admission;

pub use admission::admission_policy;

const LABEL: &str = "app.kubernetes.io/name";

/// The account that gets the rights, and the namespaces they apply to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The namespace of Headwind's ServiceAccount and of its own objects.
    pub namespace: String,
    /// The ServiceAccount's name.
    pub name: String,
    /// The watched namespaces; empty for all.
    pub watched: Vec<String>,
}

/// The CustomResourceDefinition of UpdateRequests.
pub fn crd() -> Value {
    let mut crd = json!(UpdateRequest::crd());
    // A new object has its phase at creation, without a separate write.
    if let Some(status) = crd.pointer_mut("/spec/versions/0/schema/openAPIV3Schema/properties/status").and_then(Value::as_object_mut) {
        status.insert("default".to_owned(), json!({"phase": "Pending"}));
        status.remove("nullable");
    }
    crd
}

/// Roles and bindings for the account: a ClusterRole if every namespace is watched, else a Role in each of the
/// namespaces. Headwind's own objects have a separate Role. The reviews of callers, which have no namespace, have a
/// ClusterRole.
pub fn rbac(account: &Account) -> Vec<Value> {
    let rules = |reaches: &[Reach]| {
        access::rights().iter().filter(|right| reaches.contains(&right.reach)).map(access::Right::rule).collect::<Vec<_>>()
    };
    let mut all = vec![json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta(&account.name, Some(&account.namespace))})];
    if account.watched.is_empty() {
        all.extend(grant(account, &account.name, None, &rules(&[Reach::Watched, Reach::Cluster])));
    }
    for namespace in &account.watched {
        all.extend(grant(account, &account.name, Some(namespace), &rules(&[Reach::Watched, Reach::Listed])));
    }
    all.extend(grant(account, &format!("{}-own", account.name), Some(&account.namespace), &rules(&[Reach::Own])));
    // Named after the namespace: one cluster may run several Headwinds that are limited to namespaces.
    all.extend(grant(account, &format!("{}-callers-{}", account.name, account.namespace), None, &rules(&[Reach::Callers])));
    all
}

fn grant(account: &Account, name: &str, namespace: Option<&str>, rules: &[Value]) -> [Value; 2] {
    let (role, binding) = if namespace.is_some() { ("Role", "RoleBinding") } else { ("ClusterRole", "ClusterRoleBinding") };
    [
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": role, "metadata": meta(name, namespace), "rules": rules}),
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": binding, "metadata": meta(name, namespace),
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": role, "name": name},
            "subjects": [{"kind": "ServiceAccount", "name": account.name, "namespace": account.namespace}],
        }),
    ]
}

fn meta(name: &str, namespace: Option<&str>) -> Value {
    let mut meta = json!({"name": name, "labels": {LABEL: "headwind"}});
    if let (Some(namespace), Some(meta)) = (namespace, meta.as_object_mut()) {
        meta.insert("namespace".to_owned(), json!(namespace));
    }
    meta
}

/// The ClusterRoles for people: one to view, one to approve, one to manage the records, and one to ask Headwind with the
/// kubectl plugin.
pub fn people() -> Vec<Value> {
    let role = |name: &str, granted: Value| json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": meta(name, None), "rules": granted});
    let on = |resource: &str, verbs: &[&str]| json!({"apiGroups": ["headwind.sh"], "resources": [resource], "verbs": verbs});
    let look = on("updaterequests", &["get", "list", "watch"]);
    // `kubectl patch --subresource=status` first reads the status.
    let decide = on("updaterequests/status", &["get", "update", "patch"]);
    let proxied = json!({
        "apiGroups": [""], "resources": ["services/proxy"], "resourceNames": ["headwind:api", "https:headwind:api"], "verbs": ["get", "create"],
    });
    vec![
        role("headwind-viewer", json!([look])),
        role("headwind-approver", json!([look, on("updaterequests", &["approve"]), decide])),
        role(
            "headwind-manager",
            json!([on("updaterequests", &["get", "list", "watch", "create", "update", "patch", "delete", "approve", "manage"]), decide]),
        ),
        // Bound in the namespace of Headwind. Headwind itself decides what the caller may do.
        role("headwind-plugin", json!([proxied])),
    ]
}

/// Returns the values as one YAML stream.
///
/// # Errors
/// If a value cannot be written as YAML, which no value of this module does.
pub fn yaml(values: &[Value]) -> Result<String, serde_saphyr::ser::Error> {
    let mut out = String::new();
    for value in values {
        out.push_str("---\n");
        out.push_str(serde_saphyr::to_string(value)?.trim_end());
        out.push('\n');
    }
    Ok(out)
}

#[cfg(test)]
mod tests;
