//! The measured Deployments, each with its own repository.

use std::ops::Range;

use anyhow::Result;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use headwind_testbed::{Fixture, WorkloadKind};
use kube::Client;

/// The registry of the pushes.
pub(crate) const HOST: &str = "registry.test:5000";
/// Number of concurrent creates.
const CLIENTS: usize = 8;

pub(crate) fn name(n: usize) -> String {
    format!("app-{n:05}")
}

pub(crate) fn image(n: usize, tag: &str) -> String {
    format!("{HOST}/bench/{}:{tag}", name(n))
}

/// Returns a Deployment without replicas that needs no approval, with one container.
pub(crate) fn fixture(n: usize, image: &str) -> Fixture {
    Fixture::new(WorkloadKind::Deployment, &name(n))
        .container("web", image)
        .replicas(0)
        .headwind("policy", "minor")
        .headwind("require-approval", "false")
        .headwind("min-update-interval", "0")
        .headwind("settle-time", "0")
}

/// Creates Deployments without replicas whose updates need no approval.
pub(crate) async fn deployments(client: &Client, namespace: &str, range: Range<usize>) -> Result<()> {
    create(client, namespace, range.map(|n| fixture(n, &image(n, "1.0.0")))).await
}

/// Creates workloads, several at a time.
pub(crate) async fn create(client: &Client, namespace: &str, fixtures: impl Iterator<Item = Fixture>) -> Result<()> {
    stream::iter(fixtures)
        .map(|fixture| async move { fixture.create(client, namespace).await.map(drop) })
        .buffer_unordered(CLIENTS)
        .try_collect()
        .await
}
