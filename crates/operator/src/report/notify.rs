//! Notifications: tells people on their channels what happened to an update.

mod channel;
mod secret;
mod settings;

pub use channel::Channel;
pub use secret::Secret;
pub use settings::{Common, Discord, Invalid, Mail, MailTls, Mattermost, Settings, Slack, Teams, Variable, Webhook, variables};
