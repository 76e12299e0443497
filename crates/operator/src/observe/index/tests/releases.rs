//! Releases and their sources, in any order.

use crate::cluster::object::Undecodable;
use std::collections::BTreeSet;

use headwind_core::artifact::Origin;
use headwind_core::reason::Reason;
use headwind_core::workload::release::resolve;
use headwind_core::workload::source::SourceKind;
use headwind_k8s::helm::{ChartSource as _, SlimHelmRepository, SlimOciRepository};
use headwind_k8s::kinds::{SlimHelmRelease, SlimWorkload as _};
use rstest::rstest;
use serde_json::{Value, json};

use super::*;

fn read(name: &str, version: u32, spec: &Value, status: &Value) -> Workload {
    let metadata = json!({"name": name, "namespace": "apps", "uid": format!("uid-{name}"), "resourceVersion": version.to_string()});
    let object = json!({"metadata": metadata, "spec": spec, "status": status});
    serde_json::from_value::<SlimHelmRelease>(object).unwrap().read().unwrap()
}

/// A release with its chart, `podinfo`, from that `HelmRepository`.
fn template(version: &str, source: &str) -> Value {
    json!({"chart": {"spec": {"chart": "podinfo", "version": version, "sourceRef": {"kind": "HelmRepository", "name": source, "namespace": "apps"}}}})
}

/// A release with its chart from that `OCIRepository`.
fn reference(source: &str) -> Value {
    json!({"chartRef": {"kind": "OCIRepository", "name": source, "namespace": "apps"}})
}

fn object(name: &str, version: u32, spec: &Value, status: &Value) -> Value {
    let metadata = json!({"name": name, "namespace": "apps", "uid": format!("uid-{name}"), "resourceVersion": version.to_string()});
    json!({"metadata": metadata, "spec": spec, "status": status})
}

fn repository(name: &str, version: u32, url: &str) -> Source {
    let object = object(name, version, &json!({"url": url}), &json!({}));
    serde_json::from_value::<SlimHelmRepository>(object).unwrap().read().unwrap()
}

fn oci(name: &str, version: u32, tag: &str) -> Source {
    let object = object(name, version, &json!({"url": "oci://registry.example/podinfo", "ref": {"tag": tag}}), &json!({}));
    serde_json::from_value::<SlimOciRepository>(object).unwrap().read().unwrap()
}

fn key(name: &str) -> WorkloadKey {
    WorkloadKey { kind: Kind::HelmRelease, namespace: "apps".to_owned(), name: name.to_owned() }
}

fn site(index: &Index, name: &str) -> ResolvedChart {
    index.workload(&key(name)).unwrap().containers[0].chart.as_deref().unwrap().clone()
}

fn left(index: &Index, name: &str) -> Option<Reason> {
    site(index, name).skip_reason.map(|skipped| skipped.reason)
}

fn origin(index: &Index, name: &str) -> String {
    site(index, name).origin.map(|origin| origin.to_string()).unwrap_or_default()
}

fn sorted(mut keys: Vec<WorkloadKey>) -> Vec<String> {
    keys.sort();
    keys.into_iter().map(|key| key.name).collect()
}

/// Returns an index with release `a` of a `HelmRepository` and `b` and `c` of one `OCIRepository`, all present.
fn filled() -> Index {
    let mut index = Index::default();
    index.apply_source(repository("charts", 1, "https://charts.example"));
    index.apply_source(oci("tags", 1, "1.2.0"));
    index.apply(read("a", 1, &template("1.2.0", "charts"), &json!({})));
    index.apply(read("b", 1, &reference("tags"), &json!({})));
    index.apply(read("c", 1, &reference("tags"), &json!({})));
    index
}

