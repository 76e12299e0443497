use crate::cluster::object::ObjectVersion;
use serde_json::json;

use super::*;
use crate::observe::visible::Visible;

pub(crate) fn request(name: &str, version: &str, phase: &str) -> UpdateRequest {
    serde_json::from_value(json!({
        "apiVersion": "headwind.sh/v1alpha1", "kind": "UpdateRequest",
        "metadata": {"name": name, "namespace": "n", "uid": format!("uid-{name}"), "resourceVersion": version, "managedFields": [{"manager": "x"}]},
        "spec": {
            "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "t", "uid": "u"}, "updateType": "image", "containerName": "web",
            "currentImage": "a:1", "newImage": "a:2", "policy": "minor", "requireApproval": true, "trigger": "webhook",
        },
        "status": {"phase": phase},
    }))
    .unwrap()
}

fn names(listing: &Listing) -> Vec<&str> {
    listing.names.iter().map(|(_, name)| name.as_str()).collect()
}

fn pending(requests: &Requests) -> usize {
    requests.count_phases(&Visible::All).of(Phase::Pending)
}

#[test]
fn an_object_never_goes_back() {
    let mut requests = Requests::default();
    let moved = |change: Option<Change>| change.map(|Change { before, after }| (before.map(|before| before.status.phase), after.phase()));
    assert_eq!(moved(requests.apply(request("a", "5", "Pending"))), Some((None, Phase::Pending)));
    assert_eq!(moved(requests.apply(request("a", "6", "Approved"))), Some((Some(Phase::Pending), Phase::Approved)));
    assert_eq!(moved(requests.apply(request("a", "5", "Pending"))), None);
    assert_eq!(requests.get("n", "a").unwrap().phase(), Phase::Approved);
    assert!(requests.open("n", "a").unwrap().metadata.managed_fields.is_none());
    assert_eq!(moved(requests.apply(request("a", "7", "Completed"))), Some((Some(Phase::Approved), Phase::Completed)));
    assert_eq!(moved(requests.apply(request("a", "6", "Approved"))), None, "a record knows its version as well");
    assert_eq!(requests.get("n", "a").unwrap().version(), ObjectVersion { uid: "uid-a".to_owned(), resource_version: "7".to_owned() });
    let mut reborn = request("a", "4", "Pending");
    reborn.metadata.uid = Some("another".to_owned());
    assert_eq!(moved(requests.apply(reborn)), Some((None, Phase::Pending)));
}

#[test]
fn counts_and_places_do_not_drift() {
    let mut requests = Requests::default();
    for name in ["b", "a", "c"] {
        requests.apply(request(name, "1", "Pending"));
    }
    assert_eq!(pending(&requests), 3);
    requests.apply(request("a", "2", "Completed"));
    assert_eq!(pending(&requests), 2);
    let workload = request("a", "1", "Pending").workload_key();
    assert_eq!((requests.open_of(&workload).len(), requests.finished_of(&workload).len(), requests.of(&workload).count()), (2, 1, 3));
    let seen = HashSet::from([("n".to_owned(), "b".to_owned())]);
    assert_eq!(requests.sweep(None, &seen).len(), 2);
    assert_eq!((pending(&requests), requests.of(&workload).count(), requests.workloads().count()), (1, 1, 1));
    requests.remove(&("n".to_owned(), "b".to_owned()));
    assert_eq!((pending(&requests), requests.workloads().count(), requests.by_name.len()), (0, 0, 0));
}

#[test]
fn pages_are_in_order_whatever_the_phase() {
    let mut requests = Requests::default();
    for (name, phase) in [("d", "Pending"), ("b", "Completed"), ("e", "Rejected"), ("a", "Approved"), ("c", "Completed")] {
        requests.apply(request(name, "1", phase));
    }
    let all = Filter { visible: Visible::All, ..Filter::default() };
    let first = requests.page(&all, None, 2);
    assert_eq!((names(&first), first.remaining), (vec!["a", "b"], 3));
    let second = requests.page(&all, first.names.last(), 2);
    assert_eq!((names(&second), second.remaining), (vec!["c", "d"], 1));
    let last = requests.page(&all, second.names.last(), 2);
    assert_eq!((names(&last), last.remaining), (vec!["e"], 0));
    let completed = Filter { phase: Some(Phase::Completed), text: Some("A:2".to_owned()), ..all.clone() };
    assert_eq!(names(&requests.page(&completed, None, 10)), ["b", "c"]);
    assert_eq!(names(&requests.page(&Filter { namespace: Some("other".to_owned()), ..all }, None, 10)), [""; 0]);
}

