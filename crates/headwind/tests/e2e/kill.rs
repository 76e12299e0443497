//! Kills replicas at random moments: nothing is lost, doubled or wrong.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use headwind_testbed::workload::Live;
use headwind_testbed::{Operator, OperatorOptions, Registry, RegistryOptions, WorkloadKind, eventually};
use kube::ResourceExt as _;

use crate::rng::Dice;
use crate::rollout::{ends, watched};
use crate::world::{SOON, World, image};

/// The number of workloads of each kind, of updates of each workload, and of kills of one of the two replicas.
struct Plan {
    kinds: &'static [WorkloadKind],
    workloads: usize,
    rounds: usize,
    kills: usize,
}

/// A patch of an image, by tags, with the API server's response.
#[derive(Debug)]
struct Change {
    from: String,
    to: String,
    code: u16,
}

pub(crate) async fn two(hint: &str) -> Result<(World, Operator)> {
    let world = World::new(hint).await?;
    let second = Operator::run(world.bed, OperatorOptions::new(&world.namespace).replica("headwind-1")).await?;
    Ok((world, second))
}

pub(crate) async fn leader(operators: &[&Operator]) -> Result<usize> {
    eventually("one of them leads", SOON, || async {
        for (place, operator) in operators.iter().enumerate() {
            if operator.is_running() && operator.metric("headwind_leader", &[]).await.is_ok_and(|leads| leads > 0.5) {
                return Ok(place);
            }
        }
        Err("nobody leads".to_owned())
    })
    .await
}

/// `kill -9` at random moments during 200 updates, the leader included.
pub(crate) async fn nine() -> Result<()> {
    killed(Plan { kinds: &WorkloadKind::PODS, workloads: 40, rounds: 5, kills: 8 }).await
}

/// The same for releases, which Flux really upgrades.
pub(crate) async fn nine_releases() -> Result<()> {
    headwind_testbed::Bed::start().await?.flux().await?;
    killed(Plan { kinds: &[WorkloadKind::HelmRelease], workloads: 8, rounds: 5, kills: 5 }).await
}

