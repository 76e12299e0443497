//! `/api/v1/workloads` and `/api/v1/rollback`: lists workloads, explains their versions, and rolls back.

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Json};
use headwind_core::workload::{Kind, WorkloadKey};
use headwind_operator::{Caller, Past, RollbackError, WorkloadFilter};
use serde::Deserialize;
use utoipa::IntoParams;

use super::extract::{Path, Query};
use super::schema::{History, HistoryEntry, ListMeta, RollBack, Update, Workload, WorkloadList};
use super::updates;
use super::{Api, Shared, flat};
use crate::auth::Action;
use crate::problem::Problem;

/// Maximum time that an `explain` call waits for its turn.
const EXPLAIN_WAIT: Duration = Duration::from_secs(10);

/// The filter and the page.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct Parameters {
    /// Only this namespace.
    namespace: Option<String>,
    /// Only this kind.
    kind: Option<String>,
    /// Only workloads whose name, container or image contains this text.
    q: Option<String>,
    /// Maximum number of items (1 to 500; default 100).
    limit: Option<usize>,
    /// `metadata.continue` of the previous page.
    r#continue: Option<String>,
}

#[utoipa::path(get, path = "/api/v1/workloads", summary = "List tracked workloads", params(Parameters), responses((status = 200, body = WorkloadList), (status = 422, body = Problem, content_type = "application/problem+json")))]
pub(super) async fn list(State(api): Shared, Extension(caller): Extension<Caller>, Query(parameters): Query<Parameters>) -> Response {
    flat(page(&api, &caller, parameters).await)
}

async fn page(api: &Api, caller: &Caller, parameters: Parameters) -> Result<Response, Problem> {
    let limit = updates::limit(parameters.limit)?;
    let text = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let kind = text(&parameters.kind).map(|kind| read_kind(&kind)).transpose()?;
    let after = text(&parameters.r#continue).map(|token| position(&token)).transpose()?;
    let namespace = text(&parameters.namespace);
    let visible = api.auth.listed(caller, namespace.as_deref()).await?;
    let filter = WorkloadFilter { visible, namespace, kind, text: text(&parameters.q) };
    let page = api.handle.workloads(&filter, after.as_ref(), limit);
    let r#continue = page.more_after.map(|key| format!("{}/{}/{}", key.namespace, key.kind, key.name)).unwrap_or_default();
    Ok(Json(WorkloadList {
        metadata: ListMeta { r#continue, remaining_item_count: page.remaining },
        items: page.items.iter().map(Workload::summary).collect(),
    })
    .into_response())
}

fn read_kind(text: &str) -> Result<Kind, Problem> {
    text.parse().map_err(|error: headwind_core::named::UnknownName| updates::invalid(error.to_string()))
}

fn position(token: &str) -> Result<WorkloadKey, Problem> {
    let parts: Vec<&str> = token.split('/').collect();
    match parts.as_slice() {
        [namespace, kind, name] => Ok(WorkloadKey { kind: read_kind(kind)?, namespace: (*namespace).to_owned(), name: (*name).to_owned() }),
        _ => Err(updates::invalid("invalid continue; use metadata.continue of the previous page")),
    }
}

/// Returns the action to authorize before a workload is shown: its requests are a part of the response.
fn list_in(namespace: &str) -> Action {
    Action::List { namespace: Some(namespace.to_owned()) }
}

/// Returns the workload of a path, if its namespace is served.
fn workload(api: &Api, namespace: &str, kind: &str, name: &str) -> Result<WorkloadKey, Problem> {
    let key = WorkloadKey { kind: read_kind(kind)?, namespace: namespace.to_owned(), name: name.to_owned() };
    if api.handle.serves(namespace) { Ok(key) } else { Err(problem(&RollbackError::NotFound(key))) }
}

#[utoipa::path(get, path = "/api/v1/workloads/{namespace}/{kind}/{name}/explain", summary = "Explain the version of a workload, with the verdict on every candidate", params(("namespace" = String, Path), ("kind" = String, Path), ("name" = String, Path)), responses((status = 200, body = Workload), (status = 404, body = Problem, content_type = "application/problem+json"), (status = 422, body = Problem, content_type = "application/problem+json")))]
pub(super) async fn explain(
    State(api): Shared,
    Extension(caller): Extension<Caller>,
    Path((namespace, kind, name)): Path<(String, String, String)>,
) -> Response {
    flat(match workload(&api, &namespace, &kind, &name) {
        Ok(key) => explained(&api, &caller, key).await,
        Err(problem) => Err(problem),
    })
}

async fn explained(api: &Api, caller: &Caller, key: WorkloadKey) -> Result<Response, Problem> {
    api.auth.authorize(caller, &list_in(&key.namespace)).await?;
    api.auth.authorize(caller, &Action::Query { workload: key.clone() }).await?;
    let Ok(Ok(_place)) = tokio::time::timeout(EXPLAIN_WAIT, api.explains.acquire()).await else {
        return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "too many concurrent explain calls; try again"));
    };
    match Box::pin(api.handle.explain(&key)).await {
        Some(view) => Ok(Json(Workload::whole(&view)).into_response()),
        None => Err(problem(&RollbackError::NotFound(key))),
    }
}

