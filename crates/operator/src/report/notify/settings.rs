//! The settings of the channels, parsed from variables.

mod slack_users;
mod variables;

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use headwind_core::notification::NotificationEvent;
use headwind_core::settings::duration;
use reqwest::Url;

use super::secret::Secret;
use crate::report::channel::Channel;

pub use slack_users::{SlackUser, SlackUsers};
pub use variables::{Variable, variables, variables_of};

/// Slack's Web API.
const SLACK_API: &str = "https://slack.com/api";
/// The shortest interval of a digest.
const MIN_DIGEST: Duration = Duration::from_secs(1);
/// Maximum timeout of one attempt.
const MAX_TIMEOUT: Duration = Duration::from_mins(2);
/// Maximum number of retries of the webhook.
const MAX_RETRIES: u32 = 100;

/// The settings of all channels. A channel that is not enabled is `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// The public URL of the web UI, for links.
    pub ui_url: Option<String>,
    /// The public URL of the API, for links.
    pub api_url: Option<String>,
    /// Slack.
    pub slack: Option<Slack>,
    /// Microsoft Teams.
    pub teams: Option<Teams>,
    /// The webhook.
    pub webhook: Option<Webhook>,
    /// Discord.
    pub discord: Option<Discord>,
    /// Mattermost.
    pub mattermost: Option<Mattermost>,
    /// Mail.
    pub mail: Option<Mail>,
}

/// The settings that every channel has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Common {
    /// The events to send; empty for all.
    pub events: BTreeSet<NotificationEvent>,
    /// The namespaces whose notifications are sent; empty for all.
    pub namespaces: BTreeSet<String>,
    /// The interval of digests; `None` for one message each.
    pub digest: Option<Duration>,
    /// True if messages of pods are included.
    pub pod_messages: bool,
}

/// The settings of Slack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slack {
    /// The settings that every channel has.
    pub common: Common,
    /// The way in which messages are posted.
    pub via: SlackVia,
    /// The channel, if not that of the webhook. A bot needs it.
    pub channel: Option<String>,
    /// The name of the sender.
    pub username: Option<String>,
    /// The icon of the sender.
    pub icon_emoji: Option<String>,
    /// The buttons; `None` if messages have none.
    pub buttons: Option<SlackButtons>,
}

/// The way in which Headwind posts to Slack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SlackVia {
    /// By an incoming webhook. Slack does not tell where the message is, so it cannot be updated later.
    Webhook(Secret),
    /// As a bot, by the Web API.
    Bot {
        /// The token of the bot.
        token: Secret,
        /// The URL of the Web API, without a slash at the end.
        api_url: String,
    },
}

/// The buttons of Slack messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlackButtons {
    /// The signing secret of the app.
    pub(crate) signing_secret: Secret,
    /// The users who may press them.
    pub(crate) users: SlackUsers,
}

/// The settings of Microsoft Teams.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Teams {
    /// The settings that every channel has.
    pub common: Common,
    /// The URL of the webhook.
    pub url: Secret,
}

/// The settings of the webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhook {
    /// The settings that every channel has.
    pub common: Common,
    /// The URL.
    pub url: Secret,
    /// The key of the signature.
    pub secret: Option<Secret>,
    /// Timeout of one attempt.
    pub timeout: Duration,
    /// Number of attempts after the first one.
    pub max_retries: u32,
}

/// The settings of Discord.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Discord {
    /// The settings that every channel has.
    pub common: Common,
    /// The URL of the webhook.
    pub url: Secret,
}

/// The settings of Mattermost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mattermost {
    /// The settings that every channel has.
    pub common: Common,
    /// The URL of the webhook.
    pub url: Secret,
    /// The channel, if not that of the webhook.
    pub channel: Option<String>,
}

/// The settings of mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    /// The settings that every channel has.
    pub common: Common,
    /// The host of the SMTP server.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The encryption.
    pub tls: MailTls,
    /// User name and password.
    pub login: Option<(String, Secret)>,
    /// The sender.
    pub from: String,
    /// The recipients.
    pub to: Vec<String>,
}

/// The encryption of SMTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MailTls {
    /// TLS from the first byte.
    Tls,
    /// Required STARTTLS.
    StartTls,
    /// None.
    None,
}

