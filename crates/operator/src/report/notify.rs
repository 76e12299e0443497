//! Notifications: sends what happened to an update to the channels of people.
//!
//! ```text
//! journal ──Entry──> Notifier ──> a queue per channel ──> Delivery ──Message──> slack, teams, webhook, …
//!                       └──────────── progress of each queue ──> Lease
//! ```
//!
//! Only the leader queues notifications. Queuing never blocks, and each channel has a task of its own, so a slow channel
//! delays neither updates nor other channels. The Lease records how far each channel is (`progress`), so the next leader
//! delivers what this one could not.

mod channel;
mod chosen;
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

pub use channel::Channel;
pub use secret::Secret;
pub use settings::{Common, Discord, Invalid, Mail, MailTls, Mattermost, Settings, Slack, Teams, Variable, Webhook, variables};

pub(crate) use notifier::Notifier;
pub(crate) use progress::NOTIFIED;
pub(crate) use runner::notifier;

/// Sends a test message to a channel, and returns what the receiver answered.
///
/// # Errors
/// What went wrong, for a person. It contains no secret.
pub async fn test(settings: &Settings, channel: Channel) -> Result<String, String> {
    let message = message::Message::test(settings, jiff::Timestamp::now());
    match delivery::send(settings, channel, &http::client()?, &[message]).await {
        http::Outcome::Delivered(answer) => Ok(answer),
        http::Outcome::Retry { problem, .. } | http::Outcome::Refused(problem) => Err(problem),
    }
}
