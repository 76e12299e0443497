//! Port 8080: registries' webhooks (SPEC section 6).
//!
//! A call is read (capped, timed, and within a common budget of memory), proven, decoded and
//! offered to the operator, in this order; whatever is wrong ends it with its own answer. Nothing
//! here waits for the API server.

mod google;

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};
use axum::{Json, Router};
use headwind_operator::Handle;
use headwind_source::proof::google::is_token;
use headwind_source::proof::{self, Secret};
use headwind_source::webhook::{DecodeError, Envelope, Sender, Subscription, decode};
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

/// How long a call of Headwind's own to a sender may take.
const OUTWARD: Duration = Duration::from_secs(10);

pub use google::Google;

/// Whom the port believes.
#[derive(Debug, Clone, Default)]
pub struct Trust {
    /// What every call has to prove that it knows.
    pub secret: Option<Secret>,
    /// How Google's signed tokens are checked; they prove a call in the secret's place.
    pub google: Option<Google>,
    /// The topics of Amazon SNS whose subscriptions are confirmed, by their ARNs.
    pub sns_topics: Vec<String>,
}

/// What the port needs.
#[derive(Clone)]
pub struct Webhooks {
    handle: Handle,
    secret: Option<Arc<Secret>>,
    google: Option<Arc<google::Checker>>,
    sns_topics: Arc<[String]>,
    http: reqwest::Client,
    budget: Arc<Semaphore>,
}

/// The routes of the port.
///
/// # Errors
/// When no HTTP client can be made.
pub fn router(handle: Handle, trust: Trust) -> Result<Router, reqwest::Error> {
    let Trust { secret, google, sns_topics } = trust;
    let http = reqwest::Client::builder().timeout(OUTWARD).redirect(reqwest::redirect::Policy::none()).build()?;
    let webhooks = Webhooks {
        handle: handle.clone(),
        secret: secret.map(Arc::new),
        google: google.map(|settings| Arc::new(google::Checker::new(settings, http.clone()))),
        sns_topics: sns_topics.into(),
        http,
        budget: Arc::new(Semaphore::new(BUDGET)),
    };
    let router = Router::new()
        .route("/webhook/registry", from(None))
        .route("/webhook/registry/{token}", from(None))
        .route("/webhook/dockerhub", from(Some(Sender::DockerHub)))
        .route("/webhook/dockerhub/{token}", from(Some(Sender::DockerHub)))
        .with_state(webhooks)
        .merge(Router::new().route("/health", get(probe::health)).with_state(handle));
    Ok(router)
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

/// What a route needs of a call.
type Parts = (Option<Path<String>>, Query<Parameters>, HeaderMap, Body);

/// A route whose path names the sender, or nobody. The secret may be a part of the path, for
/// senders that ask for an address and nothing else.
fn from(sender: Option<Sender>) -> MethodRouter<Webhooks> {
    post(move |State(webhooks): State<Webhooks>, token, parameters, headers, body| async move {
        let (token, Query(parameters), headers, body): Parts = (token, parameters, headers, body);
        let parameters = match token {
            Some(Path(token)) => Parameters { token: Some(token), ..parameters },
            None => parameters,
        };
        webhooks.call(sender, &parameters, &headers, body).await.unwrap_or_else(IntoResponse::into_response)
    })
}

impl Webhooks {
    async fn call(&self, sender: Option<Sender>, parameters: &Parameters, headers: &HeaderMap, body: Body) -> Result<Response, Problem> {
        json_or_nothing(headers)?;
        let (body, _held) = self.read(headers, body).await?;
        self.prove(headers, parameters.token.as_deref(), &body).await?;
        let decoded =
            decode(&Envelope { sender, registry: parameters.registry.as_deref(), header: &|name| text(headers, name), body: &body })
                .map_err(|error| Problem::new(status(&error), error.to_string()))?;
        for ignored in &decoded.ignored {
            self.handle.ignored(ignored.reason);
            tracing::debug!(webhook.sender = decoded.sender.as_str(), reason = ignored.reason.code(), "not taken: {}", ignored.detail);
        }
        if let Some(subscription) = &decoded.subscription {
            return self.confirm(subscription).await;
        }
        let ignored = decoded.ignored.len();
        let offered = self.handle.offer(decoded.events).map_err(|busy| Problem::new(StatusCode::SERVICE_UNAVAILABLE, busy.to_string()))?;
        let status = if offered.taken > 0 { StatusCode::ACCEPTED } else { StatusCode::OK };
        Ok((status, Json(Taken { accepted: offered.taken, unused: offered.unused, ignored })).into_response())
    }

    /// Checks that the call comes from whom it has to. Where nothing is demanded, everybody is believed.
    async fn prove(&self, headers: &HeaderMap, token: Option<&str>, body: &[u8]) -> Result<(), Problem> {
        let unauthorized = |detail: String| Problem::new(StatusCode::UNAUTHORIZED, detail);
        if let Some(google) = &self.google {
            let bearer = text(headers, "authorization").and_then(|value| value.strip_prefix("Bearer ")).map(str::trim);
            match bearer.filter(|bearer| is_token(bearer)) {
                Some(bearer) => return google.check(bearer).await.map_err(|error| unauthorized(format!("the token: {error}"))),
                None if self.secret.is_none() => return Err(unauthorized("the call carries no token signed by Google".to_owned())),
                None => {}
            }
        }
        let Some(secret) = &self.secret else { return Ok(()) };
        proof::verify(secret, &|name| text(headers, name), token, body).map_err(|error| unauthorized(error.to_string()))
    }

    /// Confirms a subscription of Amazon SNS, where its topic is one of those that are allowed.
    async fn confirm(&self, subscription: &Subscription) -> Result<Response, Problem> {
        let Subscription { topic, url } = subscription;
        if !self.sns_topics.contains(topic) {
            tracing::warn!(sns.topic = topic, "a subscription was not confirmed: its topic is not in HEADWIND_WEBHOOK_SNS_TOPICS");
            return Err(Problem::new(StatusCode::FORBIDDEN, format!("the topic {topic} is not in HEADWIND_WEBHOOK_SNS_TOPICS")));
        }
        let confirmed = self.http.get(url).send().await.map(|answer| answer.status().is_success());
        if confirmed.as_ref().is_ok_and(|confirmed| *confirmed) {
            tracing::info!(sns.topic = topic, "subscription confirmed");
            return Ok((StatusCode::OK, Json(Taken { accepted: 0, unused: 0, ignored: 0 })).into_response());
        }
        // SNS asks again.
        Err(Problem::new(StatusCode::BAD_GATEWAY, "Amazon SNS did not take the confirmation"))
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
/// Amazon SNS calls its JSON plain text.
fn json_or_nothing(headers: &HeaderMap) -> Result<(), Problem> {
    let Some(value) = headers.get(header::CONTENT_TYPE).filter(|_| !headers.contains_key("x-amz-sns-message-type")) else { return Ok(()) };
    let essence = value.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if essence == "application/json" || essence == "text/json" || (essence.starts_with("application/") && essence.ends_with("+json")) {
        Ok(())
    } else {
        Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "a webhook's body is JSON (Content-Type: application/json)"))
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn status(error: &DecodeError) -> StatusCode {
    match error {
        DecodeError::Malformed(_) => StatusCode::BAD_REQUEST,
        DecodeError::UnknownShape(_) | DecodeError::TooMany => StatusCode::UNPROCESSABLE_ENTITY,
    }
}
