use headwind_k8s::update_request::UpdateRequest;
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

fn store(all: &[(&str, i64, &str, bool)]) -> Requests {
    let mut requests = Requests::default();
    for (name, minute, phase, approval) in all {
        requests.apply(request(name, *minute, phase, *approval));
    }
    requests
}

fn some() -> Requests {
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

fn names(requests: &Requests, query: &UpdateQuery, order: Order) -> Vec<String> {
    page(requests, query, order, 0, 100, at(60)).items.into_iter().map(|one| one.workload.name).collect()
}

fn all() -> UpdateQuery {
    UpdateQuery { visible: Visible::All, ..UpdateQuery::default() }
}

#[test]
fn pages_are_filtered_and_sorted() {
    let requests = some();
    assert_eq!(names(&requests, &all(), NEWEST), ["moving", "broken", "done", "cart", "by-policy", "api"]);
    let by = |by, descending| names(&requests, &all(), Order { by, descending });
    assert_eq!(by(SortBy::Name, false), ["api", "broken", "by-policy", "cart", "done", "moving"]);
    assert_eq!(by(SortBy::Name, true).first().map(String::as_str), Some("moving"));
    let waiting = UpdateQuery { waiting: true, ..all() };
    assert_eq!(names(&requests, &waiting, Order { by: SortBy::Expires, descending: false }), ["api", "cart"]);
    let failed = UpdateQuery { phases: vec![Phase::Failed, Phase::RolledBack], ..all() };
    assert_eq!(names(&requests, &failed, NEWEST), ["broken"]);
    let text = |text: &str| names(&requests, &UpdateQuery { text: Some(text.to_owned()), ..all() }, NEWEST).len();
    assert_eq!((text("CART"), text("team/WEB"), text("nothing"), text("1.1.0")), (1, 6, 0, 6));
    let since = UpdateQuery { since: Some(at(24)), ..all() };
    assert_eq!(names(&requests, &since, NEWEST), ["moving", "broken", "done"]);
    let other = UpdateQuery { namespace: Some("other".to_owned()), ..all() };
    assert!(names(&requests, &other, NEWEST).is_empty());
    let page = page(&requests, &all(), NEWEST, 4, 1, at(60));
    assert_eq!((page.total, page.items.len(), page.items[0].workload.name.as_str()), (6, 1, "by-policy"));
    assert_eq!(page.items[0].version, "7");
}

#[test]
fn nobody_sees_other_namespaces() {
    let requests = some();
    assert!(names(&requests, &UpdateQuery::default(), NEWEST).is_empty());
    assert_eq!(counts(&requests, &Visible::default(), at(60)), UpdateCounts::default());
}

#[test]
fn counts_follow_phase_and_time() {
    let requests = some();
    let now = counts(&requests, &Visible::All, at(60));
    assert_eq!((now.all, now.waiting, now.urgent, now.moving, now.failed, now.completed), (6, 2, 0, 2, 1, 1));
    assert_eq!((now.in_phases(&[Phase::Pending]), now.in_phases(&[Phase::Failed, Phase::Completed])), (3, 2));
    let late = counts(&requests, &Visible::All, at(22 * 60));
    assert_eq!((late.waiting, late.urgent, late.completed), (2, 2, 1));
    let later = counts(&requests, &Visible::All, at(25 * 60));
    assert_eq!((later.waiting, later.completed, later.failed), (0, 0, 1), "an expired request waits for nobody");
}

#[test]
fn text_is_found_in_place() {
    assert!(contains("registry/Web:1", "web") && contains("x", "") && !contains("we", "web"));
}
