//! The limits on rollouts: 200 workloads that are due at once, while the leader is killed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use headwind_testbed::{Bed, Operator, OperatorOptions, WorkloadKind, eventually};
use jiff::Timestamp;
use kube::api::{Api, ListParams};
use serde_json::json;

use crate::gates::configure;
use crate::kill::leader;
use crate::world::{World, image};

const WORKLOADS: usize = 200;
const KILLS: usize = 5;
const LIMIT: usize = 5;
const LIMIT_PER_NAMESPACE: usize = 2;
/// Maximum number of places that an update may be ahead of its turn in its namespace: those that are due together start
/// in the order in which they are checked.
const AHEAD: usize = 4;
const KINDS: [WorkloadKind; 2] = [WorkloadKind::Deployment, WorkloadKind::StatefulSet];

/// Never more at a time than allowed, by the audit log; all done, in order.
pub(crate) async fn at_most() -> Result<()> {
    let bed = Bed::start().await?;
    let mut namespaces = Vec::new();
    for _ in 0..3 {
        namespaces.push(bed.namespace_with("caps", &[]).await?);
    }
    let with = |mut options: OperatorOptions| {
        options.namespaces.extend(namespaces.iter().cloned());
        options
    };
    let world = World::with("caps", with).await?;
    let second = Operator::run(bed, with(OperatorOptions::new(&world.namespace)).replica("headwind-1")).await?;
    let operators = [&world.operator, &second];
    let all: Vec<&str> = namespaces.iter().map(String::as_str).chain([world.namespace.as_str()]).collect();
    configure(&world, json!({"freeze": "true", "maxConcurrentRollouts": LIMIT.to_string(), "maxConcurrentRolloutsPerNamespace": LIMIT_PER_NAMESPACE.to_string()})).await?;
    for n in 0..WORKLOADS {
        let fixture = World::direct(KINDS[n % 2], &format!("app-{n:03}"), &image("caps/app", "1.0.0")).headwind("settle-time", "1");
        fixture.replicas(0).create(&world.client, all[n % all.len()]).await?;
    }
    let requests = async || {
        let mut found = Vec::new();
        for namespace in &all {
            let api: Api<headwind_k8s::update_request::UpdateRequest> = Api::namespaced(world.client.clone(), namespace);
            found.extend(api.list(&ListParams::default()).await.map_err(|error| error.to_string())?.items);
        }
        Ok::<_, String>(found)
    };
    eventually("the operator knows every workload", Duration::from_mins(3), || async {
        let mut known = 0.0;
        for kind in KINDS {
            known += world.operator.metric(kind.watched_metric(), &[]).await.map_err(|error| error.to_string())?;
        }
        if known >= 200.0 { Ok(()) } else { Err(format!("{known} known")) }
    })
    .await?;
    world.push("caps/app", "1.1.0").await?;
    eventually("every update waits for the end of the freeze", Duration::from_mins(3), || async {
        let waiting = requests().await?;
        let frozen = |one: &headwind_k8s::update_request::UpdateRequest| {
            one.status.as_ref().is_some_and(|status| status.conditions.iter().any(|one| one.type_ == "Waiting" && one.reason == "Frozen"))
        };
        let count = waiting.iter().filter(|one| frozen(one)).count();
        if count == WORKLOADS { Ok(()) } else { Err(format!("{count} wait")) }
    })
    .await?;
    configure(&world, json!({"freeze": null})).await?;
    for kill in 1..=KILLS {
        let done = WORKLOADS * kill / (KILLS + 2);
        eventually(&format!("{done} are done"), Duration::from_mins(4), || async {
            let count = requests().await?.iter().filter(|one| one.phase().as_str() == "Completed").count();
            if count >= done { Ok(()) } else { Err(format!("{count} done")) }
        })
        .await?;
        let victim = operators[leader(&operators).await?];
        victim.kill9().await?;
        victim.start().await?;
    }
    eventually("all are done", Duration::from_mins(5), || async {
        let open: Vec<String> =
            requests().await?.iter().filter(|one| one.phase().as_str() != "Completed").map(|one| format!("{:?}", one.status)).collect();
        if open.is_empty() { Ok(()) } else { Err(format!("{} are open: {:?}", open.len(), open.first())) }
    })
    .await?;

    let created: BTreeMap<(String, String), Timestamp> = requests()
        .await
        .map_err(anyhow::Error::msg)?
        .iter()
        .map(|one| {
            let key = one.workload_key();
            ((key.namespace, key.name), one.read().created)
        })
        .collect();
    ensure!(created.len() == WORKLOADS);
    let starts = rollouts(&world, &all).await?;
    for namespace in &all {
        let mut expected: Vec<&(String, String)> = created.keys().filter(|key| key.0 == **namespace).collect();
        expected.sort_by_key(|key| created[*key]);
        let started: Vec<&(String, String)> = starts.iter().filter(|key| key.0 == **namespace).collect();
        ensure!(started.len() == expected.len(), "{} of {} in {namespace}", started.len(), expected.len());
        for (place, key) in started.iter().enumerate() {
            let turn = expected.iter().position(|one| one == key).context("a known workload")?;
            ensure!(turn <= place + AHEAD, "{key:?} started as number {place}, and it was the turn of number {turn}");
        }
    }
    Ok(())
}

