//! The variables of the channels. Flags, help and the tables in the docs follow from these lists.

use super::Channel;

/// A variable, and its flag.
#[derive(Debug, Clone, Copy)]
pub struct Variable {
    /// The name of the variable.
    pub name: &'static str,
    /// The flag, without `--`.
    pub flag: &'static str,
    /// The placeholder of the value in help texts.
    pub value_name: &'static str,
    /// True if the value is not shown.
    pub is_secret: bool,
    /// The default, for help texts.
    pub default: Option<&'static str>,
    /// The help text.
    pub help: &'static str,
}

impl Variable {
    const fn new(name: &'static str, flag: &'static str, value_name: &'static str, help: &'static str) -> Self {
        Self { name, flag, value_name, is_secret: false, default: None, help }
    }

    const fn secret(self) -> Self {
        Self { is_secret: true, ..self }
    }

    const fn default(self, default: &'static str) -> Self {
        Self { default: Some(default), ..self }
    }
}

/// The variables that every channel has.
macro_rules! common {
    ($prefix:literal, $flag:literal, $title:literal) => {
        [
            Variable::new(
                concat!($prefix, "_ENABLED"),
                concat!("notify-", $flag, "-enabled"),
                "BOOL",
                concat!("Send notifications to ", $title),
            )
            .default("false"),
            Variable::new(
                concat!($prefix, "_EVENTS"),
                concat!("notify-", $flag, "-events"),
                "EVENTS",
                concat!("Comma-separated list of the notification events that Headwind sends to ", $title, ". Default: all"),
            ),
            Variable::new(
                concat!($prefix, "_NAMESPACES"),
                concat!("notify-", $flag, "-namespaces"),
                "NAMESPACES",
                concat!("Comma-separated list of the namespaces whose notifications Headwind sends to ", $title, ". Default: all"),
            ),
            Variable::new(
                concat!($prefix, "_DIGEST_INTERVAL"),
                concat!("notify-", $flag, "-digest-interval"),
                "DURATION",
                concat!("Collect notifications to ", $title, " and send one message per interval, such as 10m. Default: one message each"),
            ),
            Variable::new(
                concat!($prefix, "_POD_MESSAGES"),
                concat!("notify-", $flag, "-pod-messages"),
                "BOOL",
                concat!(
                    "Include the messages of pods in notifications to ",
                    $title,
                    ". Default: true if the host is in the cluster (loopback, a name without a dot or below .svc), else false"
                ),
            ),
        ]
    };
}

