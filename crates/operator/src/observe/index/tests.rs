mod releases;

use headwind_core::artifact::reference::RepositoryKey;
use headwind_core::policy::Policy;
use headwind_core::testing;

use super::*;

pub(crate) fn workload(name: &str, image: &str, version: &str) -> Workload {
    let container = Container::new;
    Workload {
        uid: format!("uid-{name}"),
        resource_version: version.to_owned(),
        has_annotations: true,
        ..Workload::new(
            testing::key(Kind::Deployment, name),
            vec![container("web", image), container("twin", image), container("odd", "NOT AN IMAGE")],
        )
    }
}

fn users(index: &Index, repository: &str) -> Vec<String> {
    let mut names: Vec<String> = index
        .users(&Origin::Registry(RepositoryKey::parse(repository).unwrap()))
        .into_iter()
        .map(|(workload, _)| workload.key.name.clone())
        .collect();
    names.sort();
    names
}

#[test]
fn who_uses_what() {
    let mut index = Index::default();
    assert!(index.apply(workload("a", "nginx:1", "1")));
    assert!(index.apply(workload("b", "docker.io/library/nginx:2", "1")));
    assert_eq!(users(&index, "nginx"), ["a", "b"]);
    assert!(index.apply(workload("a", "redis:1", "2")));
    assert_eq!((users(&index, "nginx"), users(&index, "redis")), (vec!["b".to_owned()], vec!["a".to_owned()]));
    index.remove(&workload("b", "", "").key);
    assert!(!index.is_used(&Origin::Registry(RepositoryKey::parse("nginx").unwrap())) && index.users.len() == 1, "nothing is left behind");
    assert_eq!(index.count(Kind::Deployment), 1);
}

/// Each origin is listed once, in the order of the containers.
#[test]
fn origins_are_distinct_and_in_order() {
    let mut index = Index::default();
    let images = ["b:1", "a:1", "b:2", "NOT AN IMAGE", "c:1", "a:2"];
    let containers = images.iter().enumerate().map(|(number, image)| Container::new(&format!("c{number}"), image)).collect();
    index.apply(Workload { containers, ..workload("t", "", "1") });
    let expected = ["b", "a", "c"].map(|name| Origin::Registry(RepositoryKey::parse(name).unwrap()));
    assert_eq!(*index.workloads.get(&workload("t", "", "").key).unwrap().origins, expected);
}

#[test]
fn containers_that_are_not_read_need_attention() {
    let mut index = Index::default();
    index.apply(workload("a", "nginx:1", "1"));
    assert!(!index.is_conspicuous(&workload("a", "", "").key));
    index.apply(Workload { left_out: 1, ..workload("a", "nginx:1", "2") });
    assert!(index.is_conspicuous(&workload("a", "", "").key));
}

#[test]
fn an_older_object_is_no_news() {
    let mut index = Index::default();
    index.apply(workload("a", "nginx:2", "10"));
    assert!(!index.apply(workload("a", "nginx:1", "9")), "9 < 10 as numbers");
    assert!(!index.apply(workload("a", "nginx:1", "10")));
    assert_eq!(index.workload(&workload("a", "", "").key).unwrap().containers[0].image, "nginx:2");
    let mut reborn = workload("a", "nginx:3", "3");
    reborn.uid = "another".to_owned();
    assert!(index.apply(reborn), "another object of that name");
}

#[test]
fn what_vanished_during_a_new_list_is_forgotten() {
    let mut index = Index::default();
    for name in ["a", "b"] {
        index.apply(workload(name, "nginx:1", "1"));
    }
    let seen = HashSet::from([workload("b", "", "").key]);
    assert!(index.sweep(Kind::StatefulSet, None, &HashSet::new()).is_empty(), "another kind's list");
    assert!(index.sweep(Kind::Deployment, Some("elsewhere"), &HashSet::new()).is_empty(), "another namespace's");
    assert_eq!(index.sweep(Kind::Deployment, None, &seen), [workload("a", "", "").key]);
    assert_eq!(users(&index, "nginx"), ["b"]);
}

#[test]
fn defaults_of_the_namespace_and_faults() {
    let mut index = Index::default();
    index.apply(workload("a", "nginx:1", "1"));
    let bad = Annotations::from([("headwind.sh/policy".to_owned(), "bad".to_owned())]);
    assert_eq!(index.set_defaults("n", bad.clone()).len(), 1);
    assert_eq!(index.faulty().count(), 1);
    assert!(index.set_defaults("n", bad).is_empty(), "no news");
    index.set_defaults("n", Annotations::new());
    assert_eq!((index.faulty().count(), index.defaults.len()), (0, 0));
}

