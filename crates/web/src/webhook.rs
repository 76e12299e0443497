//! Port 8080: webhooks of registries, and clicks on buttons in Slack.
//!
//! For each call, Headwind checks the authentication in the head, reads the body (with a size limit, a timeout and a
//! common memory budget), checks its signature, decodes it and queues the claims, in this order. A failed step ends the
//! call with its own status. Nothing here waits for the API server.

mod body;
mod google;
mod slack;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};
use axum::{Extension, Json, Router};
use headwind_operator::{Full, Handle};
use headwind_webhook::proof::google::is_token;
use headwind_webhook::proof::{self, Early, Secret};
use headwind_webhook::senders::{DecodeError, Envelope, Sender, Subscription, decode};
use serde::{Deserialize, Serialize};

use self::body::Budget;
use crate::probe;
use crate::problem::Problem;
use crate::server::Ends;

/// Timeout of Headwind's own calls to a sender.
const OUTWARD: Duration = Duration::from_secs(10);

pub use google::Google;

/// The authentication of senders.
#[derive(Debug, Clone, Default)]
pub struct Trust {
    /// The secret that every call must present.
    pub secret: Option<Secret>,
    /// The check of Google's signed tokens, which are accepted instead of the secret.
    pub google: Option<Google>,
    /// The ARNs of the Amazon SNS topics whose subscriptions are confirmed.
    pub sns_topics: Vec<String>,
}

/// The state of the port.
pub struct Webhooks {
    handle: Handle,
    secret: Option<Secret>,
    google: Option<google::Checker>,
    sns_topics: Vec<String>,
    http: reqwest::Client,
    budget: Arc<Budget>,
}

/// Returns the routes of the port.
///
/// # Errors
/// If the HTTP client cannot be created.
pub fn router(handle: Handle, trust: Trust) -> Result<Router, reqwest::Error> {
    let Trust { secret, google, sns_topics } = trust;
    let http = reqwest::Client::builder().timeout(OUTWARD).redirect(reqwest::redirect::Policy::none()).build()?;
    let budget = Budget::new(secret.is_some() || google.is_some());
    let webhooks = Webhooks {
        handle: handle.clone(),
        secret,
        google: google.map(|settings| google::Checker::new(settings, http.clone())),
        sns_topics,
        http,
        budget: Arc::clone(&budget),
    };
    let clicks = slack::Clicks::new(&handle, budget);
    let router = Router::new()
        .route("/webhook/registry", from(None))
        .route("/webhook/registry/{token}", from(None))
        .route("/webhook/dockerhub", from(Some(Sender::DockerHub)))
        .route("/webhook/dockerhub/{token}", from(Some(Sender::DockerHub)))
        .with_state(Arc::new(webhooks))
        .merge(Router::new().route("/webhook/slack/actions", post(slack::actions)).with_state(clicks))
        .merge(Router::new().route("/health", get(probe::health)).with_state(handle));
    Ok(router)
}

#[derive(Debug, Default, Deserialize)]
struct Parameters {
    token: Option<String>,
    registry: Option<String>,
}

/// The numbers of events in a call, by result.
#[derive(Debug, Serialize)]
struct Taken {
    /// Events for repositories that a workload uses.
    accepted: usize,
    /// Events for repositories that no workload uses.
    unused: usize,
    /// Events that are not a push of an image.
    ignored: usize,
}

/// The authentication in the head of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Head {
    /// The sender is authenticated.
    Proven,
    /// The head contains a signature of the body.
    Signed,
    /// No authentication is required.
    Open,
}

fn unauthorized(detail: impl Into<String>) -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, detail)
}

/// The parts of a call that a route needs.
type Parts = (Option<Path<String>>, Query<Parameters>, HeaderMap, Body);

/// Returns a route whose path names the sender, or none. The path may contain the secret, for senders that are
/// configured with nothing but a URL.
fn from(sender: Option<Sender>) -> MethodRouter<Arc<Webhooks>> {
    post(move |State(webhooks): State<Arc<Webhooks>>, ends: Option<Extension<Ends>>, token, parameters, headers, body| async move {
        let (token, Query(parameters), headers, body): Parts = (token, parameters, headers, body);
        let peer = ends.map(|Extension(ends)| ends.peer);
        let parameters = match token {
            Some(Path(token)) => Parameters { token: Some(token), ..parameters },
            None => parameters,
        };
        webhooks.call(sender, &parameters, &headers, peer, body).await.unwrap_or_else(IntoResponse::into_response)
    })
}

