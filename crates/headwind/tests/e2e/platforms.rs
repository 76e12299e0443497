//! A version is accepted only if its image index has every platform (`headwind.sh/platforms`).

use anyhow::{Result, ensure};
use headwind_core::reason::Reason;
use headwind_testbed::{FakeRegistry, Fixture, WorkloadKind, payload};
use serde_json::json;

use crate::world::{SOON, World};

/// Returns an image index with these platforms. `seed` makes its digest unique.
pub(crate) fn index(seed: &str, platforms: &[(&str, &str)]) -> String {
    let entry = |(os, architecture): &(&str, &str)| json!({"digest": crate::world::digest('a'), "platform": {"os": os, "architecture": architecture}});
    let manifests: Vec<_> = platforms.iter().map(entry).collect();
    json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": manifests, "annotations": {"seed": seed}})
        .to_string()
}

const BOTH: &[(&str, &str)] = &[("linux", "amd64"), ("linux", "arm64")];
const ONE: &[(&str, &str)] = &[("linux", "amd64")];

/// With a list, by webhook and by polling: a version that lacks a platform is refused, polling takes the next best one,
/// and the version is accepted once its index is complete.
pub(crate) async fn listed() -> Result<()> {
    let registry = FakeRegistry::start().await?;
    let world = World::with("platforms", |options| {
        options.env("HEADWIND_POLLING_ENABLED", "true").env("HEADWIND_POLLING_INTERVAL", "1").env("HEADWIND_POLLING_MIN_INTERVAL", "1")
    })
    .await?;
    let host = registry.host();
    let image = |repository: &str, tag: &str| format!("{host}/{repository}:{tag}");
    let both = |fixture: Fixture| fixture.headwind("platforms", "linux/amd64,linux/arm64");
    let pushed = world.create(&both(World::direct(WorkloadKind::Deployment, "pushed", &image("pushed", "1.0.0")))).await?;
    let push = async |content: &str, tag: &str| {
        let digest = registry.push("pushed", tag, content);
        let (status, body) = world.post(&payload::distribution(&host, "pushed", tag, &digest)).await?;
        ensure!(status == 202, "{body}");
        Ok::<_, anyhow::Error>(())
    };
    push(&index("x", ONE), "1.1.0").await?;
    world.has_event("pushed", Reason::PlatformMissing.code()).await?;
    ensure!(world.requests().await?.is_empty() && pushed.image_of("web").await? == image("pushed", "1.0.0"));
    push(&index("y", BOTH), "1.1.0").await?;
    pushed.has_image("web", &image("pushed", "1.1.0"), SOON).await?;

    registry.push("polled", "1.0.0", &index("a", BOTH));
    registry.push("polled", "1.1.0", &index("b", BOTH));
    registry.push("polled", "1.2.0", &index("c", ONE));
    let fixture = both(World::direct(WorkloadKind::Deployment, "polled", &image("polled", "1.0.0"))).headwind("event-source", "polling");
    let polled = world.create(&fixture).await?;
    polled.has_image("web", &image("polled", "1.1.0"), SOON).await?;
    registry.push("polled", "1.2.0", &index("d", BOTH));
    polled.has_image("web", &image("polled", "1.2.0"), SOON).await
}
