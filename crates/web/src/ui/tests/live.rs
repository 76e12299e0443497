//! Tests of the rows that pages fetch again, and of the events of streams.

use std::time::Duration;

use axum::body::Body;
use http_body_util::BodyExt as _;

use super::site::{ANN, Pages, update};
use crate::ui::hub::id;

#[tokio::test]
async fn a_row_is_fetched_in_its_view() {
    let pages = Pages::new();
    pages.fill();
    let row = pages.htmx("/updates/shop/cart-1/row?view=inbox", "u-x").await;
    let identity = id("shop", "cart-1");
    assert!(
        row.body.starts_with(&format!("<li class=\"row\" id=\"u-{identity}\"")) && row.has(&format!("sse:u-{identity}, sse:resync")),
        "{}",
        row.body
    );
    assert!(pages.htmx("/updates/shop/cart-1/row?view=table", "u-x").await.body.starts_with("<tr"));
    assert!(pages.htmx("/updates/shop/web-1/row?view=moving", "u-x").await.has("3 of 6 new pods available"));
    assert!(pages.htmx("/updates/shop/broken-1/row?view=trouble", "u-x").await.has("back-off restarting"));
    pages.site.request(update("cart", "Rejected", 2));
    let decided = pages.htmx("/updates/shop/cart-1/row?view=inbox", "u-x").await;
    assert!(decided.has("row row-done") && decided.has("by ann"), "{}", decided.body);
    pages.site.request(update("checkout", "Failed", 2));
    for view in ["inbox", "moving"] {
        let failed = pages.htmx(&format!("/updates/shop/checkout-1/row?view={view}"), "u-x").await;
        let cause = "<p class=\"evidence\">pod checkout-1: back-off restarting failed container</p>";
        assert!(failed.has(cause) && failed.has("Failed"), "{view}: {}", failed.body);
    }
    pages.site.request(update("web", "Completed", 2));
    let completed = pages.htmx("/updates/shop/web-1/row?view=moving", "u-x").await;
    assert!(completed.has("Completed") && !completed.has("evidence"), "{}", completed.body);
    let gone = pages.htmx("/updates/shop/missing/row?view=inbox", "u-x").await;
    assert_eq!((gone.status, gone.header("hx-reswap")), (404, "none"));
}

#[tokio::test]
async fn new_updates_are_counted_by_the_filter_of_the_page() {
    let pages = Pages::new();
    pages.fill();
    // The hub must run before it receives changes.
    tokio::time::sleep(Duration::from_millis(50)).await;
    let page = pages.get("/").await;
    let version = page.body.split("/events?v=").nth(1).and_then(|rest| rest.split('"').next()).unwrap().to_owned();
    for name in ["new-1", "new-2"] {
        pages.site.request(update(name, "Pending", 1));
    }
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(pages.get(&format!("/updates/news?list=inbox&v={version}")).await.has("2 new updates"));
    assert!(pages.get(&format!("/updates/news?list=inbox&v={version}&q=new-2")).await.has("1 new update"));
    assert_eq!(pages.get(&format!("/updates/news?list=inbox&v={version}&q=other")).await.body, "");
    assert!(pages.get("/updates/news?list=inbox&v=1-1").await.has("New updates"));
}

/// Reads a stream until it has said that.
async fn until(body: &mut Body, what: &str) -> String {
    let mut said = String::new();
    let heard = tokio::time::timeout(Duration::from_secs(10), async {
        while !said.contains(what) {
            let frame = body.frame().await.unwrap().unwrap();
            said.push_str(&String::from_utf8_lossy(frame.data_ref().unwrap()));
        }
    });
    assert!(heard.await.is_ok(), "{what:?} is missing from {said:?}");
    said
}

fn last_id(said: &str) -> String {
    said.lines().filter_map(|line| line.strip_prefix("id: ")).next_back().unwrap().to_owned()
}

#[tokio::test]
async fn a_stream_has_hints_and_counts_and_catches_up() {
    let pages = Pages::new();
    pages.fill();
    tokio::time::sleep(Duration::from_millis(50)).await;
    let (headers, mut body) = pages.open("/events?v=1-1", &[]).await;
    assert_eq!((headers["content-type"].as_bytes(), headers["x-accel-buffering"].as_bytes()), (&b"text/event-stream"[..], &b"no"[..]));
    let begin = until(&mut body, "event: counts").await;
    assert!(begin.contains("retry: 2000") && begin.contains("event: hello") && begin.contains("event: resync"), "{begin}");
    pages.site.request(update("cart", "Rejected", 2));
    let said = until(&mut body, "event: counts").await;
    assert!(said.contains(&format!("event: u-{}", id("shop", "cart-1"))) && said.contains("id=\"nav-waiting\""), "{said}");
    assert!(said.contains("event: tiles") && said.contains("id=\"waiting\""), "{said}");
    assert!(!said.contains("event: news") && !said.contains("registry.example"), "hints, not data: {said}");
    let position = last_id(&said);
    drop(body);

    // The events from a time without a listener.
    pages.site.request(update("checkout", "Rejected", 2));
    pages.site.request(update("brand-new", "Pending", 1));
    tokio::time::sleep(Duration::from_millis(50)).await;
    for (path, headers) in
        [("/events?v=1-1".to_owned(), vec![("last-event-id", position.as_str())]), (format!("/events?v=1-1&last={position}"), vec![])]
    {
        let (_, mut body) = pages.open(&path, &headers).await;
        let said = until(&mut body, "event: news").await;
        assert!(said.contains(&id("shop", "checkout-1")) && !said.contains("resync"), "{said}");
    }
}

#[tokio::test]
async fn a_page_learns_that_kubernetes_does_not_respond() {
    let pages = Pages::new();
    pages.fill();
    let page = pages.get("/").await;
    assert!(page.has("<div id=\"banner\" sse-swap=\"banner\"></div>"), "{}", page.body);
    let (_, mut body) = pages.open("/events?v=1-1", &[]).await;
    until(&mut body, "event: hello").await;
    pages.site.watch_fails();
    let said = until(&mut body, "Kubernetes is not responding.").await;
    assert!(said.contains("event: banner") && said.contains("Nothing can be approved or rejected now"), "{said}");
    assert!(pages.get("/updates").await.has("Kubernetes is not responding."));
    pages.site.watch_works();
    let said = until(&mut body, "event: banner").await;
    assert!(!said.contains("Kubernetes is not responding."), "{said}");
    until(&mut body, "event: resync").await;
    pages.site.handle.expect("watch deployments.apps");
    assert!(until(&mut body, "Headwind is not ready.").await.contains("watch deployments.apps"));
}

/// The stream stays open, so the page does not say that it reconnects.
#[tokio::test]
async fn a_stream_waits_until_the_permissions_are_known() {
    let (fake, pages) = Pages::unreviewed().await;
    pages.fill();
    tokio::time::sleep(Duration::from_millis(50)).await;
    let (_, mut body) = pages.open("/events?v=1-1", &[ANN]).await;
    let said = until(&mut body, "Kubernetes is not responding.").await;
    pages.site.request(update("cart", "Rejected", 2));
    fake.namespaces.lock().insert("shop".to_owned());
    fake.allow("ann list updaterequests shop");
    fake.fail(false);
    let later = until(&mut body, "event: resync").await;
    for said in [&said, &later] {
        assert!(!said.contains("event: u-") && !said.contains("event: counts") && !said.contains("event: news"), "{said}");
    }
    assert!(until(&mut body, "event: counts").await.contains("1 update waiting for you"));
}
