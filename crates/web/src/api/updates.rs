//! `/api/v1/updates`: reads, approves, rejects and reopens requests.

use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Json};
use headwind_core::request::action::Action;
use headwind_k8s::update_request::UpdateRequest;
use headwind_operator::{ActError, Caller, Filter, RequestName, Visible};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use utoipa::IntoParams;

use super::extract::{Path, Query};
use super::schema::{Bulk, BulkResult, BulkResults, ListMeta, Name, Timeline, Update, UpdateList, Why};
use super::{Shared, flat};
use crate::auth;
use crate::problem::Problem;

/// Default and maximum number of items of a page.
const PAGE: (usize, usize) = (100, 500);
/// Maximum number of requests of a bulk action.
const BULK: usize = 500;
/// Maximum length of a reason, in characters.
const REASON: usize = 1024;

/// The filter and the page.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct Parameters {
    /// Only this namespace.
    namespace: Option<String>,
    /// Only workloads of this kind.
    kind: Option<String>,
    /// Only this phase.
    phase: Option<String>,
    /// Only this policy.
    policy: Option<String>,
    /// Only requests whose name, workload, container or image contains this text.
    q: Option<String>,
    /// Maximum number of items (1 to 500; default 100).
    limit: Option<usize>,
    /// `metadata.continue` of the previous page.
    r#continue: Option<String>,
}

#[utoipa::path(get, path = "/api/v1/updates", summary = "List UpdateRequests", params(Parameters), responses((status = 200, body = UpdateList), (status = 422, body = Problem, content_type = "application/problem+json")))]
pub(super) async fn list(State(api): Shared, Extension(caller): Extension<Caller>, Query(parameters): Query<Parameters>) -> Response {
    flat(page(&api, &caller, parameters).await)
}

async fn page(api: &super::Api, caller: &Caller, parameters: Parameters) -> Result<Response, Problem> {
    let limit = limit(parameters.limit)?;
    let after = parameters.r#continue.as_deref().filter(|token| !token.is_empty()).map(position).transpose()?;
    let filter = Filter { visible: api.auth.listed(caller, parameters.namespace.as_deref()).await?, ..filter(&parameters)? };
    let page = api.handle.list(&filter, after.as_ref(), limit).await.map_err(|error| problem(&error))?;
    let r#continue = page.more_after.map(|(namespace, name)| format!("{namespace}/{name}")).unwrap_or_default();
    Ok(Json(UpdateList {
        api_version: "headwind.sh/v1alpha1",
        kind: "UpdateRequestList",
        metadata: ListMeta { r#continue, remaining_item_count: page.remaining },
        items: page.items.into_iter().map(Update).collect(),
    })
    .into_response())
}

/// Returns the number of items of a page.
pub(super) fn limit(asked: Option<usize>) -> Result<usize, Problem> {
    let limit = asked.unwrap_or(PAGE.0);
    if limit == 0 || limit > PAGE.1 { Err(invalid(format!("limit must be a number from 1 to {}", PAGE.1))) } else { Ok(limit) }
}

fn filter(parameters: &Parameters) -> Result<Filter, Problem> {
    fn word<T: std::str::FromStr<Err: ToString>>(word: Option<&String>) -> Result<Option<T>, Problem> {
        word.filter(|word| !word.is_empty()).map(|word| word.parse()).transpose().map_err(|error: T::Err| invalid(error.to_string()))
    }
    let text = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    Ok(Filter {
        visible: Visible::default(),
        namespace: text(&parameters.namespace),
        kind: word(parameters.kind.as_ref())?,
        phase: word(parameters.phase.as_ref())?,
        policy: word(parameters.policy.as_ref())?,
        text: text(&parameters.q),
    })
}

fn position(token: &str) -> Result<(String, String), Problem> {
    token
        .split_once('/')
        .map(|(namespace, name)| (namespace.to_owned(), name.to_owned()))
        .ok_or_else(|| invalid("invalid continue; use metadata.continue of the previous page"))
}

pub(super) fn invalid(detail: impl Into<String>) -> Problem {
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail)
}

