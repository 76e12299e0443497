//! What every request to the API passes before its handler, in this order: known host, caller, origin,
//! permission, body.
//!
//! The gate is closed by default: a new route with an unsafe method needs a caller and a same-origin request
//! without a word of its own.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use headwind_operator::{AuditedAction, Caller};

use crate::auth::{Access, Auth, Refused};
use crate::hosts::Hosts;
use crate::problem::Problem;
use crate::server::Ends;

/// The largest body, in bytes.
const BODY: usize = 256 * 1024;
/// The time for a whole body to arrive.
const BODY_TIME: Duration = Duration::from_secs(10);
/// The name of a caller in audit lines before it is known.
const NOBODY: &str = "unknown";

/// Headers of every answer: it is for the caller alone, and no page of another site embeds or reads it.
const HEADERS: [(HeaderName, HeaderValue); 5] = [
    (CACHE_CONTROL, HeaderValue::from_static("no-store")),
    (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin")),
    (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'")),
];

/// The rules of a port for people.
#[derive(Debug, Clone, Default)]
pub struct Gate {
    /// How callers are authenticated and authorized.
    pub auth: Auth,
    /// The hosts that requests may name.
    pub hosts: Hosts,
}

/// Lets a request pass, or answers it.
pub(crate) async fn guard(State(gate): State<Arc<Gate>>, request: Request, next: Next) -> Response {
    let mut response = match gate.admit(request).await {
        Ok(request) => next.run(request).await,
        Err(problem) => problem.into_response(),
    };
    for (name, value) in &HEADERS {
        response.headers_mut().entry(name).or_insert_with(|| value.clone());
    }
    response
}

impl Gate {
    async fn admit(&self, request: Request) -> Result<Request, Problem> {
        let access = if request.method().is_safe() { Access::Read } else { Access::Act };
        let ends = request.extensions().get::<Ends>().copied();
        let peer = ends.map(|ends| ends.peer.to_string()).unwrap_or_default();
        let mut caller = Caller { name: NOBODY.to_owned(), method: self.auth.mode.as_str(), peer, ..Caller::default() };
        let (mut parts, body) = request.into_parts();
        if let Err(problem) = self.check(&parts, access, ends, &mut caller).await {
            if let Some(action) = AuditedAction::of_path(parts.uri.path()).filter(|_| access == Access::Act) {
                action.denied(&caller, problem.status, &problem.detail);
            }
            return Err(problem);
        }
        parts.extensions.insert(caller);
        if access == Access::Read {
            return Ok(Request::from_parts(parts, body));
        }
        let body = read(body, BODY_TIME).await?;
        Ok(Request::from_parts(parts, Body::from(body)))
    }

    async fn check(&self, request: &Parts, access: Access, ends: Option<Ends>, caller: &mut Caller) -> Result<(), Problem> {
        let headers = &request.headers;
        if !self.hosts.knows(&request.uri, headers, ends.map(|ends| ends.local)) {
            let detail = "Headwind is not known under this host; add it to HEADWIND_ALLOWED_HOSTS";
            return Err(Problem::new(StatusCode::MISDIRECTED_REQUEST, detail));
        }
        *caller = self.auth.authenticate(headers, &caller.peer, access).await.map_err(|error| refused(&error))?;
        if access == Access::Act && !self.hosts.is_own_origin(headers) {
            return Err(Problem::new(StatusCode::FORBIDDEN, "requests from pages of another origin are refused"));
        }
        self.auth.authorize(caller, access).await.map_err(|error| refused(&error))?;
        if access == Access::Act && !is_json(headers) {
            return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "the request needs Content-Type: application/json"));
        }
        Ok(())
    }
}

fn refused(refused: &Refused) -> Problem {
    let status = match refused {
        Refused::Unknown(_) => StatusCode::UNAUTHORIZED,
        Refused::Forbidden(_) => StatusCode::FORBIDDEN,
    };
    Problem::new(status, refused.to_string())
}

/// Returns true if the request says that it is JSON or comes from htmx. A page of another site cannot send
/// either without asking first, which Headwind never allows.
fn is_json(headers: &HeaderMap) -> bool {
    let essence =
        |value: &HeaderValue| value.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    headers.contains_key("hx-request") || headers.get(CONTENT_TYPE).is_some_and(|value| essence(value) == "application/json")
}

async fn read(body: Body, time: Duration) -> Result<axum::body::Bytes, Problem> {
    let late = |_| Problem::new(StatusCode::REQUEST_TIMEOUT, "timed out reading the request body");
    let too_large = |_| Problem::new(StatusCode::PAYLOAD_TOO_LARGE, format!("the body has more than {BODY} bytes, or broke off"));
    tokio::time::timeout(time, to_bytes(body, BODY)).await.map_err(late)?.map_err(too_large)
}

#[cfg(test)]
mod tests;
