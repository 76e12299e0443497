//! A receiver for each channel that posts to an address, as good or as bad ones.

use tokio::net::TcpListener;

use crate::{Fault, Receiver};

/// One receiver for each channel. They end with the value.
pub struct Receivers {
    /// Slack's incoming webhook.
    pub slack: Receiver,
    /// A workflow of Teams.
    pub teams: Receiver,
    /// Any other program.
    pub webhook: Receiver,
    /// Discord's webhook.
    pub discord: Receiver,
    /// Mattermost's incoming webhook.
    pub mattermost: Receiver,
}

impl Receivers {
    /// Starts them. Each answers as the real one does.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn start() -> anyhow::Result<Self> {
        Ok(Self {
            slack: Receiver::start(200, "ok").await?,
            // A workflow of Teams answers so.
            teams: Receiver::start(202, "").await?,
            webhook: Receiver::start(204, "").await?,
            discord: Receiver::start(204, "").await?,
            mattermost: Receiver::start(200, "ok").await?,
        })
    }

    /// All of them, each with the name of its channel.
    pub fn all(&self) -> [(&'static str, &Receiver); 5] {
        let Self { slack, teams, webhook, discord, mattermost } = self;
        [("slack", slack), ("teams", teams), ("webhook", webhook), ("discord", discord), ("mattermost", mattermost)]
    }

    /// The environment variables that make an operator send to them.
    pub fn environment(&self) -> Vec<(String, String)> {
        let variables = self.all().map(|(name, receiver)| {
            let prefix = name.to_uppercase();
            let url = if name == "webhook" { "WEBHOOK_URL".to_owned() } else { format!("{prefix}_WEBHOOK_URL") };
            [(format!("{prefix}_ENABLED"), "true".to_owned()), (url, receiver.url())]
        });
        variables.into_iter().flatten().collect()
    }

    /// Makes each of them misbehave in another way, but for Discord: Slack hangs, Teams fails, the webhook throttles and
    /// Mattermost redirects to the URL.
    pub fn misbehave(&self, elsewhere: String) {
        self.slack.misbehave(|_| Some(Fault::Hang));
        self.teams.misbehave(|_| Some(Fault::Answer(500, Vec::new(), "no".to_owned())));
        self.webhook.misbehave(|_| Some(Fault::throttle(1)));
        self.mattermost.misbehave(move |_| Some(Fault::Answer(307, vec![("location", elsewhere.clone())], String::new())));
    }
}

/// Starts a mail server that hangs up at once, and returns the environment variables that make an operator send to it.
/// It ends with the runtime.
///
/// # Errors
/// When no port is free.
pub async fn mail_that_hangs_up() -> anyhow::Result<Vec<(String, String)>> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let server = listener.local_addr()?.to_string();
    tokio::spawn(async move { while listener.accept().await.is_ok() {} });
    let variables =
        [("ENABLED", "true"), ("SERVER", &server), ("TLS", "none"), ("FROM", "headwind@example.com"), ("TO", "ops@example.com")];
    Ok(variables.map(|(name, value)| (format!("MAIL_{name}"), value.to_owned())).into())
}
