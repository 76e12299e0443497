//! The gates: cool-down, time windows, freeze and failure budget. The limits on rollouts are in `caps`.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use headwind_k8s::update_request::UpdateRequest;
use headwind_testbed::{WorkloadKind, eventually};
use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt as _;
use serde_json::{Value, json};

use crate::rollout::watched;
use crate::world::{SOON, World, image};

/// Merges entries into the ConfigMap `headwind`; `null` removes one.
pub(crate) async fn configure(world: &World, entries: Value) -> Result<()> {
    let (namespace, name) = (world.namespace.as_str(), "headwind");
    if !world.bed.kubectl(&["-n", namespace, "get", "configmap", name]).await?.status.success() {
        world.bed.kubectl_ok(&["-n", namespace, "create", "configmap", name]).await?;
    }
    let patch = json!({"data": entries}).to_string();
    world.bed.kubectl_ok(&["-n", namespace, "patch", "configmap", name, "--type=merge", "-p", &patch]).await.map(drop)
}

/// Waits until the request for the image waits for that reason. Returns it, and until when it waits.
pub(crate) async fn waits(world: &World, new_image: &str, reason: &str) -> Result<(UpdateRequest, Option<Timestamp>)> {
    eventually(&format!("the request for {new_image} waits: {reason}"), SOON, || async {
        let all = world.requests().await.map_err(|error| error.to_string())?;
        let request = all.iter().find(|request| request.spec.new_image == new_image).ok_or("no request")?;
        let status = request.status.clone().unwrap_or_default();
        let waits =
            |type_: &str, is: &str| status.conditions.iter().any(|one| one.type_ == type_ && one.status == "True" && one.reason == is);
        if waits("Waiting", reason) {
            Ok((request.clone(), status.waiting_until.map(|until| until.0)))
        } else {
            Err(format!("{:?} {:?}", status.phase, status.conditions))
        }
    })
    .await
}

fn created(request: &UpdateRequest) -> Result<Timestamp> {
    Ok(request.metadata.creation_timestamp.as_ref().context("created")?.0)
}

async fn applied(world: &World, new_image: &str) -> Result<Timestamp> {
    let request = world.request(new_image, "Completed").await?;
    Ok(request.status.and_then(|status| status.applied_at).context("applied")?.0)
}

/// Headwind applies a version when it is old enough, also after a restart. The age of another version starts at zero, and a
/// person may skip the cool-down.
pub(crate) async fn cool_down(kind: WorkloadKind) -> Result<()> {
    let world = World::of(kind, "cool-down").await?;
    let live = world.create(&World::direct(kind, "web", &world.source("shop/web", "1.0.0").await?).headwind("cool-down", "8s")).await?;
    world.push("shop/web", "1.1.0").await?;
    let new = world.image("shop/web", "1.1.0");
    let (request, until) = waits(&world, &new, "CoolDown").await?;
    let waited = until.context("the end is known")?.duration_since(created(&request)?);
    ensure!((8..=10).contains(&waited.as_secs()), "{waited:#}");
    world.operator.restart().await?;
    ensure!(live.image_of("web").await? == world.image("shop/web", "1.0.0"), "it waits");
    live.has_image("web", &new, SOON).await?;
    let waited = applied(&world, &new).await?.duration_since(created(&request)?);
    ensure!(waited.as_secs() >= 7, "applied after {waited:#}");

    // A person approves: with the wait, and without.
    live.annotate("headwind.sh/require-approval", Some("true")).await?;
    live.annotate("headwind.sh/cool-down", Some("1h")).await?;
    world.push("shop/web", "1.2.0").await?;
    let asked = world.request(&world.image("shop/web", "1.2.0"), "Pending").await?;
    world.does(&asked, "approve").await?;
    waits(&world, &world.image("shop/web", "1.2.0"), "CoolDown").await?;
    world.push("shop/web", "1.3.0").await?;
    let asked = world.request(&world.image("shop/web", "1.3.0"), "Pending").await?;
    let path = format!("/api/v1/updates/{}/{}", world.namespace, asked.name_any());
    let (status, body) = world.api("POST", &format!("{path}/approve"), Some(&json!({"skipCoolDown": true, "reason": "urgent"}))).await?;
    ensure!(status == 200 && body["status"]["skipCoolDown"] == true, "{status} {body}");
    live.has_image("web", &world.image("shop/web", "1.3.0"), SOON).await?;
    let done = world.request(&world.image("shop/web", "1.3.0"), "Completed").await?.status.unwrap_or_default();
    ensure!(done.skip_cool_down == Some(true), "it is recorded: {done:?}");
    Ok(())
}

