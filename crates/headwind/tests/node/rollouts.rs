//! Verdicts on rollouts that the real node gives.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use headwind_k8s::update_request::UpdateRequest;
use headwind_testbed::{Bed, Fixture, Node, Operator, Registry, WorkloadKind, eventually, payload};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, ListParams};
use serde_json::json;

/// Timeout for a verdict: a real image is pulled, and a real container crashes with an increasing back-off.
const VERDICT: Duration = Duration::from_mins(4);

/// Three concurrent updates: one that runs, one that crashes, one with a missing image.
pub(crate) async fn rollouts(bed: &Bed, namespace: &str, operator: &Operator, registry: &Registry, program: &[u8]) -> Result<()> {
    let client = bed.client().await?;
    let mut lives = Vec::new();
    for name in ["healthy", "crashing", "missing"] {
        registry.push_program(&format!("node/{name}"), "1.0.0", program, "pause").await?;
        let fixture = Fixture::new(WorkloadKind::Deployment, name)
            .container("app", &registry.image(&format!("node/{name}"), "1.0.0"))
            .headwind("policy", "minor")
            .headwind("require-approval", "false")
            .headwind("min-update-interval", "0")
            .headwind("auto-rollback", "true")
            .headwind("rollback-timeout", "60")
            .headwind("health-check-retries", "2")
            .headwind("settle-time", "5")
            .spec(&Node::placement());
        lives.push(fixture.create(&client, namespace).await?);
    }
    for live in &lives {
        live.rolled_out(VERDICT).await?;
    }
    let begun = Instant::now();
    registry.push_program("node/healthy", "1.1.0", program, "pause").await?;
    registry.push_program("node/crashing", "1.1.0", program, "crash").await?;
    let missing = payload::distribution(registry.addr(), "node/missing", "1.1.0", &format!("sha256:{}", "a".repeat(64)));
    let answer = reqwest::Client::new().post(operator.notifications()?).json(&missing).send().await?;
    ensure!(answer.status() == 202, "{}", answer.status());

    for (name, live, phase, words) in [
        ("healthy", &lives[0], "Completed", "available"),
        ("crashing", &lives[1], "RolledBack", "exit code 1"),
        ("missing", &lives[2], "RolledBack", "node/missing:1.1.0"),
    ] {
        let request = verdict(&client, namespace, name).await?;
        let message = request.status.as_ref().and_then(|status| status.message.clone()).unwrap_or_default();
        eprintln!("{name}: {} after {} s: {message}", request.phase(), begun.elapsed().as_secs());
        ensure!(request.phase().as_str() == phase && message.contains(words), "{name}: {:?}", request.status);
        let tag = if phase == "Completed" { "1.1.0" } else { "1.0.0" };
        let image = registry.image(&format!("node/{name}"), tag);
        ensure!(live.image_of("app").await? == image, "{name}");
        live.rolled_out(VERDICT).await?;
        let pods =
            Api::<Pod>::namespaced(client.clone(), namespace).list(&ListParams::default().labels(&format!("app={name}"))).await?.items;
        let running = pods.iter().filter(|pod| pod.metadata.deletion_timestamp.is_none()).any(|pod| {
            let status = pod.status.clone().unwrap_or_default();
            let runs = status
                .container_statuses
                .unwrap_or_default()
                .iter()
                .all(|one| one.state.as_ref().is_some_and(|state| state.running.is_some()));
            status.phase.as_deref() == Some("Running") && runs && json!(pod.spec).to_string().contains(&image)
        });
        ensure!(running, "{name}: no pod runs {image}");
    }
    Ok(())
}

async fn verdict(client: &kube::Client, namespace: &str, workload: &str) -> Result<UpdateRequest> {
    let requests: Api<UpdateRequest> = Api::namespaced(client.clone(), namespace);
    eventually(&format!("a verdict on {workload}"), VERDICT, || async {
        let all = requests.list(&ListParams::default()).await.map_err(|error| error.to_string())?.items;
        let request = all.into_iter().find(|request| request.spec.target_ref.name == workload).ok_or("no request")?;
        if request.phase().is_open() { Err(format!("{:?}", request.status)) } else { Ok(request) }
    })
    .await
}
