//! Notifications: sends the events of updates to people, on their channels.
//!
//! ```text
//! journal ──ReportEntry──> Notifier ──> a queue per channel ──> Delivery ──Message──> slack, teams, webhook, …
//!                       └──────────── progress of each queue ──> Lease
//! ```
//!
//! Only the leader queues notifications. Queuing never blocks, and each channel has a task of its own, so a slow channel
//! delays neither updates nor other channels. The Lease records how far each channel is (`progress`), so the next leader
//! delivers what this one could not.

mod delivery;
mod discord;
mod http;
mod mail;
mod mattermost;
mod message;
mod notifier;
mod progress;
mod queue;
mod runner;
mod secret;
mod settings;
mod slack;
mod teams;
mod text;
mod webhook;

use headwind_k8s::update_request::UpdateRequest;

pub use headwind_core::settings::Channel;
pub use secret::Secret;
pub use settings::{
    Common, Discord, Invalid, Mail, MailTls, Mattermost, Settings, Slack, SlackButtons, SlackUser, SlackUsers, SlackVia, Teams, Variable,
    Webhook, variables, variables_of,
};
pub use slack::reply::ClickReply;

#[cfg(test)]
pub(crate) use message::tests::entry_of;
pub(crate) use notifier::Notifier;
pub(crate) use progress::NOTIFIED;
pub(crate) use runner::notifier;
pub(crate) use slack::board::POSTED;
pub(crate) use slack::reply::reply;

/// Returns the ID of the first notification of a request: the one whose message may have buttons.
pub(crate) fn first_notification(request: &UpdateRequest) -> Option<String> {
    let notices = headwind_core::notification::notices(&request.read());
    Some(message::id(request.metadata.uid.as_deref()?, notices.first()?))
}

/// Sends a test message to a channel, and returns what the receiver answered.
///
/// # Errors
/// The problem, for a person. It contains no secret.
pub async fn test(settings: &Settings, channel: Channel) -> Result<String, String> {
    let message = message::Message::test(settings, jiff::Timestamp::now());
    match delivery::send(settings, channel, &http::client()?, &[message]).await {
        http::Outcome::Delivered(answer) => Ok(answer),
        http::Outcome::Retry { problem, .. } | http::Outcome::Refused(problem) => Err(problem),
    }
}