/// Returns true if the caller was killed before it had the answer. The change may be stored.
fn is_cut_off(code: u16) -> bool {
    code == 0 || code >= 499
}

/// Checks the number of rollouts at any time, and returns the workloads in the order in which they were patched.
async fn rollouts(world: &World, namespaces: &[&str]) -> Result<Vec<(String, String)>> {
    let mut audit = world.audit().context("this test counts from the audit log")?;
    audit.catch_up(&world.client).await?;
    // The watch may deliver an end before it is answered, so the times at which the calls arrived are compared. A
    // rollout above the limit would last for at least a second.
    let mut changes: Vec<(Timestamp, bool, (String, String))> = Vec::new();
    for namespace in namespaces {
        for kind in KINDS {
            for entry in audit.entries(&world.operator.requests().namespace(namespace).verb("patch").resource(kind.plural()))? {
                if entry.code == 200 || is_cut_off(entry.code) {
                    changes.push((entry.received, true, (entry.namespace, entry.name)));
                }
            }
        }
        // A call that a kill cut off may have been stored: then nobody writes the end again.
        let mut ends: BTreeMap<(String, String), (bool, Timestamp)> = BTreeMap::new();
        for entry in audit.entries(&world.operator.requests().namespace(namespace).verb("update").resource("updaterequests/status"))? {
            let body = entry.body.unwrap_or_default();
            if body["status"]["phase"] == "Completed" && (entry.code == 200 || is_cut_off(entry.code)) {
                let workload = body["spec"]["targetRef"]["name"].as_str().unwrap_or_default().to_owned();
                let (cut_off, at) = (entry.code != 200, entry.received);
                let end = ends.entry((entry.namespace, workload)).or_insert((cut_off, at));
                *end = (cut_off, at).min(*end);
            }
        }
        changes.extend(ends.into_iter().map(|(workload, (_, at))| (at, false, workload)));
    }
    changes.sort();
    let (mut running, mut most, mut order) = (BTreeSet::new(), 0, Vec::new());
    for (at, starts, workload) in changes {
        if starts && running.insert(workload.clone()) && !order.contains(&workload) {
            order.push(workload);
        } else if !starts {
            running.remove(&workload);
        }
        most = most.max(running.len());
        ensure!(running.len() <= LIMIT, "{} rollouts at {at}", running.len());
        for namespace in namespaces {
            let count = running.iter().filter(|workload| workload.0 == **namespace).count();
            ensure!(count <= LIMIT_PER_NAMESPACE, "{count} rollouts in {namespace} at {at}");
        }
    }
    ensure!(most == LIMIT, "at most {most} at a time: that proves nothing");
    Ok(order)
}
