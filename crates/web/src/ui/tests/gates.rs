//! Tests of what pages say about when an update is applied.

use headwind_core::gate::Freeze;
use headwind_core::workload::Workload;
use headwind_operator::Caller;

use super::site::{Pages, workload};

/// Changes the annotations of a workload of [`Pages::fill`].
fn annotate(pages: &Pages, name: &str, annotations: &[(&str, &str)]) {
    pages.site.workload(Workload { resource_version: "2".to_owned(), ..workload(name, annotations) });
}

#[tokio::test]
async fn every_page_says_that_updates_are_frozen() {
    let pages = Pages::new();
    pages.fill();
    let all = ["/", "/updates", "/updates/shop/cart-1", "/workloads", "/workloads/shop/Deployment/cart", "/settings", "/observability"];
    for path in all {
        assert!(!pages.get(path).await.has("Updates are frozen"), "{path}");
    }
    let until = "2037-01-02T00:00:00Z".parse().unwrap();
    let freeze = Freeze { until: Some(until), reason: Some("holidays <b>".to_owned()) };
    pages.site.handle.freeze(Caller::default(), freeze).await.unwrap();
    let object = pages.site.own_object("configmaps/headwind").unwrap();
    assert_eq!(object["data"]["freeze"], "until: 2037-01-02T00:00:00Z\nreason: holidays <b>");
    for path in all {
        let page = pages.get(path).await;
        assert!(page.has("Updates are frozen until 2037-01-02 00:00 UTC.") && page.has("holidays &lt;b&gt;"), "{path}: {}", page.body);
    }
    pages.site.handle.unfreeze(Caller::default()).await.unwrap();
    assert!(!pages.get("/").await.has("Updates are frozen"));
    pages.site.handle.resume(Caller::default()).await.unwrap();
    let object = pages.site.own_object("configmaps/headwind").unwrap();
    assert!(object["data"]["resumedAt"].is_string() && object["data"].get("freeze").is_none(), "{object}");
}

#[tokio::test]
async fn a_workload_shows_the_next_days() {
    let pages = Pages::new();
    pages.fill();
    let path = "/workloads/shop/Deployment/cart";
    assert!(!pages.get(path).await.has("The next 7 days"), "nothing to show");
    annotate(&pages, "cart", &[("policy", "minor"), ("update-window", "Sat 22:00-23:59 Europe/Berlin")]);
    let page = pages.get(path).await;
    assert!(page.has("The next 7 days") && page.has("may be applied") && page.has("UpdateWindow") && page.has("Sat "), "{}", page.body);
}

#[tokio::test]
async fn an_approval_may_skip_the_cool_down() {
    let pages = Pages::new();
    pages.fill();
    annotate(&pages, "cart", &[("policy", "minor"), ("cool-down", "3d")]);
    let dialog = pages.get("/updates/shop/cart-1/approve").await;
    let says = headwind_core::reason::Reason::CoolDown.sentence();
    assert!(dialog.has("name=\"skip\"") && dialog.has(says) && !dialog.has("At once"), "{}", dialog.body);
    assert!(!pages.get("/updates/shop/checkout-1/approve").await.has("name=\"skip\""), "there is nothing to skip");
    let done = pages.post("/updates/shop/cart-1/approve", "seen=1&reason=urgent&skip=on").await;
    assert_eq!(done.status, 303, "{}", done.body);
    let shown = pages.get("/updates/shop/cart-1").await;
    assert!(shown.has("approved by web-ui-user: urgent; the cool-down is skipped"), "{}", shown.body);
}
