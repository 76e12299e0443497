//! The manifests that ship: CRD, RBAC and admission policy, as values and as YAML.
//!
//! `headwind crds` and `headwind rbac` print them; `make generate` writes them to `deploy/k8s`,
//! and a test compares the two.

use kube::CustomResourceExt;
use serde_json::{Value, json};

use crate::access::{self, Reach};
use crate::update_request::UpdateRequest;

const LABEL: &str = "app.kubernetes.io/name";

/// Whose rights, and over which namespaces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The namespace of Headwind's ServiceAccount and of its own objects.
    pub namespace: String,
    /// The ServiceAccount's name.
    pub name: String,
    /// The namespaces that are watched; empty for all.
    pub watched: Vec<String>,
}

/// The CustomResourceDefinition of UpdateRequests.
pub fn crd() -> Value {
    let mut crd = json!(UpdateRequest::crd());
    // A new object has its phase from birth, without a write of its own.
    if let Some(status) = crd.pointer_mut("/spec/versions/0/schema/openAPIV3Schema/properties/status").and_then(Value::as_object_mut) {
        status.insert("default".to_owned(), json!({"phase": "Pending"}));
        status.remove("nullable");
    }
    crd
}

/// Roles and bindings for the account: a ClusterRole where every namespace is watched, else a
/// Role in each of the namespaces. Headwind's own objects have a Role of their own.
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

/// The ClusterRole that people are bound to who may approve, and the one for those who only look.
pub fn people() -> Vec<Value> {
    let role = |name: &str, rules: Value| json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": meta(name, None), "rules": rules});
    let look = json!({"apiGroups": ["headwind.sh"], "resources": ["updaterequests"], "verbs": ["get", "list", "watch"]});
    vec![
        role("headwind-viewer", json!([look])),
        role(
            "headwind-approver",
            json!([
                look,
                {"apiGroups": ["headwind.sh"], "resources": ["updaterequests"], "verbs": ["approve"]},
                {"apiGroups": ["headwind.sh"], "resources": ["updaterequests/status"], "verbs": ["update", "patch"]},
            ]),
        ),
    ]
}

/// The admission policy that makes a phase a record that can be trusted (SPEC section 4): whoever
/// changes one needs the verb `approve`, may only take the arrows Pending → Approved, Pending →
/// Rejected and reopen, and may write only their own name.
pub fn admission_policy(account: &Account) -> Vec<Value> {
    let own = format!("system:serviceaccount:{}:{}", account.namespace, account.name);
    let status = |old: &str, field: &str| format!("(has({old}.status) && has({old}.status.{field}) ? {old}.status.{field} : '')");
    let unchanged = |field: &str| format!("{} == {}", status("object", field), status("oldObject", field));
    let own_name = |field: &str| {
        format!("{} || {} == request.userInfo.username || {} == ''", unchanged(field), status("object", field), status("object", field))
    };
    let signed =
        |phase: &str, field: &str| format!("variables.after != '{phase}' || {} == request.userInfo.username", status("object", field));
    let was = "variables.before";
    let is = "variables.after";
    let name = "updaterequests.headwind.sh";
    vec![
        json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy", "metadata": meta(name, None),
            "spec": {
                "failurePolicy": "Fail",
                "matchConstraints": {"resourceRules": [{
                    "apiGroups": ["headwind.sh"], "apiVersions": ["*"], "operations": ["CREATE", "UPDATE"],
                    "resources": ["updaterequests", "updaterequests/status"],
                }]},
                "variables": [
                    {"name": "before", "expression": "request.operation == 'UPDATE' && has(oldObject.status) && has(oldObject.status.phase) ? oldObject.status.phase : 'Pending'"},
                    {"name": "after", "expression": "has(object.status) && has(object.status.phase) ? object.status.phase : 'Pending'"},
                    {"name": "decides", "expression": format!("has(request.subResource) && request.subResource == 'status' && request.userInfo.username != '{own}'")},
                ],
                "validations": [
                    {
                        "expression": "!has(object.spec.targetRef.__namespace__) || object.spec.targetRef.__namespace__ == request.namespace",
                        "message": "targetRef.namespace must be the request's own namespace",
                    },
                    {
                        "expression": "!variables.decides || authorizer.group('headwind.sh').resource('updaterequests').namespace(request.namespace).name(request.name).check('approve').allowed()",
                        "message": "changing the status of an UpdateRequest needs the verb approve on updaterequests.headwind.sh",
                        "reason": "Forbidden",
                    },
                    {
                        "expression": format!("!variables.decides || {was} == {is} || ({was} == 'Pending' && {is} in ['Approved', 'Rejected']) || ({is} == 'Pending' && {was} in ['Completed', 'Rejected', 'Failed', 'Expired', 'RolledBack'])"),
                        "messageExpression": format!("'a person may approve or reject what is Pending and reopen what is finished, not turn ' + {was} + ' into ' + {is}"),
                        "reason": "Forbidden",
                    },
                    {
                        "expression": format!("!variables.decides || (({}) && ({}))", own_name("approvedBy"), own_name("rejectedBy")),
                        "message": "approvedBy and rejectedBy take your own name only",
                        "reason": "Forbidden",
                    },
                    {
                        "expression": format!("!variables.decides || {was} == {is} || ({})", signed("Approved", "approvedBy")),
                        "message": "who approves writes their name into approvedBy",
                        "reason": "Forbidden",
                    },
                    {
                        "expression": format!("!variables.decides || {was} == {is} || ({})", signed("Rejected", "rejectedBy")),
                        "message": "who rejects writes their name into rejectedBy",
                        "reason": "Forbidden",
                    },
                    {
                        "expression": format!("!variables.decides || {}", [ "timesApplied" ].iter().map(|field| {
                            format!("(has(object.status.{field}) ? object.status.{field} : 0) == (has(oldObject.status.{field}) ? oldObject.status.{field} : 0)")
                        }).collect::<Vec<_>>().join(" && ")),
                        "message": "timesApplied is Headwind's own",
                        "reason": "Forbidden",
                    },
                    {
                        "expression": format!("!variables.decides || {}", ["appliedAt", "rolledBackFrom", "rollout"].map(|field| {
                            format!("has(object.status.{field}) == has(oldObject.status.{field}) && (!has(object.status.{field}) || object.status.{field} == oldObject.status.{field})")
                        }).join(" && ")),
                        "message": "appliedAt, rolledBackFrom and rollout are Headwind's own",
                        "reason": "Forbidden",
                    },
                ],
            },
        }),
        json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding", "metadata": meta(name, None),
            "spec": {"policyName": name, "validationActions": ["Deny"]},
        }),
    ]
}

/// The values as one YAML stream.
///
/// # Errors
/// When a value cannot be written as YAML, which no value of this module does.
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
