//! A permission of Kubernetes RBAC, as used in a SubjectAccessReview.

use std::fmt;

use headwind_core::config::Store;
use headwind_core::workload::WorkloadKey;
use headwind_k8s::access::SETTINGS;
use headwind_k8s::kinds::facts;
use headwind_k8s::update_request::UpdateRequest;
use kube::Resource as _;

/// A verb on a resource.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Permission {
    /// The verb, such as `list` or `approve`.
    pub verb: &'static str,
    /// The API group.
    pub group: String,
    /// The resource in the plural.
    pub resource: String,
    /// The subresource, if the permission is for one.
    pub subresource: Option<&'static str>,
    /// The namespace. `None` stands for all namespaces.
    pub namespace: Option<String>,
    /// The name of the object. `None` stands for all objects.
    pub name: Option<String>,
}

impl Permission {
    /// Returns a permission for UpdateRequests.
    pub fn on_requests(verb: &'static str, namespace: Option<&str>, name: Option<&str>) -> Self {
        Self {
            verb,
            group: UpdateRequest::group(&()).into_owned(),
            resource: UpdateRequest::plural(&()).into_owned(),
            subresource: None,
            namespace: namespace.map(str::to_owned),
            name: name.map(str::to_owned),
        }
    }

    /// Returns a permission for the workload.
    pub fn on_workload(verb: &'static str, key: &WorkloadKey) -> Self {
        let facts = facts(key.kind);
        Self {
            verb,
            group: facts.group.to_owned(),
            resource: facts.plural.to_owned(),
            subresource: None,
            namespace: Some(key.namespace.clone()),
            name: Some(key.name.clone()),
        }
    }

    /// Returns a permission for an object with Headwind's own settings. An object that does not exist yet has no name.
    pub fn on_settings(verb: &'static str, store: Store, namespace: &str) -> Self {
        Self {
            verb,
            group: String::new(),
            resource: match store {
                Store::ConfigMap => "configmaps".to_owned(),
                Store::Secret => "secrets".to_owned(),
            },
            subresource: None,
            namespace: Some(namespace.to_owned()),
            name: (verb != "create").then(|| SETTINGS.to_owned()),
        }
    }

    /// Returns the same permission for a subresource.
    #[must_use]
    pub fn on(self, subresource: &'static str) -> Self {
        Self { subresource: Some(subresource), ..self }
    }

    /// Returns the command that checks whether the user of a kubeconfig has the permission.
    pub fn can_i(&self) -> String {
        let Self { verb, group, resource, subresource, namespace, name } = self;
        let group = if group.is_empty() { String::new() } else { format!(".{group}") };
        let name = name.as_ref().map(|name| format!("/{name}")).unwrap_or_default();
        let subresource = subresource.map(|subresource| format!(" --subresource={subresource}")).unwrap_or_default();
        let place = namespace.as_ref().map_or_else(|| " --all-namespaces".to_owned(), |namespace| format!(" --namespace={namespace}"));
        format!("kubectl auth can-i {verb} {resource}{group}{name}{subresource}{place}")
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { verb, group, resource, subresource, namespace, name } = self;
        write!(f, "{verb} {resource}")?;
        if !group.is_empty() {
            write!(f, ".{group}")?;
        }
        if let Some(subresource) = subresource {
            write!(f, "/{subresource}")?;
        }
        if let Some(name) = name {
            write!(f, " {name:?}")?;
        }
        match namespace {
            Some(namespace) => write!(f, " in namespace {namespace}"),
            None => write!(f, " in all namespaces"),
        }
    }
}

#[cfg(test)]
mod tests {
    use headwind_core::workload::Kind;

    use super::*;

    #[test]
    fn permissions_in_words() {
        let approve = Permission::on_requests("approve", Some("shop"), Some("web-1"));
        assert_eq!(approve.to_string(), "approve updaterequests.headwind.sh \"web-1\" in namespace shop");
        assert_eq!(approve.can_i(), "kubectl auth can-i approve updaterequests.headwind.sh/web-1 --namespace=shop");
        let list = Permission::on_requests("list", None, None);
        assert_eq!(list.to_string(), "list updaterequests.headwind.sh in all namespaces");
        assert_eq!(list.can_i(), "kubectl auth can-i list updaterequests.headwind.sh --all-namespaces");
        let status = Permission::on_requests("update", Some("shop"), None).on("status");
        assert_eq!(status.to_string(), "update updaterequests.headwind.sh/status in namespace shop");
        let settings = Permission::on_settings("update", Store::ConfigMap, "hw");
        assert_eq!(settings.to_string(), "update configmaps \"headwind\" in namespace hw");
        let key = WorkloadKey { kind: Kind::CronJob, namespace: "shop".to_owned(), name: "nightly".to_owned() };
        assert_eq!(Permission::on_workload("get", &key).to_string(), "get cronjobs.batch \"nightly\" in namespace shop");
    }
}
