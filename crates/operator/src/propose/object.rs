//! The UpdateRequest for a proposal.

use headwind_core::artifact::ArtifactKind;
use headwind_core::decide::Proposal;
use headwind_core::request::DEFAULT_EXPIRY;
use headwind_core::workload::{Workload, WorkloadKey};
use headwind_k8s::name;
use headwind_k8s::update_request::{
    KindName, PROPOSED_AT, PolicyName, SIBLINGS, TargetRef, TriggerName, UpdateRequest, UpdateRequestSpec, UpdateType,
};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{OwnerReference, Time};
use kube::ResourceExt;

/// Maximum number of other requests that a request names. Readers ignore the rest.
const MAX_NAMED: usize = 64;

/// Returns the object for a proposal that is made now.
pub(crate) fn request(workload: &Workload, proposal: &Proposal, now: Timestamp) -> UpdateRequest {
    request_of(workload, proposal, now, now)
}

/// Returns the object for a proposal from a claim that arrived at `arrived`. The time to approve it begins now: the
/// claim may have waited for its registry.
pub(super) fn request_of(workload: &Workload, proposal: &Proposal, arrived: Timestamp, now: Timestamp) -> UpdateRequest {
    let WorkloadKey { kind: workload_kind, namespace, name: workload_name } = workload.key.clone();
    let name = name::request(&workload_name, &workload.uid, &proposal.container, &proposal.identity);
    let update_type = UpdateType::of(if workload.release.is_some() { ArtifactKind::Chart } else { ArtifactKind::Image });
    let mut request = UpdateRequest::new(
        &name,
        UpdateRequestSpec {
            target_ref: TargetRef {
                api_version: workload.api_version.to_owned(),
                kind: KindName(workload_kind),
                name: workload_name.clone(),
                uid: workload.uid.clone(),
                namespace: Some(namespace.clone()),
            },
            update_type,
            container_name: (update_type == UpdateType::Image).then(|| proposal.container.clone()),
            current_image: proposal.current_image.clone(),
            new_image: proposal.new_image.clone(),
            current_digest: proposal.current_digest.clone(),
            new_digest: proposal.new_digest.clone(),
            policy: PolicyName(proposal.policy),
            reason: proposal.message.chars().take(1024).collect(),
            require_approval: proposal.require_approval,
            approvals: i32::try_from(proposal.approvals).ok().filter(|people| *people > 1),
            expires_at: Some(Time(now.checked_add(DEFAULT_EXPIRY).unwrap_or(Timestamp::MAX))),
            trigger: TriggerName(proposal.trigger),
        },
    );
    request.metadata.namespace = Some(namespace);
    request.annotations_mut().insert(PROPOSED_AT.to_owned(), format!("{arrived:.3}"));
    request.metadata.owner_references = Some(vec![OwnerReference {
        api_version: workload.api_version.to_owned(),
        kind: workload_kind.as_str().to_owned(),
        name: workload_name,
        uid: workload.uid.clone(),
        controller: None,
        block_owner_deletion: None,
    }]);
    request
}

/// Writes the names of the other requests of the same event into each request.
///
/// The leader waits for them, so that one push to several containers is one rollout, whichever replica receives it.
/// Requests with more siblings than a reader reads name none: the names would take memory quadratic in their number.
pub(super) fn name_siblings(requests: &mut [UpdateRequest]) {
    if !(2..=MAX_NAMED + 1).contains(&requests.len()) {
        return;
    }
    let names: Vec<String> = requests.iter().map(ResourceExt::name_any).collect();
    for request in requests {
        let own = request.name_any();
        let others: Vec<&str> = names.iter().map(String::as_str).filter(|name| *name != own).collect();
        request.annotations_mut().insert(SIBLINGS.to_owned(), others.join(","));
    }
}

#[cfg(test)]
mod tests {
    use headwind_core::policy::Policy;
    use headwind_core::reason::Reason;
    use headwind_core::testing;
    use headwind_core::trigger::Trigger;
    use serde_json::json;

    use super::*;

    fn named(name: &str) -> UpdateRequest {
        serde_json::from_value(json!({
            "apiVersion": "headwind.sh/v1alpha1", "kind": "UpdateRequest", "metadata": {"name": name, "namespace": "n"},
            "spec": {
                "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "t", "uid": "u"}, "updateType": "image",
                "containerName": name, "currentImage": "a:1", "newImage": "a:2", "policy": "minor", "requireApproval": false,
                "trigger": "webhook",
            },
        }))
        .unwrap()
    }

    /// A claim may wait up to an hour for its registry.
    #[test]
    fn the_time_for_an_approval_begins_when_the_request_is_created() {
        let proposal = Proposal {
            container: "web".to_owned(),
            current_image: "a:1".to_owned(),
            new_image: "a:2".to_owned(),
            current_digest: None,
            new_digest: None,
            policy: Policy::Minor,
            reason: Reason::HigherVersion,
            message: Reason::HigherVersion.sentence().to_owned(),
            require_approval: true,
            approvals: 1,
            trigger: Trigger::Webhook,
            identity: testing::identity("web", "a:2"),
        };
        let [arrived, now] = [0, 3000].map(|second| Timestamp::from_second(second).unwrap());
        let request = request_of(&testing::deployment("a:1", &[]), &proposal, arrived, now);
        assert_eq!(request.annotations().get(PROPOSED_AT), Some(&format!("{arrived:.3}")));
        assert_eq!(request.spec.expires_at, Some(Time(now.checked_add(DEFAULT_EXPIRY).unwrap())));
    }

    #[test]
    fn each_request_names_all_others_of_its_event() {
        let mut all = ["a", "b", "c"].map(named);
        name_siblings(&mut all);
        let siblings = all.map(|request| request.read().siblings);
        assert_eq!(siblings, [["b", "c"], ["a", "c"], ["a", "b"]]);
        let mut alone = [named("a")];
        name_siblings(&mut alone);
        assert_eq!(alone[0].read().siblings, [""; 0]);
    }

    /// A tenant may cause any number of requests with one push.
    #[test]
    fn the_names_of_siblings_are_bounded() {
        let mut most: Vec<UpdateRequest> = (0..=MAX_NAMED).map(|number| named(&format!("r{number}"))).collect();
        name_siblings(&mut most);
        assert!(most.iter().all(|request| request.read().siblings.len() == MAX_NAMED));
        let mut more: Vec<UpdateRequest> = (0..MAX_NAMED + 2).map(|number| named(&format!("r{number}"))).collect();
        name_siblings(&mut more);
        assert!(more.iter().all(|request| !request.annotations().contains_key(SIBLINGS)));
    }
}
