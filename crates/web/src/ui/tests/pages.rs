//! Tests of the content of pages, and of what all pages have in common.

use std::collections::BTreeSet;
use std::time::Instant;

use axum::body::to_bytes;
use serde_json::json;

use super::site::{ANN, Pages, read, update, workload};
use crate::auth::Auth;
use crate::ui::assets::{Asset, FIRST_VISIT};

const PAGES: &[&str] = &[
    "/",
    "/?q=cart&sort=name",
    "/updates",
    "/updates?phase=Failed&phase=RolledBack&since=7d",
    "/updates/shop/cart-1",
    "/updates/shop/web-1",
    "/updates/shop/broken-1",
    "/updates/shop/back-1",
    "/updates/shop/no-1",
    "/updates/shop/late-1",
    "/updates/shop/cart-1/approve",
    "/updates/shop/cart-1/reject",
    "/updates/shop/no-1/reopen",
    "/updates/bulk/approve?u=shop/cart-1&u=shop/checkout-1",
    "/freeze",
    "/workloads",
    "/workloads?state=invalid",
    "/workloads/shop/Deployment/cart",
    "/workloads/shop/Deployment/faulty",
    "/observability?range=1h",
    "/observability?range=30d",
    "/settings",
];

/// The values of an attribute.
fn values<'a>(page: &'a str, attribute: &str) -> impl Iterator<Item = &'a str> {
    let start = format!(" {attribute}=\"");
    page.match_indices(&start)
        .map(|(at, _)| at)
        .collect::<Vec<_>>()
        .into_iter()
        .filter_map(move |at| page[at + start.len()..].split('"').next())
}

/// The page without the template of the help.
fn visible(page: &str) -> &str {
    page.split("<template id=\"help\">").next().unwrap()
}

#[tokio::test]
async fn every_page_is_there_and_has_what_every_page_needs() {
    let pages = Pages::new();
    pages.fill();
    for path in PAGES {
        let answer = pages.get(path).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        assert!(answer.header("content-type").starts_with("text/html"), "{path}");
        assert!(answer.header("content-security-policy").contains("script-src 'self'"), "{path}");
        assert_eq!((answer.header("x-content-type-options"), answer.header("cache-control")), ("nosniff", "no-store"), "{path}");
        let page = visible(&answer.body);
        assert_eq!(page.matches("<h1").count(), 1, "{path}");
        assert!(!answer.has(" style=") && !answer.has(" onclick=") && !answer.has("<script>"), "{path}");
        assert!(!answer.has("http://") || *path == "/", "{path} names another host");
        let ids: Vec<&str> = values(page, "id").collect();
        let unique: BTreeSet<&str> = ids.iter().copied().collect();
        assert_eq!(ids.len(), unique.len(), "{path}: {ids:?}");
        for reference in ["aria-labelledby", "aria-describedby"].into_iter().flat_map(|name| values(page, name).collect::<Vec<_>>()) {
            assert!(unique.contains(reference) || reference == "dialog-title", "{path}: {reference}");
        }
        assert!(answer.body.len() <= 100 * 1024, "{path}: {} bytes", answer.body.len());
    }
}

/// With a full list of waiting updates.
#[tokio::test]
async fn a_first_visit_is_small() {
    let pages = Pages::new();
    pages.fill();
    for n in 0..40 {
        let name = format!("a-service-with-a-long-name-{n}");
        pages.site.workload(workload(&name, &[("policy", "minor")]));
        pages.site.request(update(&name, "Pending", 1));
    }
    let plain = pages.get("/").await;
    assert!(plain.header("content-encoding").is_empty() && plain.has("42 updates waiting for you"));
    let (headers, body) = pages.open("/", &[("accept-encoding", "gzip, deflate, br")]).await;
    let page = to_bytes(body, 1 << 20).await.unwrap().len();
    assert_eq!((headers["content-encoding"].as_bytes(), headers["vary"].as_bytes()), (&b"gzip"[..], &b"accept-encoding"[..]));
    assert!(headers.contains_key("content-security-policy") && headers["cache-control"] == "no-store", "{headers:?}");
    let all = page + FIRST_VISIT.iter().map(Asset::size).sum::<usize>();
    assert!(all <= 60_000, "a first visit loads {all} bytes, the page alone {page} of {}", plain.body.len());
    let (headers, _) = pages.open("/events?v=1-1", &[("accept-encoding", "gzip")]).await;
    assert!(!headers.contains_key("content-encoding"), "a stream is not compressed");
}

