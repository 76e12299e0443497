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

/// Creates Deployments without replicas whose updates need no approval.
pub(crate) async fn deployments(client: &Client, namespace: &str, range: Range<usize>) -> Result<()> {
    stream::iter(range)
        .map(|n| async move {
            let fixture = Fixture::new(WorkloadKind::Deployment, &name(n)).container("web", &image(n, "1.0.0")).replicas(0);
            let fixture = fixture
                .headwind("policy", "minor")
                .headwind("require-approval", "false")
                .headwind("min-update-interval", "0")
                .headwind("settle-time", "0");
            fixture.create(client, namespace).await.map(drop)
        })
        .buffer_unordered(CLIENTS)
        .try_collect()
        .await
}
