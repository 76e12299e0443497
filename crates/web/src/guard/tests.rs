use axum::Extension;
use axum::routing::{get, post};
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;

use super::*;
use crate::auth::Mode;

fn router(guard: Guard) -> Router {
    let router = Router::new().route("/read", get(async || "read")).route(
        "/api/v1/updates/{namespace}/{name}/approve",
        post(async |Extension(caller): Extension<Caller>, body: String| format!("{} {body}", caller.name)),
    );
    guard.protect(router)
}

const APPROVE: &str = "POST /api/v1/updates/n/r/approve";
const JSON: (&str, &str) = ("content-type", "application/json");

async fn send(guard: Guard, route: &str, headers: &[(&str, &str)], body: Body) -> (u16, String, HeaderMap) {
    let (method, path) = route.split_once(' ').unwrap();
    let mut request = Request::builder().method(method).uri(path).body(body).unwrap();
    for (name, value) in headers {
        request.headers_mut().append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
    }
    request.headers_mut().entry("host").or_insert(HeaderValue::from_static("localhost:8081"));
    let response = TowerToHyperService::new(router(guard)).call(request).await.unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let body = to_bytes(response.into_body(), 1024).await.unwrap();
    (status, String::from_utf8(body.to_vec()).unwrap(), headers)
}

fn open(mode: Mode) -> Guard {
    Guard::new(Auth::open(mode == Mode::Simple, true), Hosts::new("hw", [], &[]))
}

#[rstest::rstest]
#[case::read("GET /read", &[], 200)]
#[case::read_under_a_strange_name("GET /read", &[("host", "rebind.evil.example:8081")], 421)]
#[case::approve(APPROVE, &[JSON], 200)]
#[case::json_with_charset(APPROVE, &[("content-type", "application/json; charset=utf-8")], 200)]
#[case::htmx(APPROVE, &[("hx-request", "true"), ("content-type", "application/x-www-form-urlencoded")], 200)]
#[case::form(APPROVE, &[("content-type", "application/x-www-form-urlencoded")], 415)]
#[case::plain(APPROVE, &[("content-type", "text/plain")], 415)]
#[case::no_type(APPROVE, &[], 415)]
// What a browser sends after DNS rebinding: the attacker's name resolves to Headwind's address.
#[case::rebound(APPROVE, &[JSON, ("host", "rebind.evil.example:8081"), ("origin", "http://rebind.evil.example:8081"), ("sec-fetch-site", "same-origin")], 421)]
#[case::foreign_page(APPROVE, &[JSON, ("origin", "http://evil.example")], 403)]
#[case::foreign_site(APPROVE, &[JSON, ("sec-fetch-site", "cross-site")], 403)]
#[case::own_page(APPROVE, &[JSON, ("origin", "http://localhost:8081"), ("sec-fetch-site", "same-origin")], 200)]
#[case::unknown_route("DELETE /read", &[JSON, ("origin", "http://evil.example")], 403)]
#[tokio::test]
async fn what_passes(#[case] route: &str, #[case] headers: &[(&str, &str)], #[case] expected: u16) {
    let (status, body, answered) = send(open(Mode::None), route, headers, Body::empty()).await;
    assert_eq!(status, expected, "{body}");
    for name in ["cache-control", "x-content-type-options", "cross-origin-resource-policy", "referrer-policy", "content-security-policy"] {
        assert!(answered.contains_key(name), "{name} is missing from {answered:?}");
    }
}

/// Pages work without scripts: a form passes if the browser says that it comes from one of Headwind's pages.
#[rstest::rstest]
#[case::own_page(&[("origin", "http://localhost:8081"), ("sec-fetch-site", "same-origin")], 200)]
#[case::own_page_of_an_old_browser(&[("origin", "http://localhost:8081")], 200)]
#[case::foreign_page(&[("origin", "http://evil.example"), ("sec-fetch-site", "cross-site")], 403)]
#[case::sandboxed_page(&[("origin", "null")], 403)]
#[case::no_browser(&[], 415)]
#[tokio::test]
async fn forms_of_pages(#[case] headers: &[(&str, &str)], #[case] expected: u16) {
    let guard = open(Mode::None).with_pages(&[], |_, problem| problem.into_response());
    let form = ("content-type", "application/x-www-form-urlencoded");
    let (status, body, _) = send(guard, APPROVE, &[&[form], headers].concat(), Body::empty()).await;
    assert_eq!(status, expected, "{body}");
}

#[tokio::test]
async fn who_proves_nothing_only_reads_on_an_open_port() {
    for mode in [Mode::None, Mode::Simple] {
        let guard = Guard { auth: Auth::open(mode == Mode::Simple, false), ..open(mode) };
        assert_eq!(send(guard.clone(), "GET /read", &[], Body::empty()).await.0, 200);
        let (status, body, _) = send(guard, APPROVE, &[JSON, ("x-user", "ann")], Body::empty()).await;
        assert!(status == 403 && body.contains("HEADWIND_UI_ANONYMOUS_ACTIONS"), "{status} {body}");
    }
}

#[tokio::test]
async fn the_caller_and_the_body_reach_the_handler() {
    let (_, body, _) = send(open(Mode::Simple), APPROVE, &[JSON, ("x-user", "ann")], Body::from("{}")).await;
    assert_eq!(body, "simple:ann {}");
    assert_eq!(send(open(Mode::Simple), APPROVE, &[JSON], Body::empty()).await.0, 401);
    assert_eq!(send(open(Mode::Simple), "GET /read", &[], Body::empty()).await.0, 200, "everybody may read");
}

/// A body that never arrives.
struct Stalled;

impl hyper::body::Body for Stalled {
    type Data = axum::body::Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<hyper::body::Frame<Self::Data>, Self::Error>>> {
        std::task::Poll::Pending
    }
}

#[tokio::test]
async fn a_body_is_bounded_in_size_and_time() {
    assert_eq!(send(open(Mode::None), APPROVE, &[JSON], Body::from(vec![b' '; BODY + 1])).await.0, 413);
    let late = read(Body::new(Stalled), Duration::from_millis(10)).await.unwrap_err();
    assert_eq!(late.status, 408);
}

/// Through the proxy of the API server, the host is that of the API server, and the token has a header of its own.
#[tokio::test]
async fn proxied_by_the_api_server() {
    let fake = Arc::new(crate::auth::fake::Fake::default());
    fake.knows("good", "ann");
    let reviews: Arc<dyn crate::auth::Reviews> = fake;
    let guard = Guard { auth: Auth::token(crate::auth::TokenSettings::default(), &reviews), ..open(Mode::None) };
    let host = ("host", "kubernetes.example.com");
    for (header, status) in [
        (("headwind-authorization", "Bearer good"), 200),
        (("headwind-authorization", "Bearer bad"), 401),
        (("authorization", "Bearer good"), 421),
    ] {
        assert_eq!(send(guard.clone(), "GET /read", &[host, header], Body::empty()).await.0, status, "{header:?}");
    }
    let anybody = send(open(Mode::None), "GET /read", &[host, ("headwind-authorization", "Bearer good")], Body::empty()).await;
    assert_eq!(anybody.0, 421, "no token is checked in this mode");
}
