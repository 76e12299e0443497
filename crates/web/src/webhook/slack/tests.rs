use axum::Router;
use axum::http::Request;
use axum::routing::post;
use headwind_operator::notify;
use headwind_operator::testing::Site;
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;
use ring::hmac;
use serde_json::{Value, json};

use super::*;
use crate::auth::fake::Fake;

const SECRET: &str = "signing-secret";

struct Chat {
    site: Site,
    fake: Arc<Fake>,
    router: Router,
    /// The calls to the response URL.
    replies: Arc<Mutex<Vec<Value>>>,
    response_url: String,
}

impl Chat {
    async fn new() -> Self {
        // Another test may have done so already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let replies = Arc::<Mutex<Vec<Value>>>::default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let keep = Arc::clone(&replies);
        let slack = Router::new().fallback(move |body: String| {
            keep.lock().push(serde_json::from_str(&body).unwrap());
            std::future::ready("ok")
        });
        tokio::spawn(async move { axum::serve(listener, slack).await });
        let site = Site::new().unwrap();
        let value = |name: &str| match name {
            "SLACK_ENABLED" => Some("true".to_owned()),
            "SLACK_WEBHOOK_URL" => Some(format!("{base}/hook")),
            "SLACK_SIGNING_SECRET" => Some(SECRET.to_owned()),
            "SLACK_USERS" => Some("U1=ann;U2=bob".to_owned()),
            _ => None,
        };
        site.notifications(notify::Settings::read(value).unwrap());
        site.request(request("web-1", "uid-1", None));
        let fake = Arc::new(Fake::default());
        fake.allow("ann approve updaterequests shop");
        let clicks = Clicks::with(&site.handle, Budget::new(true), Arc::clone(&fake) as _);
        let router = Router::new().route("/webhook/slack/actions", post(actions)).with_state(clicks);
        Self { site, fake, router, replies, response_url: format!("{base}/reply") }
    }

    fn payload(&self, user: &str, action: &str, target: &str) -> String {
        json!({
            "type": "block_actions", "user": {"id": user, "team_id": "T1"}, "team": {"id": "T1"}, "response_url": self.response_url,
            "actions": [{"type": "button", "action_id": action, "value": target}],
        })
        .to_string()
    }

    async fn send(&self, at: i64, signature: &str, body: &str) -> u16 {
        let request = Request::post("/webhook/slack/actions")
            .header("content-type", "application/x-www-form-urlencoded")
            .header("x-slack-request-timestamp", at.to_string())
            .header("x-slack-signature", signature)
            .body(Body::from(body.to_owned()))
            .unwrap();
        TowerToHyperService::new(self.router.clone()).call(request).await.unwrap().status().as_u16()
    }

    /// Clicks, with a right signature.
    async fn click(&self, user: &str, action: &str, target: &str) -> u16 {
        let (at, body) = (Timestamp::now().as_second(), encoded(&self.payload(user, action, target)));
        self.send(at, &signature(SECRET, at, &body), &body).await
    }

    fn replies(&self) -> Vec<Value> {
        std::mem::take(&mut *self.replies.lock())
    }

    async fn phase(&self) -> Phase {
        self.site.handle.get("shop", "web-1").await.unwrap().phase()
    }
}

fn encoded(payload: &str) -> String {
    form_urlencoded::Serializer::new(String::new()).append_pair("payload", payload).finish()
}

fn signature(secret: &str, at: i64, body: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let tag = hmac::sign(&key, format!("v0:{at}:{body}").as_bytes());
    let hex = tag.as_ref().iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
    format!("v0={hex}")
}

fn request(name: &str, uid: &str, reopened_at: Option<&str>) -> UpdateRequest {
    let mut request = json!({
        "apiVersion": "headwind.sh/v1alpha1", "kind": "UpdateRequest",
        "metadata": {
            "name": name, "namespace": "shop", "uid": uid, "resourceVersion": "5", "generation": 1,
            "creationTimestamp": Timestamp::now().to_string(),
        },
        "spec": {
            "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": "w"}, "updateType": "image",
            "containerName": "web", "currentImage": "registry.example/web:1.0.0", "newImage": "registry.example/web:1.1.0",
            "policy": "minor", "reason": "1.1.0 is higher", "requireApproval": true, "trigger": "webhook",
        },
        "status": {"phase": "Pending"},
    });
    if let Some(at) = reopened_at {
        request["status"]["reopenedAt"] = at.into();
        request["metadata"]["resourceVersion"] = "9".into();
    }
    serde_json::from_value(request).unwrap()
}

/// Returns the value of the buttons of the request's message.
fn target(uid: &str) -> String {
    format!("shop/web-1/{}", headwind_k8s::name::event(uid, "update_request_created", "notification"))
}