#[utoipa::path(get, path = "/api/v1/rollback/{namespace}/{kind}/{name}", summary = "List the previous images of a workload", params(("namespace" = String, Path), ("kind" = String, Path), ("name" = String, Path)), responses((status = 200, body = History), (status = 404, body = Problem, content_type = "application/problem+json"), (status = 422, body = Problem, content_type = "application/problem+json")))]
pub(super) async fn history(
    State(api): Shared,
    Extension(caller): Extension<Caller>,
    Path((namespace, kind, name)): Path<(String, String, String)>,
) -> Response {
    flat(past(&api, &caller, &namespace, &kind, &name).await)
}

#[utoipa::path(get, path = "/api/v1/rollback/{namespace}/{deployment}", summary = "List the previous images of a Deployment", params(("namespace" = String, Path), ("deployment" = String, Path)), responses((status = 200, body = History), (status = 404, body = Problem, content_type = "application/problem+json")))]
pub(super) async fn history_of_deployment(
    State(api): Shared,
    Extension(caller): Extension<Caller>,
    Path((namespace, name)): Path<(String, String)>,
) -> Response {
    flat(past(&api, &caller, &namespace, Kind::Deployment.as_str(), &name).await)
}

async fn past(api: &Api, caller: &Caller, namespace: &str, kind: &str, name: &str) -> Result<Response, Problem> {
    let key = workload(api, namespace, kind, name)?;
    api.auth.authorize(caller, &list_in(namespace)).await?;
    let entries: Vec<Past> = api.handle.history(&key).map_err(|error| problem(&error))?;
    Ok(Json(History { entries: entries.into_iter().map(HistoryEntry::from).collect() }).into_response())
}

#[utoipa::path(post, path = "/api/v1/rollback/{namespace}/{kind}/{name}", summary = "Roll back a workload", params(("namespace" = String, Path), ("kind" = String, Path), ("name" = String, Path)), request_body = Option<RollBack>, responses((status = 200, body = Update), (status = 404, body = Problem, content_type = "application/problem+json"), (status = 409, body = Problem, content_type = "application/problem+json"), (status = 422, body = Problem, content_type = "application/problem+json")))]
pub(super) async fn roll_back(
    State(api): Shared,
    Path((namespace, kind, name)): Path<(String, String, String)>,
    Extension(caller): Extension<Caller>,
    body: Bytes,
) -> Response {
    flat(back(&api, &namespace, &kind, &name, caller, &body).await)
}

#[utoipa::path(post, path = "/api/v1/rollback/{namespace}/{deployment}", summary = "Roll back a Deployment", params(("namespace" = String, Path), ("deployment" = String, Path)), request_body = Option<RollBack>, responses((status = 200, body = Update), (status = 404, body = Problem, content_type = "application/problem+json"), (status = 409, body = Problem, content_type = "application/problem+json"), (status = 422, body = Problem, content_type = "application/problem+json")))]
pub(super) async fn roll_back_deployment(
    State(api): Shared,
    Path((namespace, name)): Path<(String, String)>,
    Extension(caller): Extension<Caller>,
    body: Bytes,
) -> Response {
    flat(back(&api, &namespace, Kind::Deployment.as_str(), &name, caller, &body).await)
}

async fn back(api: &Api, namespace: &str, kind: &str, name: &str, caller: Caller, body: &Bytes) -> Result<Response, Problem> {
    let key = workload(api, namespace, kind, name)?;
    api.auth.authorize(&caller, &Action::RollBack { workload: key.clone() }).await?;
    let asked: RollBack = if body.iter().all(u8::is_ascii_whitespace) { RollBack::default() } else { updates::read(body)? };
    let note = updates::note(None, asked.reason.as_deref())?;
    let done = api.handle.roll_back(caller, key, asked.container, asked.index.unwrap_or(1), note).await;
    done.map(|request| Json(Update(request)).into_response()).map_err(|error| problem(&error))
}

fn problem(error: &RollbackError) -> Problem {
    let status = match error {
        RollbackError::NotFound(_) => StatusCode::NOT_FOUND,
        RollbackError::Unclear(_) => StatusCode::UNPROCESSABLE_ENTITY,
        RollbackError::NothingOlder { .. } => StatusCode::CONFLICT,
        RollbackError::Act(error) => return updates::problem(error),
    };
    Problem::new(status, error.to_string())
}
