//! Checks at startup whether the admission policy for UpdateRequests is in effect.
//!
//! Headwind has no permission to read admission policies. It sends the API server a dry run of a request that the
//! policy refuses for everybody, Headwind included. Nothing is stored in any case.

use std::time::Duration;

use headwind_k8s::update_request::UpdateRequest;
use serde_json::json;

use crate::cluster::ClusterClient;

/// A part of the API server's message if such a policy refuses a request.
const POLICY: &str = "ValidatingAdmissionPolicy";

/// Number of checks before Headwind warns about a missing policy: one that was just installed takes effect some seconds
/// later.
const TRIES: usize = 3;
const PAUSE: Duration = Duration::from_secs(5);

/// Warns if the policy is not in effect in the namespace.
pub(crate) async fn warn_without_policy(cluster: ClusterClient, namespace: String) {
    let Some(request) = refused_by_policy(&namespace) else { return };
    for _ in 0..TRIES {
        match cluster.try_create_request(&request).await {
            Ok(()) => tokio::time::sleep(PAUSE).await,
            Err(failure) if failure.to_string().contains(POLICY) => return tracing::debug!(namespace, "the admission policy is in effect"),
            Err(failure) => {
                return tracing::debug!(namespace, error = %failure, "failed to find out whether the admission policy is in effect");
            }
        }
    }
    tracing::warn!(
        namespace,
        "the ValidatingAdmissionPolicy updaterequests.headwind.sh is not in effect: anyone who may write UpdateRequests can forge approvals; apply the output of `headwind rbac`"
    );
}

/// Returns a request whose target is in another namespace.
fn refused_by_policy(namespace: &str) -> Option<UpdateRequest> {
    let workload = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "none", "uid": "none", "namespace": "another-namespace"});
    serde_json::from_value(json!({
        "apiVersion": "headwind.sh/v1alpha1", "kind": "UpdateRequest",
        "metadata": {"name": "headwind-policy-check", "namespace": namespace},
        "spec": {
            "targetRef": workload, "updateType": "image", "containerName": "none", "currentImage": "none:1", "newImage": "none:2",
            "policy": "none", "reason": "", "requireApproval": true, "trigger": "manual",
        },
    }))
    .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_request_is_one_that_only_the_policy_refuses() {
        let request = refused_by_policy("shop").unwrap();
        assert_eq!(request.metadata.namespace.as_deref(), Some("shop"));
        assert_ne!(request.spec.target_ref.namespace.as_deref(), Some("shop"));
    }
}