#[rstest]
#[case::by_template(template("1.2.0", "charts"), repository("charts", 1, "https://charts.example"))]
#[case::by_reference(reference("tags"), oci("tags", 1, "1.2.0"))]
fn whichever_comes_first(#[case] spec: Value, #[case] source: Source) {
    let release = read("a", 1, &spec, &json!({}));
    let together = Arc::new(resolve(&release, Some(&source), 1));
    let mut late = Index::default();
    assert!(late.apply(release.clone()));
    assert_eq!((left(&late, "a"), late.users.len()), (Some(Reason::SourceMissing), 0));
    assert!(late.is_conspicuous(&key("a")));
    assert_eq!(late.apply_source(source.clone()), [key("a")]);
    let mut early = Index::default();
    assert_eq!(early.apply_source(source), []);
    assert!(early.apply(release));
    for index in [late, early] {
        assert_eq!(index.workload(&key("a")).as_ref(), Some(&together));
        let origin = together.containers[0].origin().unwrap();
        assert_eq!(index.users(&origin).iter().map(|(workload, _)| workload.key.clone()).collect::<Vec<_>>(), [key("a")]);
        assert!(!index.is_conspicuous(&key("a")));
        assert_eq!(index.count(Kind::HelmRelease), 1);
    }
}

#[test]
fn a_source_that_changes() {
    let mut index = filled();
    assert_eq!(index.apply_source(repository("charts", 2, "https://mirror.example")), [key("a")]);
    assert_eq!((origin(&index, "a").as_str(), index.users.len()), ("https://mirror.example", 2), "the old one has no users left");
    assert_eq!(sorted(index.apply_source(oci("tags", 2, "1.3.0"))), ["b", "c"]);
    assert_eq!(index.workload(&key("c")).unwrap().containers[0].image, "podinfo:1.3.0");
    // An older or equal version changes nothing; another object with that name does.
    assert_eq!(index.apply_source(oci("tags", 1, "1.2.0")), []);
    assert_eq!(index.apply_source(oci("tags", 2, "1.2.0")), []);
    let reborn = Source { uid: "another".to_owned(), ..oci("tags", 1, "1.2.0") };
    assert_eq!(sorted(index.apply_source(reborn)), ["b", "c"]);
    assert_eq!(index.workload(&key("b")).unwrap().containers[0].image, "podinfo:1.2.0");
    assert_eq!(index.apply_source(repository("nobodys", 1, "https://nobody.example")), []);
}

#[test]
fn a_source_that_goes() {
    let mut index = filled();
    let tags = oci("tags", 1, "").key;
    assert_eq!(sorted(index.remove_source(&tags)), ["b", "c"]);
    assert_eq!((left(&index, "b"), left(&index, "a")), (Some(Reason::SourceMissing), None));
    assert_eq!(index.remove_source(&tags), [], "gone already");
    assert_eq!(index.users.len(), 1);
    assert_eq!(sorted(index.apply_source(oci("tags", 1, "1.2.0"))), ["b", "c"], "its releases followed it all the while");
    assert_eq!(site(&index, "b").shared_by, 2);
}

/// After a complete list, missing objects are removed: of that kind, and in the listed namespace.
#[rstest]
#[case::everywhere(SourceKind::OciRepository, None, &[], &["b", "c"])]
#[case::here(SourceKind::OciRepository, Some("apps"), &[], &["b", "c"])]
#[case::elsewhere(SourceKind::OciRepository, Some("other"), &[], &[])]
#[case::seen(SourceKind::OciRepository, None, &["tags"], &[])]
#[case::the_other_kind(SourceKind::HelmRepository, None, &[], &["a"])]
fn sources_that_vanished(#[case] kind: SourceKind, #[case] namespace: Option<&str>, #[case] seen: &[&str], #[case] requeued: &[&str]) {
    let mut index = filled();
    let seen = seen.iter().map(|name| SourceKey { kind, namespace: "apps".to_owned(), name: (*name).to_owned() }).collect();
    assert_eq!(sorted(index.sweep_sources(kind, namespace, &seen)), requeued);
    for name in ["a", "b", "c"] {
        assert_eq!(left(&index, name).is_some(), requeued.contains(&name), "{name}");
    }
}

