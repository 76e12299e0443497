//! Compares the verdicts with `kubectl rollout status`, on two hundred random rollouts.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use headwind_testbed::workload::Live;
use headwind_testbed::{WorkloadKind, eventually};
use kube::ResourceExt as _;
use serde_json::json;

use crate::rng::Dice;
use crate::rollout::watched;
use crate::world::{SOON, World, image};

const ROLLOUTS: usize = 200;
/// Number of workloads that are created and updated at once.
const BATCH: usize = 50;
const DEADLINE: Duration = Duration::from_mins(4);
/// The behavior of the new version; most of them run.
const TAGS: &[&str] = &["1.1.0", "1.1.0", "1.1.0-slow", "1.1.0-slow", "1.1.0-crash", "1.1.0-nopull", "1.1.0-unready", "1.1.0-flap"];

/// A disturbance during a rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    Nothing,
    /// Scaled up or down during the rollout.
    Scaled,
    /// Paused before, and resumed later (a Deployment).
    Paused,
    /// Only the pods with higher ordinals get the new version (a StatefulSet).
    Partitioned,
}

struct Rollout {
    live: Live,
    repository: String,
    tag: &'static str,
    turn: Turn,
}

impl Rollout {
    /// Returns true if the new version runs. A partition may leave nothing to do.
    fn is_good(&self) -> bool {
        matches!(self.tag, "1.1.0" | "1.1.0-slow")
    }
}

/// Returns true if `kubectl rollout status` reports success now, with its output.
async fn kubectl_says(world: &World, live: &Live) -> Result<(bool, String)> {
    let object = format!("{}/{}", live.kind().plural(), live.name());
    let output = world.bed.kubectl(&["-n", &world.namespace, "rollout", "status", &object, "--watch=false"]).await?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    Ok((output.status.success() && (said.contains("successfully rolled out") || said.contains("complete")), said))
}

/// Headwind never reports completion before kubectl does, never failure while the pods stay healthy, and does report
/// failure for `-flap`, which kubectl reports as a success.
pub(crate) async fn like_kubectl() -> Result<()> {
    let world = World::new("judged").await?;
    let mut dice = Dice::new(0x2545_f491_4f6c_dd1d);
    let mut ends: BTreeMap<(&str, String), usize> = BTreeMap::new();
    for batch in 0..ROLLOUTS / BATCH {
        let mut rollouts = Vec::new();
        for place in 0..BATCH {
            rollouts.push(begin(&world, batch * BATCH + place, &mut dice).await?);
        }
        for rollout in &rollouts {
            rollout.live.rolled_out(SOON * 2).await?;
            if rollout.turn == Turn::Paused {
                rollout.live.edit(&json!({"spec": {"paused": true}})).await?;
            }
        }
        for rollout in &rollouts {
            world.push(&rollout.repository, rollout.tag).await?;
        }
        for rollout in &rollouts {
            rollout.live.has_image("web", &image(&rollout.repository, rollout.tag), SOON * 2).await?;
            match rollout.turn {
                Turn::Scaled => rollout.live.edit(&json!({"spec": {"replicas": 1 + dice.roll(4)}})).await?,
                Turn::Paused => rollout.live.edit(&json!({"spec": {"paused": false}})).await?,
                Turn::Nothing | Turn::Partitioned => {}
            }
        }
        for rollout in &rollouts {
            let phase = verdict(&world, rollout).await?;
            *ends.entry((rollout.tag, phase)).or_default() += 1;
        }
        for rollout in &rollouts {
            rollout.live.delete().await?;
        }
    }
    let count = |tag: &str, phase: &str| ends.get(&(tag, phase.to_owned())).copied().unwrap_or_default();
    ensure!(count("1.1.0-flap", "RolledBack") > 5 && count("1.1.0-flap", "Completed") == 0, "{ends:?}");
    ensure!(
        count("1.1.0", "Completed") > 20 && count("1.1.0-slow", "Completed") > 20 && count("1.1.0-crash", "RolledBack") > 5,
        "{ends:?}"
    );
    eprintln!("judged like kubectl: {ends:?}");
    Ok(())
}

