//! Receivers that hang, fail, throttle, hang up, redirect and have a bad certificate delay neither updates nor each other.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use headwind_testbed::receiver::SECRET_PATH;
use headwind_testbed::receivers::mail_that_hangs_up;
use headwind_testbed::workload::Live;
use headwind_testbed::{Fault, Receiver, Receivers, WorkloadKind, eventually};

use super::send_to;
use crate::world::{SOON, World, image};

const UPDATES: usize = 40;

/// Pushes versions one after the other, and returns the median of the time to the patched workload. Single updates are
/// slow when other tests use the processors; a receiver that delays updates delays each of them.
async fn measured(world: &World, live: &Live, minor: usize) -> Result<Duration> {
    let mut times = Vec::new();
    for patch in 1..=UPDATES {
        let tag = format!("1.{minor}.{patch}");
        let started = Instant::now();
        world.push("h/web", &tag).await?;
        live.has_image("web", &image("h/web", &tag), SOON).await?;
        times.push(started.elapsed());
    }
    times.sort();
    times.get(UPDATES / 2).copied().context("times")
}

pub(crate) async fn receivers() -> Result<()> {
    let receivers = Receivers::start().await?;
    let elsewhere = Receiver::start(200, "ok").await?;
    let mail = mail_that_hangs_up().await?;
    let world =
        World::prepared("notifybad", &[], |options| send_to(&receivers, options).envs(mail).env("WEBHOOK_MAX_RETRIES", "1")).await?;
    let api_server = world.bed.server().await?;
    // Nobody trusts the authority of the test bed's API server.
    world.operator.set_env("DISCORD_WEBHOOK_URL", Some(&format!("{api_server}/hooks/{SECRET_PATH}")));
    world.operator.start().await?;
    world.operator.ready().await?;
    let live = world.create(&World::direct(WorkloadKind::Deployment, "web", &image("h/web", "1.0.0")).replicas(0)).await?;

    let before = measured(&world, &live, 1).await?;
    let [slack, teams, webhook, mattermost] = [&receivers.slack, &receivers.teams, &receivers.webhook, &receivers.mattermost];
    let delivered = slack.accepted().len();
    receivers.misbehave(elsewhere.url());
    let during = measured(&world, &live, 2).await?;
    eprintln!("notify_hostile: median of push to patched {before:?}, with hostile receivers {during:?}");
    // The limit is wide, because the machine is busy with other tests. Each receiver would add seconds.
    ensure!(during < before * 3 + Duration::from_millis(500), "{during:?}, {before:?} before");
    ensure!(elsewhere.seen().is_empty(), "a redirect was followed");
    ensure!(slack.accepted().len() < delivered + UPDATES, "Slack hangs");
    eventually("what is lost is counted", SOON, || async {
        let failed = async |channel| {
            let labels = [("channel", channel)];
            world.operator.metric("headwind_notifications_failed_total", &labels).await.map_err(|error| error.to_string())
        };
        // A redirect is final, the webhook has one retry, and the others are retried for an hour.
        let counts = (failed("mattermost").await?, failed("webhook").await?);
        if counts.0 >= 1.0 && counts.1 >= 1.0 { Ok(()) } else { Err(format!("{counts:?}")) }
    })
    .await?;
    let log = world.operator.logs()?;
    ensure!(log.contains("Headwind does not follow redirects") && log.contains("the channel does not accept notifications"));
    ensure!(log.to_lowercase().contains("certificate"), "the bad certificate is named");
    ensure!(!log.contains(SECRET_PATH), "the URL of a hook is in the log");

    // Each channel continues when its receiver works again; Teams first asks for a pause.
    let asked = Instant::now();
    teams.misbehave(move |_| (asked.elapsed() < Duration::from_secs(1)).then(|| Fault::throttle(2)));
    slack.behave();
    webhook.behave();
    mattermost.behave();
    world.push("h/web", "1.3.1").await?;
    for (name, receiver) in [("slack", slack), ("teams", teams), ("webhook", webhook), ("mattermost", mattermost)] {
        eventually(&format!("{name} has the newest message"), SOON * 3, || async {
            let has = receiver.seen().iter().any(|seen| (200..300).contains(&seen.status) && seen.body.contains("1.3.1"));
            if has { Ok(()) } else { Err(format!("{} accepted", receiver.accepted().len())) }
        })
        .await?;
    }
    Ok(())
}