/// A class that no rule styles is a sign of a style sheet that was not built again: run `make ui`.
#[tokio::test]
async fn the_style_sheet_has_every_class_of_every_page() {
    const HOOKS: &[&str] = &["chosen", "s-warn", "area"];
    let sheet = include_str!("../../../assets/app.css");
    let pages = Pages::new();
    pages.fill();
    let mut missing = BTreeSet::new();
    for path in PAGES.iter().chain(&["/nowhere", "/updates?phase=Lost"]) {
        let answer = pages.get(path).await;
        for class in values(&answer.body, "class").flat_map(str::split_whitespace) {
            let escaped: String = class
                .chars()
                .flat_map(|letter| if letter.is_ascii_alphanumeric() || "-_".contains(letter) { vec![letter] } else { vec!['\\', letter] })
                .collect();
            if !sheet.contains(&format!(".{escaped}")) && !HOOKS.contains(&class) {
                missing.insert(class.to_owned());
            }
        }
    }
    assert!(missing.is_empty(), "the style sheet lacks {missing:?}; run `make ui`");
}

#[tokio::test]
async fn every_icon_is_in_the_sprite() {
    let sprite = include_str!("../../../assets/icons.svg");
    let pages = Pages::new();
    pages.fill();
    for path in PAGES {
        let answer = pages.get(path).await;
        for icon in values(&answer.body, "href").filter_map(|href| href.strip_prefix("/assets/icons.")?.split_once('#')) {
            assert!(sprite.contains(&format!("id=\"{}\"", icon.1)), "{path}: icon {}", icon.1);
        }
    }
}

#[tokio::test]
async fn the_dashboard_says_what_waits() {
    let pages = Pages::new();
    pages.fill();
    let answer = pages.get("/").await;
    assert!(answer.has("<title>(2) Dashboard · Headwind</title>") && answer.has("2 updates waiting for you"), "{}", answer.body);
    assert!(answer.has("3 of 6 new pods available"), "what rolls out");
    assert!(answer.has("pod broken-1: back-off restarting failed container"), "the message of the pod");
    assert!(answer.has("aria-label=\"Approve cart 1.3.0\"") && answer.has("no auto-rollback"));
    let filtered = pages.get("/?q=checkout").await;
    assert!(filtered.has("Approve checkout") && !filtered.has("Approve cart"));
    let none = pages.get("/?q=nothing-like-this").await;
    assert!(none.has("No entry matches “nothing-like-this”") && none.has("Show all 2"));
}

#[tokio::test]
async fn lists_are_empty_in_different_ways() {
    let pages = Pages::new();
    let first = pages.get("/").await;
    assert!(first.has("<h1>Nothing is tracked yet</h1>") && first.has("hx-trigger=\"sse:news, sse:resync\""), "{}", first.body);
    for path in ["/updates", "/updates?q=x", "/workloads", "/workloads?q=x"] {
        let page = pages.get(path).await;
        assert!(page.has("Nothing is tracked yet.") && !page.has("Show all") && !page.has("No entry matches"), "{path}: {}", page.body);
    }
    // The rows of all workloads are cached for two seconds.
    let pages = Pages::new();
    pages.site.workload(workload("web", &[("policy", "minor")]));
    assert!(pages.get("/").await.has("Nothing waits for you"));
    for path in ["/updates", "/updates?q=zzz"] {
        let page = pages.get(path).await;
        assert!(page.has("There are no updates yet.") && !page.has("Show all"), "{path}: {}", page.body);
    }
    let found = pages.get("/workloads?q=zzz").await;
    assert!(found.has("No entry matches “zzz”.") && found.has("Show all 1"), "{}", found.body);
    pages.site.request(update("web", "Pending", 1));
    assert!(pages.get("/updates?q=zzz").await.has("No entry matches “zzz”."));
    for (path, all) in [("/?page=2", "href=\"/\">Show all 1"), ("/updates?page=2", "href=\"/updates\">Show all 1")] {
        let beyond = pages.get(path).await;
        assert!(beyond.has("The list has no page 2.") && beyond.has(all), "{path}: {}", beyond.body);
    }
}

