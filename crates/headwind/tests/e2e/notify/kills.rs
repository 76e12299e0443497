//! Kills and hand-overs: no notification is lost, and one is repeated only if it was delivered just before a kill.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use headwind_testbed::{Operator, OperatorOptions, Receiver, Receivers, WorkloadKind, eventually, payload};
use kube::ResourceExt;
use serde_json::Value;

use super::send_to;
use crate::kill::leader;
use crate::rng::Dice;
use crate::world::{HOST, SOON, World, digest, image};

const WORKLOADS: usize = 6;
/// Every third end is a hand-over: ten kills and five hand-overs.
const ENDS: usize = 15;
/// The interval of the Lease, two seconds, with the time of a write on a busy machine.
const BEFORE_A_KILL: Duration = Duration::from_secs(3);

/// Posts a push to a replica that runs.
async fn push(world: &World, operators: [&Operator; 2], repository: &str, tag: &str) -> Result<()> {
    let body = payload::distribution(HOST, repository, tag, &digest('a'));
    eventually("a replica takes the push", SOON, || async {
        for operator in operators {
            let url = operator.notifications().map_err(|error| error.to_string())?;
            if let Ok(answer) = world.http.post(url).json(&body).send().await
                && answer.status() == 202
            {
                return Ok(());
            }
        }
        Err("none".to_owned())
    })
    .await
}

/// When each notification was accepted, by request and event.
fn accepted(receiver: &Receiver) -> BTreeMap<(String, String), Vec<Instant>> {
    let mut all: BTreeMap<(String, String), Vec<Instant>> = BTreeMap::new();
    for seen in receiver.seen().iter().filter(|seen| (200..300).contains(&seen.status)) {
        let body: Value = serde_json::from_str(&seen.body).unwrap_or_default();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        all.entry((text(&body["updateRequestName"]), text(&body["event"]))).or_default().push(seen.at);
    }
    all
}

/// Ten kills of the leader at random moments and five hand-overs, while updates go on.
pub(crate) async fn kills_and_hand_overs() -> Result<()> {
    let receivers = Receivers::start().await?;
    // One channel is down all the time: it does not delay other channels.
    receivers.teams.misbehave(|_| Some(headwind_testbed::Fault::Answer(503, Vec::new(), String::new())));
    let options = |options: OperatorOptions| send_to(&receivers, options).env("HEADWIND_HISTORY_LIMIT", "100");
    let world = World::with("notifykill", options).await?;
    let second = options(OperatorOptions::new(&world.namespace)).replica("headwind-1");
    let second = Operator::run(world.bed, second).await?;
    let operators = [&world.operator, &second];
    for n in 0..WORKLOADS {
        world
            .create(&World::direct(WorkloadKind::Deployment, &format!("app-{n}"), &image(&format!("k/app-{n}"), "1.0.0")).replicas(0))
            .await?;
    }
    let mut dice = Dice::new(0x51ab_77e3_0d2f_9b41);
    let mut kills = Vec::new();
    for end in 1..=ENDS {
        let victim = operators[leader(&operators).await?];
        for n in 0..WORKLOADS {
            push(&world, operators, &format!("k/app-{n}"), &format!("1.{end}.0")).await?;
        }
        tokio::time::sleep(Duration::from_millis(dice.roll(3000))).await;
        if end % 3 == 0 {
            ensure!(victim.terminate().await? == Some(0), "a clean end");
        } else {
            victim.kill9().await?;
            kills.push(Instant::now());
        }
        victim.start().await?;
        victim.ready().await?;
    }
    let requests = eventually("every update is complete", SOON * 4, || async {
        let all = world.requests().await.map_err(|error| error.to_string())?;
        let newest = format!(":1.{ENDS}.0");
        let done = all.iter().filter(|request| request.spec.new_image.ends_with(&newest) && request.phase().as_str() == "Completed");
        let open = all.iter().filter(|request| request.phase().is_open()).count();
        if open == 0 && done.clone().count() == WORKLOADS { Ok(all) } else { Err(format!("{open} open, {} done", done.count())) }
    })
    .await?;

    let completed: Vec<String> =
        requests.iter().filter(|request| request.phase().as_str() == "Completed").map(ResourceExt::name_any).collect();
    ensure!(completed.len() >= WORKLOADS * ENDS / 2, "only {} updates", completed.len());
    let expected = |name: &String| ["update_detected", "update_completed"].map(|event| (name.clone(), event.to_owned()));
    eventually("every notification arrived", SOON * 2, || async {
        let all = accepted(&receivers.webhook);
        let lost: Vec<_> = completed.iter().flat_map(expected).filter(|key| !all.contains_key(key)).collect();
        if lost.is_empty() { Ok(()) } else { Err(format!("lost: {lost:?}")) }
    })
    .await?;
    let slack = receivers.slack.accepted().len();
    let all = accepted(&receivers.webhook);
    let (mut repeated, mut oldest) = (0, Duration::ZERO);
    for (key, times) in all.iter().filter(|(_, times)| times.len() > 1) {
        repeated += times.len() - 1;
        for time in times.iter().take(times.len() - 1) {
            let age = kills.iter().filter_map(|kill| kill.checked_duration_since(*time)).min().unwrap_or(Duration::MAX);
            ensure!(age <= BEFORE_A_KILL, "{key:?} was repeated though it was delivered long before a kill: {times:?} {kills:?}");
            oldest = oldest.max(age);
        }
    }
    let deliveries: usize = all.values().map(Vec::len).sum();
    ensure!(slack >= all.len(), "Slack got {slack} of {}", all.len());
    eprintln!(
        "notify_kills: {} updates, {} kills and {} hand-overs: {deliveries} notifications delivered, none lost, \
         {repeated} repeated, delivered at most {oldest:?} before a kill",
        completed.len(),
        kills.len(),
        ENDS - kills.len()
    );
    let refused = world.operator.metric("headwind_notifications_sent_total", &[("channel", "teams")]).await.context("the metric")?;
    ensure!(refused < f64::EPSILON, "Teams was down");
    Ok(())
}
