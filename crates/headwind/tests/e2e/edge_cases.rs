//! Unusual objects and annotations behave as documented, and Headwind reports why.

use anyhow::{Result, ensure};
use headwind_testbed::{Fixture, WorkloadKind, eventually, payload};
use kube::ResourceExt as _;
use kube::api::{DeleteParams, PostParams};
use serde_json::json;

use crate::world::{HOST, SOON, World, digest, image};

/// Policy force follows the digest of the same tag: with pull policy Always it restarts the pods, else it pins.
pub(crate) async fn new_digest(kind: WorkloadKind) -> Result<()> {
    let world = World::new("digest").await?;
    let fixture = |name: &str| {
        Fixture::new(kind, name)
            .container("web", &image("shop/web", "latest"))
            .headwind("policy", "force")
            .headwind("require-approval", "false")
            .headwind("min-update-interval", "0")
            .headwind("settle-time", "0")
    };
    let always = world.create(&fixture("always").pull_policy("Always")).await?;
    let present = world.create(&fixture("present").pull_policy("IfNotPresent")).await?;
    let key = "headwind.sh/digest.web";
    for letter in ['a', 'b'] {
        world.push_digest("shop/web", "latest", &digest(letter)).await?;
        present.has_image("web", &format!("{}@{}", image("shop/web", "latest"), digest(letter)), SOON).await?;
        eventually("the pods are recreated", SOON, || async {
            let annotations = always.template_annotations().await.map_err(|error| error.to_string())?;
            if annotations.get(key) == Some(&format!("{}@{}", image("shop/web", "latest"), digest(letter))) {
                Ok(())
            } else {
                Err(format!("{annotations:?}"))
            }
        })
        .await?;
        ensure!(always.image_of("web").await? == image("shop/web", "latest"), "the image stays as it is written");
        let so_far = if letter == 'a' { 2 } else { 4 };
        eventually("all are done", SOON, || async {
            let all = world.requests().await.map_err(|error| error.to_string())?;
            if all.len() == so_far && all.iter().all(|request| request.phase().as_str() == "Completed") {
                Ok(())
            } else {
                Err(format!("{:?}", all.iter().map(headwind_k8s::update_request::UpdateRequest::phase).collect::<Vec<_>>()))
            }
        })
        .await?;
    }
    // The running digest is not new, however often it is pushed.
    world.push_digest("shop/web", "latest", &digest('b')).await?;
    world.quiet().await?;
    ensure!(world.requests().await?.len() == 4);
    ensure!(world.patches(&always).await? == 2 && world.patches(&present).await? == 2);
    Ok(())
}

/// A workload with an invalid annotation is treated as policy `none`, and this is reported. Once corrected, it is
/// updated.
pub(crate) async fn bad_annotations() -> Result<()> {
    let world = World::new("annotations").await?;
    let old = image("shop/web", "1.0.0");
    let live = world
        .create(&World::direct(WorkloadKind::Deployment, "web", &old).headwind("policy", "minro").headwind("min-update-interval", "soon"))
        .await?;
    let event = world.has_event("web", "InvalidAnnotation").await?;
    ensure!(
        event.type_.as_deref() == Some("Warning")
            && event.note.as_deref().is_some_and(|note| note.contains("minro") && note.contains("soon") && note.contains("policy none")),
        "{event:?}"
    );
    world.counted("headwind_invalid_annotations", 1.0).await?;
    ensure!(world.operator.log_contains("minro")?, "a log line names the value");
    world.push("shop/web", "1.1.0").await?;
    world.quiet().await?;
    ensure!(world.requests().await?.is_empty() && live.image_of("web").await? == old);
    ensure!(world.operator.metric("headwind_updates_refused_total", &[("reason", "InvalidAnnotation")]).await? >= 1.0);
    live.annotate("headwind.sh/policy", Some("minor")).await?;
    live.annotate("headwind.sh/min-update-interval", Some("0")).await?;
    world.counted("headwind_invalid_annotations", 0.0).await?;
    world.push("shop/web", "1.1.0").await?;
    live.has_image("web", &image("shop/web", "1.1.0"), SOON).await?;
    // An unknown key, and one for a missing container.
    live.annotate("headwind.sh/polcy", Some("all")).await?;
    live.annotate("headwind.sh/policy.nobody", Some("all")).await?;
    world.has_event("web", "UnknownContainer").await?;
    Ok(())
}

