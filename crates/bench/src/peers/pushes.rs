//! Pushes to one tool: one at a time, many at once, and for repositories that no workload uses.

use std::time::{Duration, Instant};

use anyhow::Result;
use futures_util::{StreamExt as _, stream};

use crate::direct::{bare_write, millis};
use crate::load::{image, name};
use crate::peers::{Site, Tool, Turn, quiet};
use crate::report::say;
use crate::seen::Seen;
use crate::{LONG, process};

/// Number of single pushes, and of bare writes, each to another Deployment.
const ROUNDS: usize = 100;
/// Time from one single push to the next. Without it, the request limit of a tool's client would be measured.
const PACE: Duration = Duration::from_secs(1);
/// Time after which a push counts as lost.
const PATIENCE: Duration = Duration::from_secs(20);
/// Number of pushes at once.
const BURST: usize = 100;
/// Number of concurrent webhooks.
const CONNECTIONS: usize = 8;
/// Number of pushes for unused repositories, and the time after which no more are sent.
const UNUSED: usize = 2_000;
const SPAN: Duration = Duration::from_secs(10);

/// The results of single pushes.
#[derive(Debug, Default)]
pub(crate) struct Pushed {
    pub(crate) sent: usize,
    /// Milliseconds from the push until the watch shows the new image, for each push that was seen.
    pub(crate) times: Vec<f64>,
    /// Milliseconds of the bare writes.
    pub(crate) bare: Vec<f64>,
}

/// The results of pushes at once.
#[derive(Debug)]
pub(crate) struct Burst {
    pub(crate) sent: usize,
    pub(crate) seen: usize,
    /// Seconds from the first push until the watch shows the last image.
    pub(crate) seconds: f64,
}

/// Alternates pushes with bare writes, each to its own Deployment.
pub(crate) async fn single<T: Tool>(site: &Site, tool: &T, turn: Turn) -> Result<Pushed> {
    let seen = Seen::watch(&site.client, &site.namespace).await?;
    let tag = turn.tag(1);
    // The first request under a new admission policy is slow.
    bare_write(&site.client, &site.namespace, &seen, turn.size - 1, &turn.tag(0)).await?;
    let mut pushed = Pushed::default();
    let half = turn.size / 2;
    let rounds = ROUNDS.min(half);
    for round in 0..rounds {
        // Spread over the whole range. The last Deployments are for the bare writes.
        let (ours, bare) = (round * half / rounds, half + round * half / rounds);
        let started = Instant::now();
        pushed.sent += 1;
        if sent(tool, ours, &tag).await
            && let Some(at) = seen.within(&name(ours), &image(ours, &tag), PATIENCE).await
        {
            pushed.times.push(millis(at.duration_since(started)));
        }
        // The tool may still write after the new image is visible.
        tokio::time::sleep((PACE / 2).saturating_sub(started.elapsed())).await;
        pushed.bare.push(bare_write(&site.client, &site.namespace, &seen, bare, &tag).await?);
        tokio::time::sleep(PACE.saturating_sub(started.elapsed())).await;
    }
    Ok(pushed)
}

/// Sends many pushes, each for another Deployment, without waiting for the updates.
pub(crate) async fn burst<T: Tool>(site: &Site, tool: &T, turn: Turn) -> Result<Burst> {
    let seen = Seen::watch(&site.client, &site.namespace).await?;
    let tag = turn.tag(2);
    let count = BURST.min(turn.size);
    let all: Vec<usize> = (0..count).map(|n| n * turn.size / count).collect();
    let started = Instant::now();
    stream::iter(&all)
        .for_each_concurrent(CONNECTIONS, async |n| {
            sent(tool, *n, &tag).await;
        })
        .await;
    let (mut last, mut patched) = (started, 0);
    for n in &all {
        let patience = LONG.saturating_sub(started.elapsed());
        if let Some(at) = seen.within(&name(*n), &image(*n, &tag), patience).await {
            (last, patched) = (last.max(at), patched + 1);
        }
    }
    Ok(Burst { sent: count, seen: patched, seconds: last.duration_since(started).as_secs_f64() })
}

/// Returns the tool's processor time for a push that concerns no workload, in microseconds.
pub(crate) async fn unused<T: Tool>(tool: &T) -> Result<f64> {
    let before = process::processor_time(tool.pid()?)?;
    let started = Instant::now();
    let pushes = stream::iter(0..UNUSED).map(async |n| tool.push(&format!("nobody/app-{}", n % 100), "1.0.0").await);
    let mut answers = pushes.buffer_unordered(CONNECTIONS);
    let mut count = 0_u32;
    while let Some(answer) = answers.next().await {
        answer?;
        count += 1;
        if started.elapsed() > SPAN {
            break;
        }
    }
    // A tool may answer first and work afterwards.
    drop(answers);
    quiet(tool, LONG).await?;
    Ok((process::processor_time(tool.pid()?)? - before) * 1e6 / f64::from(count))
}

/// Pushes a tag. Returns false if the tool refuses it.
async fn sent<T: Tool>(tool: &T, n: usize, tag: &str) -> bool {
    match tool.push(&format!("bench/{}", name(n)), tag).await {
        Ok(()) => true,
        Err(error) => {
            say(&format!("{}: {error:#}", T::NAME));
            false
        }
    }
}

impl Turn {
    /// Returns a tag that increases with each turn, so that Deployments can be used again.
    fn tag(self, nth: usize) -> String {
        format!("1.{}.{nth}", self.nth)
    }
}
