//! A clean restart with many objects: open requests are unchanged, whatever the order in which the caches fill.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use headwind_core::request::Phase;
use headwind_k8s::update_request::UpdateRequest;
use headwind_testbed::workload::Live;
use headwind_testbed::{Fixture, Operator, OperatorOptions, WorkloadKind, eventually, payload};
use kube::ResourceExt as _;
use serde_json::{Value, json};

use crate::kill::leader;
use crate::world::{HOST, SOON, World, digest, image};

/// Number of further workloads: several pages of a list.
const MANY: usize = 1600;
/// The settle time of the watched rollout: longer than all restarts.
const SETTLE: &str = "90s";
const LONG: Duration = Duration::from_secs(150);
/// Time after a restart for everything that a pass would do.
const QUIET: Duration = Duration::from_secs(3);

/// Requests in every phase survive clean restarts next to thousands of workloads, of one replica and of two.
pub(crate) async fn beside_many() -> Result<()> {
    let world = World::of(WorkloadKind::HelmRelease, "restart").await?;
    fill(&world).await?;
    let pushes = ["asks", "approved", "rolling", "waits", "rejected"];
    let mut fixtures: Vec<Fixture> = Vec::new();
    for name in pushes {
        let fixture = World::asking(WorkloadKind::Deployment, name, &image(&format!("r/{name}"), "1.0.0")).replicas(0);
        fixtures.push(match name {
            "rolling" => fixture.headwind("require-approval", "false").headwind("settle-time", SETTLE),
            "waits" => fixture.headwind("require-approval", "false").headwind("min-update-interval", "1h"),
            "approved" => fixture.headwind("min-update-interval", "1h"),
            _ => fixture,
        });
    }
    let release = World::asking(WorkloadKind::HelmRelease, "release", &world.source("r/release", "1.0.0").await?);
    let mut lives: BTreeMap<&str, Live> = BTreeMap::new();
    for (name, fixture) in pushes.iter().zip(&fixtures) {
        lives.insert(name, world.create(fixture).await?);
    }
    lives.insert("release", world.create(&release).await?);

    for name in pushes {
        push(&world, name, "1.1.0").await?;
    }
    world.push("r/release", "1.1.0").await?;
    let pending = |name: &str| format!("{HOST}/r/{name}:1.1.0");
    world.does(&world.request(&pending("rejected"), "Pending").await?, "reject").await?;
    world.does(&world.request(&pending("approved"), "Pending").await?, "approve").await?;
    world.request(&pending("approved"), "Completed").await?;
    world.request(&pending("waits"), "Completed").await?;
    push(&world, "approved", "1.2.0").await?;
    push(&world, "waits", "1.2.0").await?;
    world.does(&world.request(&image("r/approved", "1.2.0"), "Pending").await?, "approve").await?;
    let rolling = world.request(&pending("rolling"), "RollingOut").await?;
    eventually("both wait for their interval", SOON, || async {
        let all = world.requests().await.map_err(|error| error.to_string())?;
        let waiting = all.iter().filter(|request| request.status.as_ref().is_some_and(|status| status.waiting_until.is_some())).count();
        if waiting == 2 { Ok(()) } else { Err(format!("{waiting} wait")) }
    })
    .await?;

    let before = stored(&world, &lives).await?;
    for _ in 0..2 {
        ensure!(world.operator.terminate().await? == Some(0), "a clean end");
        world.operator.start().await?;
        world.operator.ready().await?;
        leader(&[&world.operator]).await?;
        tokio::time::sleep(QUIET).await;
        same(&before, &stored(&world, &lives).await?)?;
    }
    // Two replicas: the leader ends, and a new one starts while the other takes over.
    let second = Operator::run(world.bed, OperatorOptions::new(&world.namespace).replica("headwind-1")).await?;
    ensure!(world.operator.terminate().await? == Some(0), "a clean end");
    world.operator.start().await?;
    world.operator.ready().await?;
    leader(&[&world.operator, &second]).await?;
    tokio::time::sleep(QUIET).await;
    same(&before, &stored(&world, &lives).await?)?;
    ensure!(second.terminate().await? == Some(0), "a clean end");
    // The watch over the rollout continues, and finished requests are still complete.
    eventually("the watched rollout completes", LONG, || async {
        let all = world.requests().await.map_err(|error| error.to_string())?;
        let phase = all.iter().find(|request| request.uid() == rolling.uid()).map(UpdateRequest::phase);
        if phase == Some(Phase::Completed) { Ok(()) } else { Err(format!("{phase:?}")) }
    })
    .await?;
    let (status, body) = world.api("GET", &format!("/api/v1/updates/{}/{}", world.namespace, rolling.name_any()), None).await?;
    ensure!(status == 200 && body["status"]["message"].is_string() && body["status"]["rollout"].is_object(), "{status} {body}");
    let (status, body) = world.api("GET", "/api/v1/updates?limit=3", None).await?;
    ensure!(status == 200 && body["items"].as_array().is_some_and(|items| items.len() == 3), "{status} {body}");
    Ok(())
}

/// Creates thousands of untracked workloads. They are paused, so that Kubernetes' own controllers have no work with
/// them and other scenarios are not delayed.
async fn fill(world: &World) -> Result<()> {
    let other = |number: usize| {
        Fixture::new(WorkloadKind::Deployment, &format!("a-{number:05}"))
            .container("web", &image("r/other", "1.0.0"))
            .spec(&json!({"paused": true}))
    };
    stream::iter(0..MANY)
        .map(Ok)
        .try_for_each_concurrent(
            8,
            |number| async move { other(number).replicas(0).create(&world.client, &world.namespace).await.map(drop) },
        )
        .await
}

async fn push(world: &World, name: &str, tag: &str) -> Result<()> {
    let (status, body) = world.post(&payload::distribution(HOST, &format!("r/{name}"), tag, &digest('a'))).await?;
    ensure!(status == 202, "{name}: {status} {body}");
    Ok(())
}

/// Returns every request with its spec and its result, and the images of every workload.
async fn stored(world: &World, lives: &BTreeMap<&str, Live>) -> Result<BTreeMap<String, Value>> {
    let mut all = BTreeMap::new();
    for request in world.requests().await? {
        let status = request.status.as_ref().context("a status")?;
        let shown = json!({
            "uid": request.uid(), "spec": request.spec, "phase": request.phase().as_str(), "approvedBy": status.approved_by,
            "rejectedBy": status.rejected_by, "timesApplied": status.times_applied, "waitingUntil": status.waiting_until,
        });
        all.insert(request.name_any(), shown);
    }
    for (name, live) in lives {
        let container = if *name == "release" { "chart" } else { "web" };
        all.insert(format!("image of {name}"), json!(live.image_of(container).await?));
    }
    Ok(all)
}

fn same(before: &BTreeMap<String, Value>, after: &BTreeMap<String, Value>) -> Result<()> {
    for (name, shown) in before {
        ensure!(after.get(name) == Some(shown), "{name} was {shown}, and is {:?}", after.get(name));
    }
    ensure!(before.len() == after.len(), "{} things became {}", before.len(), after.len());
    Ok(())
}
