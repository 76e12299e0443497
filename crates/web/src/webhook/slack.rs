//! `POST /webhook/slack/actions`: clicks on the buttons of Slack messages.
//!
//! ```text
//! head (time, form of the signature) ─> body (bounded) ─> signature ─> replay ─> decode ─> 200
//!                                                                                  └─> user ─> access review ─> decision ─> reply
//! ```
//!
//! A call that fails a check before the 200 gets a status. Later problems are reported to the person who clicked, by
//! the response URL of the call: Slack shows no other answer, and waits only three seconds.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use headwind_core::request::Phase;
use headwind_k8s::update_request::UpdateRequest;
use headwind_operator::notify::ClickReply;
use headwind_operator::notify::{SlackButtons, SlackUser};
use headwind_operator::{ActError, AuditedAction, AuthMethod, Caller, Handle, action_of_click};
use headwind_webhook::slack::{Click, Head, Replays, decode};
use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use super::body::{self, Budget};
use super::{text, unauthorized};
use crate::auth::{Action, Reviewed, Reviews};
use crate::problem::Problem;
use crate::server::Ends;

/// Time after which Slack gets its answer, whether the decision is written or not.
const ANSWER: Duration = Duration::from_secs(2);
/// Maximum number of decisions in progress.
const AT_ONCE: usize = 16;
/// Maximum length of a Slack user's ID in the audit log.
const USER: usize = 32;

/// The state of the route.
#[derive(Clone)]
pub(super) struct Clicks {
    handle: Handle,
    access: Reviewed,
    budget: Arc<Budget>,
    replays: Arc<Mutex<Replays>>,
    turns: Arc<Semaphore>,
}

/// `POST /webhook/slack/actions`
pub(super) async fn actions(State(clicks): State<Clicks>, ends: Option<Extension<Ends>>, headers: HeaderMap, body: Body) -> Response {
    let peer = ends.map(|Extension(ends)| ends.peer);
    clicks.call(&headers, peer, body).await.unwrap_or_else(IntoResponse::into_response)
}

impl Clicks {
    pub(super) fn new(handle: &Handle, budget: Arc<Budget>) -> Self {
        let reviews: Arc<dyn Reviews> = Arc::new(handle.clone());
        Self::with(handle, budget, reviews)
    }

    fn with(handle: &Handle, budget: Arc<Budget>, reviews: Arc<dyn Reviews>) -> Self {
        Self {
            handle: handle.clone(),
            access: Reviewed::new(reviews),
            budget,
            replays: Arc::default(),
            turns: Arc::new(Semaphore::new(AT_ONCE)),
        }
    }

    async fn call(&self, headers: &HeaderMap, peer: Option<IpAddr>, body: Body) -> Result<Response, Problem> {
        let Some(buttons) = self.handle.slack_buttons() else {
            body::drain(body).await;
            return Err(Problem::new(StatusCode::NOT_FOUND, "buttons in Slack are off; set SLACK_SIGNING_SECRET and SLACK_USERS"));
        };
        let head = match form(headers)
            .and_then(|()| Head::read(&|name| text(headers, name), Timestamp::now()).map_err(|rejected| unauthorized(rejected.to_string())))
        {
            Ok(head) => head,
            Err(problem) => {
                body::drain(body).await;
                return Err(problem);
            }
        };
        let (body, _share) = self.budget.read(body::Sender::Peer(peer), headers, body).await?;
        let proven = buttons.verify(&head, &body).and_then(|()| self.replays.lock().accept(&head, Timestamp::now()));
        proven.map_err(|rejected| unauthorized(rejected.to_string()))?;
        let decoded = decode(&body).map_err(|error| Problem::new(StatusCode::BAD_REQUEST, error.to_string()))?;
        let Some(click) = decoded else { return Ok(StatusCode::OK.into_response()) };
        let Ok(turn) = Arc::clone(&self.turns).try_acquire_owned() else {
            return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "too many clicks are in progress"));
        };
        let this = self.clone();
        let decision = tokio::spawn(async move {
            Box::pin(this.decide(&buttons, &click, peer)).await;
            drop(turn);
        });
        // It goes on, also if it takes longer.
        let _in_time = tokio::time::timeout(ANSWER, decision).await;
        Ok(StatusCode::OK.into_response())
    }

    /// Does what the click says, and replies.
    async fn decide(&self, buttons: &SlackButtons, click: &Click, peer: Option<IpAddr>) {
        let Some(user) = buttons.user(click) else {
            let name = format!("slack:{}", click.user.chars().take(USER).collect::<String>());
            let why = format!("SLACK_USERS has no Kubernetes user for the Slack user {}", click.user);
            audited(click).denied(&caller(name, Vec::new(), peer), StatusCode::FORBIDDEN.as_u16(), &why);
            return self.whisper(click, format!("Nothing was done: {why}. Ask the administrator of Headwind to add you.")).await;
        };
        let SlackUser { name, groups } = user.clone();
        let caller = caller(name, groups, peer);
        let (namespace, name) = (click.target.namespace.clone(), click.target.name.clone());
        let action = Action::Decide { decision: action_of_click(click), namespace, name };
        if let Err(refused) = self.access.authorize(&caller, &action).await {
            return self.whisper(click, format!("Nothing was done: {refused}.")).await;
        }
        match Box::pin(self.handle.decide_by_click(caller, click)).await {
            Ok(request) if request.phase() == Phase::Pending => {
                self.whisper(click, "Your decision is recorded. The update needs the approval of more people.".to_owned()).await;
            }
            Ok(request) => self.replace(click, request).await,
            Err(error) => {
                self.whisper(click, format!("Nothing was done: {error}.")).await;
                // The message shows what somebody else decided.
                if matches!(error, ActError::NotNow(_))
                    && let Ok(request) = self.handle.get(&click.target.namespace, &click.target.name).await
                {
                    self.replace(click, request).await;
                }
            }
        }
    }

    async fn whisper(&self, click: &Click, text: String) {
        if let Some(url) = &click.response_url {
            self.handle.reply_to_click(url, ClickReply::Whisper(text)).await;
        }
    }

    async fn replace(&self, click: &Click, request: UpdateRequest) {
        if let Some(url) = &click.response_url {
            self.handle.reply_to_click(url, ClickReply::Replace(Box::new(request))).await;
        }
    }
}

fn caller(name: String, groups: Vec<String>, peer: Option<IpAddr>) -> Caller {
    Caller { name, groups, method: AuthMethod::Slack, peer: peer.map(|peer| peer.to_string()).unwrap_or_default(), ..Caller::default() }
}

fn audited(click: &Click) -> AuditedAction {
    AuditedAction::on_request(action_of_click(click).as_str(), &click.target.namespace, &click.target.name)
}

/// Rejects a body that is not a form.
fn form(headers: &HeaderMap) -> Result<(), Problem> {
    let essence = text(headers, header::CONTENT_TYPE.as_str()).unwrap_or_default().split(';').next().unwrap_or_default();
    if essence.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        Ok(())
    } else {
        Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "expected a form (Content-Type: application/x-www-form-urlencoded)"))
    }
}

#[cfg(test)]
mod tests;