#[tokio::test]
async fn a_click_approves_and_the_message_shows_it() {
    let chat = Chat::new().await;
    assert_eq!(chat.click("U1", "headwind_approve", &target("uid-1")).await, 200);
    let request = chat.site.handle.get("shop", "web-1").await.unwrap();
    let status = request.status.unwrap();
    assert_eq!((status.phase.unwrap().0, status.approved_by.as_deref()), (Phase::Approved, Some("ann")));
    assert_eq!(status.message.as_deref(), Some("approved by ann: with a button in Slack"));
    let replies = chat.replies();
    let [reply] = &replies[..] else { panic!("{replies:?}") };
    assert_eq!(
        (&reply["replace_original"], &reply["blocks"][0]["text"]["text"]),
        (&json!(true), &json!("Update approved: Deployment shop/web"))
    );
    assert!(!reply.to_string().contains("headwind_approve"));
    // Somebody else is late.
    chat.fake.allow("bob approve updaterequests shop");
    assert_eq!(chat.click("U2", "headwind_reject", &target("uid-1")).await, 200);
    assert_eq!(chat.phase().await, Phase::Approved);
    let replies = chat.replies();
    let [whisper, shown] = &replies[..] else { panic!("{replies:?}") };
    assert_eq!(whisper["response_type"], "ephemeral");
    assert!(whisper["text"].as_str().unwrap().contains("cannot reject a request that is Approved"), "{whisper}");
    assert_eq!(shown["replace_original"], true);
}

#[tokio::test]
async fn a_click_rejects() {
    let chat = Chat::new().await;
    assert_eq!(chat.click("U1", "headwind_reject", &target("uid-1")).await, 200);
    assert_eq!(chat.phase().await, Phase::Rejected);
    assert!(chat.replies()[0].to_string().contains("rejected by ann"), "who rejected it");
}

#[tokio::test]
async fn calls_that_slack_did_not_make_are_rejected() {
    let chat = Chat::new().await;
    let (now, body) = (Timestamp::now().as_second(), encoded(&chat.payload("U1", "headwind_approve", &target("uid-1"))));
    assert_eq!(chat.send(now, &signature("another", now, &body), &body).await, 401);
    assert_eq!(chat.send(now - 400, &signature(SECRET, now - 400, &body), &body).await, 401);
    assert_eq!(chat.send(now + 400, &signature(SECRET, now + 400, &body), &body).await, 401);
    assert_eq!(chat.send(now, "", &body).await, 401);
    let other = body.replace("U1", "U2");
    assert_eq!(chat.send(now, &signature(SECRET, now, &body), &other).await, 401);
    assert_eq!((chat.phase().await, chat.replies().len()), (Phase::Pending, 0));
    let signed = signature(SECRET, now, &body);
    assert_eq!(chat.send(now, &signed, &body).await, 200);
    assert_eq!(chat.send(now, &signed, &body).await, 401, "a replay");
    let junk = "payload=%7B";
    assert_eq!(chat.send(now, &signature(SECRET, now, junk), junk).await, 400);
    chat.site.notifications(notify::Settings::default());
    assert_eq!(chat.click("U1", "headwind_approve", &target("uid-1")).await, 404, "off");
}

#[tokio::test]
async fn an_unknown_user_and_one_without_the_permission_decide_nothing() {
    let chat = Chat::new().await;
    assert_eq!(chat.click("U9", "headwind_approve", &target("uid-1")).await, 200);
    assert_eq!(chat.click("U2", "headwind_approve", &target("uid-1")).await, 200);
    let replies = chat.replies();
    let [unknown, denied] = &replies[..] else { panic!("{replies:?}") };
    assert!(unknown["text"].as_str().unwrap().contains("no Kubernetes user for the Slack user U9"), "{unknown}");
    assert!(denied["text"].as_str().unwrap().contains("bob may not approve updaterequests.headwind.sh"), "{denied}");
    assert_eq!((chat.phase().await, chat.fake.access_asked()), (Phase::Pending, 1));
}

/// A message from before the request was reopened has no effect, on any replica: neither has a call that was captured.
#[tokio::test]
async fn a_message_of_an_earlier_life_decides_nothing() {
    let chat = Chat::new().await;
    for stale in [target("another uid"), "shop/web-1/".to_owned(), "shop/none/x".to_owned(), "../../x".to_owned()] {
        assert_eq!(chat.click("U1", "headwind_approve", &stale).await, 200);
    }
    chat.site.request(self::request("web-1", "uid-1", Some("2026-01-01T00:00:00Z")));
    assert_eq!(chat.click("U1", "headwind_approve", &target("uid-1")).await, 200);
    assert_eq!(chat.phase().await, Phase::Pending);
    let replies = chat.replies();
    assert!(replies.iter().all(|reply| reply["response_type"] == "ephemeral"), "{replies:?}");
    assert!(replies.last().unwrap()["text"].as_str().unwrap().contains("the message is older than the request"), "{replies:?}");
}