/// `latest`, references that have only a digest, no tag, Docker Hub's short names.
pub(crate) async fn odd_images() -> Result<()> {
    let world = World::new("images").await?;
    let latest = world.create(&World::direct(WorkloadKind::Deployment, "latest", &image("odd/latest", "latest"))).await?;
    let alone = format!("{HOST}/odd/alone@{}", digest('a'));
    let digest_alone = world.create(&World::direct(WorkloadKind::Deployment, "alone", &alone)).await?;
    let pinned = world
        .create(&World::direct(WorkloadKind::Deployment, "pinned", &format!("{}@{}", image("odd/pinned", "1.0.0"), digest('a'))))
        .await?;
    let hub = world.create(&World::direct(WorkloadKind::StatefulSet, "hub", "nginx:1.25-alpine")).await?;
    for (repository, tag) in [("odd/latest", "1.0.0"), ("odd/alone", "1.0.0"), ("odd/pinned", "1.1.0")] {
        world.push_digest(repository, tag, &digest('b')).await?;
    }
    let hub_url = format!("{}/webhook/dockerhub", world.operator.webhook_url());
    for tag in ["1.26", "1.26-alpine3.19", "1.26-alpine"] {
        let answer = world.http.post(&hub_url).json(&payload::docker_hub("library/nginx", tag)).send().await?;
        ensure!(answer.status() == 202, "{}", answer.status());
    }
    hub.has_image("web", "nginx:1.26-alpine", SOON).await?;
    pinned.has_image("web", &format!("{}@{}", image("odd/pinned", "1.1.0"), digest('b')), SOON).await?;
    world.has_event("latest", "CurrentNotAVersion").await?;
    world.has_event("alone", "DigestOnly").await?;
    world.quiet().await?;
    ensure!(latest.image_of("web").await? == image("odd/latest", "latest") && digest_alone.image_of("web").await? == alone);
    // A pinned image without a known new digest is not half-written.
    let body = json!({"events": [{"action": "push", "target": {"repository": "odd/pinned", "tag": "1.2.0"}, "request": {"host": HOST}}]});
    ensure!(world.post(&body).await?.0 == 202);
    world.has_event("pinned", "DigestUnknown").await?;
    Ok(())
}