#[tokio::test]
async fn who_may_list_nothing_reads_which_permission_is_missing() {
    let (fake, pages) = Pages::reviewed();
    pages.fill();
    fake.namespaces.lock().extend(["shop".to_owned(), "pay".to_owned()]);
    fake.knows("t-bob", "bob");
    fake.allow("bob list updaterequests pay");
    for path in ["/", "/?q=x", "/updates", "/updates?q=x", "/workloads", "/workloads?q=x"] {
        let page = pages.send(&format!("GET {path}"), &[ANN], "").await;
        assert!(page.has("<h1>You cannot list updates</h1>") && page.has("kubectl auth can-i list updaterequests.headwind.sh"), "{path}");
        for other in ["Nothing is tracked", "no updates yet", "No entry matches", "Nothing waits", "No updates waiting"] {
            assert!(!page.has(other), "{path} says {other}");
        }
    }
    for path in ["/", "/updates", "/workloads"] {
        let page = pages.send(&format!("GET {path}"), &[("authorization", "Bearer t-bob")], "").await;
        assert!(page.has("Nothing is tracked in the namespaces that you may list") && !page.has("You cannot list"), "{path}");
    }
}

#[tokio::test]
async fn without_an_answer_about_permissions_no_page_says_that_nothing_waits() {
    let (_, pages) = Pages::unreviewed().await;
    pages.fill();
    for (path, things) in [("/", "updates"), ("/?q=x", "updates"), ("/updates", "updates"), ("/workloads", "workloads")] {
        let page = pages.send(&format!("GET {path}"), &[ANN], "").await;
        let says = format!("<h1>Headwind cannot check which {things} you may see, because Kubernetes does not respond.</h1>");
        assert!(page.has(&says) && page.has("Kubernetes is not responding.") && page.has("sse-connect"), "{path}: {}", page.body);
        for other in
            ["No updates waiting", "Nothing waits", "tracks 0", "Nothing is tracked", "no updates yet", "You cannot list", "id=\"tiles\""]
        {
            assert!(!page.has(other), "{path} says {other}");
        }
    }
    let update = pages.send("GET /updates/shop/cart-1", &[ANN], "").await;
    assert!(update.status == 503 && update.has("<h1>Kubernetes is not responding</h1>") && !update.has("Not allowed"), "{}", update.body);
}

#[tokio::test]
async fn nobody_can_decide_while_kubernetes_does_not_respond() {
    const DISABLED: &str = "disabled title=\"Kubernetes is not responding\">Approve</button>";
    let pages = Pages::new();
    pages.fill();
    assert!(!pages.get("/").await.has(" disabled"));
    pages.site.watch_fails();
    let page = pages.get("/").await;
    assert_eq!(page.body.matches(DISABLED).count(), 2, "{}", page.body);
    assert!(page.has("data-down=\"Kubernetes is not responding\""));
    assert!(pages.htmx("/updates/shop/cart-1/row?view=inbox", "u-x").await.has(DISABLED));
    pages.site.watch_works();
    assert!(!pages.get("/").await.has(" disabled"));

    // Who may not approve reads that.
    let pages = Pages::with(Auth::open(false, false));
    pages.fill();
    pages.site.watch_fails();
    let page = pages.get("/").await;
    assert!(page.has("You cannot approve updates in shop") && !page.has(DISABLED), "{}", page.body);
}

/// A link opens as many updates as it says.
#[tokio::test]
async fn phases_are_counted_within_the_filter() {
    let pages = Pages::new();
    pages.fill();
    pages.site.workload(workload("direct", &[("policy", "minor"), ("require-approval", "false")]));
    let mut direct = update("direct", "Pending", 1);
    direct.spec.require_approval = false;
    pages.site.request(direct);
    let tile = pages.get("/").await;
    assert!(
        tile.has("href=\"/updates?state=waiting\"") && tile.has("<span class=\"tile-n\">2</span><span>waiting</span>"),
        "{}",
        tile.body
    );
    let all = pages.get("/updates").await;
    for segment in
        ["All<span>11</span>", "Waiting<span>2</span>", "Rolling out<span>2</span>", "Failed<span>2</span>", "Closed<span>3</span>"]
    {
        assert!(all.has(segment), "{segment}: {}", all.body);
    }
    assert!(all.has(">direct</a>"));
    assert!(pages.get("/updates?phase=Pending").await.has("1–3 of 3"), "as in the API");
    let waiting = pages.get("/updates?state=waiting").await;
    assert!(waiting.has("1–2 of 2") && waiting.has(">cart</a>") && !waiting.has(">direct</a>"), "{}", waiting.body);
    let filtered = pages.get("/updates?q=cart").await;
    for segment in ["All<span>1</span>", "Waiting<span>1</span>", "Completed<span>0</span>", "Failed<span>0</span>"] {
        assert!(filtered.has(segment), "{segment}: {}", filtered.body);
    }
}