impl Webhooks {
    async fn call(
        &self,
        sender: Option<Sender>,
        parameters: &Parameters,
        headers: &HeaderMap,
        peer: Option<IpAddr>,
        body: Body,
    ) -> Result<Response, Problem> {
        json_or_nothing(headers)?;
        let head = match self.prove_head(headers, parameters.token.as_deref()).await {
            Ok(head) => head,
            Err(problem) => {
                body::drain(body).await;
                return Err(problem);
            }
        };
        let from = if head == Head::Proven { body::Sender::Proven } else { body::Sender::Peer(peer) };
        let (body, _share) = self.budget.read(from, headers, body).await?;
        let proven = self.prove_body(head, headers, &body)?;
        let decoded =
            decode(&Envelope { sender, registry: parameters.registry.as_deref(), header: &|name| text(headers, name), body: &body })
                .map_err(|error| Problem::new(status(&error), error.to_string()))?;
        for ignored in &decoded.ignored {
            self.handle.ignored(ignored.reason);
            tracing::debug!(webhook.sender = decoded.sender.as_str(), reason = ignored.reason.code(), "event ignored: {}", ignored.detail);
        }
        if let Some(subscription) = &decoded.subscription {
            return self.confirm(subscription).await;
        }
        let ignored = decoded.ignored.len();
        let offered = self.handle.offer(decoded.events, proven).map_err(|full| Problem::new(full_status(full), full.to_string()))?;
        let status = if offered.taken > 0 { StatusCode::ACCEPTED } else { StatusCode::OK };
        Ok((status, Json(Taken { accepted: offered.taken, unused: offered.unused, ignored })).into_response())
    }

    /// Checks the authentication in the head of a call.
    async fn prove_head(&self, headers: &HeaderMap, token: Option<&str>) -> Result<Head, Problem> {
        if let Some(google) = &self.google {
            let bearer = text(headers, "authorization").and_then(|value| value.strip_prefix("Bearer ")).map(str::trim);
            match bearer.filter(|bearer| is_token(bearer)) {
                Some(bearer) => {
                    google.check(bearer).await.map_err(|error| unauthorized(format!("invalid token: {error}")))?;
                    return Ok(Head::Proven);
                }
                None if self.secret.is_none() => return Err(unauthorized("the call has no token signed by Google")),
                None => {}
            }
        }
        let Some(secret) = &self.secret else { return Ok(Head::Open) };
        match proof::verify_head(secret, &|name| text(headers, name), token) {
            Ok(Early::Proven) => Ok(Head::Proven),
            Ok(Early::Signed) => Ok(Head::Signed),
            Err(error) => Err(unauthorized(error.to_string())),
        }
    }

    /// Checks the signature of the body, if the head contains one. Returns true if the sender is authenticated.
    fn prove_body(&self, head: Head, headers: &HeaderMap, body: &[u8]) -> Result<bool, Problem> {
        match (head, &self.secret) {
            (Head::Proven, _) => Ok(true),
            (Head::Open, _) => Ok(false),
            (Head::Signed, Some(secret)) => proof::verify(secret, &|name| text(headers, name), None, body)
                .map(|()| true)
                .map_err(|error| unauthorized(error.to_string())),
            (Head::Signed, None) => Err(unauthorized("the body is signed, but Headwind has no secret to verify the signature")),
        }
    }

    /// Confirms a subscription of Amazon SNS, if its topic is allowed.
    async fn confirm(&self, subscription: &Subscription) -> Result<Response, Problem> {
        let Subscription { topic, url } = subscription;
        if !self.sns_topics.contains(topic) {
            tracing::warn!(sns.topic = topic, "subscription not confirmed: its topic is not in HEADWIND_WEBHOOK_SNS_TOPICS");
            return Err(Problem::new(StatusCode::FORBIDDEN, format!("the topic {topic} is not in HEADWIND_WEBHOOK_SNS_TOPICS")));
        }
        let confirmed = self.http.get(url).send().await.map(|answer| answer.status().is_success());
        if confirmed.as_ref().is_ok_and(|confirmed| *confirmed) {
            tracing::info!(sns.topic = topic, "subscription confirmed");
            return Ok((StatusCode::OK, Json(Taken { accepted: 0, unused: 0, ignored: 0 })).into_response());
        }
        // SNS retries.
        Err(Problem::new(StatusCode::BAD_GATEWAY, "Amazon SNS rejected the confirmation"))
    }
}

/// Rejects a body whose content type is not JSON. A missing content type is accepted, and so is plain text, which
/// Amazon SNS uses for JSON.
fn json_or_nothing(headers: &HeaderMap) -> Result<(), Problem> {
    let Some(value) = headers.get(header::CONTENT_TYPE).filter(|_| !headers.contains_key("x-amz-sns-message-type")) else { return Ok(()) };
    let essence = value.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if essence == "application/json" || essence == "text/json" || (essence.starts_with("application/") && essence.ends_with("+json")) {
        Ok(())
    } else {
        Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "expected a JSON body (Content-Type: application/json)"))
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn full_status(full: Full) -> StatusCode {
    match full {
        Full::Now => StatusCode::SERVICE_UNAVAILABLE,
        Full::Ever => StatusCode::UNPROCESSABLE_ENTITY,
    }
}

fn status(error: &DecodeError) -> StatusCode {
    match error {
        DecodeError::Malformed(_) => StatusCode::BAD_REQUEST,
        DecodeError::UnknownShape(_) | DecodeError::TooMany => StatusCode::UNPROCESSABLE_ENTITY,
    }
}