/// An invalid channel is reported, and stops no update.
#[test]
fn an_invalid_channel_is_a_fault_and_leaves_the_settings() {
    let mut index = Index::default();
    let annotations = testing::annotations(&[("policy", "minor"), ("notify", "slakc")]);
    index.apply(Workload { annotations, ..workload("a", "nginx:1", "1") });
    assert!(index.is_conspicuous(&workload("a", "", "").key) && index.faulty().count() == 1);
    assert!(policies(&index, "a").iter().all(|policy| *policy == Some(Policy::Minor)));
}

fn policies(index: &Index, name: &str) -> Vec<Option<Policy>> {
    let resolved = index.resolved(&workload(name, "", "").key).unwrap();
    resolved.containers().map(|(_, settings)| settings.map(|settings| settings.policy)).collect()
}

/// Settings are looked up, not parsed, however often they are used.
#[test]
fn annotations_are_read_when_they_change() {
    let mut index = Index::default();
    let annotated = |version: &str, policy: &str| {
        let annotations = Annotations::from([("headwind.sh/policy.web".to_owned(), policy.to_owned())]);
        Workload { annotations, ..workload("a", "nginx:1", version) }
    };
    let meaning = |index: &Index| index.resolved(&workload("a", "", "").key).unwrap().meaning;
    index.apply(annotated("1", "minor"));
    assert_eq!(policies(&index, "a"), [Some(Policy::Minor), Some(Policy::None), Some(Policy::None)]);
    let before = meaning(&index);
    index.apply(Workload { generation: 2, ..annotated("2", "minor") });
    assert!(Arc::ptr_eq(&before, &meaning(&index)), "a status that changes changes no meaning");
    index.set_defaults("n", Annotations::from([("headwind.sh/policy".to_owned(), "patch".to_owned())]));
    assert_eq!(policies(&index, "a"), [Some(Policy::Minor), Some(Policy::Patch), Some(Policy::Patch)]);
    index.apply(annotated("3", "mnior"));
    assert_eq!(policies(&index, "a"), [None, Some(Policy::Patch), Some(Policy::Patch)]);
    assert!(index.is_conspicuous(&workload("a", "", "").key) && index.faulty().count() == 1);
}

#[test]
fn what_people_look_for_and_what_there_is_to_report() {
    let mut index = Index::default();
    index.apply(workload("a", "nginx:1", "1"));
    let tracked = |index: &Index| {
        let resolved = index.resolved(&workload("a", "", "").key).unwrap();
        let names = |all: Vec<&Container>| all.into_iter().map(|container| container.name.clone()).collect::<Vec<_>>();
        (names(resolved.tracked().collect()), names(resolved.taking_part().collect()))
    };
    let names = |all: &[&str]| all.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    assert_eq!(tracked(&index), (names(&["odd"]), vec![]));
    index.set_defaults("n", Annotations::from([("headwind.sh/policy".to_owned(), "minor".to_owned())]));
    assert_eq!(tracked(&index), (names(&["web", "twin", "odd"]), names(&["web", "twin"])), "an image that cannot be read is shown");
    assert!(!index.is_conspicuous(&workload("a", "", "").key));
    let mistyped = Annotations::from([("headwind.sh/polcy".to_owned(), String::new())]);
    index.apply(Workload { annotations: mistyped, ..workload("a", "nginx:1", "2") });
    assert!(index.is_conspicuous(&workload("a", "", "").key));
}

/// Thousands of workloads with the same annotations have their settings in memory once.
#[test]
fn workloads_with_the_same_settings_share_them() {
    let with = |name: &str, interval: usize| {
        let annotations = [("policy".to_owned(), "minor".to_owned()), ("polling-interval".to_owned(), (60 + interval).to_string())];
        let annotations = annotations.into_iter().map(|(key, value)| (format!("headwind.sh/{key}"), value)).collect();
        Workload { annotations, ..workload(name, "nginx:1", "1") }
    };
    let mut index = Index::default();
    for (name, interval) in [("a", 0), ("b", 0), ("c", 1)] {
        index.apply(with(name, interval));
    }
    let meaning = |index: &Index, name: &str| index.resolved(&workload(name, "", "").key).unwrap().meaning;
    assert!(Arc::ptr_eq(&meaning(&index, "a"), &meaning(&index, "b")));
    assert!(!Arc::ptr_eq(&meaning(&index, "a"), &meaning(&index, "c")));
    for n in 0..200 {
        index.apply(with(&format!("w{n}"), n));
    }
    assert!(index.settings.len() <= 64, "a tenant with many different settings uses a bounded amount of memory");
    let last = index.resolved(&workload("w199", "", "").key).unwrap();
    let interval = last.containers().next().unwrap().1.unwrap().polling_interval;
    assert_eq!(interval, Some(std::time::Duration::from_secs(259)));
}