#[utoipa::path(get, path = "/api/v1/updates/{namespace}/{name}", summary = "Get an UpdateRequest", params(("namespace" = String, Path), ("name" = String, Path)), responses((status = 200, body = Update), (status = 404, body = Problem, content_type = "application/problem+json")))]
pub(super) async fn get(
    State(api): Shared,
    Extension(caller): Extension<Caller>,
    Path((namespace, name)): Path<(String, String)>,
) -> Response {
    flat(read_one(&api, &caller, namespace, name).await.map(|request| Json(Update(request)).into_response()))
}

#[utoipa::path(get, path = "/api/v1/updates/{namespace}/{name}/timeline", summary = "Get the timeline of an update", params(("namespace" = String, Path), ("name" = String, Path)), responses((status = 200, body = Timeline), (status = 404, body = Problem, content_type = "application/problem+json")))]
pub(super) async fn timeline(
    State(api): Shared,
    Extension(caller): Extension<Caller>,
    Path((namespace, name)): Path<(String, String)>,
) -> Response {
    flat(read_one(&api, &caller, namespace, name).await.map(|request| {
        let moments = headwind_core::request::timeline::timeline(&request.read());
        Json(Timeline { moments: moments.into_iter().map(Into::into).collect() }).into_response()
    }))
}

async fn read_one(api: &super::Api, caller: &Caller, namespace: String, name: String) -> Result<UpdateRequest, Problem> {
    let get = auth::Action::Get { namespace: namespace.clone(), name: name.clone() };
    api.auth.authorize(caller, &get).await?;
    api.handle.get(&namespace, &name).await.map_err(|error| problem(&error))
}

macro_rules! action {
    ($name:ident, $action:expr, $path:literal, $summary:literal) => {
        #[utoipa::path(post, path = $path, summary = $summary, params(("namespace" = String, Path), ("name" = String, Path)), request_body = Option<Why>,
            responses((status = 200, body = Update), (status = 404, body = Problem, content_type = "application/problem+json"), (status = 409, body = Problem, content_type = "application/problem+json"), (status = 422, body = Problem, content_type = "application/problem+json")))]
        pub(super) async fn $name(State(api): Shared, Path((namespace, name)): Path<(String, String)>, Extension(caller): Extension<Caller>, body: Bytes) -> Response {
            flat(one(&api, RequestName { namespace, name }, $action, caller, &body).await)
        }
    };
}

action!(approve, Action::Approve, "/api/v1/updates/{namespace}/{name}/approve", "Approve a pending update");
action!(
    reject,
    Action::Reject,
    "/api/v1/updates/{namespace}/{name}/reject",
    "Reject a pending update, so that the version is not proposed again"
);
action!(reopen, Action::Reopen, "/api/v1/updates/{namespace}/{name}/reopen", "Reopen a finished update");

async fn one(api: &super::Api, name: RequestName, action: Action, caller: Caller, body: &Bytes) -> Result<Response, Problem> {
    api.auth.authorize(&caller, &decide(&name, action)).await?;
    let why: Why = if body.iter().all(u8::is_ascii_whitespace) { Why::default() } else { read(body)? };
    let note = note(why.approver.as_deref(), why.reason.as_deref())?;
    let skip = why.skip_cool_down.unwrap_or_default();
    if skip && action != Action::Approve {
        return Err(invalid("skipCoolDown is for approve only"));
    }
    let done = api.handle.act(caller, name, action, note, skip).await;
    done.map(|request| Json(Update(request)).into_response()).map_err(|error| problem(&error))
}

fn decide(RequestName { namespace, name }: &RequestName, decision: Action) -> auth::Action {
    auth::Action::Decide { decision, namespace: namespace.clone(), name: name.clone() }
}

