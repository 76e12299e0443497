//! Measures what a change of a Deployment costs the operator that leads to no update, as from an autoscaler.

use std::time::Duration;

use anyhow::{Context as _, Result};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use headwind_testbed::Operator;
use k8s_openapi::api::apps::v1::Deployment;
use kube::Client;
use kube::api::{Api, Patch, PatchParams};
use serde_json::json;

use crate::Load;
use crate::load::name;
use crate::process;

/// Number of changes.
const CHANGES: u32 = 2_000;
/// Number of concurrent changes.
const CLIENTS: usize = 8;
/// Time until the watch has delivered the last change and the operator has processed it.
const SETTLE: Duration = Duration::from_secs(1);

/// Changes an annotation of Deployments that has no meaning for Headwind. Returns the operator's processor time for one
/// change, in microseconds.
pub(crate) async fn run(client: &Client, namespace: &str, operator: &Operator, load: Load) -> Result<f64> {
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), namespace);
    let deployments = &deployments;
    let pid = operator.process().context("the operator runs")?.pid;
    let before = process::processor_time(pid)?;
    stream::iter(0..CHANGES)
        .map(|change| async move {
            let patch = Patch::Merge(json!({"metadata": {"annotations": {"bench": format!("{}-{change}", load.nth)}}}));
            let name = name(usize::try_from(change)? % load.size);
            deployments.patch_metadata(&name, &PatchParams::default(), &patch).await.map(drop).context("an annotation")
        })
        .buffer_unordered(CLIENTS)
        .try_collect::<()>()
        .await?;
    tokio::time::sleep(SETTLE).await;
    Ok((process::processor_time(pid)? - before) * 1e6 / f64::from(CHANGES))
}