#[test]
fn a_page_holds_only_what_its_caller_may_see() {
    let mut requests = Requests::default();
    requests.apply(request("a", "1", "Pending"));
    let page = |visible| names(&requests.page(&Filter { visible, ..Filter::default() }, None, 10)).len();
    let only = |namespace: &str| Visible::Only(std::sync::Arc::new([namespace.to_owned()].into()));
    assert_eq!((page(Visible::All), page(only("n"))), (1, 1));
    assert_eq!((page(only("other")), page(Visible::default())), (0, 0));
}

/// Returns a request with everything that a finished one can have.
fn rich() -> UpdateRequest {
    let digest = |letter: &str| format!("sha256:{}", letter.repeat(64));
    serde_json::from_value(json!({
        "apiVersion": "headwind.sh/v1alpha1", "kind": "UpdateRequest",
        "metadata": {
            "name": "checkout-service-3fa94c01b7", "namespace": "shop", "uid": "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0", "resourceVersion": "123456789",
            "creationTimestamp": "2026-11-28T06:00:00Z", "annotations": {"headwind.sh/proposed-at": "2026-11-28T06:00:00.250Z", "note": "x".repeat(1000)},
        },
        "spec": {
            "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "checkout-service", "uid": "aaaaaaaa-4b5a-6978-8796-a5b4c3d2e1f0"},
            "updateType": "image", "containerName": "checkout", "currentImage": "registry.example.com/team-shop/checkout-service:main",
            "newImage": "registry.example.com/team-shop/checkout-service:main", "currentDigest": digest("a"), "newDigest": digest("b"), "policy": "force",
            "reason": "words ".repeat(50), "requireApproval": false, "trigger": "webhook",
        },
        "status": {
            "phase": "Completed", "reason": "RolloutComplete", "message": "m".repeat(900), "approvedBy": "ann@example.com",
            "finishedAt": "2026-11-28T06:05:00Z", "appliedAt": "2026-11-28T06:01:00Z", "timesApplied": 1,
            "conditions": [{"type": "Ready", "status": "True", "reason": "RolloutComplete", "message": "m".repeat(900), "lastTransitionTime": "2026-11-28T06:05:00Z"}],
        },
    }))
    .unwrap()
}

#[test]
fn a_finished_request_is_a_small_record_of_what_the_rules_ask() {
    let object = rich();
    let record = Finished::of(&object, "aaaaaaaa-4b5a-6978-8796-a5b4c3d2e1f0".into());
    let mut whole = object.read();
    whole.status.message = None;
    assert_eq!(record.read(), whole);
    // Beside it: a slot of the table of names (16 bytes at a load of at least a half, and a byte of control each), what
    // the allocator adds, and its share of its target's key. Only policy force brings two digests.
    let beside = 2 * 17 + 16 + 20;
    assert!(record.bytes() + beside <= 360, "{} + {beside}", record.bytes());
    let mut without = object;
    (without.spec.current_digest, without.spec.new_digest) = (None, None);
    let record = Finished::of(&without, "aaaaaaaa-4b5a-6978-8796-a5b4c3d2e1f0".into());
    assert!(record.bytes() + beside <= 300, "{} + {beside}", record.bytes());
}

#[test]
fn what_others_write_on_an_open_request_is_bounded() {
    let mut requests = Requests::default();
    let mut object = rich();
    object.metadata.annotations.as_mut().unwrap().insert("huge".to_owned(), "x".repeat(200_000));
    object.status.as_mut().unwrap().phase = None;
    object.status.as_mut().unwrap().message = Some("ä".repeat(100_000));
    requests.apply(object);
    let held = requests.open("shop", "checkout-service-3fa94c01b7").unwrap();
    assert_eq!(held.read().created.to_string(), "2026-11-28T06:00:00.25Z", "what the rules read is kept");
    assert!(serde_json::to_string(&*held).unwrap().len() < 8192);
}
