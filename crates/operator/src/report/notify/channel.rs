//! The channels that notifications are sent to.

use std::fmt;
use std::str::FromStr;

/// A channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Channel {
    /// A Slack webhook.
    Slack,
    /// A Microsoft Teams webhook.
    Teams,
    /// A webhook that receives JSON with a signature.
    Webhook,
    /// A Discord webhook.
    Discord,
    /// A Mattermost webhook.
    Mattermost,
    /// Mail by SMTP.
    Mail,
}

impl Channel {
    /// Every channel.
    pub const ALL: &'static [Channel] =
        &[Channel::Slack, Channel::Teams, Channel::Webhook, Channel::Discord, Channel::Mattermost, Channel::Mail];

    /// Returns the name in annotations, labels and log lines.
    pub fn as_str(self) -> &'static str {
        match self {
            Channel::Slack => "slack",
            Channel::Teams => "teams",
            Channel::Webhook => "webhook",
            Channel::Discord => "discord",
            Channel::Mattermost => "mattermost",
            Channel::Mail => "mail",
        }
    }

    /// Returns the prefix of the channel's variables.
    pub(super) fn prefix(self) -> &'static str {
        match self {
            Channel::Slack => "SLACK",
            Channel::Teams => "TEAMS",
            Channel::Webhook => "WEBHOOK",
            Channel::Discord => "DISCORD",
            Channel::Mattermost => "MATTERMOST",
            Channel::Mail => "MAIL",
        }
    }
}

impl fmt::Display for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Channel {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let known = Channel::ALL.iter().copied().find(|channel| channel.as_str() == text);
        known.ok_or_else(|| {
            let names: Vec<_> = Channel::ALL.iter().map(|channel| channel.as_str()).collect();
            format!("{text:?} is not a notification channel; use {}", names.join(", "))
        })
    }
}