/// No update is lost, doubled or wrong, according to the API server's audit log.
async fn killed(Plan { kinds, workloads, rounds, kills: wanted }: Plan) -> Result<()> {
    let (world, second) = two("kill").await?;
    let operators = [&world.operator, &second];
    // The registry calls both; a Service with two ready pods would reach one of them.
    let registry = Registry::start(&[world.operator.notifications()?, second.notifications()?], RegistryOptions::default()).await?;
    let mut lives: Vec<Live> = Vec::new();
    let kind = |n: usize| kinds[n % kinds.len()];
    for n in 0..workloads {
        let kind = kind(n);
        registry.publish(kind, &format!("kill/app-{n}"), "1.0.0", "0").await?;
        let fixture = World::direct(kind, &format!("app-{n}"), &registry.image(&format!("kill/app-{n}"), "1.0.0")).replicas(0);
        lives.push(fixture.create(&world.client, &world.namespace).await?);
    }
    let mut dice = Dice::new(0x9e37_79b9_7f4a_7c15);
    let mut kills = 0;
    for round in 1..=rounds {
        for n in 0..workloads {
            registry.publish(kind(n), &format!("kill/app-{n}"), &format!("1.{round}.0"), &format!("{round}")).await?;
            let (due, done) = (kills * rounds * workloads / wanted, (round - 1) * workloads + n);
            // At a random moment soon after it is due.
            if kills < wanted && due <= done && (dice.roll(3) == 0 || due + 4 <= done) {
                // Every second kill hits the leader, if there is one.
                let victim = if kills % 2 == 0 { leader(&operators).await? } else { usize::try_from(dice.roll(2))? };
                tokio::time::sleep(Duration::from_millis(dice.roll(40))).await;
                let victim = operators[victim];
                victim.kill9().await?;
                victim.start().await?;
                kills += 1;
            }
        }
    }
    ensure!(kills == wanted, "{kills} kills");
    for operator in operators {
        operator.ready().await?;
    }
    // The registry resends notifications from the time when both were down.
    let newest = |n: usize| kind(n).image(registry.addr(), &format!("kill/app-{n}"), &format!("1.{rounds}.0"));
    for (n, live) in lives.iter().enumerate() {
        live.has_image("web", &newest(n), Duration::from_secs(90)).await?;
    }
    eventually("no request is open", SOON * 2, || async {
        let all = world.requests().await.map_err(|error| error.to_string())?;
        let open: Vec<String> = all
            .iter()
            .filter(|request| request.phase().is_open())
            .map(|request| format!("{} {}", request.name_any(), request.phase()))
            .collect();
        if open.is_empty() { Ok(()) } else { Err(format!("{open:?}")) }
    })
    .await?;

    let mut audit = world.audit().context("this test counts from the audit log")?;
    audit.catch_up(&world.client).await?;
    let mut changes: BTreeMap<(String, String), Vec<Change>> = BTreeMap::new();
    for entry in audit.entries(&world.operator.requests().namespace(&world.namespace).verb("patch").group(kinds[0].group()))? {
        let body = entry.body.context("the body of a patch")?;
        let operations = body.as_array().context("a JSON Patch")?;
        let find = |op: &str| {
            operations
                .iter()
                .find(|one| {
                    one["op"] == op && one["path"].as_str().is_some_and(|path| path.ends_with("/image") || path.ends_with("/version"))
                })
                .and_then(|one| one["value"].as_str())
                .map(str::to_owned)
        };
        let tag = |image: String| image.rsplit(':').next().unwrap_or_default().to_owned();
        let change = Change { from: tag(find("test").context("test")?), to: tag(find("replace").context("replace")?), code: entry.code };
        changes.entry((entry.resource, entry.name)).or_default().push(change);
    }
    ensure!(changes.len() == workloads);
    let mut patched = 0;
    for ((resource, name), steps) in &changes {
        let mut at = "1.0.0".to_owned();
        for step in steps.iter().filter(|step| step.code == 200) {
            if let Some(unseen) = unseen(steps, &at, &step.from) {
                patched += unseen;
                at.clone_from(&step.from);
            }
            ensure!(step.from == at, "{resource} {name}: {steps:?}: not from where it was");
            ensure!(step.to > at, "{resource} {name}: {steps:?}: down or twice");
            patched += 1;
            at.clone_from(&step.to);
        }
        let last = format!("1.{rounds}.0");
        if let Some(unseen) = unseen(steps, &at, &last) {
            patched += unseen;
            at.clone_from(&last);
        }
        ensure!(at == last, "{resource} {name}: {steps:?}: lost");
    }
    let all = world.requests().await?;
    // A newer version may supersede one whose rollout is still watched: that one was applied nevertheless.
    let applied: i32 = all.iter().filter_map(|request| request.status.as_ref()?.times_applied).sum();
    ensure!(usize::try_from(applied)? == patched, "{applied} changes are on record, {patched} patches were made");
    Ok(())
}

/// Returns the number of patches without a response that lead from one version to another. A patch whose sender was
/// killed may have been applied although it is logged as an error: it was if the next one starts from its version.
fn unseen(steps: &[Change], from: &str, to: &str) -> Option<usize> {
    if from == to {
        return Some(0);
    }
    // Versions only increase, so this ends.
    let mut next = steps.iter().filter(|step| step.code >= 499 && step.from == from && step.to.as_str() > from);
    next.find_map(|step| Some(1 + unseen(steps, &step.to, to)?))
}

/// A killed leader is replaced within 20 s; one that is terminated releases the lease at once.
pub(crate) async fn hands_over() -> Result<()> {
    let (world, second) = two("handover").await?;
    let live = world.create(&World::direct(WorkloadKind::Deployment, "web", &image("l/web", "1.0.0"))).await?;
    let operators = [&world.operator, &second];
    let first = leader(&operators).await?;
    let (old, new) = (operators[first], operators[1 - first]);
    old.kill9().await?;
    let killed = Instant::now();
    let body = headwind_testbed::payload::distribution(crate::world::HOST, "l/web", "1.1.0", &crate::world::digest('a'));
    ensure!(world.http.post(new.notifications()?).json(&body).send().await?.status() == 202, "a standby hears events");
    live.has_image("web", &image("l/web", "1.1.0"), SOON).await?;
    ensure!(killed.elapsed() < Duration::from_secs(20), "{:?}", killed.elapsed());
    old.start().await?;
    old.ready().await?;
    // Terminated, it releases the lease.
    ensure!(new.terminate().await? == Some(0), "a clean end");
    let ended = Instant::now();
    leader(&[old]).await?;
    ensure!(ended.elapsed() < Duration::from_secs(6), "{:?}", ended.elapsed());
    // A suspended leader stops acting, and finds after it resumes that it lost the lease.
    new.start().await?;
    new.ready().await?;
    old.pause()?;
    eventually("the other one leads", SOON, || async {
        if new.metric("headwind_leader", &[]).await.is_ok_and(|leads| leads > 0.5) { Ok(()) } else { Err("not yet".to_owned()) }
    })
    .await?;
    old.resume()?;
    let code = old.exited(SOON).await?;
    ensure!(code != Some(0), "it lost the lease: {code:?}");
    ensure!(old.log_contains("the lease was lost")?);
    Ok(())
}

