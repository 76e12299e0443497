//! The minimum interval delays an update and does not lose it.

use anyhow::{Result, bail, ensure};
use headwind_k8s::update_request::SIBLINGS;
use headwind_testbed::{Fixture, WorkloadKind, eventually, payload};
use jiff::Timestamp;
use kube::ResourceExt as _;

use crate::kill::{leader, two};
use crate::world::{HOST, SOON, World, digest, image};

/// Number of pushes to the standby: a leader that does not wait makes two rollouts of some of them.
const PUSHES: i64 = 5;

/// The second update waits, a newer one supersedes it, and that one is applied in time.
pub(crate) async fn delays(kind: WorkloadKind) -> Result<()> {
    let world = World::of(kind, "interval").await?;
    let live =
        world.create(&World::direct(kind, "web", &world.source("shop/web", "1.0.0").await?).headwind("min-update-interval", "6s")).await?;
    world.push("shop/web", "1.1.0").await?;
    live.has_image("web", &world.image("shop/web", "1.1.0"), SOON).await?;
    let first: Timestamp = live.annotations().await?["headwind.sh/last-update"].parse()?;
    world.push("shop/web", "1.2.0").await?;
    let waiting = eventually("the request says what it waits for", SOON, || async {
        let request = world.request(&world.image("shop/web", "1.2.0"), "Pending").await.map_err(|error| error.to_string())?;
        let conditions = request.status.unwrap_or_default().conditions;
        conditions
            .iter()
            .find(|condition| condition.type_ == "Waiting" && condition.status == "True")
            .cloned()
            .ok_or_else(|| format!("{conditions:?}"))
    })
    .await?;
    ensure!(waiting.reason == "MinUpdateInterval", "{waiting:?}");
    ensure!(live.image_of("web").await? == world.image("shop/web", "1.1.0"));
    world.counted("headwind_updates_skipped_interval_total", 1.0).await?;
    world.push("shop/web", "1.3.0").await?;
    world.request(&world.image("shop/web", "1.3.0"), "Pending").await?;
    // The wait depends on the clock only, and survives a restart.
    world.operator.restart().await?;
    live.has_image("web", &world.image("shop/web", "1.3.0"), SOON * 2).await?;
    let second: Timestamp = live.annotations().await?["headwind.sh/last-update"].parse()?;
    ensure!(second.duration_since(first).as_secs() >= 6, "{first} {second}");
    world.request(&world.image("shop/web", "1.2.0"), "Superseded").await?;
    world.request(&world.image("shop/web", "1.3.0"), "Completed").await?;
    ensure!(world.patches(&live).await? == 2);
    Ok(())
}

/// Two containers that are due together become one rollout: by one event, and by the clock.
pub(crate) async fn two_containers(kind: WorkloadKind) -> Result<()> {
    let world = World::new("two").await?;
    let fixture = Fixture::new(kind, "web")
        .container("app", &image("shop/app", "1.0.0"))
        .container("side", &image("shop/app", "1.0.0"))
        .container("other", &image("shop/other", "1.0.0"));
    let live = world
        .create(
            &fixture
                .headwind("policy", "minor")
                .headwind("require-approval", "false")
                .headwind("min-update-interval", "5")
                .headwind("settle-time", "0"),
        )
        .await?;
    let generation = live.generation().await?;
    world.push("shop/app", "1.1.0").await?;
    live.has_image("app", &image("shop/app", "1.1.0"), SOON).await?;
    ensure!(live.image_of("side").await? == image("shop/app", "1.1.0"), "one event, one patch");
    ensure!(live.generation().await? == generation + 1, "one rollout");
    let events = [
        payload::distribution_event("push", HOST, "shop/app", "1.2.0", &digest('a')),
        payload::distribution_event("push", HOST, "shop/other", "1.1.0", &digest('a')),
    ];
    let (status, _) = world.post(&payload::distribution_events(&events)).await?;
    ensure!(status == 202);
    live.has_image("other", &image("shop/other", "1.1.0"), SOON).await?;
    ensure!(live.image_of("app").await? == image("shop/app", "1.2.0") && live.image_of("side").await? == image("shop/app", "1.2.0"));
    ensure!(live.generation().await? == generation + 2, "three containers, one rollout");
    ensure!(world.patches(&live).await? == 2);
    let names = live.annotations().await?["headwind.sh/last-request"].split(',').count();
    ensure!(names == 3, "the requests whose changes are in place");
    Ok(())
}

/// The replica that receives a push records the requests one after another. The leader, another replica, waits for all
/// of them, so that one push for two containers is one rollout.
pub(crate) async fn two_containers_two_replicas() -> Result<()> {
    let (world, second) = two("two-replicas").await?;
    let fixture = Fixture::new(WorkloadKind::Deployment, "web")
        .container("app", &image("shop/app", "1.0.0"))
        .container("side", &image("shop/app", "1.0.0"))
        .headwind("policy", "minor")
        .headwind("require-approval", "false")
        // The second of two rollouts would come at once.
        .headwind("min-update-interval", "0")
        .headwind("settle-time", "0");
    let live = world.create(&fixture.replicas(0)).await?;
    let operators = [&world.operator, &second];
    let standby = operators[1 - leader(&operators).await?];
    let knows = WorkloadKind::Deployment.watched_metric();
    eventually("the standby knows the workload", SOON, || async {
        if standby.metric(knows, &[]).await.is_ok_and(|known| known > 0.5) { Ok(()) } else { Err("not yet".to_owned()) }
    })
    .await?;
    let generation = live.generation().await?;
    for round in 1..=PUSHES {
        let tag = format!("1.{round}.0");
        let push = payload::distribution(HOST, "shop/app", &tag, &digest('a'));
        ensure!(world.http.post(standby.notifications()?).json(&push).send().await?.status() == 202);
        for container in ["app", "side"] {
            live.has_image(container, &image("shop/app", &tag), SOON).await?;
        }
        ensure!(live.generation().await? == generation + round, "{tag}: one rollout");
        let requests = world.requests().await?;
        let both: Vec<_> = requests.iter().filter(|request| request.spec.new_image == image("shop/app", &tag)).collect();
        let [one, other] = both[..] else { bail!("{tag}: {} requests", both.len()) };
        for (request, sibling) in [(one, other), (other, one)] {
            ensure!(request.annotations().get(SIBLINGS) == Some(&sibling.name_any()), "{tag}: {:?}", request.annotations());
        }
    }
    Ok(())
}