/// Tracked containers, settings for single containers, and event sources.
pub(crate) async fn containers() -> Result<()> {
    let world = World::new("containers").await?;
    let base = |name: &str| {
        Fixture::new(WorkloadKind::Deployment, name)
            .headwind("policy", "minor")
            .headwind("require-approval", "false")
            .headwind("min-update-interval", "0")
            .headwind("settle-time", "0")
    };
    let init =
        world.create(&base("init").container("web", &image("c/web", "1.0.0")).init_container("setup", &image("c/init", "1.0.0"))).await?;
    let named = world
        .create(
            &base("named")
                .container("web", &image("c/web", "1.0.0"))
                .init_container("setup", &image("c/init", "1.0.0"))
                .headwind("images", "setup"),
        )
        .await?;
    let own = world
        .create(
            &base("own")
                .container("web", &image("c/web", "1.0.0"))
                .container("side", &image("c/web", "1.0.0"))
                .headwind("policy.side", "none"),
        )
        .await?;
    let polled = world.create(&base("polled").container("web", &image("c/web", "1.0.0")).headwind("event-source", "polling")).await?;
    let filtered = world.create(&base("filtered").container("web", &image("c/web", "1.0.0")).headwind("pattern", "1.0.*")).await?;
    world.push("c/init", "1.1.0").await?;
    named.has_image("setup", &image("c/init", "1.1.0"), SOON).await?;
    world.push("c/web", "1.1.0").await?;
    init.has_image("web", &image("c/web", "1.1.0"), SOON).await?;
    own.has_image("web", &image("c/web", "1.1.0"), SOON).await?;
    world.quiet().await?;
    ensure!(init.image_of("setup").await? == image("c/init", "1.0.0"), "init containers only when named");
    ensure!(named.image_of("web").await? == image("c/web", "1.0.0"), "only what is named");
    ensure!(own.image_of("side").await? == image("c/web", "1.0.0"), "a container of its own policy");
    ensure!(polled.image_of("web").await? == image("c/web", "1.0.0"), "listens to polling only");
    ensure!(filtered.image_of("web").await? == image("c/web", "1.0.0"), "the pattern filters");
    for reason in ["NotTracked", "PolicyNone", "EventSource", "PatternMismatch"] {
        ensure!(world.operator.metric("headwind_updates_refused_total", &[("reason", reason)]).await? >= 1.0, "{reason}");
    }
    Ok(())
}

/// Annotations of a namespace apply to its workloads, unless the workload overrides them.
pub(crate) async fn namespace_defaults() -> Result<()> {
    let annotations =
        [("headwind.sh/policy", "minor"), ("headwind.sh/require-approval", "false"), ("headwind.sh/min-update-interval", "0")];
    let world = World::prepared("defaults", &annotations, |options| options).await?;
    world.operator.start().await?;
    world.operator.ready().await?;
    let plain = |name: &str| Fixture::new(WorkloadKind::DaemonSet, name).container("web", &image("d/web", "1.0.0"));
    let follows = world.create(&plain("follows")).await?;
    let asks = world.create(&plain("asks").headwind("require-approval", "true")).await?;
    let not = world.create(&plain("not").headwind("policy", "none")).await?;
    world.push("d/web", "1.1.0").await?;
    follows.has_image("web", &image("d/web", "1.1.0"), SOON).await?;
    world.quiet().await?;
    ensure!(asks.image_of("web").await? == image("d/web", "1.0.0") && not.image_of("web").await? == image("d/web", "1.0.0"));
    ensure!(world.requests().await?.len() == 2, "one done, one asked");
    Ok(())
}