/// A variable with a value that cannot be used. It never quotes the value of a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name}: {problem}")]
pub struct Invalid {
    /// The variable.
    pub name: String,
    /// The problem, and the expected form.
    pub problem: String,
}

impl Settings {
    /// Reads the settings. `value` returns the value of a variable; an empty one counts as unset.
    ///
    /// # Errors
    /// Every variable that is missing or has an invalid value.
    pub fn read(value: impl Fn(&str) -> Option<String>) -> Result<Self, Vec<Invalid>> {
        let mut reader = Reader { value: &value, invalid: Vec::new() };
        let settings = Self {
            ui_url: reader.text("HEADWIND_UI_URL").map(|url| url.trim_end_matches('/').to_owned()),
            api_url: reader.text("HEADWIND_API_URL").map(|url| url.trim_end_matches('/').to_owned()),
            slack: reader.slack(),
            teams: reader.teams(),
            webhook: reader.webhook(),
            discord: reader.discord(),
            mattermost: reader.mattermost(),
            mail: reader.mail(),
        };
        if reader.invalid.is_empty() { Ok(settings) } else { Err(reader.invalid) }
    }

    /// Returns the settings without all other channels.
    pub(super) fn only(&self, channel: Channel) -> Self {
        let Self { ui_url, api_url, slack, teams, webhook, discord, mattermost, mail } = self.clone();
        Self {
            ui_url,
            api_url,
            slack: slack.filter(|_| channel == Channel::Slack),
            teams: teams.filter(|_| channel == Channel::Teams),
            webhook: webhook.filter(|_| channel == Channel::Webhook),
            discord: discord.filter(|_| channel == Channel::Discord),
            mattermost: mattermost.filter(|_| channel == Channel::Mattermost),
            mail: mail.filter(|_| channel == Channel::Mail),
        }
    }

    /// Returns the common settings of a channel, if it is enabled.
    pub fn common(&self, channel: Channel) -> Option<&Common> {
        match channel {
            Channel::Slack => self.slack.as_ref().map(|slack| &slack.common),
            Channel::Teams => self.teams.as_ref().map(|teams| &teams.common),
            Channel::Webhook => self.webhook.as_ref().map(|webhook| &webhook.common),
            Channel::Discord => self.discord.as_ref().map(|discord| &discord.common),
            Channel::Mattermost => self.mattermost.as_ref().map(|mattermost| &mattermost.common),
            Channel::Mail => self.mail.as_ref().map(|mail| &mail.common),
        }
    }
}

struct Reader<'a> {
    value: &'a dyn Fn(&str) -> Option<String>,
    invalid: Vec<Invalid>,
}

