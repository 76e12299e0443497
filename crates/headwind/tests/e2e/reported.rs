//! The next leader reports what a dead leader did not report, and nothing is reported twice.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use futures_util::StreamExt as _;
use headwind_core::transition::transition;
use headwind_k8s::access::LEASE;
use headwind_k8s::name;
use headwind_k8s::update_request::UpdateRequest;
use headwind_testbed::{WorkloadKind, eventually};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::events::v1::Event;
use kube::ResourceExt as _;
use kube::api::{Api, ListParams, WatchEvent, WatchParams};
use serde_json::json;

use crate::approval::people;
use crate::world::{SOON, World, image};

/// Number of kills at the moment when a phase changes. Each costs the duration of a Lease.
const KILLS: usize = 3;

/// A phase is written while the leader cannot report it, and the leader is killed. Later it is killed at the moment
/// when its own write of a phase becomes visible.
pub(crate) async fn once() -> Result<()> {
    let world = World::new("reported").await?;
    people(&world).await?;
    let asks = world.create(&World::asking(WorkloadKind::Deployment, "asks", &image("rep/asks", "1.0.0"))).await?;
    let direct = world.create(&World::direct(WorkloadKind::Deployment, "direct", &image("rep/direct", "1.0.0"))).await?;
    world.push("rep/asks", "1.1.0").await?;
    let pending = world.request(&image("rep/asks", "1.1.0"), "Pending").await?;
    let name = pending.name_any();
    world.has_event("asks", "Proposed").await?;
    noted(&world, &pending).await?;

    world.operator.pause()?;
    let approval = json!({"status": {"phase": "Approved", "approvedBy": "ann"}}).to_string();
    let patch = ["patch", "ur", &name, "--subresource=status", "--type=merge", "-p", &approval];
    world.bed.kubectl_ok(&[&["--as", "ann", "-n", &world.namespace][..], &patch].concat()).await?;
    let approved = world.requests_api().get(&name).await?;
    world.operator.kill9().await?;
    ensure!(about(&world, &name, "ApprovedByPerson").await?.is_empty(), "there was no leader to report it");
    world.operator.start().await?;
    world.operator.ready().await?;
    let event = world.has_event(&name, "ApprovedByPerson").await?;
    let id = transition(Some(&pending.read()), &approved.read()).context("an approval is reported")?.id;
    let expected = format!("{name}.{}", name::event(&pending.uid().context("a uid")?, &id, "ApprovedByPerson"));
    ensure!(event.name_any() == expected, "{}: its name does not follow from the transition, {expected}", event.name_any());
    ensure!(world.operator.log_contains("reported the transitions that the previous leader did not report")?);
    world.request(&image("rep/asks", "1.1.0"), "Completed").await?;
    asks.has_image("web", &image("rep/asks", "1.1.0"), SOON).await?;

    for kill in 1..=KILLS {
        let version = format!("1.{kill}.0");
        let since = world.requests_api().list(&ListParams::default()).await?.metadata.resource_version.context("a resource version")?;
        let rolling = async {
            let rolling = first_in(&world, "RollingOut", &since).await;
            world.operator.kill9().await.and(rolling)
        };
        let (rolling, pushed) = futures_util::join!(rolling, world.push("rep/direct", &version));
        pushed?;
        ensure!(rolling?.spec.new_image == image("rep/direct", &version));
        world.operator.start().await?;
        world.operator.ready().await?;
        world.request(&image("rep/direct", &version), "Completed").await?;
        direct.has_image("web", &image("rep/direct", &version), SOON).await?;
    }
    // The previous leader has written everything that it reports.
    let requests = world.requests().await?;
    for request in &requests {
        world.has_event(&request.name_any(), "RolloutComplete").await?;
        noted(&world, request).await?;
    }
    let mut counts: BTreeMap<(String, String), usize> = BTreeMap::new();
    for event in events(&world).await? {
        let regarding = event.regarding.and_then(|regarding| regarding.name).unwrap_or_default();
        *counts.entry((regarding, event.reason.unwrap_or_default())).or_default() += 1;
    }
    let count = |name: &str, reason: &str| counts.get(&(name.to_owned(), reason.to_owned())).copied().unwrap_or_default();
    ensure!(count(&name, "ApprovedByPerson") == 1, "{counts:?}");
    for (workload, updates) in [("asks", 1), ("direct", KILLS)] {
        ensure!(count(workload, "Proposed") == updates && count(workload, "Applied") == updates, "{workload}: {counts:?}");
    }
    for request in &requests {
        ensure!(count(&request.name_any(), "RolloutComplete") == 1, "{}: {counts:?}", request.name_any());
    }
    Ok(())
}

/// Returns the first request that a watch shows in the phase after that resource version.
async fn first_in(world: &World, phase: &str, since: &str) -> Result<UpdateRequest> {
    let mut watch = std::pin::pin!(world.requests_api().watch(&WatchParams::default().timeout(90), since).await?);
    while let Some(event) = watch.next().await {
        if let WatchEvent::Added(request) | WatchEvent::Modified(request) = event?
            && request.phase().as_str() == phase
        {
            return Ok(request);
        }
    }
    anyhow::bail!("no request was in phase {phase}")
}

/// Waits until the Lease records that the current state of the request was reported.
async fn noted(world: &World, request: &UpdateRequest) -> Result<()> {
    let leases: Api<Lease> = Api::namespaced(world.client.clone(), &world.namespace);
    let version: u128 = request.resource_version().context("a resource version")?.parse()?;
    eventually("the Lease notes that it was reported", SOON, || async {
        let lease = leases.get(LEASE).await.map_err(|error| error.to_string())?;
        let marks = lease.annotations().get("headwind.sh/reported").cloned().unwrap_or_default();
        let reported = marks.split(',').filter_map(|mark| mark.rsplit_once('=')?.1.parse::<u128>().ok()).max();
        if reported >= Some(version) { Ok(()) } else { Err(format!("{marks:?}, not {version}")) }
    })
    .await
}

async fn events(world: &World) -> Result<Vec<Event>> {
    let all: Api<Event> = Api::namespaced(world.client.clone(), &world.namespace);
    let ours = |event: &Event| event.reporting_controller.as_deref() == Some("headwind.sh/headwind");
    Ok(all.list(&ListParams::default()).await?.items.into_iter().filter(ours).collect())
}

/// Returns the Events on an object with that reason.
async fn about(world: &World, object: &str, reason: &str) -> Result<Vec<Event>> {
    let is_it = |event: &Event| {
        event.regarding.as_ref().and_then(|regarding| regarding.name.as_deref()) == Some(object) && event.reason.as_deref() == Some(reason)
    };
    Ok(events(world).await?.into_iter().filter(is_it).collect())
}
