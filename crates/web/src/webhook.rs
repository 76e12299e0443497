//! Port 8080: registries' webhooks (SPEC section 6).
//!
//! A call is read (capped, timed, and within a common budget of memory), proven, decoded and
//! offered to the operator, in this order; whatever is wrong ends it with its own answer. Nothing
//! here waits for the API server.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use headwind_operator::Handle;
use headwind_source::proof::{self, Secret};
use headwind_source::webhook::{DecodeError, Envelope, Sender, decode};
use http_body_util::BodyExt as _;
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

use crate::probe;
use crate::problem::Problem;

/// The most that one call may bring.
const BODY: usize = 1024 * 1024;
/// The most that all calls under way may hold together.
const BUDGET: usize = 32 * BODY;
/// How much of a body that is too large is read and thrown away, and for how long.
const DRAIN: usize = 8 * BODY;
const DRAIN_TIME: Duration = Duration::from_secs(2);
/// How long a body may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the port needs.
#[derive(Clone)]
pub struct Webhooks {
    handle: Handle,
    secret: Option<Arc<Secret>>,
    budget: Arc<Semaphore>,
}

/// The routes of the port.
pub fn router(handle: Handle, secret: Option<Secret>) -> Router {
    let webhooks = Webhooks { handle: handle.clone(), secret: secret.map(Arc::new), budget: Arc::new(Semaphore::new(BUDGET)) };
    Router::new()
        .route("/webhook/registry", post(registry))
        .route("/webhook/dockerhub", post(docker_hub))
        .with_state(webhooks)
        .merge(Router::new().route("/health", get(probe::health)).with_state(handle))
}

#[derive(Debug, Default, Deserialize)]
struct Parameters {
    token: Option<String>,
    registry: Option<String>,
}

/// What became of the call's events.
#[derive(Debug, Serialize)]
struct Taken {
    /// Events for repositories that some workload uses; they are looked at now.
    accepted: usize,
    /// Events for repositories that nobody uses.
    unused: usize,
    /// What was no push of an image.
    ignored: usize,
}

async fn registry(State(webhooks): State<Webhooks>, parameters: Query<Parameters>, headers: HeaderMap, body: Body) -> Response {
    webhooks.call(None, &parameters, &headers, body).await.unwrap_or_else(IntoResponse::into_response)
}

async fn docker_hub(State(webhooks): State<Webhooks>, parameters: Query<Parameters>, headers: HeaderMap, body: Body) -> Response {
    webhooks.call(Some(Sender::DockerHub), &parameters, &headers, body).await.unwrap_or_else(IntoResponse::into_response)
}

impl Webhooks {
    async fn call(&self, sender: Option<Sender>, parameters: &Parameters, headers: &HeaderMap, body: Body) -> Result<Response, Problem> {
        json_or_nothing(headers)?;
        let (body, _held) = self.read(headers, body).await?;
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        if let Some(secret) = &self.secret {
            proof::verify(secret, &header, parameters.token.as_deref(), &body)
                .map_err(|error| Problem::new(StatusCode::UNAUTHORIZED, error.to_string()))?;
        }
        let envelope = Envelope { sender, registry: parameters.registry.as_deref(), header: &header, body: &body };
        let decoded = decode(&envelope).map_err(|error| Problem::new(status(&error), error.to_string()))?;
        for ignored in &decoded.ignored {
            self.handle.ignored(ignored.reason);
            tracing::debug!(webhook.sender = decoded.sender.as_str(), reason = ignored.reason.code(), "not taken: {}", ignored.detail);
        }
        let ignored = decoded.ignored.len();
        let offered = self.handle.offer(decoded.events).map_err(|busy| Problem::new(StatusCode::SERVICE_UNAVAILABLE, busy.to_string()))?;
        let status = if offered.taken > 0 { StatusCode::ACCEPTED } else { StatusCode::OK };
        Ok((status, Json(Taken { accepted: offered.taken, unused: offered.unused, ignored })).into_response())
    }

    /// Reads the body as it comes; what is held counts against the common budget.
    async fn read(&self, headers: &HeaderMap, mut body: Body) -> Result<(Vec<u8>, Vec<tokio::sync::SemaphorePermit<'_>>), Problem> {
        let too_large = || Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "a webhook's body has at most 1 MiB");
        let told: Option<u64> =
            headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()).and_then(|text| text.parse().ok());
        if told.is_some_and(|told| told > BODY as u64) {
            drain(body).await;
            return Err(too_large());
        }
        let (mut bytes, mut held) = (Vec::new(), Vec::new());
        let reading = async {
            while let Some(frame) = body.frame().await {
                let frame = frame.map_err(|error| Problem::new(StatusCode::BAD_REQUEST, format!("the body broke off: {error}")))?;
                let Ok(chunk) = frame.into_data() else { continue };
                if bytes.len() + chunk.len() > BODY {
                    return Ok(true);
                }
                let size = u32::try_from(chunk.len()).unwrap_or(u32::MAX);
                held.push(
                    self.budget
                        .try_acquire_many(size)
                        .map_err(|_| Problem::new(StatusCode::SERVICE_UNAVAILABLE, "too many calls at once"))?,
                );
                bytes.extend_from_slice(&chunk);
            }
            Ok(false)
        };
        let read = tokio::time::timeout(PATIENCE, reading).await;
        if read.map_err(|_| Problem::new(StatusCode::REQUEST_TIMEOUT, "the body did not come in time"))?? {
            drain(body).await;
            return Err(too_large());
        }
        Ok((bytes, held))
    }
}

/// Reads some of what is too much, so that the sender gets to see the answer rather than a reset.
async fn drain(mut body: Body) {
    let reading = async {
        let mut left = DRAIN;
        while let Some(Ok(frame)) = body.frame().await {
            left = left.saturating_sub(frame.data_ref().map_or(0, Bytes::len));
            if left == 0 {
                return;
            }
        }
    };
    // Nothing depends on the end of it.
    tokio::time::timeout(DRAIN_TIME, reading).await.ok();
}

/// A body that says it is something else than JSON is not looked at; one that says nothing is.
fn json_or_nothing(headers: &HeaderMap) -> Result<(), Problem> {
    let Some(value) = headers.get(header::CONTENT_TYPE) else { return Ok(()) };
    let essence = value.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if essence == "application/json" || essence == "text/json" || (essence.starts_with("application/") && essence.ends_with("+json")) {
        Ok(())
    } else {
        Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "a webhook's body is JSON (Content-Type: application/json)"))
    }
}

fn status(error: &DecodeError) -> StatusCode {
    match error {
        DecodeError::Malformed(_) => StatusCode::BAD_REQUEST,
        DecodeError::UnknownShape(_) | DecodeError::TooMany => StatusCode::UNPROCESSABLE_ENTITY,
    }
}