/// Number of kills between a patch and its verdict.
const VERDICT_KILLS: usize = 200;
/// Maximum number of kills in one round of updates: the rest of its verdicts are reached without kills.
const ROUND_KILLS: usize = 50;
/// Number of rollouts that are watched at once during the kills, and the behavior of their new versions.
const WATCHED: usize = 30;
const TAGS: &[&str] = &["crash", "slow", "unready", "nopull", "flap", "slow"];

/// Killed two hundred times while it watches rollouts: the next leader ends each watch with the same result, and rolls
/// nothing back twice.
pub(crate) async fn verdicts() -> Result<()> {
    let world = World::new("verdicts").await?;
    let mut lives: Vec<Live> = Vec::new();
    for n in 0..WATCHED {
        let fixture = watched(WorkloadKind::PODS[n % 3], &format!("app-{n}"), &image(&format!("v/app-{n}"), "1.0.0"));
        lives.push(fixture.create(&world.client, &world.namespace).await?);
    }
    for live in &lives {
        live.rolled_out(SOON * 2).await?;
    }
    let mut dice = Dice::new(0x853c_49e6_748f_ea9b);
    let tag = |n: usize, round: usize| format!("1.{round}.0-{}", TAGS[(n / 3 + round) % TAGS.len()]);
    let (mut kills, mut round) = (0, 0);
    let mut in_place: Vec<String> = vec!["1.0.0".to_owned(); WATCHED];
    while kills < VERDICT_KILLS {
        round += 1;
        for n in 0..WATCHED {
            world.push(&format!("v/app-{n}"), &tag(n, round)).await?;
        }
        for (n, live) in lives.iter().enumerate() {
            live.has_image("web", &image(&format!("v/app-{n}"), &tag(n, round)), SOON * 2).await?;
        }
        // Until all have their verdict, it is killed repeatedly.
        let ended = Instant::now() + Duration::from_mins(5);
        let until = VERDICT_KILLS.min(kills + ROUND_KILLS);
        loop {
            let all = world.requests().await?;
            if all.iter().all(|request| !request.phase().is_open()) {
                break;
            }
            ensure!(Instant::now() < ended, "no verdicts: {:?}", all.iter().map(|request| request.status.clone()).collect::<Vec<_>>());
            if kills < until {
                tokio::time::sleep(Duration::from_millis(dice.roll(700))).await;
                world.operator.kill9().await?;
                world.operator.start().await?;
                kills += 1;
                // It must run for a while now and then to make progress.
                if dice.roll(3) == 0 {
                    world.operator.ready().await?;
                }
            } else {
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
        world.operator.ready().await?;
        for (n, live) in lives.iter().enumerate() {
            let tag = tag(n, round);
            let good = tag.ends_with("-slow");
            let request =
                ends(&world, &image(&format!("v/app-{n}"), &tag), &["Completed", "RolledBack", "Failed", "Superseded"], SOON).await?;
            let expected = if good { "Completed" } else { "RolledBack" };
            ensure!(request.phase().as_str() == expected, "{} {tag}: {:?}", live.name(), request.status);
            if good {
                in_place[n].clone_from(&tag);
            }
            ensure!(live.image_of("web").await? == image(&format!("v/app-{n}"), &in_place[n]), "{} {tag}", live.name());
        }
    }
    let mut audit = world.audit().context("this test counts from the audit log")?;
    audit.catch_up(&world.client).await?;
    for (n, live) in lives.iter().enumerate() {
        let failed = (1..=round).filter(|round| !tag(n, *round).ends_with("-slow")).count();
        let query = world.operator.requests().verb("patch").resource(live.kind().plural()).name(live.name()).successful();
        let patches = audit.count(&query)?;
        // A patch whose sender was killed before the response may be logged as a failure.
        ensure!(patches <= round + failed, "{}: {patches} patches for {round} updates of which {failed} failed", live.name());
    }
    eprintln!("{kills} kills over {round} rounds of {WATCHED} rollouts");
    Ok(())
}
