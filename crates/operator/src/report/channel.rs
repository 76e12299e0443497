//! The channels that notifications are sent to.

headwind_core::named! {
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
    /// Returns the prefix of the channel's variables.
    pub(super) fn prefix(self) -> String {
        self.as_str().to_ascii_uppercase()
    }
}
