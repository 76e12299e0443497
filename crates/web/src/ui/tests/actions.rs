//! Tests of actions: approve, reject, reopen, several at once; and their errors.

use headwind_core::workload::Workload;

use super::site::{FORM, OWN, Pages, update, workload};
use crate::auth::Auth;

#[tokio::test]
async fn approving_without_script_and_with_it() {
    let pages = Pages::new();
    pages.fill();
    let page = pages.get("/updates/shop/cart-1/approve").await;
    assert!(page.has("<html") && page.has("name=\"seen\" value=\"1\"") && page.has("Headwind does not roll back: auto-rollback is off"));
    let done = pages.post("/updates/shop/cart-1/approve", "seen=1&reason=tested").await;
    assert_eq!((done.status, done.header("location")), (303, "/updates/shop/cart-1"), "{}", done.body);
    let shown = pages.get("/updates/shop/cart-1").await;
    assert!(shown.has("Approved") && shown.has("web-ui-user") && shown.has("approved by web-ui-user: tested"), "{}", shown.body);
    let done = pages.post_by_htmx("/updates/shop/checkout-1/approve", "seen=1&view=inbox").await;
    assert_eq!((done.status, done.header("hx-trigger")), (200, "dialog:close"), "{}", done.body);
    assert!(done.has("checkout 1.3.0 approved") && done.has("row row-done") && done.has("hx-swap-oob=\"true\""), "{}", done.body);
    assert!(!done.has("<html"));
}

#[tokio::test]
async fn the_dialog_says_when_an_approval_takes_effect() {
    let pages = Pages::new();
    pages.fill();
    let dialog = async |name: &str| pages.get(&format!("/updates/shop/{name}-1/approve")).await;
    assert!(dialog("cart").await.has("At once"));
    let now = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let updated = workload("cart", &[("policy", "minor"), ("min-update-interval", "50m"), ("last-update", &now)]);
    pages.site.workload(Workload { resource_version: "2".to_owned(), ..updated });
    let waits = dialog("cart").await;
    let message = headwind_core::reason::Reason::MinUpdateInterval.sentence();
    assert!(waits.has(message) && !waits.has("At once"), "{}", waits.body);

    let mut rolling = update("checkout", "RollingOut", 1);
    rolling.metadata.name = Some("checkout-0".to_owned());
    rolling.spec.new_image = "registry.example/team/checkout:1.2.9".to_owned();
    pages.site.request(rolling);
    let after = dialog("checkout").await;
    assert!(after.has("After the rollout of 1.2.9, which is in progress"), "{}", after.body);
    pages.site.request(update("forgotten", "Pending", 1));
    assert!(dialog("forgotten").await.has("Headwind no longer tracks the workload"));
}

#[tokio::test]
async fn a_rejection_needs_a_reason() {
    let pages = Pages::new();
    pages.fill();
    let refused = pages.post_by_htmx("/updates/shop/cart-1/reject", "seen=1&reason=+&view=table").await;
    assert!(refused.status == 422 && refused.has("A reason is required.") && refused.has("value=\"table\""), "{}", refused.body);
    let long = format!("seen=1&reason={}", "x".repeat(501));
    assert_eq!(pages.post("/updates/shop/cart-1/reject", &long).await.status, 422);
    let done = pages.post_by_htmx("/updates/shop/cart-1/reject", "seen=1&reason=needs+the+new+schema&view=table").await;
    assert!(done.status == 200 && done.has("<template><tr") && done.has("Rejected"), "{}", done.body);
    assert!(pages.get("/updates/shop/cart-1").await.has("needs the new schema"));
}

#[tokio::test]
async fn somebody_was_faster() {
    let pages = Pages::new();
    pages.fill();
    let conflict = pages.post_by_htmx("/updates/shop/api-1/approve", "seen=1").await;
    assert!(
        conflict.status == 409 && conflict.has("Already decided") && conflict.has("oncall@example.org approved it"),
        "{}",
        conflict.body
    );
    assert!(conflict.has("Your action had no effect."));
    assert_eq!(pages.get("/updates/shop/api-1/approve").await.status, 409, "nor is there a form");
    pages.site.request(update("cart", "Pending", 2));
    let changed = pages.post("/updates/shop/cart-1/approve", "seen=1").await;
    assert!(changed.status == 409 && changed.has("The update has changed since you opened it") && changed.has("<html"), "{}", changed.body);
    assert_eq!(pages.post("/updates/shop/cart-1/approve", "seen=2").await.status, 303);
    assert_eq!(pages.post("/updates/shop/missing/approve", "").await.status, 404);
}