const SLACK: [Variable; 5] = common!("SLACK", "slack", "Slack");
const SLACK_OWN: [Variable; 8] = [
    Variable::new(
        "SLACK_WEBHOOK_URL",
        "notify-slack-webhook-url",
        "URL",
        "URL of the Slack webhook. Required if Slack is enabled and there is no bot token",
    )
    .secret(),
    Variable::new(
        "SLACK_BOT_TOKEN",
        "notify-slack-bot-token",
        "TOKEN",
        "Token of a Slack bot (xoxb-…), used instead of the webhook. With it, Headwind updates a message when the update is decided and when it ends",
    )
    .secret(),
    Variable::new("SLACK_API_URL", "notify-slack-api-url", "URL", "URL of Slack's Web API, which the bot uses")
        .default("https://slack.com/api"),
    Variable::new(
        "SLACK_SIGNING_SECRET",
        "notify-slack-signing-secret",
        "SECRET",
        "Signing secret of the Slack app. With SLACK_USERS, messages about updates that wait for approval have buttons. If unset, they have none",
    )
    .secret(),
    Variable::new(
        "SLACK_USERS",
        "notify-slack-users",
        "TABLE",
        "Kubernetes users of the Slack users who may press the buttons: entries ID=USER or ID=USER GROUP,GROUP, one in a line or separated by semicolons",
    )
    .secret(),
    Variable::new(
        "SLACK_CHANNEL",
        "notify-slack-channel",
        "CHANNEL",
        "Slack channel, such as #deployments. Default: the channel of the webhook. Required if a bot token is set",
    ),
    Variable::new(
        "SLACK_USERNAME",
        "notify-slack-username",
        "NAME",
        "Name that Slack shows as the sender. Default: the name of the webhook",
    ),
    Variable::new("SLACK_ICON_EMOJI", "notify-slack-icon-emoji", "EMOJI", "Emoji that Slack shows as the icon, such as :sailboat:"),
];
const TEAMS: [Variable; 5] = common!("TEAMS", "teams", "Microsoft Teams");
const TEAMS_OWN: [Variable; 1] = [Variable::new(
    "TEAMS_WEBHOOK_URL",
    "notify-teams-webhook-url",
    "URL",
    "URL of the Teams workflow that posts to a channel. Required if Teams is enabled",
)
.secret()];
const WEBHOOK: [Variable; 5] = common!("WEBHOOK", "webhook", "the webhook");
const WEBHOOK_OWN: [Variable; 4] = [
    Variable::new(
        "WEBHOOK_URL",
        "notify-webhook-url",
        "URL",
        "URL that receives each notification as JSON. Required if the webhook is enabled",
    )
    .secret(),
    Variable::new(
        "WEBHOOK_SECRET",
        "notify-webhook-secret",
        "SECRET",
        "Key of the HMAC-SHA256 signature in the header X-Headwind-Signature. If unset, notifications are not signed",
    )
    .secret(),
    Variable::new("WEBHOOK_TIMEOUT", "notify-webhook-timeout", "DURATION", "Timeout of one attempt, in seconds or with a unit")
        .default("10"),
    Variable::new("WEBHOOK_MAX_RETRIES", "notify-webhook-max-retries", "NUMBER", "Maximum number of retries after a failed attempt")
        .default("3"),
];
const DISCORD: [Variable; 5] = common!("DISCORD", "discord", "Discord");
const DISCORD_OWN: [Variable; 1] = [Variable::new(
    "DISCORD_WEBHOOK_URL",
    "notify-discord-webhook-url",
    "URL",
    "URL of the Discord webhook. Required if Discord is enabled",
)
.secret()];
const MATTERMOST: [Variable; 5] = common!("MATTERMOST", "mattermost", "Mattermost");
const MATTERMOST_OWN: [Variable; 2] = [
    Variable::new(
        "MATTERMOST_WEBHOOK_URL",
        "notify-mattermost-webhook-url",
        "URL",
        "URL of the Mattermost webhook. Required if Mattermost is enabled",
    )
    .secret(),
    Variable::new(
        "MATTERMOST_CHANNEL",
        "notify-mattermost-channel",
        "CHANNEL",
        "Mattermost channel, such as deployments. Default: the channel of the webhook",
    ),
];
const MAIL: [Variable; 5] = common!("MAIL", "mail", "mail");
const MAIL_OWN: [Variable; 6] = [
    Variable::new(
        "MAIL_SERVER",
        "notify-mail-server",
        "HOST:PORT",
        "SMTP server. Required if mail is enabled. Default port: 465 with tls, 587 with starttls, 25 with none",
    ),
    Variable::new("MAIL_TLS", "notify-mail-tls", "MODE", "Encryption of SMTP: tls, starttls or none").default("starttls"),
    Variable::new("MAIL_USERNAME", "notify-mail-username", "NAME", "User name for SMTP. If unset, Headwind does not log in"),
    Variable::new("MAIL_PASSWORD", "notify-mail-password", "PASSWORD", "Password for SMTP. Required if a user name is set").secret(),
    Variable::new("MAIL_FROM", "notify-mail-from", "ADDRESS", "Address of the sender. Required if mail is enabled"),
    Variable::new("MAIL_TO", "notify-mail-to", "ADDRESSES", "Comma-separated list of the recipients. Required if mail is enabled"),
];

/// Returns every variable.
pub fn variables() -> impl Iterator<Item = &'static Variable> {
    Channel::ALL.iter().copied().flat_map(variables_of)
}

/// Returns the variables of a channel: those that every channel has, then its own.
pub fn variables_of(channel: Channel) -> impl Iterator<Item = &'static Variable> {
    let (common, own): (&[Variable; 5], &[Variable]) = match channel {
        Channel::Slack => (&SLACK, &SLACK_OWN),
        Channel::Teams => (&TEAMS, &TEAMS_OWN),
        Channel::Webhook => (&WEBHOOK, &WEBHOOK_OWN),
        Channel::Discord => (&DISCORD, &DISCORD_OWN),
        Channel::Mattermost => (&MATTERMOST, &MATTERMOST_OWN),
        Channel::Mail => (&MAIL, &MAIL_OWN),
    };
    common.iter().chain(own)
}
