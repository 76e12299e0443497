use headwind_core::gate::Waiting;
use headwind_core::rollout::{Failure, RolloutState};
use serde_json::json;

use super::*;
use crate::condition::{PROGRESSING, READY, WAITING};

fn object(status: &serde_json::Value) -> UpdateRequest {
    serde_json::from_value(json!({
        "apiVersion": "headwind.sh/v1alpha1", "kind": "UpdateRequest",
        "metadata": {"name": "r", "namespace": "n", "generation": 1, "creationTimestamp": "2026-01-01T00:00:00Z", "annotations": {PROPOSED_AT: "2026-01-01T00:00:00.250Z"}},
        "spec": {
            "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "t", "uid": "u"}, "updateType": "image", "containerName": "web",
            "currentImage": "a:1", "newImage": "a:2", "policy": "minor", "requireApproval": true, "trigger": "webhook",
        },
        "status": status,
    }))
    .unwrap()
}

#[test]
fn a_status_reads_back_as_it_was_decided() {
    let now: Timestamp = "2026-01-01T00:00:05Z".parse().unwrap();
    let decided = request::Status {
        phase: Phase::Approved,
        reason: Some(Reason::ApprovedByPerson),
        message: Some("approved by ann".to_owned()),
        approved_by: Some("ann".to_owned()),
        skip_cool_down: true,
        approved_at: Some(now),
        approvals: vec![request::Approval { by: "bob".to_owned(), at: Some(now) }],
        dissenters: vec!["eve".to_owned()],
        rejected_by: None,
        rejected_at: None,
        reopened_at: Some(now),
        finished_at: None,
        times_applied: 2,
        applied_at: Some(now),
        applied_image: Some("a:2@sha256:d".to_owned()),
        times_denied: 3,
        rolled_back_from: Some("a:1".to_owned()),
        rollout: Some(RolloutState {
            wanted: 3,
            remaining: 2,
            held: true,
            checked_at: Some(now),
            failed_checks: 1,
            restarts: 4,
            available_since: Some(now),
            failure: Some(Failure { reason: Reason::CrashLoopBackOff, message: "pod p".to_owned() }),
            returned_to: Some("a:0".to_owned()),
            cause: Some(Failure { reason: Reason::OOMKilled, message: "pod q".to_owned() }),
            ..RolloutState::new(7, now)
        }),
        waiting: Some(Waiting::new(Reason::MinUpdateInterval, Some(now))),
    };
    let written = object(&json!({"phase": "Pending"})).with_status(&decided, now);
    let stored: UpdateRequest = serde_json::from_value(serde_json::to_value(&written).unwrap()).unwrap();
    assert_eq!(stored.read().status, decided);
    let of = |request: &UpdateRequest, name: &str| {
        let conditions = request.status.as_ref().unwrap().conditions.clone();
        conditions.into_iter().find(|condition| condition.type_ == name).unwrap()
    };
    let condition = of(&stored, WAITING);
    assert_eq!((condition.type_.as_str(), condition.status.as_str(), condition.reason.as_str()), (WAITING, "True", "MinUpdateInterval"));

    let later: Timestamp = "2026-01-01T00:00:09Z".parse().unwrap();
    let done = stored.with_status(&request::Status { waiting: None, phase: Phase::Completed, ..decided }, later);
    let seen = |name: &str| (of(&done, name).status, of(&done, name).last_transition_time.0);
    assert_eq!(seen(WAITING), ("False".to_owned(), later), "it waits no more");
    assert_eq!(seen(READY), ("True".to_owned(), later));
    assert_eq!(seen(PROGRESSING), ("False".to_owned(), later));
    assert_eq!((of(&stored, READY).status.as_str(), of(&stored, PROGRESSING).status.as_str()), ("False", "True"));
    assert_eq!(of(&done, READY).observed_generation, Some(1));
    assert_eq!(done.status.unwrap().observed_generation, Some(1));
}

