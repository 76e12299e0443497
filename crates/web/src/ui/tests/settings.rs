//! Tests of the settings form: what can be changed and by which users, and the messages.

use std::sync::Arc;

use axum::Router;
use axum::http::StatusCode;
use headwind_operator::notify;
use serde_json::Value;

use super::site::{FORM, OWN, Pages};
use crate::auth::fake::Fake;
use crate::auth::{Auth, Reviews, TokenSettings};

/// The value of a hidden field of the form of a section.
fn hidden(page: &str, section: &str, name: &str) -> String {
    let form = page.split(&format!("id=\"{section}\"")).nth(1).unwrap().split("</form>").next().unwrap();
    let field = form.split(&format!("name=\"{name}\" value=\"")).nth(1).unwrap();
    field.split('"').next().unwrap().to_owned()
}

fn form(page: &str, section: &str, fields: &str) -> String {
    let version = |name: &str| hidden(page, section, name);
    format!("section={section}&config-map={}&secret={}&{fields}", version("config-map"), version("secret"))
}

fn data<'a>(object: &'a Value, name: &str) -> Option<&'a str> {
    object["data"][name].as_str()
}

#[tokio::test]
async fn a_save_creates_the_config_map_and_then_changes_its_entry_alone() {
    let pages = Pages::new();
    let page = pages.get("/settings").await.body;
    let saved = pages.post("/settings", &form(&page, "polling", "HEADWIND_POLLING_INTERVAL=60")).await;
    assert!(saved.status == 200 && saved.has("HEADWIND_POLLING_INTERVAL: 300 → 60"), "{}", saved.body);
    let object = pages.site.own_object("configmaps/headwind").unwrap();
    assert_eq!(data(&object, "HEADWIND_POLLING_INTERVAL"), Some("60"));
    // The page that is shown after it can be saved again.
    let again = pages.post("/settings", &form(&saved.body, "slack", "SLACK_CHANNEL=%23ops&SLACK_WEBHOOK_URL=")).await;
    assert_eq!(again.status, 200, "{}", again.body);
    let object = pages.site.own_object("configmaps/headwind").unwrap();
    assert_eq!((data(&object, "HEADWIND_POLLING_INTERVAL"), data(&object, "SLACK_CHANNEL")), (Some("60"), Some("#ops")));
    let removed = pages.post("/settings", &form(&again.body, "polling", "HEADWIND_POLLING_INTERVAL=")).await;
    assert_eq!(removed.status, 200);
    assert_eq!(data(&pages.site.own_object("configmaps/headwind").unwrap(), "HEADWIND_POLLING_INTERVAL"), None);
    assert!(pages.site.own_object("secrets/headwind").is_none(), "no secret was typed");
}

#[tokio::test]
async fn a_conflict_keeps_what_was_typed() {
    let pages = Pages::new();
    let page = pages.get("/settings").await.body;
    pages.post("/settings", &form(&page, "polling", "HEADWIND_POLLING_INTERVAL=60")).await;
    let late = pages.post("/settings", &form(&page, "polling", "HEADWIND_POLLING_INTERVAL=90")).await;
    assert_eq!(late.status, 409);
    assert!(late.has("Somebody else changed") && late.has("value=\"90\"") && late.has("Stored: 60"), "{}", late.body);
    assert_eq!(data(&pages.site.own_object("configmaps/headwind").unwrap(), "HEADWIND_POLLING_INTERVAL"), Some("60"));
    let second = pages.post("/settings", &form(&late.body, "polling", "HEADWIND_POLLING_INTERVAL=90")).await;
    assert_eq!(second.status, 200);
}

#[tokio::test]
async fn a_bad_value_is_told_at_its_field_and_not_saved() {
    let pages = Pages::new();
    let page = pages.get("/settings").await.body;
    let bad = pages.post("/settings", &form(&page, "polling", "HEADWIND_POLLING_INTERVAL=soon")).await;
    assert_eq!(bad.status, 422);
    assert!(bad.has("must be a number of seconds") && bad.has("value=\"soon\""), "{}", bad.body);
    let described = "aria-describedby=\"d-HEADWIND_POLLING_INTERVAL e-HEADWIND_POLLING_INTERVAL\" aria-invalid=\"true\" autofocus";
    assert!(bad.has(described) && bad.has("id=\"e-HEADWIND_POLLING_INTERVAL\""), "{}", bad.body);
    assert_eq!(bad.body.matches(" autofocus").count(), 1, "{}", bad.body);
    assert!(pages.site.own_object("configmaps/headwind").is_none());
}

#[tokio::test]
async fn a_secret_goes_to_the_secret_and_is_never_shown() {
    let pages = Pages::new();
    let page = pages.get("/settings").await.body;
    let saved = pages.post("/settings", &form(&page, "slack", "SLACK_CHANNEL=&SLACK_WEBHOOK_URL=https%3A%2F%2Fslack.example%2Fabc")).await;
    assert_eq!(saved.status, 200, "{}", saved.body);
    let object = pages.site.own_object("secrets/headwind").unwrap();
    // Base64 of the URL.
    assert_eq!(data(&object, "SLACK_WEBHOOK_URL"), Some("aHR0cHM6Ly9zbGFjay5leGFtcGxlL2FiYw=="));
    for shown in [&saved.body, &pages.get("/settings").await.body] {
        assert!(!shown.contains("slack.example") && shown.contains("stored, not shown"));
    }
    let kept = pages.post("/settings", &form(&saved.body, "slack", "SLACK_CHANNEL=&SLACK_WEBHOOK_URL=")).await;
    assert!(kept.has("Nothing was changed"), "{}", kept.body);
    let removed = pages.post("/settings", &form(&kept.body, "slack", "SLACK_WEBHOOK_URL=&remove%3ASLACK_WEBHOOK_URL=on")).await;
    assert!(removed.has("SLACK_WEBHOOK_URL: removed"), "{}", removed.body);
    assert_eq!(data(&pages.site.own_object("secrets/headwind").unwrap(), "SLACK_WEBHOOK_URL"), None);
}

