//! The router of the UI over a store that tests fill.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::header::HOST;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Request};
use headwind_core::config::{Problem, Store, Stored};
use headwind_core::testing;
use headwind_core::workload::{Container, Kind, Workload, WorkloadKey};
use headwind_k8s::update_request::UpdateRequest;
use headwind_operator::testing::Site;
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::auth::fake::Fake;
use crate::auth::{Auth, Reviews, TokenSettings};
use crate::guard::Guard;
use crate::hosts::Hosts;
use crate::ui::router;
use crate::ui::settings::{Input, Origin, Setting, Settings};
use crate::ui::source::MetricsSource;

/// A response.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: String,
}

impl Answer {
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    pub(super) fn has(&self, text: &str) -> bool {
        self.body.contains(text)
    }
}

pub(super) struct Pages {
    pub(super) site: Site,
    router: Router,
}

pub(super) const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");
pub(super) const HTMX: (&str, &str) = ("hx-request", "true");
pub(super) const OWN: (&str, &str) = ("sec-fetch-site", "same-origin");
/// The header of ann in [`Pages::reviewed`].
pub(super) const ANN: (&str, &str) = ("authorization", "Bearer t-ann");

impl Pages {
    pub(super) fn new() -> Self {
        Self::with(Auth::open(false, true))
    }

    pub(super) fn with(auth: Auth) -> Self {
        Self::of(auth, MetricsSource::Process)
    }

    pub(super) fn of(auth: Auth, source: MetricsSource) -> Self {
        // Another test may have done so already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let site = Site::new().unwrap();
        let guard = Guard::new(auth, Hosts::new("hw", [], &[]));
        let setting = |variable: &str, value: Option<&str>, origin| Setting {
            flag: variable.to_lowercase(),
            variable: variable.to_owned(),
            value: value.map(str::to_owned),
            default: value.map(str::to_owned),
            origin,
            help: "What it sets".to_owned(),
            store: None,
            input: Input::Text,
            problem: None,
        };
        let live = |store, setting: Setting| Setting { store: Some(store), ..setting };
        let all = [
            live(Store::ConfigMap, setting("HEADWIND_POLLING_INTERVAL", Some("300"), Origin::Default)),
            live(Store::ConfigMap, setting("HEADWIND_POLLING_ENABLED", Some("true"), Origin::Variable)),
            live(Store::ConfigMap, setting("SLACK_CHANNEL", None, Origin::Default)),
            live(Store::Secret, setting("SLACK_WEBHOOK_URL", None, Origin::Default)),
            setting("HEADWIND_WEBHOOK_SECRET", Some("stored, not shown"), Origin::Variable),
            setting("HEADWIND_IDENTITY", None, Origin::Default),
            setting("HEADWIND_UI_AUTH_MODE", Some("none"), Origin::Flag),
        ];
        let check = |stored: &Stored| {
            let bad = stored.config_map.iter().filter(|(name, value)| name.ends_with("INTERVAL") && value.parse::<u32>().is_err());
            let problem = |name: &str| Problem {
                store: Store::ConfigMap,
                name: name.to_owned(),
                why: "must be a number of seconds".to_owned(),
                in_effect: None,
            };
            bad.map(|(name, _)| problem(name)).collect()
        };
        let settings = Settings {
            all: watch::channel(all.into()).1,
            check: Arc::new(check),
            metrics: watch::channel(source).1,
            namespace: "hw".to_owned(),
            authenticates_webhooks: true,
        };
        let router = router(site.handle.clone(), guard, settings, CancellationToken::new());
        Self { site, router }
    }

    /// Pages in the mode `token`, with the API server that reviews the requests. It knows ann.
    pub(super) fn reviewed() -> (Arc<Fake>, Self) {
        let fake = Arc::new(Fake::default());
        fake.knows("t-ann", "ann");
        let reviews: Arc<dyn Reviews> = Arc::clone(&fake) as _;
        let pages = Self::with(Auth::token(TokenSettings::default(), &reviews));
        (fake, pages)
    }

    /// The same while the API server does not say what ann may see. Her token was reviewed before.
    pub(super) async fn unreviewed() -> (Arc<Fake>, Self) {
        let (fake, pages) = Self::reviewed();
        assert_eq!(pages.post("/login", "token=t-ann").await.status, 303);
        fake.fail(true);
        (fake, pages)
    }

    /// A stream that stays open.
    pub(super) async fn open(&self, path: &str, headers: &[(&str, &str)]) -> (HeaderMap, Body) {
        let mut request = Request::builder().uri(path).header(HOST, "localhost:8082").body(Body::empty()).unwrap();
        for (name, value) in headers {
            request.headers_mut().append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        }
        let response = TowerToHyperService::new(self.router.clone()).call(request).await.unwrap();
        (response.headers().clone(), response.into_body())
    }