#[tokio::test]
async fn reopening() {
    let pages = Pages::new();
    pages.fill();
    assert!(pages.get("/updates/shop/no-1").await.has("/updates/shop/no-1/reopen"));
    assert_eq!(pages.post("/updates/shop/no-1/reopen", "seen=1").await.status, 303);
    assert!(pages.get("/updates/shop/no-1").await.has("Waiting"));
    assert_eq!(pages.post("/updates/shop/old-1/reopen", "").await.status, 409, "a superseded update blocks nothing");
}

#[tokio::test]
async fn several_at_once_have_a_result_each() {
    let pages = Pages::new();
    pages.fill();
    let asked = pages.get("/updates/bulk/approve?u=shop/cart-1&u=shop/checkout-1&u=shop/done-1&view=inbox").await;
    assert!(asked.has("Approve 2 updates?") && !asked.has("shop/done-1"), "{}", asked.body);
    let done = pages.post_by_htmx("/updates/bulk/approve", "u=shop/cart-1/1&u=shop/checkout-1/7&u=shop/done-1&view=inbox").await;
    assert!(done.status == 200 && done.has("1 approved, 2 not") && done.has("changed") && done.has("already Completed"), "{}", done.body);
    assert_eq!(pages.get("/updates/shop/cart-1/approve").await.status, 409, "it was approved");
    assert_eq!(pages.post("/updates/bulk/reject", "u=shop/checkout-1").await.status, 422, "a reason is required");
    let plain = pages.post("/updates/bulk/reject", "u=shop/checkout-1&reason=no").await;
    assert!(plain.status == 200 && plain.has("1 rejected") && plain.has("<html"), "{}", plain.body);
    let many = (0..101).map(|n| format!("u=shop/x-{n}")).collect::<Vec<_>>().join("&");
    for (path, body) in [("/updates/bulk/approve", many.as_str()), ("/updates/bulk/approve", ""), ("/updates/bulk/approve", "u=x")] {
        assert_eq!(pages.post(path, body).await.status, 422, "{}", &body[..body.len().min(20)]);
    }
    assert_eq!(pages.get("/updates/bulk/reopen?u=shop/cart-1").await.status, 404);
}

/// A page of another site, and a page in a frame, cannot act.
#[tokio::test]
async fn foreign_pages_cannot_act() {
    let pages = Pages::new();
    pages.fill();
    let path = "POST /updates/shop/cart-1/approve";
    for headers in [
        &[FORM][..],
        &[FORM, ("origin", "http://evil.example")],
        &[FORM, ("sec-fetch-site", "cross-site")],
        &[FORM, ("sec-fetch-site", "same-site"), ("origin", "http://localhost:3000")],
        &[("content-type", "text/plain"), ("origin", "null")],
        &[FORM, ("origin", "http://evil.example"), ("hx-request", "true")],
    ] {
        let answer = pages.send(path, headers, "seen=1").await;
        assert!([403, 415].contains(&answer.status), "{headers:?}: {}", answer.status);
        assert!(answer.header("content-security-policy").contains("frame-ancestors 'none'"));
    }
    assert!(pages.get("/updates/shop/cart-1").await.has("Waiting"));
    assert_eq!(pages.send(path, &[FORM, OWN], "seen=1").await.status, 303);
}

/// Nobody sees a button that ends in 403, and guessing its address does not help.
#[tokio::test]
async fn who_may_not_act_sees_no_button() {
    let pages = Pages::with(Auth::open(false, false));
    pages.fill();
    let inbox = pages.get("/").await;
    assert!(inbox.has("You cannot approve updates in shop") && !inbox.has("formaction=\"/updates/shop/cart-1/approve\""), "{}", inbox.body);
    assert!(!inbox.has("type=\"checkbox\" class=\"checkbox"), "nor a checkbox");
    let detail = pages.get("/updates/shop/cart-1").await;
    assert!(!detail.has("/updates/shop/cart-1/approve") && detail.has("You cannot approve updates in shop"));
    for path in ["/updates/shop/cart-1/approve", "/updates/shop/cart-1/reject", "/workloads/shop/Deployment/cart/rollback?index=1"] {
        assert_eq!(pages.get(path).await.status, 403, "{path}");
        let acted = pages.post_by_htmx(path, "seen=1&reason=x").await;
        assert!(acted.status == 403 && acted.has("id=\"confirm\"") && acted.has("HEADWIND_UI_ANONYMOUS_ACTIONS"), "{path}: {}", acted.body);
    }
    assert_eq!(pages.post("/updates/bulk/approve", "u=shop/cart-1").await.status, 403);
}

#[tokio::test]
async fn a_rollback_needs_a_history() {
    let pages = Pages::new();
    pages.fill();
    assert_eq!(pages.get("/workloads/shop/Deployment/cart/rollback?index=1").await.status, 409);
    assert_eq!(pages.get("/workloads/shop/Deployment/cart/rollback?index=x").await.status, 422);
    assert_eq!(pages.post("/workloads/shop/Deployment/missing/rollback", "index=1").await.status, 404);
}
