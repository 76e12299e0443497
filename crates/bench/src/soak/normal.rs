//! The workloads that the tenant must not affect: one push after the other, each timed.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use headwind_testbed::{Bed, FakeRegistry, Fixture, Operator, WorkloadKind, payload};
use kube::Client;
use parking_lot::Mutex;
use reqwest::StatusCode;

use crate::report::say;
use crate::seen::Seen;

/// Number of workloads.
const COUNT: usize = 500;
/// One of this many workloads is a StatefulSet with a pod; one is polled as well.
const ONE_IN: usize = 10;
/// Interval between two pushes.
const PACE: Duration = Duration::from_millis(400);
/// Number of concurrent creates.
const CLIENTS: usize = 8;

/// The normal workloads, with the measured times.
pub(crate) struct Normal<'a> {
    registry: &'a FakeRegistry,
    seen: Seen,
    times: Mutex<Vec<f64>>,
    rounds: AtomicUsize,
}

fn name(n: usize) -> String {
    format!("app-{n:03}")
}

fn repository(n: usize) -> String {
    format!("team/{}", name(n))
}

impl<'a> Normal<'a> {
    /// Creates all of them, in their own namespace.
    pub(crate) async fn create(bed: &Bed, client: &Client, registry: &'a FakeRegistry) -> Result<Self> {
        let namespace = bed.namespace("normal").await?;
        let namespace = namespace.as_str();
        stream::iter(0..COUNT)
            .map(|n| async move {
                registry.push(&repository(n), "1.0.0", "1.0.0");
                let stateful = n % ONE_IN == 0;
                let kind = if stateful { WorkloadKind::StatefulSet } else { WorkloadKind::Deployment };
                let source = if n % ONE_IN == 1 { "both" } else { "webhook" };
                let image = format!("{}/{}:1.0.0", registry.host(), repository(n));
                Fixture::new(kind, &name(n))
                    .container("web", &image)
                    .replicas(u32::from(stateful))
                    .headwind("policy", "minor")
                    .headwind("require-approval", "false")
                    .headwind("min-update-interval", "0")
                    .headwind("settle-time", "5")
                    .headwind("event-source", source)
                    .create(client, namespace)
                    .await
                    .map(drop)
            })
            .buffer_unordered(CLIENTS)
            .try_collect::<()>()
            .await?;
        let seen = Seen::watch(client, namespace).await?;
        Ok(Self { registry, seen, times: Mutex::default(), rounds: AtomicUsize::new(0) })
    }

    /// Returns the number of workloads.
    pub(crate) fn count() -> usize {
        COUNT
    }

    /// Returns the number of observed updates.
    pub(crate) fn done(&self) -> usize {
        self.times.lock().len()
    }

    /// Returns the seconds from each push to the patched workload.
    pub(crate) fn times(&self) -> Vec<f64> {
        self.times.lock().clone()
    }

    /// Returns the slowest update so far.
    pub(crate) fn slowest(&self) -> Duration {
        Duration::from_secs_f64(self.times.lock().iter().copied().fold(0.0, f64::max))
    }

    /// Pushes to one workload after the other until the end, and waits for the last updates.
    pub(crate) async fn push(&self, operator: &Operator, end: Instant) -> Result<()> {
        // Its own address, as a registry has.
        let http = reqwest::Client::builder().local_address(Some([127, 0, 0, 3].into())).timeout(Duration::from_secs(10)).build()?;
        let (http, url) = (&http, operator.notifications()?);
        let mut due = tokio::time::interval(PACE);
        let turns = stream::unfold(&mut due, |due| async {
            due.tick().await;
            (Instant::now() < end).then_some(((), due))
        });
        turns
            .map(|()| {
                let round = self.rounds.fetch_add(1, Ordering::Relaxed);
                self.one(http, url.clone(), round % COUNT, format!("1.{}.0", round / COUNT + 1))
            })
            .buffer_unordered(COUNT)
            .try_collect::<()>()
            .await
    }

    async fn one(&self, http: &reqwest::Client, url: reqwest::Url, n: usize, tag: String) -> Result<()> {
        let digest = self.registry.push(&repository(n), &tag, &tag);
        let body = payload::distribution(&self.registry.host(), &repository(n), &tag, &digest);
        let started = Instant::now();
        // A registry retries a notification that gets an error.
        loop {
            match http.post(url.clone()).json(&body).send().await {
                Ok(answer) if answer.status().is_success() => break,
                Ok(answer) if answer.status() == StatusCode::SERVICE_UNAVAILABLE => {
                    say(&format!("soak: the webhook port answered 503 for {}; retrying", name(n)));
                }
                Ok(answer) => answer.error_for_status().map(drop)?,
                Err(error) => say(&format!("soak: {}: {error}", name(n))),
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        let image = format!("{}/{}:{tag}", self.registry.host(), repository(n));
        let at = self.seen.at(&name(n), &image).await.context("a normal update was lost")?;
        self.times.lock().push(at.saturating_duration_since(started).as_secs_f64());
        Ok(())
    }
}