    pub(super) async fn send(&self, route: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let (method, path) = route.split_once(' ').unwrap();
        let mut request = Request::builder().method(method).uri(path).body(Body::from(body.to_owned())).unwrap();
        for (name, value) in headers {
            request.headers_mut().append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        }
        request.headers_mut().entry(HOST).or_insert(HeaderValue::from_static("localhost:8082"));
        let response = TowerToHyperService::new(self.router.clone()).call(request).await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = to_bytes(response.into_body(), 4 << 20).await.unwrap();
        Answer { status, headers, body: String::from_utf8(body.to_vec()).unwrap() }
    }

    pub(super) async fn get(&self, path: &str) -> Answer {
        self.send(&format!("GET {path}"), &[], "").await
    }

    /// A GET by htmx for the dialog.
    pub(super) async fn htmx(&self, path: &str, target: &str) -> Answer {
        self.send(&format!("GET {path}"), &[HTMX, ("hx-target", target)], "").await
    }

    /// A form that a browser without script sends.
    pub(super) async fn post(&self, path: &str, body: &str) -> Answer {
        self.send(&format!("POST {path}"), &[FORM, OWN], body).await
    }

    /// A form that htmx sends.
    pub(super) async fn post_by_htmx(&self, path: &str, body: &str) -> Answer {
        self.send(&format!("POST {path}"), &[FORM, OWN, HTMX, ("hx-target", "dialog")], body).await
    }

    /// Updates in every phase, with their workloads.
    pub(super) fn fill(&self) {
        for (name, phase) in [
            ("cart", "Pending"),
            ("checkout", "Pending"),
            ("api", "Approved"),
            ("web", "RollingOut"),
            ("done", "Completed"),
            ("broken", "Failed"),
            ("back", "RolledBack"),
            ("no", "Rejected"),
            ("late", "Expired"),
            ("old", "Superseded"),
        ] {
            self.site.workload(workload(name, &[("policy", "minor")]));
            self.site.request(update(name, phase, 1));
        }
        self.site.workload(workload("faulty", &[("policy", "biggest")]));
    }
}

pub(super) fn workload(name: &str, annotations: &[(&str, &str)]) -> Workload {
    let key = WorkloadKey { namespace: "shop".to_owned(), ..testing::key(Kind::Deployment, name) };
    let base = testing::deployment("a:1", annotations);
    Workload { key, containers: vec![Container::new("main", &format!("registry.example/team/{name}:1.2.3"))], ..base }
}

fn ago(minutes: i64) -> String {
    Timestamp::now().checked_sub(SignedDuration::from_mins(minutes)).unwrap().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// An update of a workload in namespace `shop`, as version `version` of the object.
pub(super) fn update(name: &str, phase: &str, version: u64) -> UpdateRequest {
    let digest = format!("sha256:{}", "ab".repeat(32));
    let finished = !["Pending", "Approved", "RollingOut"].contains(&phase);
    let mut status = json!({"phase": phase});
    if finished {
        status["finishedAt"] = json!(ago(5));
        status["reason"] = json!("CrashLoopBackOff");
        status["message"] = json!(format!("pod {name}-1: back-off restarting failed container"));
    }
    if ["Approved", "RollingOut", "Completed", "Failed", "RolledBack"].contains(&phase) {
        status["approvedBy"] = json!("oncall@example.org");
        status["approvedAt"] = json!(ago(20));
        status["appliedAt"] = json!(ago(15));
        status["timesApplied"] = json!(1);
    }
    if phase == "Rejected" {
        status["rejectedBy"] = json!("ann");
        status["rejectedAt"] = json!(ago(5));
    }
    if phase == "RollingOut" {
        status["rollout"] =
            json!({"startedAt": ago(15), "progressedAt": ago(2), "wantedPods": 6, "remainingSteps": 3, "newAvailablePods": 3});
    }
    read(json!({
        "apiVersion": "headwind.sh/v1alpha1", "kind": "UpdateRequest",
        "metadata": {"name": format!("{name}-1"), "namespace": "shop", "uid": format!("uid-{name}"), "resourceVersion": version.to_string(), "creationTimestamp": ago(30)},
        "spec": {
            "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name, "uid": "u"}, "updateType": "image", "containerName": "main",
            "currentImage": format!("registry.example/team/{name}:1.2.3"), "newImage": format!("registry.example/team/{name}:1.3.0"),
            "currentDigest": digest, "newDigest": digest, "policy": "minor", "reason": "1.3.0 is higher than 1.2.3", "requireApproval": true, "trigger": "webhook",
        },
        "status": status,
    }))
}

pub(super) fn read(value: Value) -> UpdateRequest {
    serde_json::from_value(value).unwrap()
}
