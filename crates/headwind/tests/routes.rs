//! Every route of the API and the UI is closed: to requests that do not prove the caller's identity, that have another
//! host or come from a page of another site, and to callers without the permission. A new route is included
//! automatically.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "the helpers of a test may fail like the test")]

use std::sync::Arc;
use std::time::Duration;

use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine as _;
use headwind_operator::{Adopt, Config, Handle, Operator, Polling};
use headwind_registry::credential::cloud;
use headwind_registry::{Client, Hosts as RegistryHosts, Rules, Timeouts};
use headwind_web::auth::proxy::{HeaderName, Proxy};
use headwind_web::auth::{Auth, Reviews, TokenSettings};
use headwind_web::guard::Guard;
use headwind_web::hosts::Hosts;
use headwind_web::server::{Limits, Port};
use headwind_web::ui::settings::Settings;
use headwind_web::{api, ui};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

/// Starts an API server that knows the session key and one token, of a user without permissions.
async fn api_server() -> String {
    let tokens = post(async |Json(review): Json<Value>| {
        let valid = review["spec"]["token"] == "t-eve";
        let user = json!({"username": "eve", "groups": ["system:authenticated"]});
        Json(
            json!({"spec": {"token": ""}, "status": if valid { json!({"authenticated": true, "user": user}) } else { json!({"error": "unknown"}) }}),
        )
    });
    let access = post(async |Json(review): Json<Value>| {
        assert_eq!(review["spec"]["user"], "eve");
        Json(json!({"spec": review["spec"], "status": {"allowed": false}}))
    });
    let key = base64::engine::general_purpose::STANDARD.encode([7; 32]);
    let secret = get(async move || {
        Json(json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "headwind-session"}, "data": {"key": key}}))
    });
    let router = Router::new()
        .route("/api/v1/namespaces/hw/secrets/headwind-session", secret)
        .route("/apis/authentication.k8s.io/v1/tokenreviews", tokens)
        .route("/apis/authorization.k8s.io/v1/subjectaccessreviews", access);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}")
}

fn settings() -> Settings {
    let all = tokio::sync::watch::channel(Arc::from([])).1;
    let metrics = tokio::sync::watch::channel(ui::source::MetricsSource::Process).1;
    Settings { all, check: Arc::new(|_| Vec::new()), metrics, namespace: "hw".to_owned(), authenticates_webhooks: true }
}

async fn operator() -> Operator {
    let server = kube::Config::new(api_server().await.parse().unwrap());
    let hosts = RegistryHosts::new(Vec::new(), Rules::from_env(&|_| None), &Timeouts::default()).unwrap();
    let registries = Client::new(hosts, cloud::from_env(&|_| None).unwrap());
    let config = Config {
        namespace: "hw".to_owned(),
        watched: Vec::new(),
        identity: "test".to_owned(),
        history_limit: 10,
        confirm: false,
        confirm_approved: false,
        polling: tokio::sync::watch::channel(Polling { interval: None, min_interval: Duration::from_mins(1), discovery: false }).1,
        adopt: Adopt::new(|_| Vec::new()),
        cross_namespace_refs: true,
        notifications: tokio::sync::watch::channel(std::sync::Arc::default()).1,
        tracing: None,
    };
    Operator::start(&server, config, registries).unwrap()
}

/// Serves a router and returns its address.
async fn serve(router: Router) -> String {
    let port = Port::bind("test", "127.0.0.1:0".parse().unwrap(), Limits::PUBLIC).await.unwrap();
    let address = port.address();
    tokio::spawn(port.serve(router, CancellationToken::new()));
    format!("http://{address}")
}

fn guard(handle: &Handle) -> Guard {
    let reviews: Arc<dyn Reviews> = Arc::new(handle.clone());
    Guard::new(Auth::token(TokenSettings::default(), &reviews), Hosts::new("hw", [], &[]))
}

