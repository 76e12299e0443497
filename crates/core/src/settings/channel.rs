//! The channels that notifications are sent to.

crate::named! {
    /// A channel.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
    pub enum Channel("notification channel", str::eq) {
        /// A Slack webhook.
        Slack = "slack",
        /// A Microsoft Teams webhook.
        Teams = "teams",
        /// A webhook that receives JSON with a signature.
        Webhook = "webhook",
        /// A Discord webhook.
        Discord = "discord",
        /// A Mattermost webhook.
        Mattermost = "mattermost",
        /// Mail by SMTP.
        Mail = "mail",
    }
}

impl Channel {
    /// Returns the title of the channel's settings.
    pub fn title(self) -> &'static str {
        match self {
            Self::Slack => "Slack",
            Self::Teams => "Microsoft Teams",
            Self::Webhook => "Notification webhook",
            Self::Discord => "Discord",
            Self::Mattermost => "Mattermost",
            Self::Mail => "Mail",
        }
    }

    /// Returns the prefix of the channel's variables.
    pub fn prefix(self) -> &'static str {
        match self {
            Self::Slack => "SLACK_",
            Self::Teams => "TEAMS_",
            Self::Webhook => "WEBHOOK_",
            Self::Discord => "DISCORD_",
            Self::Mattermost => "MATTERMOST_",
            Self::Mail => "MAIL_",
        }
    }

    /// Returns the variable that enables the channel.
    pub fn switch(self) -> String {
        format!("{}ENABLED", self.prefix())
    }
}