/// A workload that is deleted during its update ends it quietly; a new one with the same name starts from the
/// beginning.
pub(crate) async fn deleted_in_flight() -> Result<()> {
    let world = World::new("deleted").await?;
    let fixture = World::asking(WorkloadKind::Deployment, "web", &image("x/web", "1.0.0"));
    let live = world.create(&fixture).await?;
    world.push("x/web", "1.1.0").await?;
    let first = world.request(&image("x/web", "1.1.0"), "Pending").await?;
    live.delete().await?;
    eventually("the request goes with its workload", SOON, || async {
        match world.requests_api().get_opt(&first.name_any()).await {
            Ok(None) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await?;
    world.counted("headwind_updates_pending", 0.0).await?;
    world.counted("headwind_deployments_watched", 0.0).await?;
    let again = world.create(&fixture).await?;
    world.push("x/web", "1.1.0").await?;
    let second = world.request(&image("x/web", "1.1.0"), "Pending").await?;
    ensure!(second.name_any() != first.name_any(), "another object, another request");
    // A deleted request is proposed again by the next push.
    world.requests_api().delete(&second.name_any(), &DeleteParams::default()).await?;
    world.counted("headwind_updates_pending", 0.0).await?;
    world.push("x/web", "1.1.0").await?;
    let third = world.request(&image("x/web", "1.1.0"), "Pending").await?;
    // Changed outside Headwind before its approval: superseded, not applied.
    again.set_image("web", &image("x/web", "1.0.5")).await?;
    world.request(&image("x/web", "1.1.0"), "Superseded").await?;
    let (status, body) = world.act(&third, "approve").await?;
    ensure!(status == 409 && body["phase"] == "Superseded", "{status} {body}");
    // The same version is proposed again from the current image.
    world.push("x/web", "1.1.0").await?;
    let fourth = world.request(&image("x/web", "1.1.0"), "Pending").await?;
    ensure!(fourth.spec.current_image == image("x/web", "1.0.5"));
    // The policy is removed, and the request with it.
    again.annotate("headwind.sh/policy", Some("none")).await?;
    let gone = world.request(&image("x/web", "1.1.0"), "Superseded").await?;
    ensure!(gone.status.unwrap_or_default().reason.as_deref() == Some("PolicyChanged"));
    Ok(())
}

/// An update that the API server finds invalid fails with the API server's message, and so does an invalid request by a
/// person.
pub(crate) async fn refused_by_the_server() -> Result<()> {
    let world = World::new("refused").await?;
    let live = world.create(&World::asking(WorkloadKind::Deployment, "web", &image("r/web", "1.0.0"))).await?;
    world.push("r/web", "1.1.0").await?;
    let mut request = world.request(&image("r/web", "1.1.0"), "Pending").await?;
    request.metadata =
        kube::api::ObjectMeta { name: Some("by-hand".to_owned()), namespace: Some(world.namespace.clone()), ..Default::default() };
    request.status = None;
    request.spec.container_name = Some("nobody".to_owned());
    world.requests_api().create(&PostParams::default(), &request).await?;
    request.metadata.name = Some("evil".to_owned());
    request.spec.container_name = Some("web".to_owned());
    "evil.example/miner:1.1.0".clone_into(&mut request.spec.new_image);
    request.spec.require_approval = false;
    world.requests_api().create(&PostParams::default(), &request).await?;
    for (name, phase) in [("by-hand", "Superseded"), ("evil", "Superseded")] {
        eventually(&format!("{name} is {phase}"), SOON, || async {
            let request = world.requests_api().get(name).await.map_err(|error| error.to_string())?;
            if request.phase().as_str() == phase { Ok(()) } else { Err(format!("{:?}", request.status)) }
        })
        .await?;
    }
    ensure!(live.image_of("web").await? == image("r/web", "1.0.0"));
    Ok(())
}

/// Finished requests are kept up to the limit, and those that block a version are kept without limit.
pub(crate) async fn history_is_pruned() -> Result<()> {
    let world = World::with("pruned", |options| options.env("HEADWIND_HISTORY_LIMIT", "3")).await?;
    let live = world.create(&World::asking(WorkloadKind::Deployment, "web", &image("p/web", "1.0.0"))).await?;
    world.push("p/web", "1.9.0").await?;
    let rejected = world.request(&image("p/web", "1.9.0"), "Pending").await?;
    world.does(&rejected, "reject").await?;
    for minor in 1..=6 {
        let tag = format!("1.{minor}.0");
        world.push("p/web", &tag).await?;
        let pending = world.request(&image("p/web", &tag), "Pending").await?;
        world.does(&pending, "approve").await?;
        live.has_image("web", &image("p/web", &tag), SOON).await?;
        world.request(&image("p/web", &tag), "Completed").await?;
    }
    eventually("three are kept, and the rejected one", SOON, || async {
        let mut names: Vec<String> =
            world.requests().await.map_err(|error| error.to_string())?.into_iter().map(|request| request.spec.new_image).collect();
        names.sort();
        let expected: Vec<String> = ["1.4.0", "1.5.0", "1.6.0", "1.9.0"].iter().map(|tag| image("p/web", tag)).collect();
        if names == expected { Ok(()) } else { Err(format!("{names:?}")) }
    })
    .await
}