#[utoipa::path(post, path = "/api/v1/updates/bulk/approve", summary = "Approve several pending updates", request_body = Bulk, responses((status = 200, body = BulkResults), (status = 422, body = Problem, content_type = "application/problem+json")))]
pub(super) async fn bulk_approve(State(api): Shared, Extension(caller): Extension<Caller>, body: Bytes) -> Response {
    flat(bulk(&api, Action::Approve, &caller, &body).await)
}

#[utoipa::path(post, path = "/api/v1/updates/bulk/reject", summary = "Reject several pending updates", request_body = Bulk, responses((status = 200, body = BulkResults), (status = 422, body = Problem, content_type = "application/problem+json")))]
pub(super) async fn bulk_reject(State(api): Shared, Extension(caller): Extension<Caller>, body: Bytes) -> Response {
    flat(bulk(&api, Action::Reject, &caller, &body).await)
}

async fn bulk(api: &super::Api, action: Action, caller: &Caller, body: &Bytes) -> Result<Response, Problem> {
    let bulk: Bulk = read(body)?;
    if bulk.updates.len() > BULK {
        return Err(invalid(format!("a bulk action accepts at most {BULK} updates")));
    }
    let note = note(bulk.approver.as_deref(), bulk.reason.as_deref())?;
    let names = bulk.updates.into_iter().map(|Name { namespace, name }| RequestName { namespace, name });
    let requests: Vec<RequestName> = names.collect();
    let actions: Vec<auth::Action> = requests.iter().map(|request| decide(request, action)).collect();
    // Permissions are checked for each before the first is done.
    let permitted = api.auth.authorize_all(caller, &actions).await;
    let mut results = Vec::with_capacity(requests.len());
    for (request, permitted) in requests.into_iter().zip(permitted) {
        let RequestName { namespace, name } = request.clone();
        let done = match permitted {
            Ok(()) => api.handle.act(caller.clone(), request, action, note.clone(), false).await.map_err(|error| problem(&error)),
            Err(refused) => Err(refused.into()),
        };
        results.push(match done {
            Ok(request) => BulkResult { namespace, name, status: 200, phase: Some(request.phase().as_str()), error: None },
            Err(Problem { status, detail, phase, .. }) => BulkResult { namespace, name, status, phase, error: Some(detail) },
        });
    }
    Ok(Json(BulkResults { results }).into_response())
}

pub(super) fn read<T: DeserializeOwned>(body: &Bytes) -> Result<T, Problem> {
    serde_json::from_slice(body).map_err(|error| {
        let status = if error.is_data() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::BAD_REQUEST };
        Problem::new(status, format!("invalid request body: {error}"))
    })
}

/// Returns the note for the record: the reason, and the person that the caller acts for.
pub(super) fn note(approver: Option<&str>, reason: Option<&str>) -> Result<Option<String>, Problem> {
    let mut parts = Vec::new();
    parts.extend(reason.map(str::trim).filter(|reason| !reason.is_empty()).map(str::to_owned));
    parts.extend(
        approver.map(str::trim).filter(|name| !name.is_empty()).map(|name| format!("(on behalf of {name}, according to the caller)")),
    );
    let note = parts.join(" ");
    if note.chars().count() > REASON {
        return Err(invalid(format!("reason and approver may have at most {REASON} characters together")));
    }
    Ok(Some(note).filter(|note| !note.is_empty()))
}

pub(super) fn problem(error: &ActError) -> Problem {
    let detail = error.to_string();
    match error {
        ActError::NotFound { .. } => Problem::new(StatusCode::NOT_FOUND, detail),
        ActError::NotNow(refused) => Problem::new(StatusCode::CONFLICT, detail).at(refused.phase),
        ActError::NameTaken(_) => Problem::new(StatusCode::CONFLICT, detail),
        ActError::Unauthenticated(_) => Problem::new(StatusCode::UNAUTHORIZED, detail),
        ActError::Forbidden(_) => Problem::new(StatusCode::FORBIDDEN, detail),
        ActError::Unavailable(_) => Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail),
    }
}
