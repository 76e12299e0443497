use headwind_core::explain;
use headwind_core::reason::Reason;
use headwind_core::request::{Apply, Change, ChangeKind};
use headwind_core::rollout::View;
use headwind_core::settings::Annotations;
use headwind_core::workload::{MAX_CONTAINERS, PullSource, Slot, unknown};
use rstest::rstest;
use serde_json::{Value, json};

use super::*;

fn pod() -> Value {
    json!({
        "containers": [{"name": "web", "image": "app:1.0", "imagePullPolicy": "Always"}],
        "initContainers": [{"name": "setup", "image": "init:1"}],
        "volumes": [
            {"name": "tmp", "emptyDir": {}},
            {"name": "data", "image": {"reference": "models:1", "pullPolicy": "Always"}},
            {"name": "web", "image": {"reference": "other:1"}},
            {"name": "unset", "image": {}},
        ],
    })
}

/// Returns an object of the kind with [`pod`] as its pod template, at the pointer in the kind's facts.
fn object(kind: Kind) -> Value {
    let metadata = json!({"name": "t", "namespace": "n", "uid": "u", "resourceVersion": "7", "generation": 3});
    // The API server always writes the metadata of a pod template.
    let template = json!({"metadata": {}, "spec": pod()});
    let spec = facts(kind)
        .pod_template
        .unwrap()
        .rsplit('/')
        .filter(|field| !field.is_empty())
        .fold(template, |inner, field| json!({field: inner}));
    let mut object = json!({"metadata": metadata});
    json_patch::merge(&mut object, &spec);
    object
}

struct Read(Value);

impl ForKind for Read {
    type Output = Workload;

    fn run<K: SlimWorkload>(self) -> Workload {
        serde_json::from_value::<K>(self.0).unwrap().read().unwrap()
    }
}

fn with_pods() -> impl Iterator<Item = Kind> {
    Kind::ALL.iter().copied().filter(|kind| facts(*kind).pod_template.is_some())
}

#[test]
fn every_kind_with_a_pod_template_is_read_and_patched_in_it() {
    for kind in with_pods() {
        let mut object = object(kind);
        let workload = for_kind(kind, 0, Read(object.clone()));
        assert_eq!(workload.key.kind, kind);
        let found: Vec<_> = workload.containers.iter().map(|one| (one.name.as_str(), one.image.as_str(), one.slot, one.index)).collect();
        let expected = [
            ("web", "app:1.0", Slot::Container, 0),
            ("setup", "init:1", Slot::InitContainer, 0),
            ("data", "models:1", Slot::ImageVolume, 1),
        ];
        assert_eq!(found, expected, "{kind}");
        assert_eq!(workload.containers.iter().map(|one| one.pulls_always).collect::<Vec<_>>(), [true, false, true]);
        let change = |container: &str, from: &str, to: &str, restart_for: Option<&str>| Change {
            request: "r".to_owned(),
            container: container.to_owned(),
            from: from.to_owned(),
            to: to.to_owned(),
            restart_for: restart_for.map(str::to_owned),
            kind: ChangeKind::Update,
        };
        let changes = vec![
            change("web", "app:1.0", "app:1.0", Some("sha256:aa")),
            change("setup", "init:1", "init:2", None),
            change("data", "models:1", "models:2", None),
        ];
        let apply =
            Apply { changes, last_update: "2026-01-01T00:00:00Z".parse().unwrap(), last_request: "r".to_owned(), history: String::new() };
        json_patch::patch(&mut object, &crate::patch::apply(&workload, &apply).unwrap()).unwrap();
        let template = object.pointer(facts(kind).pod_template.unwrap()).unwrap();
        assert_eq!(template["spec"]["volumes"][1]["image"]["reference"], "models:2", "{kind}");
        assert_eq!(template["spec"]["initContainers"][0]["image"], "init:2", "{kind}");
        assert_eq!(template["metadata"]["annotations"]["headwind.sh/digest.web"], "app:1.0@sha256:aa", "{kind}");
    }
}

/// Replacing the volume by another image makes the patch fail.
#[rstest]
#[case::another_volume("name")]
#[case::another_image("image/reference")]
fn the_patch_of_an_image_volume_is_guarded(#[case] field: &str) {
    let mut object = object(Kind::Deployment);
    let workload = for_kind(Kind::Deployment, 0, Read(object.clone()));
    let change = Change {
        request: "r".to_owned(),
        container: "data".to_owned(),
        from: "models:1".to_owned(),
        to: "models:2".to_owned(),
        restart_for: None,
        kind: ChangeKind::Update,
    };
    let apply = Apply {
        changes: vec![change],
        last_update: "2026-01-01T00:00:00Z".parse().unwrap(),
        last_request: "r".to_owned(),
        history: String::new(),
    };
    *object.pointer_mut(&format!("/spec/template/spec/volumes/1/{field}")).unwrap() = json!("other");
    assert!(json_patch::patch(&mut object, &crate::patch::apply(&workload, &apply).unwrap()).is_err());
}

