//! Measures updates beside receivers of notifications that do not answer, fail, throttle, redirect, hang up or have a bad
//! certificate.

use std::time::{Duration, Instant};

use anyhow::Result;
use headwind_testbed::{Bed, Fault, Operator, Receiver};
use kube::Client;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::direct::{millis, push};
use crate::load;
use crate::seen::Seen;
use crate::{site, start};

/// Number of Deployments of each operator.
const DEPLOYMENTS: usize = 50;
/// Number of pushes to each of the two operators.
const ROUNDS: usize = 300;
/// Time between two pushes, in which the messages about the update go out.
const APART: Duration = Duration::from_millis(50);

/// Milliseconds from a push to the patched Deployment.
#[derive(Debug, Default)]
pub(crate) struct Channels {
    /// Of the operator whose receivers accept each message.
    pub(crate) good: Vec<f64>,
    /// Of the operator whose receivers misbehave.
    pub(crate) bad: Vec<f64>,
}

/// The receivers of one operator.
struct Receivers {
    slack: Receiver,
    teams: Receiver,
    webhook: Receiver,
    mattermost: Receiver,
    discord: Receiver,
}

impl Receivers {
    async fn start() -> Result<Self> {
        Ok(Self {
            slack: Receiver::start(200, "ok").await?,
            teams: Receiver::start(202, "").await?,
            webhook: Receiver::start(204, "").await?,
            mattermost: Receiver::start(200, "ok").await?,
            discord: Receiver::start(204, "").await?,
        })
    }

    /// Makes the operator send to them.
    fn set(&self, operator: &Operator) {
        let Self { slack, teams, webhook, mattermost, discord } = self;
        operator.set_env("WEBHOOK_ENABLED", Some("true"));
        operator.set_env("WEBHOOK_URL", Some(&webhook.url()));
        for (name, receiver) in [("SLACK", slack), ("TEAMS", teams), ("MATTERMOST", mattermost), ("DISCORD", discord)] {
            operator.set_env(&format!("{name}_ENABLED"), Some("true"));
            operator.set_env(&format!("{name}_WEBHOOK_URL"), Some(&receiver.url()));
        }
    }

    /// Makes each of them misbehave in another way.
    async fn misbehave(&self, bed: &Bed, operator: &Operator) -> Result<JoinHandle<()>> {
        self.slack.misbehave(|_| Some(Fault::Hang));
        self.teams.misbehave(|_| Some(Fault::Answer(500, Vec::new(), "no".to_owned())));
        self.webhook.misbehave(|_| Some(Fault::throttle(1)));
        let elsewhere = self.discord.url();
        self.mattermost.misbehave(move |_| Some(Fault::redirect(elsewhere.clone())));
        // Nobody trusts the authority of the test bed's API server.
        let server = bed.kubectl_ok(&["config", "view", "--minify", "-o", "jsonpath={.clusters[0].cluster.server}"]).await?;
        operator.set_env("DISCORD_WEBHOOK_URL", Some(server.trim()));
        let mail = TcpListener::bind("127.0.0.1:0").await?;
        let address = mail.local_addr()?.to_string();
        for (name, value) in [("ENABLED", "true"), ("SERVER", &address), ("TLS", "none"), ("FROM", "a@b.example"), ("TO", "c@d.example")] {
            operator.set_env(&format!("MAIL_{name}"), Some(value));
        }
        Ok(tokio::spawn(async move { while mail.accept().await.is_ok() {} }))
    }
}

/// Alternates pushes to two operators, each with a namespace and receivers of its own.
pub(crate) async fn run(bed: &Bed, client: &Client) -> Result<Channels> {
    let (receivers, hostile) = (Receivers::start().await?, Receivers::start().await?);
    let sites = [site(bed, "good").await?, site(bed, "bad").await?];
    let [(_, good), (_, bad)] = &sites;
    receivers.set(good);
    hostile.set(bad);
    let mail = hostile.misbehave(bed, bad).await?;
    let mut seen = Vec::new();
    for (namespace, operator) in &sites {
        load::deployments(client, namespace, 0..DEPLOYMENTS).await?;
        start(operator, DEPLOYMENTS).await?;
        seen.push(Seen::watch(client, namespace).await?);
    }
    let http = reqwest::Client::new();
    let mut times = [Vec::new(), Vec::new()];
    for round in 0..ROUNDS {
        for (((_, operator), seen), times) in sites.iter().zip(&seen).zip(&mut times) {
            let begun = Instant::now();
            let at = push(&http, operator, seen, round % DEPLOYMENTS, &format!("1.1.{}", round / DEPLOYMENTS)).await?;
            times.push(millis(at.duration_since(begun)));
            tokio::time::sleep(APART).await;
        }
    }
    for (_, operator) in &sites {
        operator.terminate().await?;
    }
    mail.abort();
    let [good, bad] = times;
    Ok(Channels { good, bad })
}
