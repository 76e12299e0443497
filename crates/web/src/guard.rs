//! The checks of every request to the API and the UI before its handler, in this order: known host, caller, origin,
//! content type, body.
//!
//! The guard refuses by default: without any code, a new route needs a caller, and for an unsafe method a same-origin
//! request. The required permission depends on the action, so the handler calls
//! [`Auth::authorize`](crate::auth::Auth::authorize).

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use headwind_operator::{AuditedAction, Caller};

use crate::auth::Auth;
use crate::hosts::Hosts;
use crate::problem::Problem;
use crate::server::Ends;

/// Maximum size of a body, in bytes.
const BODY: usize = 256 * 1024;
/// Timeout for reading a body.
const BODY_TIME: Duration = Duration::from_secs(10);

/// Headers of every response: it is for the caller only, and no page of another site may embed or read it.
const HEADERS: [(HeaderName, HeaderValue); 5] = [
    (CACHE_CONTROL, HeaderValue::from_static("no-store")),
    (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin")),
    (REFERRER_POLICY, HeaderValue::from_static("same-origin")),
    (CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'")),
];

/// Creates the response to a request that fails a check.
pub(crate) type Refuse = fn(&Parts, Problem) -> Response;

/// The rules of a port for people.
#[derive(Clone)]
pub struct Guard {
    auth: Auth,
    hosts: Hosts,
    /// Paths that need no caller. A path that ends in `/` includes all below it.
    open: &'static [&'static str],
    /// True if forms may act without scripts.
    forms: bool,
    refuse: Refuse,
}

impl Guard {
    /// Creates the rules of a port for programs: every path but `/health` needs a caller, an unsafe method needs JSON,
    /// and errors are problems.
    pub fn new(auth: Auth, hosts: Hosts) -> Self {
        Self { auth, hosts, open: &["/health"], forms: false, refuse: |_, problem| problem.into_response() }
    }

    /// Returns the rules of a port with pages. `open` are the paths that need no caller; one that ends in `/` includes
    /// all below it. An unsafe method may also carry a form that a browser sends from one of Headwind's own pages.
    /// `refuse` creates the responses to requests that fail a check.
    #[must_use]
    pub(crate) fn with_pages(self, open: &'static [&'static str], refuse: Refuse) -> Self {
        Self { open, forms: true, refuse, ..self }
    }

    /// Returns how callers are authenticated and authorized.
    pub fn auth(&self) -> &Auth {
        &self.auth
    }

    /// Adds the guard before every route of a router, including its fallbacks. Handlers get the [`Caller`] as an
    /// extension.
    pub fn protect(self, router: Router) -> Router {
        router.layer(axum::middleware::from_fn_with_state(Arc::new(self), guard))
    }

    async fn admit(&self, request: Request) -> Result<Request, Response> {
        let unsafe_method = !request.method().is_safe();
        let ends = request.extensions().get::<Ends>().copied();
        let mut caller = self.auth.nobody(ends.map(|ends| ends.peer));
        let (mut parts, body) = request.into_parts();
        if let Err(problem) = self.check(&parts, ends, &mut caller).await {
            if let Some(action) = AuditedAction::of_path(parts.uri.path()).filter(|_| unsafe_method) {
                action.denied(&caller, problem.status, &problem.detail);
            }
            return Err((self.refuse)(&parts, problem));
        }
        parts.extensions.insert(caller);
        if !unsafe_method {
            return Ok(Request::from_parts(parts, body));
        }
        match read(body, BODY_TIME).await {
            Ok(body) => Ok(Request::from_parts(parts, Body::from(body))),
            Err(problem) => Err((self.refuse)(&parts, problem)),
        }
    }

    /// Checks the head of a request, and sets the caller as soon as it is known.
    async fn check(&self, request: &Parts, ends: Option<Ends>, caller: &mut Caller) -> Result<(), Problem> {
        let headers = &request.headers;
        if !self.auth.is_proxied(headers) && !self.hosts.knows(&request.uri, headers, ends.map(|ends| ends.local)) {
            let detail = "unknown host; add it to HEADWIND_ALLOWED_HOSTS";
            return Err(Problem::new(StatusCode::MISDIRECTED_REQUEST, detail));
        }
        let open = self.is_open(request.uri.path());
        if !open {
            *caller = self.auth.authenticate(headers, ends.map(|ends| ends.peer)).await?;
        }
        if request.method.is_safe() {
            return Ok(());
        }
        if !self.hosts.is_own_origin(headers) {
            return Err(Problem::new(
                StatusCode::FORBIDDEN,
                "cross-origin request; unsafe methods are only allowed from Headwind's own pages",
            ));
        }
        if !open {
            self.auth.may_act(caller)?;
        }
        if !(is_json(headers) || self.forms && self.hosts.is_page(headers)) {
            return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "the request needs Content-Type: application/json"));
        }
        Ok(())
    }

    fn is_open(&self, path: &str) -> bool {
        self.open.iter().any(|open| path == *open || open.ends_with('/') && path.starts_with(open))
    }
}

/// Passes a request to its handler, or refuses it.
async fn guard(State(guard): State<Arc<Guard>>, request: Request, next: Next) -> Response {
    let mut response = match guard.admit(request).await {
        Ok(request) => next.run(request).await,
        Err(refusal) => refusal,
    };
    if response.status() == StatusCode::UNAUTHORIZED {
        response.headers_mut().entry(WWW_AUTHENTICATE).or_insert(HeaderValue::from_static("Bearer"));
    }
    for (name, value) in &HEADERS {
        response.headers_mut().entry(name).or_insert_with(|| value.clone());
    }
    response
}

/// Returns true if the request is JSON or comes from htmx. A page of another site can send neither without a preflight
/// request, which Headwind never allows.
fn is_json(headers: &HeaderMap) -> bool {
    let essence =
        |value: &HeaderValue| value.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    headers.contains_key("hx-request") || headers.get(CONTENT_TYPE).is_some_and(|value| essence(value) == "application/json")
}

async fn read(body: Body, time: Duration) -> Result<axum::body::Bytes, Problem> {
    let late = |_| Problem::new(StatusCode::REQUEST_TIMEOUT, "timed out reading the request body");
    let too_large = |_| Problem::new(StatusCode::PAYLOAD_TOO_LARGE, format!("the request body is larger than {BODY} bytes, or incomplete"));
    tokio::time::timeout(time, to_bytes(body, BODY)).await.map_err(late)?.map_err(too_large)
}

#[cfg(test)]
mod tests;