impl Reader<'_> {
    fn text(&self, name: &str) -> Option<String> {
        (self.value)(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
    }

    fn fault(&mut self, name: &str, problem: impl fmt::Display) {
        self.invalid.push(Invalid { name: name.to_owned(), problem: problem.to_string() });
    }

    fn parsed<T, E: fmt::Display>(&mut self, name: &str, parse: impl Fn(&str) -> Result<T, E>) -> Option<T> {
        let parsed = parse(&self.text(name)?);
        parsed.map_err(|problem| self.fault(name, problem)).ok()
    }

    fn required(&mut self, name: &str) -> Option<String> {
        let text = self.text(name);
        if text.is_none() {
            self.fault(name, "required, because the channel is enabled");
        }
        text
    }

    fn list<T: Ord, E: fmt::Display>(&mut self, name: &str, parse: impl Fn(&str) -> Result<T, E>) -> BTreeSet<T> {
        let all = |text: &str| text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(&parse).collect();
        self.parsed(name, all).unwrap_or_default()
    }

    /// Returns the common settings if the channel is enabled. `host` is the host of the channel's server.
    fn common(&mut self, channel: Channel, host: Option<&str>) -> Common {
        let name = |suffix: &str| format!("{}{suffix}", channel.prefix());
        let digest = |text: &str| match duration(text)? {
            Duration::ZERO => Ok(None),
            span if span < MIN_DIGEST => Err("must be at least a second".to_owned()),
            span => Ok(Some(span)),
        };
        Common {
            events: self.list(&name("EVENTS"), str::parse),
            namespaces: self.list(&name("NAMESPACES"), str::parse),
            digest: self.parsed(&name("DIGEST_INTERVAL"), digest).flatten(),
            pod_messages: self.parsed(&name("POD_MESSAGES"), boolean).unwrap_or_else(|| host.is_some_and(is_in_cluster)),
        }
    }

    fn is_enabled(&mut self, channel: Channel) -> bool {
        self.parsed(&channel.switch(), boolean).unwrap_or_default()
    }

    /// Returns the URL of an enabled channel, and its common settings.
    fn http(&mut self, channel: Channel, name: &str) -> Option<(Secret, Common)> {
        if !self.is_enabled(channel) {
            return None;
        }
        let url = self.required(name).and_then(|text| self.url(name, &text));
        let common = self.common(channel, url.as_ref().and_then(Url::host_str));
        Some((Secret::new(url?.as_str()), common))
    }

    fn url(&mut self, name: &str, text: &str) -> Option<Url> {
        let parsed = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        if parsed.is_none() {
            self.fault(name, "is not an http or https URL");
        }
        parsed
    }

    fn slack(&mut self) -> Option<Slack> {
        if !self.is_enabled(Channel::Slack) {
            return None;
        }
        let buttons = self.slack_buttons();
        let (via, common) = if let Some(token) = self.text("SLACK_BOT_TOKEN") {
            let api_url = self.text("SLACK_API_URL").unwrap_or_else(|| SLACK_API.to_owned());
            let parsed = self.url("SLACK_API_URL", &api_url)?;
            self.required("SLACK_CHANNEL")?;
            let api_url = parsed.as_str().trim_end_matches('/').to_owned();
            (SlackVia::Bot { token: Secret::new(token), api_url }, self.common(Channel::Slack, parsed.host_str()))
        } else {
            let (url, common) = self.http(Channel::Slack, "SLACK_WEBHOOK_URL")?;
            (SlackVia::Webhook(url), common)
        };
        let [channel, username, icon_emoji] = ["SLACK_CHANNEL", "SLACK_USERNAME", "SLACK_ICON_EMOJI"].map(|name| self.text(name));
        Some(Slack { common, via, channel, username, icon_emoji, buttons })
    }

    fn slack_buttons(&mut self) -> Option<SlackButtons> {
        let [secret, users] = ["SLACK_SIGNING_SECRET", "SLACK_USERS"].map(|name| self.text(name));
        for (missing, given, name, other) in [
            (secret.is_none(), users.is_some(), "SLACK_SIGNING_SECRET", "SLACK_USERS"),
            (users.is_none(), secret.is_some(), "SLACK_USERS", "SLACK_SIGNING_SECRET"),
        ] {
            if missing && given {
                self.fault(name, format!("required, because {other} is set"));
            }
        }
        let users = self.parsed("SLACK_USERS", SlackUsers::parse)?;
        Some(SlackButtons { signing_secret: Secret::new(secret?), users })
    }

    fn teams(&mut self) -> Option<Teams> {
        let (url, common) = self.http(Channel::Teams, "TEAMS_WEBHOOK_URL")?;
        Some(Teams { common, url })
    }

    fn webhook(&mut self) -> Option<Webhook> {
        let timeout = |text: &str| match duration(text)? {
            span if span.is_zero() || span > MAX_TIMEOUT => Err("must be between one second and two minutes".to_owned()),
            span => Ok(span),
        };
        let retries = |text: &str| match text.parse() {
            Ok(retries) if retries <= MAX_RETRIES => Ok(retries),
            _ => Err(format!("must be a number between 0 and {MAX_RETRIES}")),
        };
        let (url, common) = self.http(Channel::Webhook, "WEBHOOK_URL")?;
        Some(Webhook {
            common,
            url,
            secret: self.text("WEBHOOK_SECRET").map(Secret::new),
            timeout: self.parsed("WEBHOOK_TIMEOUT", timeout).unwrap_or(Duration::from_secs(10)),
            max_retries: self.parsed("WEBHOOK_MAX_RETRIES", retries).unwrap_or(3),
        })
    }

    fn discord(&mut self) -> Option<Discord> {
        let (url, common) = self.http(Channel::Discord, "DISCORD_WEBHOOK_URL")?;
        Some(Discord { common, url })
    }

    fn mattermost(&mut self) -> Option<Mattermost> {
        let (url, common) = self.http(Channel::Mattermost, "MATTERMOST_WEBHOOK_URL")?;
        Some(Mattermost { common, url, channel: self.text("MATTERMOST_CHANNEL") })
    }

    fn mail(&mut self) -> Option<Mail> {
        if !self.is_enabled(Channel::Mail) {
            return None;
        }
        let tls = self.parsed("MAIL_TLS", mail_tls).unwrap_or(MailTls::StartTls);
        let (server, from, to) = (self.required("MAIL_SERVER"), self.required("MAIL_FROM"), self.required("MAIL_TO"));
        let server = server.and_then(|text| {
            let server = host_and_port(&text, tls);
            if server.is_none() {
                self.fault("MAIL_SERVER", "must be a host, with or without a port, such as smtp.example.com:587");
            }
            server
        });
        let common = self.common(Channel::Mail, server.as_ref().map(|(host, _)| host.as_str()));
        let login = match (self.text("MAIL_USERNAME"), self.text("MAIL_PASSWORD")) {
            (Some(name), Some(password)) => Some((name, Secret::new(password))),
            (None, None) => None,
            (Some(_), None) => {
                self.fault("MAIL_PASSWORD", "required, because MAIL_USERNAME is set");
                None
            }
            (None, Some(_)) => {
                self.fault("MAIL_USERNAME", "required, because MAIL_PASSWORD is set");
                None
            }
        };
        let to = to?.split(',').map(str::trim).filter(|address| !address.is_empty()).map(str::to_owned).collect::<Vec<_>>();
        let from = from?;
        for (name, address) in to.iter().map(|to| ("MAIL_TO", to)).chain([("MAIL_FROM", &from)]) {
            if let Err(problem) = check_address(address) {
                self.fault(name, problem);
            }
        }
        let (host, port) = server?;
        Some(Mail { common, host, port, tls, login, from, to })
    }
}

