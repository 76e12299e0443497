//! Tests of the pages of one update and of one workload: their parts and their buttons.

use std::sync::Arc;

use headwind_core::workload::{Container, Workload};
use serde_json::json;

use super::site::{Pages, update, workload};
use crate::auth::fake::Fake;
use crate::auth::{Auth, Reviews, TokenSettings};

/// The query with the marks of the parts that a page has.
fn marks(page: &str) -> String {
    let marks = page.split("name=\"part\" value=\"").skip(1).filter_map(|rest| rest.split('"').next());
    marks.map(|mark| format!("part={mark}")).collect::<Vec<_>>().join("&")
}

#[tokio::test]
async fn a_page_gets_only_the_parts_that_changed() {
    let pages = Pages::new();
    pages.fill();
    let page = pages.get("/updates/shop/cart-1").await.body;
    assert!(page.contains("hx-get=\"/updates/shop/cart-1/rollout\"") && !page.contains("hx-swap-oob"), "{page}");
    let path = format!("/updates/shop/cart-1/rollout?{}", marks(&page));
    assert_eq!(path.matches("part=").count(), 6, "{path}");
    let same = pages.htmx(&path, "detail").await;
    assert_eq!((same.status, same.body.as_str()), (200, ""));
    pages.site.request(update("cart", "RollingOut", 2));
    let changed = pages.htmx(&path, "detail").await;
    for (id, sent) in [("head", true), ("note", false), ("rollout", true), ("timeline", true), ("facts", true), ("history", false)] {
        assert_eq!(changed.has(&format!("<div id=\"{id}\"")), sent, "{id}: {}", changed.body);
    }
    assert!(changed.has("hx-swap-oob=\"true\"") && changed.has("3 of 6 new pods available"), "{}", changed.body);
    assert_eq!(pages.htmx("/updates/shop/missing/rollout", "detail").await.status, 404);
}

/// Puts the update `done-1` in place, after version 1.2.3.
fn in_place(pages: &Pages) {
    let image = |version: &str| format!("registry.example/team/done:{version}");
    let entry = |version: &str, request: Option<&str>| {
        json!({
            "container": "main", "image": image(version), "timestamp": "2026-11-28T10:00:00Z",
            "updateRequestName": request, "approvedBy": request.map(|_| "ann"),
        })
    };
    let history = json!([entry("1.3.0", Some("done-1")), entry("1.2.3", None)]).to_string();
    let base = workload("done", &[("policy", "minor"), ("update-history", &history)]);
    let containers = vec![Container::new("main", &image("1.3.0"))];
    pages.site.workload(Workload { resource_version: "2".to_owned(), containers, ..base });
}

#[tokio::test]
async fn an_update_in_place_can_be_rolled_back() {
    let pages = Pages::new();
    pages.fill();
    in_place(&pages);
    let page = pages.get("/updates/shop/done-1").await;
    assert_eq!(page.body.matches("Roll back to 1.2.3").count(), 2, "in the head and in the history: {}", page.body);
    assert!(page.has("id=\"back\"") && page.has("id=\"back-1\""), "{}", page.body);
    assert!(page.has("href=\"/workloads/shop/Deployment/done/rollback?container=main&amp;index=1\""), "{}", page.body);
    let pending = pages.get("/updates/shop/cart-1").await.body;
    assert!(!pending.contains("Roll back") && pending.find("/approve\"") < pending.find("/reject\""), "{pending}");

    let pages = Pages::with(Auth::open(false, false));
    pages.fill();
    in_place(&pages);
    let page = pages.get("/updates/shop/done-1").await;
    assert!(page.has("You cannot roll back workloads in shop") && !page.has("Roll back to"), "{}", page.body);
}

#[tokio::test]
async fn without_kubernetes_the_buttons_are_disabled() {
    let pages = Pages::new();
    pages.fill();
    pages.site.watch_fails();
    let page = pages.get("/updates/shop/cart-1").await;
    for action in ["approve", "reject"] {
        let button = format!("id=\"{action}\" disabled title=\"Kubernetes is not responding\"");
        assert!(page.has(&button) && !page.has(&format!("cart-1/{action}\"")), "{action}: {}", page.body);
    }
}

#[tokio::test]
async fn explain_says_what_is_not_known_here() {
    let pages = Pages::new();
    pages.fill();
    let path = "/workloads/shop/Deployment/cart";
    let page = pages.get(path).await;
    assert!(page.has("This replica does not poll, so it has no results of scans."), "{}", page.body);
    assert!(page.has("hx-select-oob=\"#state,#queried:innerHTML,#gate-0\""), "{}", page.body);
    for id in ["state", "queried", "gate-0"] {
        assert!(page.has(&format!("id=\"{id}\"")), "{id}: {}", page.body);
    }
}

#[tokio::test]
async fn explain_names_the_permission_to_query_the_registry() {
    let fake = Arc::new(Fake::default());
    fake.knows("t", "ann");
    fake.allow("ann list updaterequests shop");
    let reviews: Arc<dyn Reviews> = Arc::clone(&fake) as _;
    let pages = Pages::with(Auth::token(TokenSettings::default(), &reviews));
    pages.fill();
    let page = pages.send("GET /workloads/shop/Deployment/cart", &[("authorization", "Bearer t")], "").await;
    let why = "You cannot query registries for this workload: ann may not get deployments.apps";
    assert!(page.has(why) && !page.has("hx-select-oob"), "{}", page.body);
}
