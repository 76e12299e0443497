use headwind_core::testing;
use headwind_core::workload::Workload;
use serde_json::json;

use super::*;

fn at(minute: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + minute * 60).unwrap()
}

/// A request in namespace `shop` whose workload is named like the request, created in that minute.
fn request(name: &str, minute: i64, phase: &str, approval: bool) -> UpdateRequest {
    serde_json::from_value(json!({
        "apiVersion": "headwind.sh/v1alpha1", "kind": "UpdateRequest",
        "metadata": {"name": name, "namespace": "shop", "uid": format!("uid-{name}"), "resourceVersion": "7", "creationTimestamp": at(minute).to_string()},
        "spec": {
            "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name, "uid": "u"}, "updateType": "image", "containerName": "web",
            "currentImage": "r.example/Team/web:1.0.0", "newImage": "r.example/Team/web:1.1.0", "policy": "minor", "requireApproval": approval, "trigger": "webhook",
        },
        "status": {"phase": phase, "finishedAt": (!["Pending", "Approved", "RollingOut"].contains(&phase)).then(|| at(minute + 5).to_string())},
    }))
    .unwrap()
}

fn store(all: &[(&str, i64, &str, bool)]) -> State {
    let state = State::default();
    let direct = testing::deployment("r.example/Team/web:1.0.0", &[("policy", "minor"), ("require-approval", "false")]);
    let key = WorkloadKey { namespace: "shop".to_owned(), ..testing::key(Kind::Deployment, "by-policy") };
    state.index.write().apply(Workload { key, ..direct });
    for (name, minute, phase, approval) in all {
        state.requests.write().apply(request(name, *minute, phase, *approval));
    }
    state
}

fn some() -> State {
    store(&[
        ("cart", 10, "Pending", true),
        ("api", 0, "Pending", true),
        ("by-policy", 5, "Pending", false),
        ("done", 20, "Completed", true),
        ("broken", 30, "Failed", true),
        ("moving", 40, "RollingOut", true),
    ])
}

const NEWEST: Order = Order { by: SortBy::Changed, descending: true };

fn names(state: &State, query: &UpdateQuery, order: Order) -> Vec<String> {
    page(state, query, order, 0, 100).items.into_iter().map(|one| one.workload.name).collect()
}

fn all() -> UpdateQuery {
    UpdateQuery { visible: Visible::All, ..UpdateQuery::default() }
}

#[test]
fn pages_are_filtered_and_sorted() {
    let state = some();
    assert_eq!(names(&state, &all(), NEWEST), ["moving", "broken", "done", "cart", "by-policy", "api"]);
    let by = |by, descending| names(&state, &all(), Order { by, descending });
    assert_eq!(by(SortBy::Name, false), ["api", "broken", "by-policy", "cart", "done", "moving"]);
    assert_eq!(by(SortBy::Name, true).first().map(String::as_str), Some("moving"));
    let waiting = UpdateQuery { waiting: true, ..all() };
    assert_eq!(names(&state, &waiting, Order { by: SortBy::Expires, descending: false }), ["api", "cart"]);
    let failed = UpdateQuery { phases: vec![Phase::Failed, Phase::RolledBack], ..all() };
    assert_eq!(names(&state, &failed, NEWEST), ["broken"]);
    let text = |text: &str| names(&state, &UpdateQuery { text: Some(text.to_owned()), ..all() }, NEWEST).len();
    assert_eq!((text("CART"), text("team/WEB"), text("nothing"), text("1.1.0")), (1, 6, 0, 6));
    let since = UpdateQuery { since: Some(at(24)), ..all() };
    assert_eq!(names(&state, &since, NEWEST), ["moving", "broken", "done"]);
    let other = UpdateQuery { namespace: Some("other".to_owned()), ..all() };
    assert!(names(&state, &other, NEWEST).is_empty());
    let page = page(&state, &all(), NEWEST, 4, 1);
    assert_eq!((page.total, page.items.len(), page.items[0].workload.name.as_str()), (6, 1, "by-policy"));
    assert_eq!(page.items[0].version, "7");
}

#[test]
fn nobody_sees_other_namespaces() {
    let state = some();
    assert!(names(&state, &UpdateQuery::default(), NEWEST).is_empty());
}

#[test]
fn what_the_policy_approves_waits_for_nobody() {
    let state = some();
    let pending = UpdateQuery { phases: vec![Phase::Pending], ..all() };
    let by_policy: Vec<bool> = page(&state, &pending, NEWEST, 0, 10).items.iter().map(|one| one.by_policy).collect();
    assert_eq!(by_policy, [false, true, false]);
    let urgent = UpdateQuery { waiting: true, expires_before: Some(at(24 * 60 + 5)), ..all() };
    assert_eq!(names(&state, &urgent, NEWEST), ["api"]);
}

#[test]
fn text_is_found_in_place() {
    assert!(contains("registry/Web:1", "web") && contains("x", "") && !contains("we", "web"));
}
