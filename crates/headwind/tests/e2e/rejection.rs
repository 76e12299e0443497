//! A rejected version stays rejected.

use anyhow::{Result, ensure};
use headwind_core::reason::Reason;
use headwind_testbed::WorkloadKind;
use kube::ResourceExt as _;

use crate::world::{SOON, World, digest};

/// Ten more pushes and a restart do not propose a rejected version again. Reopened, it is applied; a newer one is not
/// blocked.
pub(crate) async fn sticks(kind: WorkloadKind) -> Result<()> {
    let world = World::of(kind, "rejection").await?;
    let live = world.create(&World::asking(kind, "web", &world.source("shop/web", "1.0.0").await?)).await?;
    world.push("shop/web", "1.1.0").await?;
    let request = world.request(&world.image("shop/web", "1.1.0"), "Pending").await?;
    let body = world.does(&request, "reject").await?;
    ensure!(body["status"]["rejectedBy"] == "web-ui-user" && body["status"]["phase"] == "Rejected", "{body}");
    world.counted("headwind_updates_rejected_total", 1.0).await?;
    world.counted("headwind_helm_updates_rejected_total", if kind == WorkloadKind::HelmRelease { 1.0 } else { 0.0 }).await?;
    for round in 0..10 {
        if round == 5 {
            world.operator.restart().await?;
        }
        // Rebuilt or not: the version is its tag.
        let digest = digest(if round % 2 == 0 { 'a' } else { 'b' });
        world.push_refused("shop/web", "1.1.0", &digest, Reason::Rejected).await?;
    }
    world.quiet().await?;
    let all = world.requests().await?;
    ensure!(
        all.len() == 1
            && all[0].phase().as_str() == "Rejected"
            && all[0].resource_version() == world.requests_api().get(&request.name_any()).await?.resource_version(),
        "{all:?}"
    );

    world.does(&request, "reopen").await?;
    let reopened = world.request(&world.image("shop/web", "1.1.0"), "Pending").await?;
    ensure!(reopened.name_any() == request.name_any());
    world.does(&reopened, "approve").await?;
    live.has_image("web", &world.image("shop/web", "1.1.0"), SOON).await?;
    world.request(&world.image("shop/web", "1.1.0"), "Completed").await?;

    // A rejected version does not block a newer one.
    world.push("shop/web", "1.2.0").await?;
    let second = world.request(&world.image("shop/web", "1.2.0"), "Pending").await?;
    world.does(&second, "reject").await?;
    world.push("shop/web", "1.3.0").await?;
    let third = world.request(&world.image("shop/web", "1.3.0"), "Pending").await?;
    world.does(&third, "approve").await?;
    live.has_image("web", &world.image("shop/web", "1.3.0"), SOON).await
}

/// Headwind does not apply a version again that was reverted outside Headwind, not even after a restart.
pub(crate) async fn put_back_by_hand(kind: WorkloadKind) -> Result<()> {
    let world = World::of(kind, "put-back").await?;
    let live = world.create(&World::direct(kind, "web", &world.source("shop/web", "1.0.0").await?)).await?;
    world.push("shop/web", "1.1.0").await?;
    let new = world.image("shop/web", "1.1.0");
    live.has_image("web", &new, SOON).await?;
    let request = world.request(&new, "Completed").await?;
    live.set_image("web", &world.image("shop/web", "1.0.0")).await?;
    for round in 0..4 {
        if round == 2 {
            world.operator.restart().await?;
        }
        world.push("shop/web", "1.1.0").await?;
        world.quiet().await?;
    }
    ensure!(live.image_of("web").await? == world.image("shop/web", "1.0.0"));
    world.has_event("web", "RevertedExternally").await?;
    ensure!(world.patches(&live).await? == 1, "one patch in all");
    // A person may try it again.
    world.does(&request, "reopen").await?;
    live.has_image("web", &new, SOON).await?;
    let done = world.request(&new, "Completed").await?;
    ensure!(done.status.unwrap_or_default().times_applied == Some(2));
    ensure!(live.annotations().await?["headwind.sh/last-request"] == format!("{}@1", request.name_any()));
    Ok(())
}