/// Each release knows how many releases follow its tag, also after one is removed.
#[rstest]
#[case::deleted(|index: &mut Index| index.remove(&key("c")))]
#[case::swept(|index: &mut Index| { index.sweep(Kind::HelmRelease, None, &HashSet::from([key("a"), key("b")])); })]
#[case::unreadable(|index: &mut Index| {
    index.set_odd(key("c"), Undecodable { api_version: String::new(), uid: String::new(), problem: "odd".to_owned() });
})]
#[case::moved(|index: &mut Index| { index.apply(read("c", 2, &reference("others"), &json!({}))); })]
#[case::by_template_now(|index: &mut Index| { index.apply(read("c", 2, &template("1.2.0", "charts"), &json!({}))); })]
fn who_follows_the_same_tag(#[case] goes: fn(&mut Index)) {
    let mut index = filled();
    let shared = |index: &Index, name: &str| {
        let site = site(index, name);
        (site.shared_by, site.skip_reason().map(|skipped| skipped.reason))
    };
    assert_eq!([shared(&index, "b"), shared(&index, "c")], [(2, Some(Reason::SourceShared)), (2, Some(Reason::SourceShared))]);
    assert_eq!(shared(&index, "a"), (1, None), "releases of one HelmRepository have nothing to do with each other");
    index.take_unsettled();
    goes(&mut index);
    assert_eq!(shared(&index, "b"), (1, None));
    assert!(index.take_unsettled().contains(&key("b")), "what it held back may go on");
    index.apply(read("c", 3, &reference("tags"), &json!({})));
    assert!(index.take_unsettled().contains(&key("b")));
    index.apply(read("c", 4, &reference("tags"), &json!({"failures": 1})));
    assert!(index.take_unsettled().is_empty(), "a changed status affects no other release");
    assert_eq!([shared(&index, "b").0, shared(&index, "c").0], [2, 2]);
}

#[test]
fn a_release_that_moves() {
    let mut index = filled();
    index.apply_source(repository("others", 1, "https://others.example"));
    assert!(index.apply(read("a", 2, &template("1.2.0", "others"), &json!({}))));
    assert_eq!((origin(&index, "a").as_str(), index.users.len()), ("https://others.example", 2));
    assert_eq!(index.apply_source(repository("charts", 2, "https://mirror.example")), [], "it follows the old one no more");
    assert_eq!(index.apply_source(repository("others", 2, "https://mirror.example")), [key("a")]);
    assert!(!index.apply(read("a", 1, &template("1.2.0", "charts"), &json!({}))), "an older copy is no news");
    index.apply(read("a", 3, &json!({"chartRef": {"kind": "HelmChart", "name": "charts"}}), &json!({})));
    assert_eq!((left(&index, "a"), index.followers.len()), (Some(Reason::SourceUnsupported), 1));
    for name in ["a", "b", "c"] {
        index.remove(&key(name));
    }
    assert_eq!((index.users.len(), index.followers.len(), index.count(Kind::HelmRelease)), (0, 0, 0), "nothing is left behind");
}

/// One repository of a registry, with an image for one workload and a chart for another.
#[test]
fn one_repository_for_both() {
    let mut index = filled();
    index.apply(workload("web", "registry.example/podinfo:1.2.0", "1"));
    let origin = Origin::Registry(RepositoryKey::parse("registry.example/podinfo").unwrap());
    assert_eq!(users(&index, "registry.example/podinfo"), ["b", "c", "web"]);
    for name in ["b", "c"] {
        index.remove(&key(name));
    }
    assert!(index.is_used(&origin));
    assert_eq!(users(&index, "registry.example/podinfo"), ["web"]);
}

#[test]
fn what_cannot_be_read_is_reported_until_it_can() {
    let mut index = filled();
    let odd = || Undecodable { api_version: "v2".to_owned(), uid: "u".to_owned(), problem: "version: a number".to_owned() };
    index.set_odd(key("a"), odd());
    assert_eq!((index.workload(&key("a")), index.odd(&key("a")).map(|odd| odd.problem.as_str())), (None, Some("version: a number")));
    // Sharing a tag is reported or allowed depending on the settings, which this test ignores.
    assert_eq!(index.needs_attention().collect::<BTreeSet<_>>(), BTreeSet::from([&key("a"), &key("b"), &key("c")]));
    assert_eq!(index.count(Kind::HelmRelease), 2);
    assert!(index.apply(read("a", 2, &template("1.2.0", "charts"), &json!({}))));
    assert!(index.odd(&key("a")).is_none());
    assert_eq!(index.needs_attention().collect::<BTreeSet<_>>(), BTreeSet::from([&key("b"), &key("c")]));
    index.set_odd(key("a"), odd());
    index.sweep(Kind::Deployment, None, &HashSet::new());
    assert!(index.odd(&key("a")).is_some(), "another kind's list");
    index.sweep(Kind::HelmRelease, None, &HashSet::from([key("b"), key("c")]));
    assert!(index.odd(&key("a")).is_none(), "it is gone");
}

