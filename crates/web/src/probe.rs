//! Port 9090: metrics, health and readiness.

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use headwind_operator::Handle;
use serde_json::json;

/// Returns the routes of the port.
pub fn router(handle: Handle) -> Router {
    Router::new().route("/metrics", get(metrics)).route("/health", get(health)).route("/ready", get(ready)).with_state(handle)
}

async fn metrics(State(handle): State<Handle>) -> Response {
    match handle.metrics() {
        Ok(text) => ([(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

/// Fails when a task has died. Every port has this route.
pub(crate) async fn health(State(handle): State<Handle>) -> Response {
    answer(&handle.dead(), "dead")
}

/// Succeeds when the caches are in sync and every server is bound.
async fn ready(State(handle): State<Handle>) -> Response {
    answer(&handle.missing(), "missing")
}

fn answer(wrong: &[String], word: &str) -> Response {
    if wrong.is_empty() {
        Json(json!({"status": "ok"})).into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, Json(json!({"status": "unavailable", word: wrong}))).into_response()
    }
}