/// An image may fill its object. What is kept of it has a limit, and is as invalid as the whole.
#[rstest]
#[case::letters("app:1.0", "a")]
#[case::letters_of_two_bytes("app:1.0", "é")]
#[case::a_digest("app@sha256:", "0")]
fn a_huge_image_is_cut_and_stays_invalid(#[case] start: &str, #[case] filler: &str) {
    let mut object = object(Kind::Deployment);
    *object.pointer_mut("/spec/template/spec/containers/0/image").unwrap() = json!(format!("{start}{}", filler.repeat(1_000_000)));
    let workload = for_kind(Kind::Deployment, 0, Read(object));
    let container = &workload.containers[0];
    assert!(container.image.len() <= 1024 + 4, "{} bytes are kept", container.image.len());
    let invalid = explain::out(&Annotations::new(), &workload, container).unwrap();
    assert_eq!(invalid.reason, Reason::InvalidImage);
    assert!(invalid.message.len() < 600 && invalid.message.contains("longer than 1,024 characters"), "{}", invalid.message);
}

/// Further containers cost nothing, and are reported.
#[test]
fn the_number_of_containers_has_a_limit() {
    let mut object = object(Kind::Deployment);
    let many: Vec<Value> = (0..1000).map(|number| json!({"name": format!("c{number}"), "image": "app:1.0"})).collect();
    *object.pointer_mut("/spec/template/spec/containers").unwrap() = json!(many);
    let workload = for_kind(Kind::Deployment, 0, Read(object));
    // The template has an init container and two image volumes.
    assert_eq!((workload.containers.len(), workload.left_out), (MAX_CONTAINERS, 1003 - MAX_CONTAINERS));
    let reported: Vec<Reason> = unknown(&workload.annotations, &workload).into_iter().map(|one| one.reason).collect();
    assert_eq!(reported, [Reason::NotTracked]);
}

#[test]
fn pull_secrets_are_distinct_and_have_a_limit() {
    let mut object = object(Kind::Deployment);
    let names = std::iter::repeat_n("same".to_owned(), 100).chain([String::new(), "x".repeat(254)]);
    let names = names.chain((0..100).map(|number| format!("s{number}")));
    let secrets: Vec<Value> = names.map(|name| json!({"name": name})).collect();
    let template = object.pointer_mut("/spec/template/spec").unwrap();
    template["imagePullSecrets"] = json!(secrets);
    template["serviceAccountName"] = json!("x".repeat(254));
    let workload = for_kind(Kind::Deployment, 0, Read(object));
    let PullSource::Pod { secrets, service_account } = &workload.pull else { panic!("{:?}", workload.pull) };
    assert_eq!((secrets.len(), secrets[0].as_str(), secrets[31].as_str(), service_account), (32, "same", "s30", &None));
}

/// A version needs the platforms of all nodes.
#[rstest]
#[case::within(64, true)]
#[case::beyond(65, false)]
fn an_affinity_beyond_the_limits_is_not_read(#[case] terms: usize, #[case] is_read: bool) {
    let mut object = object(Kind::Deployment);
    let term = json!({"matchExpressions": [{"key": "pool", "operator": "In", "values": ["a"]}]});
    let required = json!({"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": vec![term; terms]}});
    object.pointer_mut("/spec/template/spec").unwrap()["affinity"] = json!({"nodeAffinity": required});
    let workload = for_kind(Kind::Deployment, 0, Read(object));
    assert_eq!(workload.placement.is_some(), is_read);
}

#[test]
fn a_cron_job_rolls_nothing_out() {
    let workload = for_kind(Kind::CronJob, 0, Read(object(Kind::CronJob)));
    assert_eq!((workload.api_version, &workload.rollout, workload.selector.as_str()), ("batch/v1", &View::NoRollout, ""));
    assert_eq!((facts(Kind::CronJob).revision, workload.generation), (Revision::NoPods, 3));
}

struct Resource4;

impl ForKind for Resource4 {
    type Output = [String; 4];

    fn run<K: SlimWorkload>(self) -> [String; 4] {
        let text = |text: std::borrow::Cow<'_, str>| text.into_owned();
        [text(K::group(&())), text(K::version(&())), text(K::kind(&())), text(K::plural(&()))]
    }
}

#[test]
fn the_facts_agree_with_the_types() {
    for kind in Kind::ALL.iter().copied() {
        let KindFacts { group, versions, plural, .. } = *facts(kind);
        for (place, version) in versions.iter().enumerate() {
            let expected = [group, version, kind.as_str(), plural].map(str::to_owned);
            assert_eq!(for_kind(kind, place, Resource4), expected);
        }
    }
}