async fn begin(world: &World, number: usize, dice: &mut Dice) -> Result<Rollout> {
    let kind = dice.pick(&WorkloadKind::PODS);
    let (name, repository) = (format!("app-{number}"), format!("j/app-{number}"));
    let turn = match (kind, dice.roll(4)) {
        (WorkloadKind::Deployment, 0) => Turn::Paused,
        (WorkloadKind::StatefulSet, 0) => Turn::Partitioned,
        (WorkloadKind::Deployment | WorkloadKind::StatefulSet, 1) => Turn::Scaled,
        (_, _) => Turn::Nothing,
    };
    let replicas = u32::try_from(1 + dice.roll(3))?;
    let mut fixture = watched(kind, &name, &image(&repository, "1.0.0")).replicas(replicas).headwind("settle-time", "4");
    if turn == Turn::Partitioned {
        fixture = fixture.spec(&json!({"updateStrategy": {"rollingUpdate": {"partition": dice.roll(u64::from(replicas))}}}));
    }
    if kind == WorkloadKind::StatefulSet && dice.roll(3) == 0 {
        fixture = fixture.spec(&json!({"podManagementPolicy": "Parallel"}));
    }
    if kind == WorkloadKind::Deployment && dice.roll(3) == 0 {
        fixture = fixture.progress_deadline(6);
    }
    let live = fixture.create(&world.client, &world.namespace).await?;
    Ok(Rollout { live, repository, tag: dice.pick(TAGS), turn })
}

/// Returns the pods of the workload with their statuses, for a failure.
async fn pods(world: &World, live: &Live) -> Result<String> {
    let columns = "custom-columns=NAME:.metadata.name,CREATED:.metadata.creationTimestamp,IMAGE:.spec.containers[*].image,STATUS:.status";
    let output = world.bed.kubectl(&["-n", &world.namespace, "get", "pods", "-o", columns]).await?;
    let all = String::from_utf8_lossy(&output.stdout).into_owned();
    let own: Vec<&str> = all.lines().filter(|line| line.starts_with(&format!("{}-", live.name()))).collect();
    Ok(format!("\n{}", own.join("\n")))
}

/// Waits for the end, and compares it with kubectl at that moment.
async fn verdict(world: &World, rollout: &Rollout) -> Result<String> {
    let Rollout { live, repository, tag, turn } = rollout;
    let wanted = image(repository, tag);
    let what = format!("{} {} {tag} {turn:?}", live.kind().kind(), live.name());
    let phase = eventually(&format!("a verdict on {what}"), DEADLINE, || async {
        let all = world.requests().await.map_err(|error| error.to_string())?;
        let request = all.iter().find(|request| request.spec.new_image == wanted).ok_or("no request")?;
        let phase = request.phase();
        if phase.is_open() { Err(format!("{:?}", request.status)) } else { Ok(phase.as_str().to_owned()) }
    })
    .await?;
    let (done, said) = kubectl_says(world, live).await?;
    match phase.as_str() {
        "Completed" => {
            ensure!(rollout.is_good(), "{what} is Completed");
            ensure!(done, "{what} is Completed, but kubectl says: {said}");
        }
        // A version that does not run was rolled back: kubectl reports that as a success too.
        "RolledBack" => {
            ensure!(!rollout.is_good(), "{what} was rolled back; kubectl says: {said}");
            let back = live.image_of("web").await? == image(repository, "1.0.0");
            ensure!(back && done, "{what} is RolledBack, but kubectl says: {said}{}", pods(world, live).await?);
        }
        other => {
            let all = world.requests().await?;
            let status = all.iter().find(|request| request.spec.new_image == wanted).context("gone")?;
            anyhow::bail!("{what} ended as {other}: {:?} {}", status.status, status.name_any());
        }
    }
    Ok(phase)
}