#[tokio::test]
async fn a_fixed_setting_has_no_field_and_cannot_be_sent() {
    let pages = Pages::new();
    let page = pages.get("/settings").await;
    assert!(!page.has("name=\"HEADWIND_POLLING_ENABLED\"") && page.has("set by HEADWIND_POLLING_ENABLED"));
    let sent = pages.post("/settings", &form(&page.body, "polling", "HEADWIND_POLLING_ENABLED=false&HEADWIND_IDENTITY=x")).await;
    assert!(sent.has("Nothing was changed"), "{}", sent.body);
}

#[tokio::test]
async fn without_the_permission_the_page_is_read_only_and_names_it() {
    let fake = Arc::new(Fake::default());
    fake.knows("t", "ann");
    let reviews: Arc<dyn Reviews> = Arc::clone(&fake) as _;
    let pages = Pages::with(Auth::token(TokenSettings::default(), &reviews));
    let ann = ("authorization", "Bearer t");
    let page = pages.send("GET /settings", &[ann], "").await;
    assert!(!page.has("name=\"HEADWIND_POLLING_INTERVAL\"") && !page.has("btn-primary btn-sm\">Save</button>"), "{}", page.body);
    assert!(page.has("create configmaps in namespace hw") && page.has("kubectl auth can-i create configmaps --namespace=hw"));
    let body = "section=polling&config-map=none&secret=none&HEADWIND_POLLING_INTERVAL=60";
    assert_eq!(pages.send("POST /settings", &[ann, FORM, OWN], body).await.status, 403);
    assert!(pages.site.own_object("configmaps/headwind").is_none());
    // Another site cannot send the form, with or without the permission.
    fake.allow("ann create configmaps hw");
    let foreign = pages.send("POST /settings", &[ann, FORM, ("sec-fetch-site", "cross-site")], body).await;
    assert_eq!(foreign.status, 403);
    let own = pages.send("POST /settings", &[ann, FORM, OWN], body).await;
    assert_eq!(own.status, 200, "{}", own.body);
}

/// Enables Slack, with a receiver that answers like this.
async fn slack(pages: &Pages, status: StatusCode, answer: &'static str) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/services/canarycanary", listener.local_addr().unwrap());
    let receiver = Router::new().fallback(move || std::future::ready((status, answer)));
    tokio::spawn(async move { axum::serve(listener, receiver).await });
    let value = |name: &str| match name {
        "SLACK_ENABLED" => Some("true".to_owned()),
        "SLACK_WEBHOOK_URL" => Some(url.clone()),
        _ => None,
    };
    pages.site.notifications(notify::Settings::read(value).unwrap());
}

const TEST: &str = "/settings/notifications/slack/test";

#[tokio::test]
async fn a_test_shows_what_the_receiver_answers_and_keeps_what_was_typed() {
    let pages = Pages::new();
    let page = pages.get("/settings").await.body;
    assert!(!page.contains("Send test message"), "no channel is enabled");
    assert_eq!(pages.post(TEST, "").await.status, 409);
    slack(&pages, StatusCode::OK, "<b>ok</b>").await;
    let page = pages.get("/settings").await.body;
    assert_eq!(page.matches("Send test message").count(), 1);
    assert!(page.contains("formaction=\"/settings/notifications/slack/test\""), "{page}");
    let tested = pages.post(TEST, &form(&page, "slack", "SLACK_CHANNEL=%23new&SLACK_WEBHOOK_URL=")).await;
    assert!(tested.status == 200 && tested.has("200 OK: &lt;b&gt;ok&lt;/b&gt;") && tested.has("value=\"#new\""), "{}", tested.body);
    let beside = tested.body.split("Send test message</button>").nth(1).unwrap();
    assert!(beside.starts_with("<p class=\"hint tone-good text-tone\"") && beside.contains("Delivered in "), "{beside}");
    assert!(pages.site.own_object("configmaps/headwind").is_none(), "a test saves nothing");
    slack(&pages, StatusCode::NOT_FOUND, "no_team").await;
    let refused = pages.post(TEST, "").await;
    assert!(refused.status == 502 && refused.has("404 Not Found: no_team") && !refused.has("canarycanary"), "{}", refused.body);
    assert_eq!(pages.post("/settings/notifications/nobody/test", "").await.status, 404);
}

#[tokio::test]
async fn a_test_needs_the_permission_to_change_the_settings() {
    let fake = Arc::new(Fake::default());
    fake.knows("t", "ann");
    let reviews: Arc<dyn Reviews> = Arc::clone(&fake) as _;
    let pages = Pages::with(Auth::token(TokenSettings::default(), &reviews));
    slack(&pages, StatusCode::OK, "ok").await;
    let ann = ("authorization", "Bearer t");
    assert!(!pages.send("GET /settings", &[ann], "").await.has("Send test message"));
    let route = format!("POST {TEST}");
    assert_eq!(pages.send(&route, &[ann, FORM, OWN], "").await.status, 403);
    fake.allow("ann create configmaps hw");
    assert_eq!(pages.send(&route, &[ann, FORM, ("sec-fetch-site", "cross-site")], "").await.status, 403);
    assert_eq!(pages.send(&route, &[FORM, OWN], "").await.status, 401);
    let tested = pages.send(&route, &[ann, FORM, OWN], "").await;
    assert!(tested.status == 200 && tested.has("200 OK: ok"), "{}", tested.body);
}