fn check_address(text: &str) -> Result<(), &'static str> {
    let is_plain = text.chars().all(|letter| letter.is_ascii_graphic() && !matches!(letter, '<' | '>' | ',' | '"' | '(' | ')'));
    let has_parts = text.split_once('@').is_some_and(|(name, host)| !name.is_empty() && !host.is_empty() && !host.contains('@'));
    if is_plain && has_parts { Ok(()) } else { Err("must be mail addresses, such as team@example.com") }
}

fn boolean(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "t" | "yes" | "y" | "on" | "1" => Ok(true),
        "false" | "f" | "no" | "n" | "off" | "0" => Ok(false),
        _ => Err("must be true or false".to_owned()),
    }
}

fn mail_tls(text: &str) -> Result<MailTls, String> {
    match text.to_ascii_lowercase().as_str() {
        "tls" => Ok(MailTls::Tls),
        "starttls" => Ok(MailTls::StartTls),
        "none" => Ok(MailTls::None),
        _ => Err("must be tls, starttls or none".to_owned()),
    }
}

fn host_and_port(text: &str, tls: MailTls) -> Option<(String, u16)> {
    let url = Url::parse(&format!("smtp://{text}")).ok().filter(|url| matches!(url.path(), "" | "/") && url.username().is_empty())?;
    let default = match tls {
        MailTls::Tls => 465,
        MailTls::StartTls => 587,
        MailTls::None => 25,
    };
    Some((url.host_str().filter(|host| !host.is_empty())?.to_owned(), url.port().unwrap_or(default)))
}

/// Returns true for a host that is not reached over the internet.
fn is_in_cluster(host: &str) -> bool {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    let loopback = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>().map(|address| address.is_loopback());
    match loopback {
        Ok(loopback) => loopback,
        Err(_) => host == "localhost" || !host.contains('.') || [".svc", ".svc.cluster.local"].iter().any(|end| host.ends_with(end)),
    }
}

#[cfg(test)]
mod tests;
