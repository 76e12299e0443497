//! Measures updates beside receivers of notifications that do not answer, fail, throttle, redirect, hang up or have a bad
//! certificate.

use std::time::{Duration, Instant};

use anyhow::Result;
use headwind_testbed::receivers::mail_that_hangs_up;
use headwind_testbed::{Bed, Operator, Receivers};
use kube::Client;

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

/// Makes the operator send to the receivers.
fn send_to(operator: &Operator, receivers: &Receivers) {
    for (name, value) in receivers.environment() {
        operator.set_env(&name, Some(&value));
    }
}

/// Makes each receiver of the operator misbehave in another way.
async fn misbehave(bed: &Bed, operator: &Operator, receivers: &Receivers) -> Result<()> {
    receivers.misbehave(receivers.discord.url());
    // Nobody trusts the authority of the test bed's API server.
    operator.set_env("DISCORD_WEBHOOK_URL", Some(&bed.server().await?));
    for (name, value) in mail_that_hangs_up().await? {
        operator.set_env(&name, Some(&value));
    }
    Ok(())
}

/// Alternates pushes to two operators, each with a namespace and receivers of its own.
pub(crate) async fn run(bed: &Bed, client: &Client) -> Result<Channels> {
    let (receivers, hostile) = (Receivers::start().await?, Receivers::start().await?);
    let sites = [site(bed, "good").await?, site(bed, "bad").await?];
    let [(_, good), (_, bad)] = &sites;
    send_to(good, &receivers);
    send_to(bad, &hostile);
    misbehave(bed, bad, &hostile).await?;
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
    let [good, bad] = times;
    Ok(Channels { good, bad })
}
