//! Clicks on buttons of Slack messages: who clicked, the decision, and the reply.

use std::time::Duration;

use headwind_core::request::action::{Action, NotNow};
use headwind_k8s::update_request::UpdateRequest;
use headwind_webhook::slack::{Answer, Click, Head, Rejected};
use jiff::Timestamp;

use super::audit;
use super::caller::Caller;
use super::commands::{ActError, RequestName};
use super::handle::Handle;
use crate::report::notify::{self, ClickReply, SlackButtons, SlackUser};

/// The text that a click adds to the message of the request.
const NOTE: &str = "with a button in Slack";
/// Timeout of a reply.
const PATIENCE: Duration = Duration::from_secs(10);

impl SlackButtons {
    /// Verifies the signature of a call, in constant time.
    ///
    /// # Errors
    /// If the signature is wrong.
    pub fn verify(&self, head: &Head, body: &[u8]) -> Result<(), Rejected> {
        head.verify(self.signing_secret.expose(), body)
    }

    /// Returns the Kubernetes user of the person who clicked.
    pub fn user(&self, click: &Click) -> Option<&SlackUser> {
        self.users.of(click)
    }
}

impl Handle {
    /// Returns the settings of the buttons in Slack; `None` if there are none.
    pub fn slack_buttons(&self) -> Option<SlackButtons> {
        self.notifications.borrow().slack.as_ref().and_then(|slack| slack.buttons.clone())
    }

    /// Does what a click says, for the caller. The caller must be authorized. Writes the audit line.
    ///
    /// # Errors
    /// See [`ActError`]. A message from before the request was reopened or created again decides nothing.
    pub async fn decide_by_click(&self, caller: Caller, click: &Click) -> Result<UpdateRequest, ActError> {
        let action = action(click);
        let name = RequestName { namespace: click.target.namespace.clone(), name: click.target.name.clone() };
        let arrived = Timestamp::now();
        if let Err(error) = self.is_current(click, action).await {
            let about = audit::Action::on_request(action.as_str(), &name.namespace, &name.name);
            about.done::<ActError>(&caller, Err(&error), NOTE);
            self.trace(action.as_str(), &name.namespace, &name.name, &caller, arrived, Err(&error));
            return Err(error);
        }
        self.act(caller, name, action, Some(NOTE.to_owned()), false).await
    }

    /// Checks that the message with the button is about the request as it is now.
    async fn is_current(&self, click: &Click, action: Action) -> Result<(), ActError> {
        let request = self.get(&click.target.namespace, &click.target.name).await?;
        if notify::first_notification(&request).is_some_and(|id| id == click.target.notification) {
            return Ok(());
        }
        let why = Some("the message is older than the request; use the newest message or the web UI".to_owned());
        Err(NotNow { action, phase: request.phase(), why }.into())
    }

    /// Replies to a click, if the URL is one of Slack. Does not retry: the person sees the state on the message or the
    /// page too.
    pub async fn reply_to_click(&self, response_url: &str, reply: ClickReply) {
        let settings = self.notifications.borrow().clone();
        let sent = tokio::time::timeout(PATIENCE, notify::reply(&settings, response_url, reply)).await;
        if let Err(problem) = sent.unwrap_or_else(|_| Err(format!("no answer within {} s", PATIENCE.as_secs()))) {
            tracing::warn!(notification.channel = "slack", problem, "failed to reply to a click");
        }
    }
}

/// Returns the action of a click.
pub fn action(click: &Click) -> Action {
    match click.answer {
        Answer::Approve => Action::Approve,
        Answer::Reject => Action::Reject,
    }
}
