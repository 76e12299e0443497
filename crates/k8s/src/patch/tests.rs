mod releases;

use headwind_core::request::{Change, ChangeKind};
use headwind_core::testing;
use headwind_core::workload::{Kind, Slot};
use serde_json::Value;

use super::*;

fn object() -> Value {
    json!({
        "metadata": {"uid": "u", "resourceVersion": "7", "annotations": {"team/x": "stays", "headwind.sh/policy": "minor"}},
        "spec": {"template": {"spec": {
            "initContainers": [{"name": "setup", "image": "init:1"}],
            "containers": [{"name": "web", "image": "app:1.0", "env": [{"name": "A"}]}, {"name": "side", "image": "side:1"}],
        }}},
    })
}

fn workload(object: &Value) -> Workload {
    let annotations = object["metadata"]["annotations"].as_object();
    let container = |field: &str, slot: Slot| {
        let all = object["spec"]["template"]["spec"][field].as_array().cloned().unwrap_or_default();
        all.into_iter().enumerate().map(move |(index, one)| Container {
            slot,
            index,
            ..Container::new(one["name"].as_str().unwrap(), one["image"].as_str().unwrap())
        })
    };
    Workload {
        uid: "u".to_owned(),
        resource_version: object["metadata"]["resourceVersion"].as_str().unwrap().to_owned(),
        annotations: annotations
            .into_iter()
            .flatten()
            .filter(|(key, _)| key.starts_with("headwind.sh/"))
            .map(|(key, value)| (key.clone(), value.as_str().unwrap().to_owned()))
            .collect(),
        has_annotations: annotations.is_some(),
        template_has_annotations: object["spec"]["template"]["metadata"]["annotations"].is_object(),
        ..Workload::new(
            testing::key(Kind::Deployment, "t"),
            container("containers", Slot::Container).chain(container("initContainers", Slot::InitContainer)).collect(),
        )
    }
}

fn change(container: &str, from: &str, to: &str) -> Change {
    Change {
        request: "r".to_owned(),
        container: container.to_owned(),
        from: from.to_owned(),
        to: to.to_owned(),
        restart_for: None,
        kind: ChangeKind::Update,
    }
}

fn plan(changes: Vec<Change>) -> Apply {
    Apply { changes, last_update: "2026-01-01T00:00:00Z".parse().unwrap(), last_request: "r".to_owned(), history: "[]".to_owned() }
}

fn patched(object: &Value, plan: &Apply) -> Result<Value, String> {
    let mut changed = object.clone();
    json_patch::patch(&mut changed, &apply(&workload(object), plan).unwrap()).map_err(|error| error.to_string())?;
    Ok(changed)
}

#[test]
fn one_field_and_our_annotations() {
    let before = object();
    let after = patched(&before, &plan(vec![change("side", "side:1", "side:2"), change("setup", "init:1", "init:2")])).unwrap();
    let mut expected = before;
    expected["spec"]["template"]["spec"]["containers"][1]["image"] = json!("side:2");
    expected["spec"]["template"]["spec"]["initContainers"][0]["image"] = json!("init:2");
    expected["metadata"]["annotations"]["headwind.sh/managed-for"] = json!("u");
    expected["metadata"]["annotations"]["headwind.sh/last-update"] = json!("2026-01-01T00:00:00Z");
    expected["metadata"]["annotations"]["headwind.sh/last-request"] = json!("r");
    expected["metadata"]["annotations"]["headwind.sh/update-history"] = json!("[]");
    assert_eq!(after, expected);
}

/// The patch is made from the object of the decision, and applied to the current object.
#[rstest::rstest]
#[case::another_object("/metadata/uid", json!("v"))]
#[case::another_image("/spec/template/spec/containers/0/image", json!("app:0.9"))]
#[case::containers_moved("/spec/template/spec/containers/0/name", json!("other"))]
#[case::settings_may_have_changed("/metadata/resourceVersion", json!("8"))]
fn guards(#[case] pointer: &str, #[case] value: Value) {
    let decided_on = object();
    let patch = apply(&workload(&decided_on), &plan(vec![change("web", "app:1.0", "app:1.1")])).unwrap();
    let mut now = decided_on;
    *now.pointer_mut(pointer).unwrap() = value;
    let before = now.clone();
    assert!(json_patch::patch(&mut now, &patch).is_err());
    assert_eq!(now, before, "all or nothing");
}

