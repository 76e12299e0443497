use headwind_core::rollout::HelmReleaseView;
use rstest::rstest;
use serde_json::{Value, json};

use super::*;
use crate::api_version::V2Beta2;

fn object(spec: &Value, status: &Value) -> Value {
    json!({
        "apiVersion": "helm.toolkit.fluxcd.io/v2", "kind": "HelmRelease",
        "metadata": {
            "name": "shop", "namespace": "apps", "uid": "u", "resourceVersion": "7", "generation": 3,
            "annotations": {"headwind.sh/policy": "minor", "team/x": "y"},
        },
        "spec": spec, "status": status,
    })
}

fn read(object: Value) -> Workload {
    serde_json::from_value::<SlimHelmRelease>(object).unwrap().read().unwrap()
}

fn release(spec: &Value, status: &Value) -> Release {
    let workload = read(object(spec, status));
    workload.release.as_deref().unwrap().clone()
}

fn view(workload: Workload) -> HelmReleaseView {
    match workload.rollout {
        View::HelmRelease(view) => *view,
        other => panic!("{other:?}"),
    }
}

fn template(source: &Value) -> Value {
    json!({"interval": "10m", "chart": {"spec": {"chart": "podinfo", "version": "1.2.0", "reconcileStrategy": "ChartVersion", "sourceRef": source}}})
}

fn named(kind: SourceKind, namespace: &str) -> ChartSourceRef {
    ChartSourceRef::Source(SourceKey { kind, namespace: namespace.to_owned(), name: "charts".to_owned() })
}

#[rstest]
#[case::own_namespace(json!({"kind": "HelmRepository", "name": "charts"}), named(SourceKind::HelmRepository, "apps"))]
#[case::empty_namespace(json!({"kind": "HelmRepository", "name": "charts", "namespace": ""}), named(SourceKind::HelmRepository, "apps"))]
#[case::another(json!({"kind": "HelmRepository", "name": "charts", "namespace": "flux"}), named(SourceKind::HelmRepository, "flux"))]
#[case::git(json!({"kind": "GitRepository", "name": "charts"}), ChartSourceRef::Other("GitRepository".to_owned()))]
#[case::bucket(json!({"kind": "Bucket", "name": "charts"}), ChartSourceRef::Other("Bucket".to_owned()))]
fn the_source_of_a_template(#[case] source: Value, #[case] expected: ChartSourceRef) {
    let read = release(&template(&source), &json!({}));
    assert_eq!((read.source, read.chart), (expected, Some(("podinfo".to_owned(), "1.2.0".to_owned()))));
}

#[rstest]
#[case::oci(json!({"chartRef": {"kind": "OCIRepository", "name": "charts"}}), named(SourceKind::OciRepository, "apps"))]
#[case::another(json!({"chartRef": {"kind": "OCIRepository", "name": "charts", "namespace": "flux"}}), named(SourceKind::OciRepository, "flux"))]
#[case::chart(json!({"chartRef": {"kind": "HelmChart", "name": "charts"}}), ChartSourceRef::Other("HelmChart".to_owned()))]
#[case::external(json!({"chartRef": {"kind": "ExternalArtifact", "name": "charts"}}), ChartSourceRef::Other("ExternalArtifact".to_owned()))]
#[case::nothing(json!({}), ChartSourceRef::Nothing)]
fn the_source_of_a_reference(#[case] spec: Value, #[case] expected: ChartSourceRef) {
    let read = release(&spec, &json!({}));
    assert_eq!((read.source, read.chart), (expected, None));
}

