//! The test of a notification channel.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Json};
use headwind_core::config::Store;
use headwind_operator::notify::Channel;
use headwind_operator::{Caller, TestError};
use serde::Serialize;
use utoipa::ToSchema;

use super::extract::Path;
use super::{Api, Shared, flat};
use crate::auth;
use crate::problem::Problem;

/// The answer of a receiver to a test message.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Tested {
    /// The channel.
    channel: &'static str,
    /// The status and the start of the body, or the last line of the SMTP server.
    answer: String,
}

#[utoipa::path(post, path = "/api/v1/settings/notifications/{channel}/test", summary = "Send a test message to a notification channel", params(("channel" = String, Path, description = "slack, teams, webhook, discord, mattermost or mail")),
    responses((status = 200, body = Tested), (status = 404, body = Problem, content_type = "application/problem+json"), (status = 409, body = Problem, content_type = "application/problem+json"), (status = 502, body = Problem, content_type = "application/problem+json")))]
pub(super) async fn test(State(api): Shared, Extension(caller): Extension<Caller>, Path(channel): Path<String>) -> Response {
    flat(tested(&api, caller, &channel).await)
}

async fn tested(api: &Api, caller: Caller, channel: &str) -> Result<Response, Problem> {
    let creates = api.handle.settings().version(Store::ConfigMap).is_none();
    let namespace = api.handle.own_namespace().to_owned();
    api.auth.authorize(&caller, &auth::Action::TestChannel { channel: channel.to_owned(), namespace, creates }).await?;
    let channel: Channel =
        channel.parse().map_err(|unknown: headwind_core::named::UnknownName| Problem::new(StatusCode::NOT_FOUND, unknown.to_string()))?;
    let answer = api.handle.test_channel(caller, channel).await.map_err(|error| Problem::new(status(&error), error.to_string()))?;
    Ok(Json(Tested { channel: channel.as_str(), answer }).into_response())
}

/// Returns the status of a test that failed.
pub(crate) fn status(error: &TestError) -> StatusCode {
    match error {
        TestError::NotEnabled(_) => StatusCode::CONFLICT,
        TestError::TooMany => StatusCode::TOO_MANY_REQUESTS,
        TestError::Failed(_) => StatusCode::BAD_GATEWAY,
    }
}
