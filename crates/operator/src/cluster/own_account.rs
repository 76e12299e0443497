//! The ServiceAccount of this process, as the owner of the objects that Headwind creates for itself.
//!
//! Kubernetes deletes them with their owner, so nothing remains when Headwind is removed. This needs no permission:
//! every authenticated user may ask who it is.

use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::{Api, PostParams};

use super::ClusterClient;

/// Returns the name of the ServiceAccount in the namespace.
fn account_of<'a>(user: &'a str, namespace: &str) -> Option<&'a str> {
    user.strip_prefix("system:serviceaccount:")?.strip_prefix(namespace)?.strip_prefix(':').filter(|name| !name.is_empty())
}

impl ClusterClient {
    /// Returns a reference to the account of this process, if it is a ServiceAccount of this namespace. An owner in
    /// another namespace would count as deleted.
    pub(crate) async fn own_account(&self, namespace: &str) -> Option<OwnerReference> {
        let reviews: Api<SelfSubjectReview> = Api::all(self.client.clone());
        let answer = reviews.create(&PostParams::default(), &SelfSubjectReview::default()).await;
        let user = answer.ok()?.status?.user_info?;
        let (name, uid) = (account_of(user.username.as_deref()?, namespace)?.to_owned(), user.uid.filter(|uid| !uid.is_empty())?);
        Some(OwnerReference { api_version: "v1".to_owned(), kind: "ServiceAccount".to_owned(), name, uid, ..OwnerReference::default() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts() {
        assert_eq!(account_of("system:serviceaccount:hw:headwind", "hw"), Some("headwind"));
        for other in ["ann", "system:serviceaccount:hw-2:headwind", "system:serviceaccount:hw:", "system:serviceaccount:h:headwind"] {
            assert_eq!(account_of(other, "hw"), None, "{other}");
        }
    }
}