#[test]
fn what_the_object_says_of_itself() {
    let spec = template(&json!({"kind": "HelmRepository", "name": "charts"}));
    let workload = read(object(&spec, &json!({})));
    assert_eq!((workload.key.to_string().as_str(), workload.api_version), ("HelmRelease apps/shop", "helm.toolkit.fluxcd.io/v2"));
    assert_eq!((workload.uid.as_str(), workload.resource_version.as_str(), workload.generation), ("u", "7", 3));
    assert_eq!(workload.annotations.iter().collect::<Vec<_>>(), [(&"headwind.sh/policy".to_owned(), &"minor".to_owned())]);
    assert!(workload.has_annotations && !workload.deleting && workload.destination.is_none());
    assert!(workload.containers.is_empty(), "what it runs is known with its source alone");
    let older: SlimHelmRelease<V2Beta2> = serde_json::from_value(object(&spec, &json!({}))).unwrap();
    assert_eq!(older.read().unwrap().api_version, "helm.toolkit.fluxcd.io/v2beta2");
    let mut going = object(&spec, &json!({}));
    going["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    going["metadata"].as_object_mut().unwrap().remove("annotations");
    let going = read(going);
    assert!(going.deleting && !going.has_annotations);
    let nameless: SlimHelmRelease = serde_json::from_value(json!({"metadata": {"name": "shop"}})).unwrap();
    assert!(nameless.read().is_none());
}

/// As written by helm-controller 1.6.0.
#[test]
fn what_flux_says_of_it() {
    let status = json!({
        "conditions": [{
            "lastTransitionTime": "2026-11-23T22:23:14Z", "observedGeneration": 3, "reason": "UpgradeSucceeded", "status": "True", "type": "Ready",
            "message": "Helm upgrade succeeded for release default/cr2.v2 with chart web@0.2.0+92a4fa0b73a2",
        }],
        "history": [
            {"chartName": "web", "chartVersion": "0.2.0+92a4fa0b73a2", "status": "deployed", "version": 2,
             "ociDigest": "sha256:92a4fa0b73a2fa7f5cc079ceaed650cc2e47b150002bf055f7510054b77ec8ae"},
            {"chartName": "web", "chartVersion": "0.1.0+2490b250eba2", "status": "superseded", "version": 1},
        ],
        "lastAttemptedGeneration": 3, "lastAttemptedReleaseAction": "upgrade", "lastAttemptedRevision": "0.2.0+92a4fa0b73a2",
        "observedGeneration": 3, "storageNamespace": "default",
    });
    let spec = json!({"chartRef": {"kind": "OCIRepository", "name": "charts"}, "interval": "10m", "timeout": "12s", "suspend": true});
    let read = release(&spec, &status);
    assert_eq!((read.running.as_deref(), read.suspended, read.denied), (Some("0.2.0+92a4fa0b73a2"), true, None));
    let view = view(self::read(object(&spec, &status)));
    assert_eq!((view.generation, view.observed_generation, view.attempted_generation, view.suspended), (3, 3, 3, true));
    assert_eq!((view.wanted.as_str(), view.timeout.as_secs(), view.source), ("", 12, None), "the wanted version is in the source");
}

#[rstest]
#[case::denied("AccessDenied", "False", Some("can't access 'HelmRepository/flux/charts'"))]
#[case::over_again("AccessDenied", "True", None)]
#[case::another_trouble("SourceNotReady", "False", None)]
fn a_source_that_flux_does_not_allow(#[case] reason: &str, #[case] status: &str, #[case] denied: Option<&str>) {
    let condition = json!({"type": "Ready", "status": status, "reason": reason, "message": "can't access 'HelmRepository/flux/charts'"});
    let spec = template(&json!({"kind": "HelmRepository", "name": "charts", "namespace": "flux"}));
    assert_eq!(release(&spec, &json!({"conditions": [condition]})).denied.as_deref(), denied);
}

/// helm-controller creates the HelmChart in the source's namespace, once it has checked that the release may use it.
#[rstest]
#[case::accepted(json!("flux/apps-shop"), Some("flux"))]
#[case::not_yet(json!(""), None)]
#[case::odd(json!(["flux/apps-shop"]), None)]
#[case::nameless(json!("/x"), None)]
fn the_namespace_that_flux_accepted(#[case] chart: Value, #[case] expected: Option<&str>) {
    let spec = template(&json!({"kind": "HelmRepository", "name": "charts", "namespace": "flux"}));
    assert_eq!(release(&spec, &json!({"helmChart": chart})).accepted.as_deref(), expected);
}

/// Missing fields have Flux's defaults, invalid ones count as missing, and the others are read.
#[rstest]
#[case::bare(json!({"chart": {"spec": {"chart": "podinfo", "sourceRef": {"kind": "HelmRepository", "name": "charts"}}}}), json!(null), None)]
#[case::no_status(template(&json!({"kind": "HelmRepository", "name": "charts"})), json!({}), Some("1.2.0"))]
#[case::odd(
    json!({"chart": {"spec": {"chart": "podinfo", "version": "1.2.0", "valuesFiles": ["a"], "sourceRef": {"kind": "HelmRepository", "name": "charts"}}},
           "timeout": 5, "suspend": "yes", "install": ["x"], "upgrade": {"remediation": "often"}, "values": {"chart": 1}}),
    json!({"history": "none", "conditions": [1, {"type": "Ready", "status": 7}], "failures": -1, "observedGeneration": "3"}),
    Some("1.2.0")
)]
fn defaults_and_odd_fields(#[case] spec: Value, #[case] status: Value, #[case] version: Option<&str>) {
    let mut object = object(&spec, &status);
    if status.is_null() {
        object.as_object_mut().unwrap().remove("status");
    }
    let workload = read(object);
    let said = workload.release.as_deref().unwrap().clone();
    assert_eq!(said.chart, Some(("podinfo".to_owned(), version.unwrap_or_default().to_owned())));
    assert_eq!((said.suspended, said.running, said.denied), (false, None, None));
    assert_eq!(view(workload).timeout.as_secs(), 300);
}

/// A version must be text: an object with another value is reported as undecodable.
#[rstest]
#[case(json!({"chart": {"spec": {"chart": "podinfo", "version": 1.2}}}))]
#[case(json!({"chart": "podinfo"}))]
#[case(json!({"chartRef": "web"}))]
fn what_cannot_be_read(#[case] spec: Value) {
    assert!(serde_json::from_value::<SlimHelmRelease>(object(&spec, &json!({}))).is_err());
}
