//! Tests of what pages say about when an update is applied.

use headwind_core::gate::Freeze;
use headwind_core::workload::Workload;
use headwind_operator::Caller;
use jiff::Timestamp;

use super::site::{Pages, workload};
use crate::auth::Auth;

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

/// By the banner of any page and the card of the settings, with script and without.
#[tokio::test]
async fn people_freeze_and_end_the_freeze() {
    let pages = Pages::new();
    pages.fill();
    let settings = pages.get("/settings").await;
    assert!(settings.has("hx-get=\"/freeze?view=settings\"") && !settings.has("/unfreeze"), "{}", settings.body);
    assert!(pages.get("/freeze").await.has("Freeze updates?"));
    for (path, obstacle) in [("/unfreeze", "Updates are not frozen."), ("/resume", "Updates are not paused.")] {
        assert!(pages.get(path).await.has(obstacle) && pages.post_by_htmx(path, "").await.status == 409, "{path}");
    }
    let long = "x".repeat(501);
    for body in ["ends=soon", &format!("reason={long}")] {
        assert_eq!(pages.post("/freeze", body).await.status, 422, "{body}");
    }
    assert!(!pages.get("/").await.has("Updates are frozen"));

    let now = Timestamp::now();
    let done = pages.post_by_htmx("/freeze", "ends=24&reason=+holidays+&view=settings").await;
    assert!(done.status == 200 && done.header("hx-trigger") == "dialog:close", "{}", done.body);
    let swapped = [
        "<div id=\"banner\" hx-swap-oob=\"innerHTML\">",
        "Updates are frozen until",
        "id=\"limits\"",
        "hx-get=\"/unfreeze?view=settings\"",
    ];
    assert!(swapped.iter().all(|part| done.has(part)), "{}", done.body);
    let freeze = pages.site.handle.limits().freeze(now).cloned().unwrap();
    assert_eq!(freeze.reason.as_deref(), Some("holidays"));
    assert!((23..=24).contains(&freeze.until.unwrap().duration_since(now).as_hours()), "{freeze:?}");
    let again = pages.post_by_htmx("/freeze", "ends=1").await;
    assert!(again.status == 409 && again.has("Updates are already frozen."), "{}", again.body);
    assert!(pages.get("/updates").await.has("hx-get=\"/unfreeze\""), "the banner has the button");

    let plain = pages.post("/unfreeze", "").await;
    assert_eq!((plain.status, plain.header("location")), (303, "/"));
    assert!(pages.site.handle.limits().freeze(now).is_none());
    assert_eq!(pages.post("/freeze", "ends=&view=settings").await.header("location"), "/settings#limits");
    assert_eq!(pages.site.handle.limits().freeze(now).and_then(|freeze| freeze.until), None);
}

#[tokio::test]
async fn who_may_not_change_settings_sees_no_button() {
    let pages = Pages::with(Auth::open(false, false));
    pages.fill();
    pages.site.handle.freeze(Caller::default(), Freeze::default()).await.unwrap();
    for path in ["/", "/settings"] {
        let page = pages.get(path).await;
        assert!(page.has("Updates are frozen") && !page.has("/unfreeze"), "{path}: {}", page.body);
    }
    for path in ["/freeze", "/unfreeze", "/resume"] {
        assert_eq!(pages.get(path).await.status, 403, "{path}");
        let acted = pages.post_by_htmx(path, "").await;
        assert!(acted.status == 403 && acted.has("id=\"confirm\""), "{path}: {}", acted.body);
    }
    assert!(pages.site.handle.limits().freeze(Timestamp::now()).is_some());
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