/// The plan of polls is made again only when one of its inputs changes.
#[rstest]
#[case::known(|index: &mut Index| { index.apply(read("a", 1, &template("1.3.0", "charts"), &json!({}))); }, false)]
#[case::status(|index: &mut Index| { index.apply(read("a", 2, &template("1.2.0", "charts"), &json!({"failures": 1}))); }, false)]
#[case::what_runs(|index: &mut Index| {
    index.apply(read("a", 2, &template("1.2.0", "charts"), &json!({"history": [{"chartVersion": "1.1.0", "status": "deployed"}]})));
}, false)]
#[case::version(|index: &mut Index| { index.apply(read("a", 2, &template("1.3.0", "charts"), &json!({}))); }, true)]
#[case::suspended(|index: &mut Index| {
    let mut spec = template("1.2.0", "charts");
    spec["suspend"] = json!(true);
    index.apply(read("a", 2, &spec, &json!({})));
}, true)]
#[case::written_by_ourselves(|index: &mut Index| {
    let source = oci("tags", 2, "1.2.0");
    let annotations = Annotations::from([(key::LAST_REQUEST.to_owned(), "r".to_owned())]);
    index.apply_source(Source { annotations, has_annotations: true, generation: 2, ..source });
}, false)]
#[case::tag(|index: &mut Index| { index.apply_source(oci("tags", 2, "1.3.0")); }, true)]
#[case::address(|index: &mut Index| { index.apply_source(repository("charts", 2, "https://mirror.example")); }, true)]
#[case::address_spelt_otherwise(|index: &mut Index| { index.apply_source(repository("charts", 2, "HTTPS://charts.example:443/")); }, false)]
#[case::nobodys(|index: &mut Index| { index.apply_source(repository("nobodys", 1, "https://nobody.example")); }, false)]
#[case::credentials(|index: &mut Index| {
    let mut source = repository("charts", 2, "https://charts.example");
    source.access.secret = Some("login".to_owned());
    index.apply_source(source);
}, true)]
#[case::gone(|index: &mut Index| index.remove(&key("a")), true)]
#[case::another_follower(|index: &mut Index| { index.apply(read("d", 1, &reference("tags"), &json!({}))); }, true)]
#[case::status_of_a_deployment(|index: &mut Index| { index.apply(Workload { generation: 2, ..workload("web", "nginx:1", "2") }); }, false)]
#[case::image_of_a_deployment(|index: &mut Index| { index.apply(workload("web", "nginx:2", "2")); }, true)]
fn when_polls_are_planned_again(#[case] happens: fn(&mut Index), #[case] moves: bool) {
    let mut index = filled();
    index.apply(workload("web", "nginx:1", "1"));
    let before = index.revision();
    happens(&mut index);
    assert_eq!(index.revision() != before, moves);
}

/// A thousand releases of one tag are resolved against it once or twice each, not a thousand times.
#[test]
fn one_more_follower_of_many_is_no_work_for_the_others() {
    let mut index = Index::default();
    index.apply_source(oci("tags", 1, "1.2.0"));
    for number in 0..1000 {
        index.apply(read(&format!("r{number}"), 1, &reference("tags"), &json!({})));
    }
    assert!(index.revision().releases < 1010, "{:?}", index.revision());
    assert!(index.take_unsettled().len() < 10);
    for number in 0..999 {
        index.remove(&key(&format!("r{number}")));
    }
    assert!(index.revision().releases < 2020, "{:?}", index.revision());
    assert_eq!(site(&index, "r999").shared_by, 1);
}
