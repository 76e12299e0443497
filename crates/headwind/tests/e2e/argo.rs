//! Rollouts of Argo Rollouts, with its real controller.
//!
//! The controller's verdict counts: the pods of `-unready` show no reason by themselves, those of `-flap` are
//! repeatedly `Healthy`, and a pause lasts until a person ends it.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use headwind_k8s::update_request::UpdateRequest;
use headwind_testbed::workload::Live;
use headwind_testbed::{Fixture, WorkloadKind, eventually};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::rollout::{VERDICT, cause, ends, watched};
use crate::world::{SOON, World, image};

/// The phases of a finished request.
const OVER: [&str; 4] = ["Completed", "Failed", "RolledBack", "Superseded"];
/// `rollback-timeout` of the paused Rollout, in seconds.
const PAUSE: i64 = 10;

fn fixture(name: &str) -> Fixture {
    watched(WorkloadKind::Rollout, name, &image(&format!("r/{name}"), "1.0.0")).replicas(2)
}

/// A good version completes, bad ones are rolled back, and a paused one waits for a person.
pub(crate) async fn whole_life() -> Result<()> {
    let world = World::of_rollouts("argo").await?;
    let web = world.create(&fixture("web").progress_deadline(4).headwind("rollback-timeout", "60")).await?;
    let flap = world.create(&fixture("flap")).await?;
    let canary = json!({"strategy": {"canary": {"steps": [{"setWeight": 50}, {"pause": {}}]}}});
    let steps = world.create(&fixture("steps").spec(&canary).headwind("rollback-timeout", &PAUSE.to_string())).await?;
    for live in [&web, &flap, &steps] {
        live.rolled_out(SOON).await?;
    }
    let elsewhere = json!({"template": null, "workloadRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "other"}});
    world.create(&fixture("elsewhere").spec(&elsewhere)).await?;

    world.push("r/flap", "1.1.0-flap").await?;
    world.push("r/steps", "1.1.0").await?;
    world.push("r/web", "1.1.0").await?;
    let done = over(&world, "r/web", "1.1.0", "Completed").await?;
    web.rolled_out(Duration::from_secs(1)).await.context("Completed before the Rollout was healthy")?;
    let rollout = done.status.clone().unwrap_or_default().rollout.context("what was remembered")?;
    ensure!(rollout.available_since.is_some(), "{rollout:?}");

    paused(&world, "1.1.0").await?;
    world.push("r/web", "1.2.0-unready").await?;
    let failed = over(&world, "r/web", "1.2.0-unready", "RolledBack").await?;
    ensure!(cause(&failed) == "ProgressDeadlineExceeded", "{:?}", failed.status);
    put_back(&web, "r/web", "1.1.0").await?;
    let flapped = over(&world, "r/flap", "1.1.0-flap", "RolledBack").await?;
    ensure!(["CrashLoopBackOff", "Restarting"].contains(&&*cause(&flapped)), "{:?}", flapped.status);
    put_back(&flap, "r/flap", "1.0.0").await?;

    // The timeout of the paused one has passed now.
    let waiting = paused(&world, "1.1.0").await?;
    let applied = waiting.status.unwrap_or_default().applied_at.context("applied")?.0;
    let waited = Timestamp::now().duration_since(applied).as_secs();
    ensure!(waited > PAUSE, "it waits for {waited} s only: that proves nothing");
    decide(&world, &json!({"pauseConditions": null})).await?;
    over(&world, "r/steps", "1.1.0", "Completed").await?;
    steps.rolled_out(SOON).await?;

    world.push("r/steps", "1.2.0").await?;
    paused(&world, "1.2.0").await?;
    decide(&world, &json!({"abort": true})).await?;
    let aborted = over(&world, "r/steps", "1.2.0", "RolledBack").await?;
    ensure!(cause(&aborted) == "RolloutAborted", "{:?}", aborted.status);
    put_back(&steps, "r/steps", "1.1.0").await?;

    let path = format!("/api/v1/workloads/{}/Rollout/elsewhere/explain", world.namespace);
    let (code, explained) = world.api("GET", &path, None).await?;
    ensure!(code == 200 && explained["containers"][0]["reason"] == "TemplateElsewhere", "{code} {explained}");
    Ok(())
}

/// Returns the finished request for that version, which must be in that phase.
async fn over(world: &World, repository: &str, tag: &str, phase: &str) -> Result<UpdateRequest> {
    let request = ends(world, &image(repository, tag), &OVER, VERDICT).await?;
    ensure!(request.phase().as_str() == phase, "{tag}: {:?}", request.status);
    Ok(request)
}

/// Checks that the Rollout runs the version before the failed one, and is healthy.
async fn put_back(live: &Live, repository: &str, tag: &str) -> Result<()> {
    let now = live.image_of("web").await?;
    ensure!(now == image(repository, tag), "{now}");
    live.rolled_out(SOON).await
}

/// Waits until the request for that version reports that the Rollout is paused.
async fn paused(world: &World, tag: &str) -> Result<UpdateRequest> {
    eventually("the request says that the Rollout is paused", SOON, || async {
        let request = ends(world, &image("r/steps", tag), &["RollingOut"], SOON).await.map_err(|error| format!("{error:#}"))?;
        let reason = request.status.as_ref().and_then(|status| status.reason.as_deref());
        if reason == Some("RolloutPaused") { Ok(request) } else { Err(format!("{:?}", request.status)) }
    })
    .await
}

/// Promotes or aborts the paused Rollout, as a person would.
async fn decide(world: &World, status: &Value) -> Result<()> {
    let patch = json!({"status": status}).to_string();
    let args = ["-n", &world.namespace, "patch", "rollout", "steps", "--subresource=status", "--type=merge", "-p", &patch];
    world.bed.kubectl_ok(&args).await.map(drop)
}