#[tokio::test]
async fn the_number_of_matches_is_announced() {
    let pages = Pages::new();
    pages.fill();
    for (path, says) in [
        ("/updates?q=cart", "1 update matches"),
        ("/updates?q=nothing-like-this", "No updates match"),
        ("/?q=c", "2 updates match"),
        ("/workloads?q=cart", "1 workload matches"),
    ] {
        let plain = pages.get(path).await;
        assert!(plain.has("<p id=\"found\" class=\"sr-only\" role=\"status\"></p>") && !plain.has(says), "{path}");
        let part = pages.htmx(path, "list").await;
        assert!(part.has(&format!("<p id=\"found\" hx-swap-oob=\"innerHTML\">{says}</p>")), "{path}: {}", part.body);
        assert!(!pages.htmx(path, "main").await.has(says), "{path}: no list is replaced");
    }
}

#[tokio::test]
async fn only_pages_that_follow_the_stream_say_that_they_are_live() {
    let pages = Pages::new();
    pages.fill();
    for (path, is_live) in [
        ("/", true),
        ("/updates", true),
        ("/updates/shop/cart-1", true),
        ("/workloads", false),
        ("/workloads/shop/Deployment/cart", false),
        ("/observability", false),
        ("/settings", false),
    ] {
        let page = pages.get(path).await;
        assert!(page.has("id=\"live\" role=\"status\"") && page.has("<div hidden sse-swap=\"counts\"></div>"), "{path}");
        assert_eq!(page.has("<span id=\"live-word\">Connecting</span>"), is_live, "{path}");
        assert_eq!(page.has("data-open=\"As of "), !is_live, "{path}");
    }
}

#[tokio::test]
async fn what_does_not_exist() {
    let pages = Pages::new();
    pages.fill();
    for path in [
        "/?colour=red",
        "/updates?phase=Lost",
        "/updates?page=0",
        "/workloads?state=lost",
        "/observability?range=1y",
        "/updates/shop/cart-1/row?view=x",
        "/workloads/shop/Deployment/cart?verdict=x",
    ] {
        assert_eq!(pages.get(path).await.status, 422, "{path}");
    }
    for path in [
        "/nowhere",
        "/updates/shop/missing",
        "/updates/other/cart-1",
        "/updates/shop/cart-1/destroy",
        "/workloads/shop/Pod/cart",
        "/workloads/shop/Deployment/missing",
        "/assets/app.css",
    ] {
        let answer = pages.get(path).await;
        assert_eq!(answer.status, 404, "{path}");
        assert!(answer.header("content-security-policy").contains("default-src 'none'"), "{path}");
    }
    assert_eq!(
        pages.send("DELETE /updates", &[("sec-fetch-site", "same-origin"), ("content-type", "application/json")], "").await.status,
        405
    );
    assert_eq!(pages.send("GET /", &[("host", "rebind.evil.example")], "").await.status, 421);
}

/// Text from outside never becomes HTML.
#[tokio::test]
async fn hostile_text_stays_text() {
    const EVIL: &str = "<img src=x onerror=alert(1)>\"'><script>alert(2)</script>";
    let pages = Pages::new();
    pages.site.workload(workload("web", &[("policy", EVIL), ("auto-rollback", EVIL)]));
    for (place, phase) in ["Pending", "RollingOut", "Failed", "Rejected"].into_iter().enumerate() {
        let mut value = serde_json::to_value(update("web", phase, 1)).unwrap();
        value["metadata"]["name"] = json!(format!("web-{place}"));
        value["metadata"]["uid"] = json!(format!("uid-{place}"));
        for field in ["currentImage", "newImage", "containerName", "reason"] {
            value["spec"][field] = json!(EVIL);
        }
        for field in ["message", "approvedBy", "rejectedBy"] {
            value["status"][field] = json!(EVIL);
        }
        if phase == "Failed" {
            value["status"]["rollout"] = json!({"startedAt": "2026-11-28T10:00:00Z", "progressedAt": "2026-11-28T10:00:00Z", "failureReason": "CrashLoopBackOff", "failureMessage": EVIL});
        }
        pages.site.request(read(value));
    }
    let query = form_urlencoded::Serializer::new(String::new()).append_pair("q", EVIL).finish();
    let mut paths = vec![
        "/".to_owned(),
        "/updates".to_owned(),
        "/workloads".to_owned(),
        "/workloads/shop/Deployment/web".to_owned(),
        format!("/updates?{query}"),
        format!("/?{query}"),
    ];
    paths.extend((0..4).flat_map(|place| ["", "/approve", "/reject", "/reopen"].map(|end| format!("/updates/shop/web-{place}{end}"))));
    for path in paths {
        let answer = pages.send(&format!("GET {path}"), &[("cookie", "theme=\"><script>alert(3)</script>")], "").await;
        assert!(!answer.has("<img") && !answer.has("<script>") && !answer.has("onerror=alert(1)>\""), "{path}: {}", answer.body);
    }
}

