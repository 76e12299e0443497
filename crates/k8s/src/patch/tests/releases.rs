//! Changes of a release's chart: in the release, or in its `OCIRepository`.

use headwind_core::workload::release::resolve;
use rstest::rstest;

use super::*;
use crate::helm::{ChartSource as _, SlimHelmRepository, SlimOciRepository};
use crate::kinds::{SlimHelmRelease, SlimWorkload as _};

fn release() -> Value {
    json!({
        "metadata": {"name": "shop", "namespace": "n", "uid": "u", "resourceVersion": "7", "generation": 3, "annotations": {"team/x": "stays"}},
        "spec": {"interval": "10m", "chart": {"spec": {
            "chart": "podinfo", "version": "1.2.0", "sourceRef": {"kind": "HelmRepository", "name": "charts"},
        }}},
    })
}

fn referring() -> Value {
    let mut release = release();
    release["spec"] = json!({"interval": "10m", "chartRef": {"kind": "OCIRepository", "name": "charts"}});
    release
}

fn oci() -> Value {
    json!({
        "metadata": {"name": "charts", "namespace": "n", "uid": "s", "resourceVersion": "70", "generation": 5},
        "spec": {"interval": "1m", "url": "oci://registry.example/team/podinfo", "ref": {"tag": "1.2.0_build.7"}},
    })
}

/// Returns the release resolved against a `HelmRepository`, or against that `OCIRepository`.
fn workload(release: &Value, oci: Option<&Value>) -> Workload {
    let read = serde_json::from_value::<SlimHelmRelease>(release.clone()).unwrap().read().unwrap();
    let source = if let Some(oci) = oci {
        serde_json::from_value::<SlimOciRepository>(oci.clone()).unwrap().read()
    } else {
        let object = json!({"metadata": {"name": "charts", "namespace": "n"}, "spec": {"url": "https://charts.example"}});
        serde_json::from_value::<SlimHelmRepository>(object).unwrap().read()
    };
    resolve(&read, source.as_ref(), 1)
}

fn to(from: &str, version: &str) -> Apply {
    plan(vec![change("chart", &format!("podinfo:{from}"), &format!("podinfo:{version}"))])
}

fn noted(object: &mut Value) {
    object["metadata"]["annotations"]["headwind.sh/managed-for"] = object["metadata"]["uid"].clone();
    for (key, value) in [("last-update", "2026-01-01T00:00:00Z"), ("last-request", "r"), ("update-history", "[]")] {
        object["metadata"]["annotations"][format!("headwind.sh/{key}")] = json!(value);
    }
}

#[test]
fn the_version_and_our_annotations() {
    let mut now = release();
    json_patch::patch(&mut now, &apply(&workload(&release(), None), &to("1.2.0", "1.3.0+build.1")).unwrap()).unwrap();
    let mut expected = release();
    expected["spec"]["chart"]["spec"]["version"] = json!("1.3.0+build.1");
    noted(&mut expected);
    assert_eq!(now, expected);
    // A rollback tests what the first patch wrote, and not the object as a whole.
    let mut back = to("1.3.0+build.1", "1.2.0");
    back.changes[0].kind = ChangeKind::AutomaticRollback;
    let patch = apply(&workload(&now, None), &back).unwrap();
    let mut touched = now.clone();
    touched["metadata"]["resourceVersion"] = json!("99");
    touched["spec"]["interval"] = json!("1h");
    json_patch::patch(&mut touched, &patch).unwrap();
    assert_eq!((&touched["spec"]["chart"]["spec"]["version"], &touched["spec"]["interval"]), (&json!("1.2.0"), &json!("1h")));
    now["metadata"]["annotations"]["headwind.sh/last-request"] = json!("another");
    assert!(json_patch::patch(&mut now, &patch).is_err());
}

#[test]
fn the_tag_and_our_annotations_on_the_source() {
    let mut now = oci();
    json_patch::patch(&mut now, &apply(&workload(&referring(), Some(&oci())), &to("1.2.0+build.7", "1.3.0+build.1")).unwrap()).unwrap();
    let mut expected = oci();
    expected["spec"]["ref"]["tag"] = json!("1.3.0_build.1");
    expected["metadata"]["annotations"] = json!({});
    noted(&mut expected);
    assert_eq!(now, expected, "a tag has no plus");
}

/// The patch is made from the object of the decision, and applied to the current object.
#[rstest]
#[case::another_object(false, "/metadata/uid", "v")]
#[case::another_version(false, "/spec/chart/spec/version", "1.2.1")]
#[case::another_chart(false, "/spec/chart/spec/chart", "redis")]
#[case::settings_may_have_changed(false, "/metadata/resourceVersion", "8")]
#[case::another_source(true, "/metadata/uid", "v")]
#[case::another_tag(true, "/spec/ref/tag", "1.2.1")]
#[case::another_address(true, "/spec/url", "oci://registry.example/team/redis")]
#[case::settings_of_the_source_may_have_changed(true, "/metadata/resourceVersion", "71")]
fn guards(#[case] by_reference: bool, #[case] pointer: &str, #[case] value: &str) {
    let (mut now, patch) = if by_reference {
        (oci(), apply(&workload(&referring(), Some(&oci())), &to("1.2.0+build.7", "1.3.0")))
    } else {
        (release(), apply(&workload(&release(), None), &to("1.2.0", "1.3.0")))
    };
    *now.pointer_mut(pointer).unwrap() = json!(value);
    let before = now.clone();
    assert!(json_patch::patch(&mut now, &patch.unwrap()).is_err());
    assert_eq!(now, before, "all or nothing");
}

#[rstest]
#[case::nobody("web", "podinfo:1.2.0", "podinfo:1.3.0", PatchError::NoContainer("web".to_owned()))]
#[case::no_version("chart", "podinfo:1.2.0", "podinfo", PatchError::NoVersion("podinfo".to_owned()))]
#[case::no_version_before("chart", "podinfo", "podinfo:1.3.0", PatchError::NoVersion("podinfo".to_owned()))]
fn what_does_not_fit(#[case] container: &str, #[case] from: &str, #[case] to: &str, #[case] error: PatchError) {
    assert_eq!(apply(&workload(&release(), None), &plan(vec![change(container, from, to)])), Err(error));
}