#[test]
fn a_rollback_notices_another_update_and_ignores_a_foreign_edit() {
    let mut decided_on = object();
    decided_on["metadata"]["annotations"]["headwind.sh/last-update"] = json!("2025-01-01T00:00:00Z");
    decided_on["metadata"]["annotations"]["headwind.sh/last-request"] = json!("q");
    let rollback = Change { kind: ChangeKind::AutomaticRollback, ..change("web", "app:1.0", "app:1.1") };
    let patch = apply(&workload(&decided_on), &plan(vec![rollback])).unwrap();
    let mut foreign = decided_on.clone();
    foreign["metadata"]["resourceVersion"] = json!("99");
    foreign["spec"]["replicas"] = json!(5);
    assert!(json_patch::patch(&mut foreign, &patch).is_ok());
    assert_eq!(foreign["spec"]["replicas"], 5);
    for key in ["headwind.sh/last-update", "headwind.sh/last-request"] {
        let mut ours = decided_on.clone();
        ours["metadata"]["annotations"][key] = json!("another");
        assert!(json_patch::patch(&mut ours, &patch).is_err(), "{key}");
    }
}

#[test]
fn maps_that_are_missing_are_made() {
    let mut before = object();
    before["metadata"].as_object_mut().unwrap().remove("annotations");
    let restart = Change { restart_for: Some("sha256:x".to_owned()), ..change("web", "app:1.0", "app:1.0") };
    let after = patched(&before, &plan(vec![restart])).unwrap_err();
    // The template of this object has no metadata, which the API server never returns.
    assert!(after.contains("path"), "{after}");
    before["spec"]["template"]["metadata"] = json!({"labels": {"a": "b"}});
    let restart = Change { restart_for: Some("sha256:x".to_owned()), ..change("web", "app:1.0", "app:1.0") };
    let after = patched(&before, &plan(vec![restart])).unwrap();
    assert_eq!(
        after["spec"]["template"]["metadata"],
        json!({"labels": {"a": "b"}, "annotations": {"headwind.sh/digest.web": "app:1.0@sha256:x"}})
    );
    assert_eq!(after["metadata"]["annotations"]["headwind.sh/last-request"], "r");
    assert!(apply(&workload(&before), &plan(vec![change("nobody", "a", "b")])).is_err());
}

/// Managed annotations that came with the manifest of another object are removed by the first write.
#[test]
fn what_was_copied_is_replaced() {
    let mut copied = object();
    for (key, value) in
        [("managed-for", "other"), ("last-update", "2025-01-01T00:00:00Z"), ("last-request", "q"), ("seen.side", "side:1@sha256:d")]
    {
        copied["metadata"]["annotations"][format!("headwind.sh/{key}")] = json!(value);
    }
    let metadata = serde_json::from_value(copied["metadata"].clone()).unwrap();
    let read = Workload { annotations: crate::kinds::own_annotations(&metadata), ..workload(&copied) };
    assert_eq!(read.annotations.get("headwind.sh/last-request").map(String::as_str), Some(""), "it says nothing of this object");
    assert_eq!(read.annotations["headwind.sh/policy"], "minor", "settings are copied");
    let kept = json!({"team/x": "stays", "headwind.sh/policy": "minor", "headwind.sh/managed-for": "u"});
    let mut seen = copied.clone();
    json_patch::patch(&mut seen, &note_seen(&read, &[("web".to_owned(), "sha256:e".to_owned())]).unwrap()).unwrap();
    let mut expected = kept.clone();
    expected["headwind.sh/seen.web"] = json!("app:1.0@sha256:e");
    assert_eq!(seen["metadata"]["annotations"], expected);
    let mut updated = copied.clone();
    json_patch::patch(&mut updated, &apply(&read, &plan(vec![change("web", "app:1.0", "app:1.1")])).unwrap()).unwrap();
    assert_eq!(updated["metadata"]["annotations"]["headwind.sh/last-request"], "r");
    assert!(updated["metadata"]["annotations"].get("headwind.sh/seen.side").is_none());
    copied["metadata"]["resourceVersion"] = json!("8");
    assert!(json_patch::patch(&mut copied, &apply(&read, &plan(vec![change("web", "app:1.0", "app:1.1")])).unwrap()).is_err());
}

/// The note of a digest is removed with its image.
#[test]
fn a_note_goes_with_its_image() {
    let mut before = object();
    let note = "app:1.0@sha256:d";
    before["spec"]["template"]["metadata"] = json!({"annotations": {"headwind.sh/digest.web": note, "team/x": "stays"}});
    let mut read = workload(&before);
    read.containers[0].restarted_for = Some(note.to_owned());
    let patch = apply(&read, &plan(vec![change("web", "app:1.0", "app:1.1")])).unwrap();
    json_patch::patch(&mut before, &patch).unwrap();
    assert_eq!(before["spec"]["template"]["metadata"]["annotations"], json!({"team/x": "stays"}));
}
