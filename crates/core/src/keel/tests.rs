use super::*;
use crate::testing::annotations as map;

fn image(name: &str, image: &str) -> NamedImage {
    NamedImage { name: name.to_owned(), image: image.to_owned() }
}

fn keel(pairs: &[(&str, &str)]) -> Annotations {
    pairs.iter().map(|(key, value)| (format!("keel.sh/{key}"), (*value).to_owned())).collect()
}

fn of(labels: &[(&str, &str)], annotations: &[(&str, &str)]) -> Manifest {
    Manifest {
        labels: keel(labels),
        annotations: keel(annotations),
        containers: vec![image("web", "shop/web:1.2.0")],
        ..Manifest::default()
    }
}

fn read(labels: &[(&str, &str)], annotations: &[(&str, &str)]) -> Vec<String> {
    let found = translate(&of(labels, annotations));
    found.annotations.into_iter().map(|(key, value)| format!("{}={value}", key.trim_start_matches("headwind.sh/"))).collect()
}

#[test]
fn precedence_is_that_of_keel() {
    assert_eq!(read(&[("policy", "all")], &[("policy", "patch")]), ["policy=patch", "require-approval=false"]);
    // The other way round.
    assert_eq!(read(&[("approvals", "1")], &[("policy", "patch"), ("approvals", "0")]), ["policy=patch", "require-approval=true"]);
    assert_eq!(
        read(&[("trigger", "default")], &[("policy", "all"), ("trigger", "poll")]),
        ["event-source=both", "policy=all", "require-approval=false"]
    );
    // Keel reads these from annotations only.
    assert_eq!(read(&[("policy", "all"), ("pollSchedule", "@every 5m")], &[]), ["policy=all", "require-approval=false"]);
    assert_eq!(read(&[("policy", "force")], &[("matchTag", "true")]), ["policy=force", "require-approval=false"]);
    assert_eq!(read(&[("policy", "force"), ("matchTag", "true")], &[]), ["pattern=1.2.0", "policy=force", "require-approval=false"]);
    // In any case of letters.
    let named = [("policy", "all"), ("MONITORcontainers", "nothing")];
    assert_eq!(read(&[], &named), ["policy=none", "require-approval=false"]);
}

#[test]
fn a_pod_template_never_updates_by_itself() {
    let manifest = Manifest { template: keel(&[("policy", "all"), ("update-time", "now")]), ..of(&[], &[]) };
    let found = translate(&manifest);
    assert_eq!(found.annotations, map(&[("policy", "all")]));
    assert_eq!(found.notes.len(), 1);
    let state = Manifest { template: keel(&[("update-time", "now")]), ..of(&[], &[("digest", "sha256:0")]) };
    assert_eq!(translate(&state), Translation::default());
}

/// A Namespace may have a policy as a default, and Headwind must not update more than Keel did.
#[test]
fn a_policy_that_cannot_be_translated_means_no_updates() {
    for policy in ["regexp:^v1", "glob:v[1]", "weekly", "never", ""] {
        assert_eq!(read(&[], &[("policy", policy)]), ["policy=none"], "{policy:?}");
        assert_eq!(read(&[], &[("policy", policy), ("approvals", "2")]), ["approvals=2", "policy=none", "require-approval=true"]);
    }
    assert_eq!(read(&[], &[("trigger", "poll")]), ["event-source=both", "policy=none"], "no policy");
}

#[test]
fn existing_annotations_stay() {
    let mut manifest = of(&[], &[("policy", "minor")]);
    manifest.annotations.extend(map(&[("policy", "major")]));
    let found = translate(&manifest);
    assert!(found.annotations.is_empty(), "{found:?}");
    assert_eq!(found.notes.iter().map(|note| note.key.as_str()).collect::<Vec<_>>(), ["headwind.sh/*"]);
}

/// A patch has no containers, and a template has placeholders.
#[test]
fn a_manifest_without_names_gives_no_updates_instead_of_all() {
    let settings: [&[(&str, &str)]; 5] = [
        &[("policy", "force"), ("matchTag", "true")],
        &[("policy", "force"), ("match-tag", "true")],
        &[("policy", "minor"), ("monitorContainers", "^web$")],
        &[("policy", "minor"), ("initContainers", "true")],
        &[("policy", "minor"), ("imageVolumes", "true")],
    ];
    let lists = [
        vec![],
        vec![image("web", "shop/web:${TAG}")],
        vec![image("web", "{{ .Values.image }}")],
        vec![image("web", "")],
        vec![image("", "shop/web:1.2.0")],
        vec![image("${NAME}", "shop/web:1.2.0")],
        vec![image("web", "shop/web:1.2.0"), image("side", "")],
    ];
    for setting in settings {
        for containers in &lists {
            let found = translate(&Manifest { containers: containers.clone(), ..of(&[], setting) });
            assert_eq!(found.annotations, map(&[("policy", "none")]), "{setting:?} {containers:?}");
            assert_eq!(found.notes.len(), 1, "{setting:?} {containers:?}: {:?}", found.notes);
        }
        let found = translate(&of(&[], setting));
        assert!(found.notes.is_empty(), "{setting:?}: {:?}", found.notes);
        assert_ne!(found.annotations.get(key::POLICY).map(String::as_str), Some("none"), "{setting:?}");
    }
    // The policy does not need names, and tracks all containers in Keel as well.
    let found = translate(&Manifest { containers: vec![], ..of(&[], &[("policy", "minor")]) });
    assert_eq!(found.annotations, map(&[("policy", "minor"), ("require-approval", "false")]));
    assert!(found.notes.is_empty(), "{found:?}");
}

#[test]
fn expressions_that_only_keel_accepts_give_no_updates() {
    for expression in ["${NAMES}", "web{", "\\Qweb\\E"] {
        assert_eq!(read(&[], &[("policy", "minor"), ("monitorContainers", expression)]), ["policy=none"], "{expression}");
    }
}

#[test]
fn tags_that_are_not_versions_are_noted() {
    let digest = format!("shop/web@sha256:{}", "0".repeat(64));
    for (policy, at, expected) in [
        ("minor", "shop/web:latest", 1),
        ("all", "shop/web", 1),
        ("patch", &*digest, 1),
        ("major", "shop/web:v1.2", 0),
        ("minor", "shop/web:${TAG}", 0),
        ("glob:la*", "shop/web:latest", 0),
        ("never", "shop/web:latest", 0),
    ] {
        let found = translate(&Manifest { containers: vec![image("web", at)], ..of(&[], &[("policy", policy)]) });
        assert_eq!(found.notes.len(), expected, "{policy} {at}: {:?}", found.notes);
    }
}