/// Returns method and path of every route in the OpenAPI document, with values for the parameters.
fn api_routes() -> Vec<(reqwest::Method, String)> {
    let mut routes = Vec::new();
    for (path, item) in api::document().paths.paths {
        let path = filled(&path);
        for (method, operation) in
            [("GET", item.get), ("POST", item.post), ("PUT", item.put), ("PATCH", item.patch), ("DELETE", item.delete)]
        {
            if operation.is_some() {
                routes.push((method.parse().unwrap(), path.clone()));
            }
        }
    }
    assert!(routes.len() >= 14, "{routes:?}");
    routes
}

fn filled(path: &str) -> String {
    let value = |part: &str| match part {
        "{namespace}" => "shop".to_owned(),
        "{kind}" => "Deployment".to_owned(),
        "{action}" => "approve".to_owned(),
        part if part.starts_with('{') => "web".to_owned(),
        part => part.to_owned(),
    };
    path.split('/').map(value).collect::<Vec<_>>().join("/")
}

/// Returns the paths of the UI's routes, from its source, which contains every new one.
fn pages() -> Vec<String> {
    let source = std::fs::read_to_string("../web/src/ui.rs").unwrap();
    let paths: Vec<String> = source.split(".route(\"").skip(1).map(|rest| filled(rest.split('"').next().unwrap())).collect();
    assert!(paths.len() >= 15, "{paths:?}");
    paths
}

const FOREIGN: [(&str, &str); 2] = [("origin", "http://evil.example"), ("sec-fetch-site", "cross-site")];

struct Browser(reqwest::Client);

impl Browser {
    fn new() -> Self {
        Self(reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap())
    }

    async fn send(&self, method: &reqwest::Method, url: &str, headers: &[(&str, &str)], body: &Value) -> reqwest::Response {
        let mut request = self.0.request(method.clone(), url);
        if *method != reqwest::Method::GET {
            request = request.json(body);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.send().await.unwrap()
    }
}

fn runtime(test: impl Future<Output = ()>) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap().block_on(test);
}

#[test]
fn the_api_is_closed() {
    runtime(async {
        let operator = operator().await;
        let base = serve(api::router(operator.handle(), guard(&operator.handle()), CancellationToken::new())).await;
        let (browser, nothing) = (Browser::new(), json!({}));
        let mut routes = api_routes();
        routes.extend([(reqwest::Method::GET, "/openapi.json".to_owned()), (reqwest::Method::GET, "/no/such/route".to_owned())]);
        let eve = ("authorization", "Bearer t-eve");
        for (method, path) in &routes {
            let status =
                async |headers: &[(&str, &str)]| browser.send(method, &format!("{base}{path}"), headers, &nothing).await.status().as_u16();
            assert_eq!(status(&[]).await, 401, "{method} {path}: no proof");
            assert_eq!(status(&[("authorization", "Bearer junk")]).await, 401, "{method} {path}: junk");
            assert_eq!(
                status(&[("cookie", "headwind-session=AAAA"), ("x-user", "ann"), ("x-forwarded-user", "ann")]).await,
                401,
                "{method} {path}"
            );
            assert_eq!(status(&[eve, ("host", "rebind.evil.example")]).await, 421, "{method} {path}: DNS rebinding");
            if *method != reqwest::Method::GET {
                for foreign in FOREIGN {
                    assert_eq!(status(&[eve, foreign]).await, 403, "{method} {path}: {foreign:?}");
                }
            }
        }
        assert_eq!(browser.0.get(format!("{base}/health")).send().await.unwrap().status(), 200);

        // A caller without permissions gets nothing.
        let bulk = json!({"updates": [{"namespace": "shop", "name": "web"}]});
        for (method, path) in api_routes() {
            let is_bulk = path.contains("/bulk/");
            let response = browser.send(&method, &format!("{base}{path}"), &[eve], if is_bulk { &bulk } else { &nothing }).await;
            let (status, body): (u16, Value) = (response.status().as_u16(), response.json().await.unwrap());
            match path.as_str() {
                "/api/v1/updates" | "/api/v1/workloads" => {
                    assert!(status == 200 && body["items"] == json!([]), "{method} {path}: {status} {body}");
                }
                _ if is_bulk => assert!(status == 200 && body["results"][0]["status"] == 403, "{method} {path}: {status} {body}"),
                _ => assert!(
                    status == 403 && body["detail"].as_str().unwrap().starts_with("eve may not "),
                    "{method} {path}: {status} {body}"
                ),
            }
        }
        for list in ["updates", "workloads", "events/updates"] {
            let url = format!("{base}/api/v1/{list}?namespace=shop");
            assert_eq!(browser.send(&reqwest::Method::GET, &url, &[eve], &nothing).await.status(), 403, "{list}");
        }
    });
}

