//! Port 8081: the API for people and programs.
//!
//! The OpenAPI document is generated from the served routes.

mod channels;
mod events;
mod extract;
mod limits;
mod schema;
mod updates;
mod workloads;

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use headwind_operator::Handle;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::auth::Auth;
use crate::guard::Guard;
use crate::probe;
use crate::problem::Problem;
use crate::stream::Places;

pub(crate) use self::channels::status as test_status;

/// Maximum number of concurrent `explain` calls: each may query registries and ranks every tag.
const EXPLAINS: usize = 2;

/// The state of the routes.
#[derive(Clone)]
pub(crate) struct Api {
    pub(crate) handle: Handle,
    pub(crate) auth: Auth,
    pub(crate) explains: Arc<Semaphore>,
    /// Limits the open streams.
    pub(crate) streams: Arc<Places>,
    /// Ends the open streams.
    pub(crate) stop: CancellationToken,
}

#[derive(OpenApi)]
#[openapi(info(
    title = "Headwind",
    description = "Lists update requests and workloads, approves, rejects and reopens updates, and rolls workloads back."
))]
struct Document;

/// Returns the OpenAPI document of the port.
pub fn document() -> utoipa::openapi::OpenApi {
    routes().split_for_parts().1
}

fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(updates::list))
        .routes(routes!(updates::get))
        .routes(routes!(updates::timeline))
        .routes(routes!(updates::approve))
        .routes(routes!(updates::reject))
        .routes(routes!(updates::reopen))
        .routes(routes!(updates::bulk_approve))
        .routes(routes!(updates::bulk_reject))
        .routes(routes!(channels::test))
        .routes(routes!(events::updates))
        .routes(routes!(limits::get))
        .routes(routes!(limits::freeze))
        .routes(routes!(limits::unfreeze))
        .routes(routes!(limits::resume))
        .routes(routes!(workloads::list))
        .routes(routes!(workloads::explain))
        .routes(routes!(workloads::history, workloads::roll_back))
        .routes(routes!(workloads::history_of_deployment, workloads::roll_back_deployment))
}

/// Returns the routes of the port. `stop` ends the streams.
pub fn router(handle: Handle, guard: Guard, stop: CancellationToken) -> Router {
    let api = Api {
        handle: handle.clone(),
        auth: guard.auth().clone(),
        explains: Arc::new(Semaphore::new(EXPLAINS)),
        streams: Arc::default(),
        stop,
    };
    let (router, document) = routes().with_state(api).split_for_parts();
    let router = router
        .route("/openapi.json", get(move || std::future::ready(Json(document.clone()))))
        .merge(Router::new().route("/health", get(probe::health)).with_state(handle))
        .fallback(not_found)
        .method_not_allowed_fallback(not_allowed);
    guard.protect(router)
}

async fn not_found() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "route not found; GET /openapi.json lists all routes")
}

async fn not_allowed() -> Problem {
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method not allowed for this route; GET /openapi.json lists all routes")
}

/// Returns the response, or the problem that ended a handler early.
pub(crate) fn flat(result: Result<Response, Problem>) -> Response {
    result.unwrap_or_else(IntoResponse::into_response)
}

/// The state of a handler.
pub(crate) type Shared = State<Api>;
