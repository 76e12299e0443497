use rstest::rstest;
use serde_json::{Value, json};

use super::*;
use crate::api_version::V1Beta2;

fn object(kind: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": "source.toolkit.fluxcd.io/v1", "kind": kind,
        "metadata": {
            "name": "charts", "namespace": "flux", "uid": "u", "resourceVersion": "1330", "generation": 2,
            "annotations": {"headwind.sh/last-request": "r", "team/x": "y"},
        },
        "spec": spec,
        "status": {
            "artifact": {"digest": "sha256:8000", "revision": "0.1.0@sha256:9b01784556fe", "size": 478},
            "conditions": [
                {"type": "Ready", "status": "True", "reason": "Succeeded", "message": "stored artifact", "observedGeneration": 2},
                {"type": "ArtifactInStorage", "status": "True", "reason": "Succeeded", "message": "stored artifact", "observedGeneration": 2},
            ],
            "observedGeneration": 2, "url": "http://127.0.0.1:49311/latest.tar.gz",
        },
    })
}

fn repository(spec: &Value) -> Source {
    serde_json::from_value::<SlimHelmRepository>(object("HelmRepository", spec)).unwrap().read().unwrap()
}

fn oci(spec: &Value) -> Source {
    serde_json::from_value::<SlimOciRepository>(object("OCIRepository", spec)).unwrap().read().unwrap()
}

/// Without settings: anonymous, scheme of its address, Flux's defaults.
#[test]
fn as_it_comes() {
    let read = repository(&json!({"interval": "1m", "provider": "generic", "url": " https://charts.example/ "}));
    assert_eq!((read.key.to_string().as_str(), read.url.as_str()), ("HelmRepository flux/charts", "https://charts.example/"));
    assert_eq!((read.uid.as_str(), read.resource_version.as_str(), read.generation), ("u", "1330", 2));
    assert_eq!(read.annotations.keys().collect::<Vec<_>>(), ["headwind.sh/last-request"]);
    assert_eq!((read.pull, read.suspended, read.has_annotations), (None, false, true));
    assert_eq!(read.access, ChartAccess { namespace: "flux".to_owned(), ..ChartAccess::default() });
    assert_eq!(read.interval, Duration::from_mins(1));
    assert_eq!(read.seen.revision, None, "no rollout is judged by a Helm repository");
}

#[test]
fn what_it_is_asked_with() {
    let spec = json!({
        "url": "oci://registry.example/charts", "type": "oci", "suspend": true, "insecure": true, "passCredentials": true,
        "secretRef": {"name": "login"}, "certSecretRef": {"name": "roots"}, "proxySecretRef": {"name": "proxy"}, "serviceAccountName": "puller",
    });
    let some = |name: &str| Some(name.to_owned());
    let expected = ChartAccess {
        namespace: "flux".to_owned(),
        secret: some("login"),
        certificates: some("roots"),
        proxy: some("proxy"),
        service_account: some("puller"),
        insecure: true,
        pass_credentials: true,
        host: String::new(),
    };
    for read in [repository(&spec), oci(&spec)] {
        assert_eq!((read.access, read.suspended), (expected.clone(), true), "{}", read.key);
    }
    let empty = json!({"url": "https://h", "secretRef": {"name": ""}, "certSecretRef": {}, "serviceAccountName": ""});
    assert_eq!(repository(&empty).access, ChartAccess { namespace: "flux".to_owned(), ..ChartAccess::default() });
}

/// Digest before semver before tag, as in source-controller.
#[rstest]
#[case(json!({"url": "oci://h/a"}), OciRef::Latest)]
#[case(json!({"url": "oci://h/a", "ref": {}}), OciRef::Latest)]
#[case(json!({"url": "oci://h/a", "ref": {"tag": ""}}), OciRef::Latest)]
#[case(json!({"url": "oci://h/a", "ref": {"tag": "1.2.0_build.7"}}), OciRef::Tag("1.2.0_build.7".to_owned()))]
#[case(json!({"url": "oci://h/a", "ref": {"tag": "1.2.0", "semver": ">=1.0.0"}}), OciRef::Semver(">=1.0.0".to_owned()))]
#[case(json!({"url": "oci://h/a", "ref": {"semver": "*", "semverFilter": ".*-rc.*"}}), OciRef::Semver("*".to_owned()))]
#[case(json!({"url": "oci://h/a", "ref": {"tag": "1.2.0", "semver": "*", "digest": "sha256:a"}}), OciRef::Digest("sha256:a".to_owned()))]
fn what_an_oci_repository_pulls(#[case] spec: Value, #[case] expected: OciRef) {
    assert_eq!(oci(&spec).pull, Some(expected));
}

#[rstest]
#[case(json!("1h30m"), 5400)]
#[case(json!("10m0s"), 600)]
#[case(json!("soon"), 60)]
#[case(json!(null), 60)]
fn how_often_flux_looks(#[case] interval: Value, #[case] seconds: u64) {
    assert_eq!(repository(&json!({"url": "https://h", "interval": interval})).interval.as_secs(), seconds);
}

#[test]
fn what_source_controller_says_of_it() {
    let seen = oci(&json!({"url": "oci://h/a", "ref": {"tag": "0.1.0"}})).seen;
    assert_eq!((seen.generation, seen.revision.as_deref()), (2, Some("0.1.0@sha256:9b01784556fe")));
    assert_eq!(seen.ready.map(|ready| (ready.status, ready.reason)), Some((Some(true), "Succeeded".to_owned())));
    let mut odd = object("OCIRepository", &json!({"url": "oci://h/a"}));
    odd["status"] = json!({"artifact": 7, "conditions": "none"});
    let odd: SlimOciRepository = serde_json::from_value(odd).unwrap();
    assert_eq!(odd.read().unwrap().seen, headwind_core::rollout::flux::Source { generation: 2, revision: None, ready: None });
}

#[test]
fn older_versions_and_what_is_not_served() {
    let spec = json!({"url": "https://charts.example"});
    let older: SlimHelmRepository<V1Beta2> = serde_json::from_value(object("HelmRepository", &spec)).unwrap();
    assert_eq!(older.read(), Some(repository(&spec)));
    let older: SlimOciRepository<V1Beta2> = serde_json::from_value(object("OCIRepository", &json!({"url": "oci://h/a"}))).unwrap();
    assert_eq!(older.read(), Some(oci(&json!({"url": "oci://h/a"}))));
    let nameless: SlimHelmRepository = serde_json::from_value(json!({"metadata": {"namespace": "flux"}})).unwrap();
    assert!(nameless.read().is_none());
    let bare: SlimHelmRepository = serde_json::from_value(json!({"metadata": {"name": "charts", "namespace": "flux"}})).unwrap();
    assert_eq!(bare.read().unwrap().url, "", "left alone with its address as the reason");
    assert!(serde_json::from_value::<SlimHelmRepository>(object("HelmRepository", &json!({"url": 7}))).is_err());
}