#[test]
fn the_ui_is_closed() {
    runtime(async {
        let operator = operator().await;
        let settings = settings();
        let base = serve(ui::router(operator.handle(), guard(&operator.handle()), settings, CancellationToken::new())).await;
        let (browser, nothing) = (Browser::new(), json!({}));
        // The login page, its form and its assets; nothing of the cluster.
        let open = |path: &str| path.starts_with("/assets/") || ["/login", "/logout", "/preferences", "/health"].contains(&path);
        for path in pages() {
            let url = format!("{base}{path}");
            for method in [reqwest::Method::GET, reqwest::Method::POST] {
                let rebound = browser.send(&method, &url, &[("host", "rebind.evil.example")], &nothing).await;
                assert_eq!(rebound.status(), 421, "{method} {path}: DNS rebinding");
                assert!(rebound.headers().contains_key("content-security-policy"), "{method} {path}");
                if open(&path) {
                    continue;
                }
                let junk = [("cookie", "headwind-session=AAAA"), ("x-user", "ann"), ("x-forwarded-user", "ann")];
                for proof in [&[][..], &junk] {
                    let response = browser.send(&method, &url, proof, &nothing).await;
                    assert_eq!(response.status(), 401, "{method} {path} {proof:?}");
                    let text = response.text().await.unwrap();
                    let next = format!("name=\"next\" value=\"{}\"", if path == "/events" { "/" } else { &path });
                    assert!(text.contains("name=\"token\"") && text.contains(&next), "{method} {path}: the login page, {text}");
                }
                // A part of a page is no place for the login page: the browser loads the whole page again.
                let part = browser.send(&method, &url, &[("hx-request", "true")], &nothing).await;
                assert_eq!(part.status(), 401, "{method} {path}");
                assert_eq!(part.headers()["hx-refresh"], "true", "{method} {path}");
                assert_eq!(part.text().await.unwrap(), "", "{method} {path}");
            }
            for foreign in FOREIGN {
                let cookie = ("authorization", "Bearer t-eve");
                let response = browser.send(&reqwest::Method::POST, &url, &[cookie, foreign], &nothing).await;
                assert_eq!(response.status(), 403, "POST {path}: {foreign:?}");
            }
        }
    });
}

/// In mode proxy there is no login page: a caller that bypasses the proxy gets an explanation, not a redirect loop.
#[test]
fn a_caller_without_a_login_page() {
    runtime(async {
        let operator = operator().await;
        let reviews: Arc<dyn Reviews> = Arc::new(operator.handle());
        let networks = vec!["10.0.0.0/8".parse().unwrap()];
        let auth = Auth::proxy(Proxy { user: HeaderName::from_static("x-forwarded-user"), groups: None, networks }, &reviews);
        let settings = settings();
        let guard = Guard::new(auth, Hosts::new("hw", [], &[]));
        let base = serve(ui::router(operator.handle(), guard, settings, CancellationToken::new())).await;
        let browser = Browser::new();
        for headers in [&[][..], &[("x-forwarded-user", "ann"), ("x-forwarded-for", "10.1.2.3")]] {
            for path in ["/login", "/updates"] {
                let response = browser.send(&reqwest::Method::GET, &format!("{base}{path}"), headers, &json!({})).await;
                assert_eq!(response.status(), 401, "{headers:?}");
                let text = response.text().await.unwrap();
                assert!(text.contains("trusted proxy") && !text.contains("name=\"token\""), "{headers:?}: {text}");
            }
        }
    });
}
