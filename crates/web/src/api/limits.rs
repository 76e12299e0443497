//! `/api/v1/limits`, `freeze`, `unfreeze` and `resume`: the limits on the updates of all workloads.

use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Json};
use headwind_core::config::Store;
use headwind_core::gate::Freeze;
use headwind_operator::{Caller, LimitsView, SaveError, Visible};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Api, Shared, flat, updates};
use crate::auth::Action;
use crate::problem::Problem;

/// Maximum length of a reason, in characters.
const REASON: usize = 500;

/// The limits on the updates of all workloads.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct LimitsBody {
    /// The freeze that is in effect. Not set if there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    freeze: Option<FreezeBody>,
    /// Maximum number of rollouts at the same time. Not set if unlimited.
    #[serde(skip_serializing_if = "Option::is_none")]
    max_concurrent_rollouts: Option<u32>,
    /// Maximum number of rollouts at the same time in one namespace. Not set if unlimited.
    #[serde(skip_serializing_if = "Option::is_none")]
    max_concurrent_rollouts_per_namespace: Option<u32>,
    /// Number of failed updates within an hour after which updates are paused. Not set if they never are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pause_after_failures: Option<u32>,
    /// Since when updates that the policy approved are paused (RFC 3339). Not set if they are not.
    #[serde(skip_serializing_if = "Option::is_none")]
    paused_since: Option<String>,
    /// Number of workloads that are rolled out now; 0 if the number is not limited. Not set if the caller may not list
    /// every namespace that holds a workload or a request.
    #[serde(skip_serializing_if = "Option::is_none")]
    rollouts: Option<usize>,
    /// Number of updates that wait for the end of a rollout. Not set if the caller may not list every namespace that
    /// holds a workload or a request.
    #[serde(skip_serializing_if = "Option::is_none")]
    waiting: Option<usize>,
}

/// A freeze.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct FreezeBody {
    /// When it ends (RFC 3339). If not set, it lasts until somebody ends it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    until: Option<String>,
    /// Why, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

impl LimitsBody {
    /// `totals` is true if the caller may know the numbers of all namespaces together.
    fn of(view: &LimitsView, totals: bool, now: Timestamp) -> Self {
        let freeze = |freeze: &Freeze| FreezeBody { until: freeze.until.map(|until| until.to_string()), reason: freeze.reason.clone() };
        Self {
            freeze: view.freeze(now).map(freeze),
            max_concurrent_rollouts: view.configured.rollouts,
            max_concurrent_rollouts_per_namespace: view.configured.rollouts_per_namespace,
            pause_after_failures: view.configured.pause_after_failures,
            paused_since: view.paused_since.map(|since| since.to_string()),
            rollouts: totals.then_some(view.rollouts),
            waiting: totals.then_some(view.waiting),
        }
    }
}

#[utoipa::path(get, path = "/api/v1/limits", summary = "Get the limits on the updates of all workloads", responses((status = 200, body = LimitsBody), (status = 403, body = Problem, content_type = "application/problem+json")))]
pub(super) async fn get(State(api): Shared, Extension(caller): Extension<Caller>) -> Response {
    let read = async {
        let visible = api.auth.visible(&caller).await?;
        if visible.is_empty() {
            // Names the missing permission.
            api.auth.authorize(&caller, &Action::List { namespace: None }).await?;
        }
        Ok(current(&api, &visible))
    };
    flat(read.await)
}

#[utoipa::path(post, path = "/api/v1/freeze", summary = "Freeze all updates", request_body = Option<FreezeBody>, responses((status = 200, body = LimitsBody), (status = 422, body = Problem, content_type = "application/problem+json")))]
pub(super) async fn freeze(State(api): Shared, Extension(caller): Extension<Caller>, body: Bytes) -> Response {
    flat(frozen(&api, caller, &body).await)
}

async fn frozen(api: &Api, caller: Caller, body: &Bytes) -> Result<Response, Problem> {
    authorize(api, &caller).await?;
    let FreezeBody { until, reason } = if body.iter().all(u8::is_ascii_whitespace) { FreezeBody::default() } else { updates::read(body)? };
    let reason = reason.map(|reason| reason.trim().to_owned()).filter(|reason| !reason.is_empty());
    if reason.as_ref().is_some_and(|reason| reason.chars().count() > REASON) {
        return Err(updates::invalid(format!("reason may have at most {REASON} characters")));
    }
    let time = |text: String| text.parse::<Timestamp>().map_err(|_| updates::invalid("until must be a time like 2027-01-02T00:00:00Z"));
    let until = until.filter(|until| !until.is_empty()).map(time).transpose()?;
    if until.is_some_and(|until| until <= Timestamp::now()) {
        return Err(updates::invalid("until is in the past"));
    }
    let visible = api.auth.visible(&caller).await?;
    api.handle.freeze(caller, Freeze { until, reason }).await.map_err(|error| problem(&error))?;
    Ok(current(api, &visible))
}

#[utoipa::path(post, path = "/api/v1/unfreeze", summary = "End the freeze of all updates", responses((status = 200, body = LimitsBody)))]
pub(super) async fn unfreeze(State(api): Shared, Extension(caller): Extension<Caller>) -> Response {
    let done = async {
        authorize(&api, &caller).await?;
        let visible = api.auth.visible(&caller).await?;
        api.handle.unfreeze(caller).await.map_err(|error| problem(&error))?;
        Ok(current(&api, &visible))
    };
    flat(done.await)
}

#[utoipa::path(post, path = "/api/v1/resume", summary = "Resume updates that are paused because too many failed", responses((status = 200, body = LimitsBody)))]
pub(super) async fn resume(State(api): Shared, Extension(caller): Extension<Caller>) -> Response {
    let done = async {
        authorize(&api, &caller).await?;
        let visible = api.auth.visible(&caller).await?;
        api.handle.resume(caller).await.map_err(|error| problem(&error))?;
        Ok(current(&api, &visible))
    };
    flat(done.await)
}

async fn authorize(api: &Api, caller: &Caller) -> Result<(), Problem> {
    let creates = api.handle.settings().config_map.is_none();
    let change = Action::ChangeSettings { store: Store::ConfigMap, namespace: api.handle.own_namespace().to_owned(), creates };
    Ok(api.auth.authorize(caller, &change).await?)
}

fn current(api: &Api, visible: &Visible) -> Response {
    let totals = visible.covers(&api.handle.namespaces());
    Json(LimitsBody::of(&api.handle.limits(), totals, Timestamp::now())).into_response()
}

fn problem(error: &SaveError) -> Problem {
    let status = match error {
        SaveError::Conflict(_) => StatusCode::CONFLICT,
        SaveError::Unauthenticated(_) => StatusCode::UNAUTHORIZED,
        SaveError::Forbidden(_) => StatusCode::FORBIDDEN,
        SaveError::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
    };
    Problem::new(status, error.to_string())
}