/// An update waits for its window to the second, and a changed annotation takes effect at once.
pub(crate) async fn windows(kind: WorkloadKind) -> Result<()> {
    let world = World::of(kind, "windows").await?;
    // Opens within two minutes.
    let opens = Timestamp::now() + SignedDuration::from_secs(60 + 10);
    let opens = Timestamp::from_second(opens.as_second() / 60 * 60)?;
    let clock = |at: Timestamp| at.strftime("%H:%M").to_string();
    let window = format!("{}-{} UTC", clock(opens), clock(opens + SignedDuration::from_hours(2)));
    let fixture = World::direct(kind, "web", &world.source("shop/web", "1.0.0").await?).headwind("update-window", &window);
    let live = world.create(&fixture).await?;
    world.push("shop/web", "1.1.0").await?;
    let new = world.image("shop/web", "1.1.0");
    let (_, until) = waits(&world, &new, "UpdateWindow").await?;
    ensure!(until == Some(opens), "{until:?} in {window}");
    let (_, explained) = world.api("GET", &format!("/api/v1/workloads/{}/{}/web/explain", world.namespace, kind.kind()), None).await?;
    ensure!(explained["containers"][0]["waiting"]["until"] == opens.to_string(), "{explained}");
    live.has_image("web", &new, SOON).await?;
    let late = applied(&world, &new).await?.duration_since(opens);
    ensure!(!late.is_negative() && late.as_secs() < 10, "{late:#} after it opened");

    // Denied all the time, until somebody changes the annotation.
    live.annotate("headwind.sh/update-window-deny", Some("00:00-23:59")).await?;
    world.push("shop/web", "1.2.0").await?;
    let (_, until) = waits(&world, &world.image("shop/web", "1.2.0"), "UpdateWindow").await?;
    ensure!(until.is_none(), "it never opens: {until:?}");
    live.annotate("headwind.sh/update-window-deny", None).await?;
    live.has_image("web", &world.image("shop/web", "1.2.0"), SOON).await
}