/// The page is as large, and as fast, with 10,000 requests.
#[tokio::test]
async fn ten_thousand_requests() {
    let pages = Pages::new();
    for n in 0..10_000_u32 {
        let phase = ["Pending", "Completed", "Failed", "Superseded", "Rejected"][n as usize % 5];
        pages.site.request(update(&format!("service-{n}"), phase, 1));
    }
    for path in ["/", "/updates", "/updates?q=service-999&sort=name&page=2"] {
        pages.get(path).await;
        let begun = Instant::now();
        let answer = pages.get(path).await;
        let took = begun.elapsed();
        assert_eq!(answer.status, 200);
        assert!(answer.body.len() <= 100 * 1024, "{path}: {} bytes", answer.body.len());
        // A debug build on a machine that does other work. A release build takes some milliseconds.
        assert!(took.as_millis() < 1_500, "{path}: {took:?}");
    }
    assert!(pages.get("/updates").await.has("1–20 of 10000"));
}

#[tokio::test]
async fn preferences_come_from_cookies() {
    let pages = Pages::new();
    let answer = pages.send("GET /settings", &[("cookie", "theme=dark; density=compact; keys=off")], "").await;
    assert!(answer.has("data-theme=\"dark\"") && answer.has("data-density=\"compact\""));
    assert!(answer.has("set by HEADWIND_WEBHOOK_SECRET") && answer.has("stored, not shown") && answer.has("not set"));
    let saved = pages.post("/preferences", "theme=light").await;
    assert_eq!((saved.status, saved.header("location")), (303, "/settings#you"));
}

/// The form keeps what it has no control for, also after the list was replaced.
#[tokio::test]
async fn filters_keep_phases_and_order() {
    let pages = Pages::new();
    pages.fill();
    let answer = pages.get("/updates?phase=Failed&phase=RolledBack&sort=name").await;
    for kept in ["name=\"phase\" value=\"Failed\"", "name=\"phase\" value=\"RolledBack\""] {
        assert!(answer.has(&format!("<input type=\"hidden\" form=\"filters\" {kept}>")), "{kept}");
    }
    assert!(pages.get("/workloads?sort=name").await.has("<input type=\"hidden\" form=\"filters\" name=\"sort\" value=\"name\">"));
    for path in ["/?sort=name", "/updates?sort=name"] {
        assert!(!pages.get(path).await.has("form=\"filters\" name=\"sort\""), "{path} has a control");
    }
}

/// The control shows the order of the table, also after a column header changed it.
#[tokio::test]
async fn updates_are_sorted_by_a_control_and_by_headers() {
    let pages = Pages::new();
    pages.fill();
    for sort in ["", "changed", "namespace", "name", "-name"] {
        let page = pages.get(&format!("/updates?sort={sort}")).await;
        assert!(page.has(&format!("<option value=\"{sort}\" selected>")), "{sort:?}");
        assert!(page.has("hx-select-oob=\"#segments,#filters\""), "{sort:?}");
    }
}

/// The page says that a source does not answer, and shows the figures of the process.
#[tokio::test]
async fn observability_falls_back_to_the_process() {
    use crate::ui::source::{MetricsSource, Prometheus};
    let source = MetricsSource::Prometheus(Prometheus::new("http://127.0.0.1:9", "").unwrap());
    let page = Pages::of(Auth::open(false, true), source).get("/observability").await;
    assert!(page.status == 200 && page.has("Prometheus at 127.0.0.1:9 did not answer") && page.has("failed to connect"), "{}", page.body);
    assert!(page.has("From the metrics of this process") && page.has("updates applied"));
    let own = Pages::new().get("/observability").await;
    assert!(!own.has("did not answer") && own.has("From the metrics of this process"));
}
