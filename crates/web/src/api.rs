//! Port 8081: the API for people and programs (SPEC section 10).
//!
//! The OpenAPI document is made from the very routes that are served.

mod schema;
mod updates;
mod workloads;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use headwind_operator::Handle;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::auth::{self, Denied, Mode};
use crate::probe;
use crate::problem::Problem;

/// The most that a request to the API may bring.
const BODY: usize = 256 * 1024;

/// What the routes need.
#[derive(Clone)]
pub(crate) struct Api {
    pub(crate) handle: Handle,
    pub(crate) auth: Mode,
}

#[derive(OpenApi)]
#[openapi(info(title = "Headwind", description = "Looks at update requests and workloads; approves, rejects, reopens and rolls back."))]
struct Document;

/// The routes of the port.
pub fn router(handle: Handle, auth: Mode) -> Router {
    let api = Api { handle: handle.clone(), auth };
    let (router, document) = OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(updates::list))
        .routes(routes!(updates::get))
        .routes(routes!(updates::timeline))
        .routes(routes!(updates::approve))
        .routes(routes!(updates::reject))
        .routes(routes!(updates::reopen))
        .routes(routes!(updates::bulk_approve))
        .routes(routes!(updates::bulk_reject))
        .routes(routes!(workloads::list))
        .routes(routes!(workloads::explain))
        .routes(routes!(workloads::history, workloads::roll_back))
        .routes(routes!(workloads::history_of_deployment, workloads::roll_back_deployment))
        .with_state(api)
        .split_for_parts();
    router
        .route("/openapi.json", get(move || std::future::ready(Json(document.clone()))))
        .merge(Router::new().route("/health", get(probe::health)).with_state(handle))
        .fallback(not_found)
        .method_not_allowed_fallback(not_allowed)
        .layer(axum::extract::DefaultBodyLimit::max(BODY))
}

async fn not_found() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "there is no such route; GET /openapi.json lists them")
}

async fn not_allowed() -> Problem {
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "the route does not take this method; GET /openapi.json lists them")
}

impl Api {
    /// Who asks; for a change, from where as well.
    fn user(&self, headers: &HeaderMap) -> Result<String, Problem> {
        auth::same_origin(headers).and_then(|()| self.auth.user(headers)).map_err(|denied| match denied {
            Denied::Unknown => Problem::new(StatusCode::UNAUTHORIZED, denied.to_string()),
            Denied::Foreign => Problem::new(StatusCode::FORBIDDEN, denied.to_string()),
        })
    }
}

/// One line for every action that a person asked for, with what really came of it.
pub(crate) fn audit(user: &str, action: &str, resource_type: &str, namespace: &str, name: &str, result: &str, reason: &str) {
    let timestamp = jiff::Timestamp::now();
    tracing::info!(target: "headwind::audit", timestamp = %timestamp, username = user, action, resource_type, namespace, name, result, reason, "{action} {namespace}/{name}: {result}");
}

/// For handlers that end early with a problem.
pub(crate) fn flat(result: Result<Response, Problem>) -> Response {
    result.unwrap_or_else(IntoResponse::into_response)
}

/// The state of a handler.
pub(crate) type Shared = State<Api>;