#[test]
fn foreign_conditions_stay() {
    let foreign = json!({"type": "Ours", "status": "True", "reason": "X", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"});
    let now = Timestamp::UNIX_EPOCH;
    let written = object(&json!({"phase": "Pending", "conditions": [foreign]})).with_status(&request::Status::default(), now);
    assert_eq!(written.status.unwrap().conditions[0].type_, "Ours");
}

#[test]
fn when_it_was_made() {
    let mut request = object(&json!({"phase": "Pending"}));
    assert_eq!(request.read().created, "2026-01-01T00:00:00.250Z".parse().unwrap());
    request.metadata.annotations = Some([(PROPOSED_AT.to_owned(), "2031-01-01T00:00:00Z".to_owned())].into());
    assert_eq!(request.read().created, "2026-01-01T00:00:00Z".parse().unwrap(), "the API server's clock is believed");
}

/// A request may be created some time after its claim arrived, if its registry or the API server did not answer at
/// first.
#[test]
fn when_its_claim_arrived() {
    let proposed = |text: &str| {
        let mut request = object(&json!({"phase": "Pending"}));
        request.metadata.annotations = Some([(PROPOSED_AT.to_owned(), text.to_owned())].into());
        request.read().proposed.to_string()
    };
    assert_eq!(proposed("2026-01-01T00:00:00.250Z"), "2026-01-01T00:00:00.25Z");
    assert_eq!(proposed("2025-12-31T23:10:00.5Z"), "2025-12-31T23:10:00.5Z");
    for unlikely in ["2026-01-01T00:00:01Z", "2025-12-30T23:59:59Z", "yesterday"] {
        assert_eq!(proposed(unlikely), "2026-01-01T00:00:00Z", "{unlikely}");
    }
}

#[test]
fn what_makes_no_sense_is_a_fault() {
    let mut request = object(&json!(null));
    assert_eq!((request.phase(), request.read().fault), (Phase::Pending, None), "no status yet");
    request.spec.target_ref.namespace = Some("elsewhere".to_owned());
    assert!(request.read().fault.unwrap().contains("its own namespace"));
    request.spec.target_ref.namespace = Some("n".to_owned());
    request.spec.update_type = UpdateType::HelmChart;
    assert!(request.read().fault.unwrap().contains("chart"));
}

/// A release has one chart, whatever container the request names.
#[test]
fn of_a_releases_chart() {
    let mut request = object(&json!({"phase": "Pending"}));
    request.spec.update_type = UpdateType::HelmChart;
    request.spec.target_ref.kind = KindName(Kind::HelmRelease);
    request.spec.target_ref.api_version = "helm.toolkit.fluxcd.io/v2".to_owned();
    request.spec.current_image = "podinfo:1.2.0".to_owned();
    request.spec.new_image = "podinfo:1.3.0+build.1".to_owned();
    for container in [None, Some("web".to_owned())] {
        request.spec.container_name = container;
        let read = request.read();
        assert_eq!((read.fault, read.spec.kind, read.spec.container.as_deref()), (None, ArtifactKind::Chart, Some(CHART)));
        assert_eq!((read.spec.current_image.as_str(), read.spec.new_image.as_str()), ("podinfo:1.2.0", "podinfo:1.3.0+build.1"));
    }
    assert_eq!(request.workload_key().to_string(), "HelmRelease n/t");
    request.spec.update_type = UpdateType::Image;
    assert!(request.read().fault.unwrap().contains("no container"));
}

#[rstest::rstest]
#[case(ArtifactKind::Image, UpdateType::Image, "image")]
#[case(ArtifactKind::Chart, UpdateType::HelmChart, "helmChart")]
fn update_types(#[case] artifacts: ArtifactKind, #[case] update_type: UpdateType, #[case] word: &str) {
    assert_eq!((UpdateType::of(artifacts), update_type.artifacts()), (update_type, artifacts));
    assert_eq!(json!(update_type), word);
}

/// A reason of a newer version is kept after a downgrade.
#[test]
fn an_unknown_reason_is_kept() {
    let request = object(&json!({"phase": "Completed", "reason": "FromTomorrow", "message": "m", "finishedAt": "2026-01-01T00:00:09Z"}));
    let status = request.read().status;
    assert_eq!(status.reason, Some(Reason::Unrecognized));
    let written = request.with_status(&request::Status { message: Some("n".to_owned()), ..status }, Timestamp::UNIX_EPOCH).status.unwrap();
    assert_eq!((written.reason.as_deref(), written.message.as_deref()), (Some("FromTomorrow"), Some("n")));
}

#[test]
fn a_denial_is_quoted_in_the_condition() {
    let until: Timestamp = "2026-01-01T00:00:05Z".parse().unwrap();
    let denied = request::Status {
        waiting: Some(Waiting { reason: Reason::ApplyDenied, message: "not signed".to_owned(), until: Some(until) }),
        ..request::Status::default()
    };
    let conditions = object(&json!({})).with_status(&denied, until).status.unwrap().conditions;
    let waiting = conditions.iter().find(|condition| condition.type_ == WAITING).unwrap();
    assert_eq!((waiting.reason.as_str(), waiting.message.as_str()), ("ApplyDenied", "until 2026-01-01T00:00:05Z: not signed"));
}

/// A wait with an unknown end has a reason and no time.
#[test]
fn a_wait_without_a_time() {
    let now: Timestamp = "2026-01-01T00:00:05Z".parse().unwrap();
    let waiting = Waiting { reason: Reason::Suspended, message: "the release is suspended".to_owned(), until: None };
    let status = request::Status { waiting: Some(waiting.clone()), ..request::Status::default() };
    let stored = object(&json!({})).with_status(&status, now);
    let written = stored.status.clone().unwrap();
    let condition = written.conditions.iter().find(|condition| condition.type_ == WAITING).unwrap();
    assert_eq!(
        (condition.status.as_str(), condition.reason.as_str(), condition.message.as_str()),
        ("True", "Suspended", "the release is suspended")
    );
    assert_eq!((written.waiting_until, written.reason, written.message), (None, None, None), "nothing else says it");
    assert_eq!(stored.read().status.waiting, Some(waiting));
}

/// A name that Headwind derives may be taken by a request for something else.
#[test]
fn who_has_the_name_may_ask_for_something_else() {
    use headwind_core::artifact::{Artifact, ArtifactKind};
    use headwind_core::decide::Identity;
    let key = WorkloadKey { kind: Kind::Deployment, namespace: "n".to_owned(), name: "t".to_owned() };
    let identity =
        |container: &str, image: &str| Identity::new(container, &Artifact::parse(ArtifactKind::Image, image).unwrap(), Policy::Minor, None);
    let request = object(&json!(null));
    let wanted = identity("web", "docker.io/library/a:2");
    assert!(request.asks_for(&key, "u", &wanted) && request.asks_for(&key, "u", &wanted.clone().asked_for(3, 0)));
    assert!(!request.asks_for(&key, "another", &wanted));
    assert!(!request.asks_for(&WorkloadKey { name: "other".to_owned(), ..key.clone() }, "u", &wanted));
    assert!(!request.asks_for(&key, "u", &identity("side", "a:2")));
    assert!(!request.asks_for(&key, "u", &identity("web", "a:22")));
    let mut nonsense = request;
    nonsense.spec.new_image = "y z".to_owned();
    assert!(!nonsense.asks_for(&key, "u", &wanted));
}

#[test]
fn siblings_are_named() {
    let mut request = object(&json!(null));
    assert!(request.read().siblings.is_empty());
    request.metadata.annotations = Some([(SIBLINGS.to_owned(), "a,b".to_owned())].into());
    assert_eq!(request.read().siblings, ["a", "b"]);
    request.metadata.annotations = Some([(SIBLINGS.to_owned(), "x,".repeat(10_000))].into());
    assert_eq!(request.read().siblings.len(), MAX_SIBLINGS);
}
