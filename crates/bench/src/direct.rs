//! Measures the time from a push to a patched Deployment, and the same writes without Headwind.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use headwind_k8s::update_request::UpdateRequest;
use headwind_testbed::{Operator, payload};
use k8s_openapi::api::apps::v1::Deployment;
use kube::Client;
use kube::api::{Api, Patch, PatchParams, PostParams};
use serde_json::json;

use crate::Load;
use crate::load::{HOST, image, name};
use crate::seen::Seen;

/// Number of sequential pushes, and of bare writes, each to another Deployment.
const ROUNDS: usize = 100;
/// Number of concurrent pushes.
const BURST: usize = 200;

/// Milliseconds from the push until the watch shows the new image.
#[derive(Debug, Clone, Default)]
pub(crate) struct Latency {
    pub(crate) headwind: Vec<f64>,
    pub(crate) bare: Vec<f64>,
}

/// Alternates pushes through Headwind with bare writes, each to its own Deployment.
pub(crate) async fn latency(client: &Client, namespace: &str, operator: &Operator, load: Load) -> Result<Latency> {
    let Load { size, .. } = load;
    let seen = Seen::watch(client, namespace).await?;
    let http = reqwest::Client::new();
    let tag = tag_of(load, 0);
    let mut latency = Latency::default();
    // The first request under a new admission policy is slow.
    bare_write(client, namespace, &seen, size - 1, &tag_of(load, 2)).await?;
    let rounds = ROUNDS.min(size / 2);
    for round in 0..rounds {
        // Spread over the whole range. The last Deployments are for the bare writes.
        let (ours, bare) = (round * (size / 2) / rounds, size / 2 + round * (size / 2) / rounds);
        let started = Instant::now();
        let at = push(&http, operator, &seen, ours, &tag).await?;
        latency.headwind.push(millis(at.duration_since(started)));
        latency.bare.push(bare_write(client, namespace, &seen, bare, &tag).await?);
    }
    Ok(latency)
}

/// Pushes a tag of the Deployment with this number, and returns when the watch showed its image.
pub(crate) async fn push(http: &reqwest::Client, operator: &Operator, seen: &Seen, n: usize, tag: &str) -> Result<Instant> {
    let body = payload::distribution(HOST, &format!("bench/{}", name(n)), tag, &digest());
    http.post(operator.notifications()?).json(&body).send().await?.error_for_status()?;
    seen.at(&name(n), &image(n, tag)).await
}

/// Returns a tag that increases with each measurement, so that Deployments can be used again.
fn tag_of(load: Load, nth: usize) -> String {
    format!("1.{}.{nth}", load.nth)
}

fn image_of(deployment: &Deployment) -> Option<String> {
    deployment.spec.template.spec.as_ref()?.containers.first()?.image.clone()
}

pub(crate) fn digest() -> String {
    format!("sha256:{}", "a".repeat(64))
}

pub(crate) fn millis(span: Duration) -> f64 {
    span.as_secs_f64() * 1000.0
}

/// Creates an UpdateRequest and patches the Deployment under the same guards.
pub(crate) async fn bare_write(client: &Client, namespace: &str, seen: &Seen, n: usize, tag: &str) -> Result<f64> {
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), namespace);
    let requests: Api<UpdateRequest> = Api::namespaced(client.clone(), namespace);
    let target = deployments.get(&name(n)).await?;
    let old = image_of(&target).context("image")?;
    let request: UpdateRequest = serde_json::from_value(json!({
        "apiVersion": "headwind.sh/v1alpha1", "kind": "UpdateRequest",
        "metadata": {"name": format!("bare-{}-{}", name(n), tag.replace('.', "-")), "namespace": namespace},
        "spec": {
            // A workload that does not exist, so that Headwind only has to end the request.
            "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "bare", "uid": "bare"}, "updateType": "image", "containerName": "web",
            "currentImage": old, "newImage": image(n, tag), "policy": "minor", "requireApproval": true, "trigger": "manual",
        },
    }))?;
    let patch: json_patch::Patch = serde_json::from_value(json!([
        {"op": "test", "path": "/spec/template/spec/containers/0/image", "value": old},
        {"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": image(n, tag)},
    ]))?;
    let started = Instant::now();
    requests.create(&PostParams::default(), &request).await?;
    deployments.patch(&name(n), &PatchParams::default(), &Patch::Json::<()>(patch)).await?;
    let at = seen.at(&name(n), &image(n, tag)).await?;
    Ok(millis(at.duration_since(started)))
}

/// Returns the updates per second for many concurrent pushes.
pub(crate) async fn burst(client: &Client, namespace: &str, operator: &Operator, load: Load) -> Result<f64> {
    let Load { size, .. } = load;
    let seen = Seen::watch(client, namespace).await?;
    let http = reqwest::Client::new();
    let url = operator.notifications()?;
    let tag = tag_of(load, 1);
    let all: Vec<usize> = (0..BURST.min(size)).map(|n| n * size / BURST.min(size)).collect();
    let events: Vec<serde_json::Value> =
        all.iter().map(|n| payload::distribution_event("push", HOST, &format!("bench/{}", name(*n)), &tag, &digest())).collect();
    let started = Instant::now();
    http.post(url).json(&payload::distribution_events(&events)).send().await?.error_for_status()?;
    let mut last = started;
    for n in &all {
        last = last.max(seen.at(&name(*n), &image(*n, &tag)).await?);
    }
    #[expect(clippy::cast_precision_loss, reason = "a few hundred")]
    let count = all.len() as f64;
    Ok(count / last.duration_since(started).as_secs_f64())
}
