//! The change that a person's decision makes to the status of an UpdateRequest: only the fields that the admission
//! policy allows.

use serde_json::{Map, Value, json};

use crate::update_request::UpdateRequest;

/// The fields that an approval may change. Headwind adds the time: the expiry and the place in the queue depend on it.
pub const APPROVED: [&str; 4] = ["phase", "approvedBy", "skipCoolDown", "message"];
/// The fields that a rejection may change.
pub const REJECTED: [&str; 3] = ["phase", "rejectedBy", "message"];
/// The fields that reopening may change.
pub const REOPENED: [&str; 2] = ["phase", "message"];

/// Returns the merge patch of the status for a decision, for the version of the request that was read. `decided` is the
/// request as Headwind itself would write it. Headwind completes the status afterwards, as for a decision by kubectl.
pub fn patch(decided: &UpdateRequest) -> Value {
    let status = json!(decided.status);
    let phase = status["phase"].as_str().unwrap_or_default();
    let fields: &[&str] = match phase {
        "Approved" => &APPROVED,
        "Rejected" => &REJECTED,
        _ => &REOPENED,
    };
    let changed: Map<String, Value> = fields.iter().map(|field| ((*field).to_owned(), status[*field].clone())).collect();
    json!({"metadata": {"resourceVersion": decided.metadata.resource_version}, "status": changed})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_person_may_write() {
        let request = |status: Value| -> UpdateRequest {
            serde_json::from_value(json!({
                "apiVersion": "headwind.sh/v1alpha1", "kind": "UpdateRequest",
                "metadata": {"name": "r", "namespace": "n", "resourceVersion": "7"},
                "spec": {
                    "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "t", "uid": "u"}, "updateType": "image",
                    "containerName": "web", "currentImage": "a:1", "newImage": "a:2", "policy": "minor", "requireApproval": true,
                    "trigger": "webhook",
                },
                "status": status,
            }))
            .unwrap()
        };
        let at = "2026-01-01T00:00:00Z";
        let approved = request(
            json!({"phase": "Approved", "reason": "ApprovedByPerson", "approvedBy": "ann", "approvedAt": at, "message": "approved by ann"}),
        );
        assert_eq!(
            patch(&approved),
            json!({"metadata": {"resourceVersion": "7"}, "status": {"phase": "Approved", "approvedBy": "ann", "skipCoolDown": null, "message": "approved by ann"}})
        );
        let rejected = request(json!({"phase": "Rejected", "rejectedBy": "ann", "rejectedAt": at, "finishedAt": at, "message": "no"}));
        assert_eq!(patch(&rejected)["status"], json!({"phase": "Rejected", "rejectedBy": "ann", "message": "no"}));
        let reopened = request(json!({"phase": "Pending", "reopenedAt": at, "message": "again"}));
        assert_eq!(patch(&reopened)["status"], json!({"phase": "Pending", "message": "again"}));
    }
}