/// A freeze holds updates and lets rollbacks through: of everything with an end, of a workload without.
pub(crate) async fn freeze(kind: WorkloadKind) -> Result<()> {
    let world = World::of(kind, "freeze").await?;
    let live = world.create(&World::direct(kind, "web", &world.source("shop/web", "1.0.0").await?)).await?;
    world.push("shop/web", "1.1.0").await?;
    let first = world.image("shop/web", "1.1.0");
    world.request(&first, "Completed").await?;

    let until = Timestamp::from_second((Timestamp::now() + SignedDuration::from_secs(20)).as_second())?;
    let body = json!({"until": until.to_string(), "reason": "holidays <b>"});
    let (status, limits) = world.api("POST", "/api/v1/freeze", Some(&body)).await?;
    ensure!(status == 200 && limits["freeze"]["until"] == until.to_string(), "{status} {limits}");
    world.push("shop/web", "1.2.0").await?;
    let second = world.image("shop/web", "1.2.0");
    let (_, waits_until) = waits(&world, &second, "Frozen").await?;
    ensure!(waits_until == Some(until), "{waits_until:?}");
    world.counted_with("headwind_updates_waiting", &[("reason", "Frozen")], 1.0).await?;
    for path in ["/", "/updates", "/workloads", "/settings", "/observability"] {
        let page = world.http.get(format!("{}{path}", world.operator.ui_url())).send().await?.text().await?;
        ensure!(page.contains("Updates are frozen") && page.contains("holidays &lt;b&gt;"), "{path} says that updates are frozen");
    }
    let path = format!("/api/v1/rollback/{}/{}/web", world.namespace, kind.kind());
    let (status, body) = world.api("POST", &path, Some(&json!({}))).await?;
    ensure!(status == 200, "{status} {body}");
    live.has_image("web", &world.image("shop/web", "1.0.0"), SOON).await?;
    ensure!(Timestamp::now() < until, "the rollback did not wait");
    eventually("the update follows", SOON, || async {
        let now = Timestamp::now();
        let there = live.image_of("web").await.map_err(|error| error.to_string())? == second;
        match (there, now < until) {
            (true, true) => Err(format!("applied at {now}, before {until}")),
            (true, false) => Ok(()),
            (false, _) => Err(format!("not yet at {now}")),
        }
    })
    .await?;
    ensure!(applied(&world, &second).await? >= until);

    live.annotate("headwind.sh/freeze", Some("true")).await?;
    world.push("shop/web", "1.3.0").await?;
    let third = world.image("shop/web", "1.3.0");
    let (_, without_end) = waits(&world, &third, "Frozen").await?;
    ensure!(without_end.is_none(), "{without_end:?}");
    live.annotate("headwind.sh/freeze", None).await?;
    live.has_image("web", &third, SOON).await?;

    // A freeze that cannot be read holds everything.
    configure(&world, json!({"freeze": "until: someday"})).await?;
    world.push("shop/web", "1.4.0").await?;
    waits(&world, &world.image("shop/web", "1.4.0"), "Frozen").await?;
    world.has_event("headwind", "InvalidSetting").await?;
    let (status, limits) = world.api("POST", "/api/v1/unfreeze", None).await?;
    ensure!(status == 200 && limits.get("freeze").is_none(), "{status} {limits}");
    live.has_image("web", &world.image("shop/web", "1.4.0"), SOON).await
}

/// After two failures Headwind applies nothing that the policy approved, also after a restart, until a person resumes.
/// A person's approval counts in the meantime.
pub(crate) async fn budget() -> Result<()> {
    let world = World::new("budget").await?;
    configure(&world, json!({"pauseAfterFailures": "2"})).await?;
    for name in ["a", "b"] {
        world.create(&watched(WorkloadKind::Deployment, name, &image(&format!("shop/{name}"), "1.0.0"))).await?;
    }
    let live = world.create(&World::direct(WorkloadKind::Deployment, "web", &image("shop/web", "1.0.0"))).await?;
    for name in ["a", "b"] {
        let bad = format!("1.1.0-{}", "crash");
        world.push(&format!("shop/{name}"), &bad).await?;
        world.request(&image(&format!("shop/{name}"), &bad), "RolledBack").await?;
    }
    world.push("shop/web", "1.1.0").await?;
    let new = image("shop/web", "1.1.0");
    waits(&world, &new, "FailureBudget").await?;
    let (_, limits) = world.api("GET", "/api/v1/limits", None).await?;
    ensure!(limits["pausedSince"].is_string() && limits["pauseAfterFailures"] == 2, "{limits}");
    // The pause does not depend on the failed requests.
    tokio::time::sleep(Duration::from_secs(3)).await;
    world.bed.kubectl_ok(&["-n", &world.namespace, "delete", "deployment", "a", "b"]).await?;
    world.operator.restart().await?;
    waits(&world, &new, "FailureBudget").await?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    ensure!(live.image_of("web").await? == image("shop/web", "1.0.0"), "it is paused");
    let (status, limits) = world.api("POST", "/api/v1/resume", None).await?;
    ensure!(status == 200 && limits.get("pausedSince").is_none(), "{status} {limits}");
    live.has_image("web", &new, SOON).await
}
