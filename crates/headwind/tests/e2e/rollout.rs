//! Rollouts after the patch: completed, failed, rolled back.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use headwind_core::reason::Reason;
use headwind_k8s::update_request::UpdateRequest;
use headwind_testbed::workload::Live;
use headwind_testbed::{Bed, Fixture, Operator, OperatorOptions, WorkloadKind, eventually};
use k8s_openapi::api::events::v1::Event;
use kube::ResourceExt as _;
use kube::api::{Api, ListParams};
use serde_json::json;

use crate::world::{SOON, World, digest, image};

/// Timeout for a verdict: some checks of two seconds each, or the rollout's timeout.
pub(crate) const VERDICT: Duration = Duration::from_mins(2);

/// Returns a workload that accepts every tag without approval, with frequent checks and automatic rollback.
pub(crate) fn watched(kind: WorkloadKind, name: &str, image: &str) -> Fixture {
    Fixture::new(kind, name)
        .container("web", image)
        .headwind("policy", "glob")
        .headwind("pattern", "*")
        .headwind("require-approval", "false")
        .headwind("min-update-interval", "0")
        .headwind("auto-rollback", "true")
        .headwind("rollback-timeout", "20")
        .headwind("health-check-retries", "3")
        .headwind("settle-time", "3")
}

/// Waits until the request for that image is in one of the phases.
pub(crate) async fn ends(world: &World, new_image: &str, phases: &[&str], deadline: Duration) -> Result<UpdateRequest> {
    eventually(&format!("a request for {new_image} is {phases:?}"), deadline, || async {
        let all = world.requests().await.map_err(|error| error.to_string())?;
        let request = all.iter().find(|request| request.spec.new_image == new_image).ok_or_else(|| "no request".to_owned())?;
        if phases.contains(&request.phase().as_str()) { Ok(request.clone()) } else { Err(format!("{:?}", request.status)) }
    })
    .await
}

fn message(request: &UpdateRequest) -> String {
    request.status.as_ref().and_then(|status| status.message.clone()).unwrap_or_default()
}

fn reason(request: &UpdateRequest) -> String {
    request.status.as_ref().and_then(|status| status.reason.clone()).unwrap_or_default()
}

/// Returns why a request's update failed, rolled back or not.
pub(crate) fn cause(request: &UpdateRequest) -> String {
    let status = request.status.clone().unwrap_or_default();
    status.rollout.and_then(|rollout| rollout.cause_reason).or(status.reason).unwrap_or_default()
}

/// `Completed` is reported when the last new pod is available and not before; `kubectl wait` observes it.
pub(crate) async fn good(kind: WorkloadKind) -> Result<()> {
    let world = World::new("good").await?;
    let live = world.create(&watched(kind, "web", &image("shop/web", "1.0.0")).replicas(3)).await?;
    live.rolled_out(SOON).await?;
    let slow = image("shop/web", "1.1.0-slow");
    world.push("shop/web", "1.1.0-slow").await?;
    let request = ends(&world, &slow, &["RollingOut"], SOON).await?;
    ensure!(live.rolled_out(Duration::from_secs(1)).await.is_err(), "the pods cannot be ready yet");
    let wait = ["-n", &world.namespace, "wait", "--for=condition=Ready", "--timeout=120s", "ur", &request.name_any()];
    let done = ends(&world, &slow, &["Completed", "Failed", "RolledBack"], VERDICT);
    let (waited, completed) = tokio::join!(world.bed.kubectl(&wait), done);
    let completed = completed?;
    live.rolled_out(Duration::from_secs(1)).await.context("Completed before the last pod was available")?;
    ensure!(completed.phase().as_str() == "Completed" && reason(&completed) == "RolloutComplete", "{:?}", completed.status);
    let waited = waited?;
    ensure!(waited.status.success(), "{waited:?}");
    let status = completed.status.clone().unwrap_or_default();
    let rollout = status.rollout.context("what was remembered")?;
    let stayed = status.finished_at.context("finished")?.0.duration_since(rollout.available_since.context("available")?.0);
    ensure!(stayed.as_secs() >= 3, "settled for {stayed:#}");
    let conditions: Vec<(&str, &str, Option<i64>)> = status
        .conditions
        .iter()
        .map(|condition| (condition.type_.as_str(), condition.status.as_str(), condition.observed_generation))
        .collect();
    ensure!(conditions == [("Ready", "True", Some(1)), ("Progressing", "False", Some(1))], "{conditions:?}");
    let (code, timeline) = world.api("GET", &format!("/api/v1/updates/{}/{}/timeline", world.namespace, request.name_any()), None).await?;
    let moments: Vec<&str> = timeline["moments"].as_array().into_iter().flatten().filter_map(|moment| moment["what"].as_str()).collect();
    ensure!(code == 200 && moments == ["created", "applied", "progressed", "available", "finished"], "{timeline}");
    world.counted("headwind_rollbacks_total", 0.0).await?;
    Ok(())
}

/// Fifty slow pods, one after the other, take many times the timeout, and the rollout completes.
pub(crate) async fn fifty(kind: WorkloadKind) -> Result<()> {
    let world = World::new("fifty").await?;
    let fixture = watched(kind, "web", &image("shop/web", "1.0.0")).replicas(50).headwind("rollback-timeout", "45");
    let fixture = match kind {
        WorkloadKind::Deployment => fixture.spec(&json!({"strategy": {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}})),
        WorkloadKind::StatefulSet => fixture.spec(&json!({"podManagementPolicy": "Parallel"})),
        WorkloadKind::DaemonSet | WorkloadKind::CronJob | WorkloadKind::Rollout | WorkloadKind::HelmRelease => fixture,
    };
    let live = world.create(&fixture).await?;
    live.rolled_out(VERDICT).await?;
    world.push("shop/web", "1.1.0-slow").await?;
    let request = ends(&world, &image("shop/web", "1.1.0-slow"), &["Completed", "Failed", "RolledBack"], Duration::from_mins(9)).await?;
    ensure!(request.phase().as_str() == "Completed", "{:?}", request.status);
    live.rolled_out(Duration::from_secs(1)).await?;
    let status = request.status.clone().unwrap_or_default();
    let took = status.finished_at.context("finished")?.0.duration_since(status.applied_at.context("applied")?.0);
    ensure!(kind == WorkloadKind::DaemonSet || took.as_secs() > 150, "it took {took:#} only: that proves nothing");
    Ok(())
}

/// Each failure, its reasons, and the pod's message.
const FAILURES: &[(&str, &[&str], &str)] = &[
    ("1.1.0-crash", &["CrashLoopBackOff", "Restarting"], "exit code 1"),
    ("1.1.0-oom", &["OOMKilled"], "OOMKilled"),
    ("1.1.0-nopull", &["ImagePullBackOff", "ErrImagePull"], "pulling image"),
    ("1.1.0-InvalidImageName", &["InvalidImageName"], "as its tag says"),
    ("1.1.0-CreateContainerConfigError", &["CreateContainerConfigError"], "as its tag says"),
    ("1.1.0-CreateContainerError", &["CreateContainerError"], "as its tag says"),
    ("1.1.0-RunContainerError", &["RunContainerError"], "as its tag says"),
    ("1.1.0-flap", &["CrashLoopBackOff", "Restarting"], "exit code 1"),
    ("1.1.0-unready", &["PodsNotReady", "ProgressDeadlineExceeded"], ""),
];

/// Every kind of failure ends with the previous image, is reported once with the pod's own message, and is never
/// proposed again automatically; a person may try it again.
pub(crate) async fn failures(kind: WorkloadKind) -> Result<()> {
    let world = World::new("failures").await?;
    let mut lives: Vec<Live> = Vec::new();
    for place in 0..FAILURES.len() {
        let fixture = watched(kind, &format!("app-{place}"), &image(&format!("f/app-{place}"), "1.0.0")).replicas(2);
        lives.push(world.create(&fixture).await?);
    }
    for live in &lives {
        live.rolled_out(VERDICT).await?;
    }
    for (place, (tag, _, _)) in FAILURES.iter().enumerate() {
        world.push(&format!("f/app-{place}"), tag).await?;
    }
    let mut requests = Vec::new();
    for (place, (tag, codes, words)) in FAILURES.iter().enumerate() {
        let new_image = image(&format!("f/app-{place}"), tag);
        let request = ends(&world, &new_image, &["RolledBack", "Completed", "Failed", "Superseded"], VERDICT).await?;
        ensure!(request.phase().as_str() == "RolledBack" && reason(&request) == "RollbackComplete", "{tag}: {:?}", request.status);
        let (text, code) = (message(&request), cause(&request));
        ensure!(codes.contains(&code.as_str()) && text.contains(&code), "{tag}: {:?}", request.status);
        ensure!(text.contains(words) && text.contains("1.0.0"), "{tag}: {text}");
        if *codes != ["PodsNotReady", "ProgressDeadlineExceeded"] {
            ensure!(text.contains(&format!("pod app-{place}-")), "{tag}: {text}");
        }
        ensure!(lives[place].image_of("web").await? == image(&format!("f/app-{place}"), "1.0.0"), "{tag}");
        lives[place].rolled_out(SOON).await?;
        requests.push(request);
    }
    let all = f64::from(u32::try_from(FAILURES.len())?);
    world.counted("headwind_rollbacks_total", all).await?;
    world.counted("headwind_rollbacks_automatic_total", all).await?;
    world.counted("headwind_updates_failed_total", all).await?;
    ensure!(world.operator.metric("headwind_deployment_health_failures_total", &[]).await? >= all);
    ensure!(
        world.operator.metric("headwind_deployment_health_checks_total", &[]).await?
            >= world.operator.metric("headwind_deployment_health_failures_total", &[]).await?
    );
    one_verdict_each(&world, &requests).await?;
    refused_from_now_on(&world, &lives).await?;

    // A person tries it again.
    world.does(&requests[0], "reopen").await?;
    let again = eventually("it is tried again", VERDICT, || async {
        let request = world.requests_api().get(&requests[0].name_any()).await.map_err(|error| error.to_string())?;
        let times = request.status.as_ref().and_then(|status| status.times_applied);
        if times == Some(2) && request.phase().as_str() == "RolledBack" { Ok(request) } else { Err(format!("{:?}", request.status)) }
    })
    .await?;
    ensure!(lives[0].image_of("web").await? == image("f/app-0", "1.0.0") && message(&again).contains("rolled back"));
    Ok(())
}

/// One Event reports the rollback, with type Normal, and one the failure.
async fn one_verdict_each(world: &World, requests: &[UpdateRequest]) -> Result<()> {
    for request in requests {
        world.has_event(&request.name_any(), &reason(request)).await?;
        let events = Api::<Event>::namespaced(world.client.clone(), &world.namespace).list(&ListParams::default()).await?.items;
        let about = |event: &&Event| {
            event
                .regarding
                .as_ref()
                .is_some_and(|object| object.name == request.metadata.name && object.kind.as_deref() == Some("UpdateRequest"))
        };
        let said: Vec<&str> = events.iter().filter(about).filter_map(|event| event.reason.as_deref()).collect();
        let warned: Vec<&Event> = events.iter().filter(about).filter(|event| event.type_.as_deref() == Some("Warning")).collect();
        ensure!(warned.len() == 1 && warned[0].reason.as_deref() == Some("RollingBack"), "{warned:?}");
        let count = |code: &str| said.iter().filter(|reason| **reason == code).count();
        ensure!(count(&reason(request)) == 1 && count("RollingBack") == 1 && said.len() == 3, "{}: {said:?}", request.name_any());
    }
    Ok(())
}

/// Ten more pushes and a restart do not propose a bad version again.
async fn refused_from_now_on(world: &World, lives: &[Live]) -> Result<()> {
    let before = world.requests().await?.len();
    for round in 0..10 {
        if round == 5 {
            world.operator.restart().await?;
        }
        for (place, (tag, _, _)) in FAILURES.iter().enumerate() {
            world.push_refused(&format!("f/app-{place}"), tag, &digest('a'), Reason::RolledBack).await?;
        }
    }
    world.quiet().await?;
    ensure!(world.requests().await?.len() == before);
    for (place, live) in lives.iter().enumerate() {
        ensure!(live.image_of("web").await? == image(&format!("f/app-{place}"), "1.0.0"));
    }
    Ok(())
}

/// The Deployment controller's own verdict counts as well.
pub(crate) async fn deadline() -> Result<()> {
    let world = World::new("deadline").await?;
    let fixture =
        watched(WorkloadKind::Deployment, "web", &image("shop/web", "1.0.0")).progress_deadline(4).headwind("rollback-timeout", "120");
    let live = world.create(&fixture).await?;
    live.rolled_out(SOON).await?;
    world.push("shop/web", "1.1.0-unready").await?;
    let request = ends(&world, &image("shop/web", "1.1.0-unready"), &["RolledBack", "Failed", "Completed"], VERDICT).await?;
    ensure!(request.phase().as_str() == "RolledBack" && cause(&request) == "ProgressDeadlineExceeded", "{:?}", request.status);
    ensure!(message(&request).contains("timed out progressing"), "the controller's own words: {}", message(&request));
    ensure!(live.image_of("web").await? == image("shop/web", "1.0.0"));
    Ok(())
}

/// Without automatic rollback, the result is recorded and nothing is changed. Missing capacity is not the version's
/// failure. Headwind waits while a person must delete pods, while a Deployment is paused, and while a disruption budget
/// blocks.
pub(crate) async fn left_alone() -> Result<()> {
    let world = World::new("alone").await?;
    let fixture = |name: &str| watched(WorkloadKind::Deployment, name, &image(&format!("a/{name}"), "1.0.0"));
    let records = world.create(&fixture("records").headwind("auto-rollback", "false")).await?;
    let roomless = world.create(&fixture("roomless").progress_deadline(4)).await?;
    let paused = world.create(&fixture("paused")).await?;
    let on_delete = watched(WorkloadKind::StatefulSet, "on-delete", &image("a/on-delete", "1.0.0")).replicas(2);
    let on_delete = world.create(&on_delete.spec(&json!({"updateStrategy": {"type": "OnDelete"}}))).await?;
    let back = watched(WorkloadKind::StatefulSet, "back", &image("a/back", "1.0.0")).replicas(2);
    let back = world.create(&back.spec(&json!({"updateStrategy": {"type": "OnDelete"}}))).await?;
    let budget = watched(WorkloadKind::StatefulSet, "budget", &image("a/budget", "1.0.0")).replicas(2);
    let budget = world.create(&budget.headwind("rollback-timeout", "30")).await?;
    for live in [&records, &roomless, &paused, &on_delete, &back, &budget] {
        live.rolled_out(SOON).await?;
    }
    let disruptions = json!({
        "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "budget", "namespace": world.namespace},
        "spec": {"maxUnavailable": 0, "selector": {"matchLabels": {"app": "budget"}}},
    });
    world.bed.apply_yaml(&disruptions.to_string()).await?;
    world.push("a/back", "1.1.0-crash").await?;
    // A pod that does not run at all needs no disruption budget.
    world.push("a/budget", "1.1.0-unready").await?;
    says(&world, &image("a/back", "1.1.0-crash"), &["when somebody deletes them"]).await?;
    world.bed.kubectl_ok(&["-n", &world.namespace, "delete", "pods", "-l", "app=back"]).await?;
    // From now on a new pod does not fit anywhere. (The old one stays: maxUnavailable is rounded down.)
    let huge = json!({"spec": {"template": {"spec": {"containers": [{"name": "web", "image": image("a/roomless", "1.0.0"), "resources": {"requests": {"memory": "100Ti"}}}]}}}});
    roomless.edit(&huge).await?;
    paused.edit(&json!({"spec": {"paused": true}})).await?;
    world.push("a/records", "1.1.0-crash").await?;
    world.push("a/roomless", "1.1.0").await?;
    world.push("a/paused", "1.1.0").await?;
    world.push("a/on-delete", "1.1.0").await?;

    // The rollback waits as well: for the budget, and for the person.
    says(
        &world,
        &image("a/budget", "1.1.0-unready"),
        &[&format!("rolling back to {}", image("a/budget", "1.0.0")), "budget-1", "PodDisruptionBudget"],
    )
    .await?;
    world.has_event("budget", "PodStuck").await?;
    world.bed.kubectl_ok(&["-n", &world.namespace, "delete", "pdb", "budget"]).await?;
    let freed = ends(&world, &image("a/budget", "1.1.0-unready"), &["RolledBack", "Failed", "Completed"], VERDICT).await?;
    ensure!(reason(&freed) == "RollbackComplete", "{:?}", freed.status);
    budget.rolled_out(SOON).await?;
    says(
        &world,
        &image("a/back", "1.1.0-crash"),
        &[&format!("rolling back to {}", image("a/back", "1.0.0")), "when somebody deletes them"],
    )
    .await?;
    world.bed.kubectl_ok(&["-n", &world.namespace, "delete", "pods", "-l", "app=back"]).await?;
    let done = ends(&world, &image("a/back", "1.1.0-crash"), &["RolledBack", "Failed", "Completed"], VERDICT).await?;
    ensure!(reason(&done) == "RollbackComplete", "{:?}", done.status);

    let failed = ends(&world, &image("a/records", "1.1.0-crash"), &["Failed", "RolledBack", "Completed"], VERDICT).await?;
    ensure!(
        failed.phase().as_str() == "Failed" && ["CrashLoopBackOff", "Restarting"].contains(&reason(&failed).as_str()),
        "{:?}",
        failed.status
    );
    ensure!(records.image_of("web").await? == image("a/records", "1.1.0-crash"), "automatic rollback is disabled");
    let timed_out = ends(&world, &image("a/roomless", "1.1.0"), &["Failed", "RolledBack", "Completed"], VERDICT).await?;
    ensure!(timed_out.phase().as_str() == "Failed" && reason(&timed_out) == "RolloutTimedOut", "{:?}", timed_out.status);
    ensure!(message(&timed_out).contains("Insufficient memory"), "the scheduler's own words: {}", message(&timed_out));
    ensure!(roomless.image_of("web").await? == image("a/roomless", "1.1.0"));

    // The timeout has long passed for the other two.
    for (name, code) in [("paused", "RolloutPaused"), ("on-delete", "OnDelete")] {
        let request = ends(&world, &image(&format!("a/{name}"), "1.1.0"), &["RollingOut"], SOON).await?;
        ensure!(reason(&request) == code, "{:?}", request.status);
    }
    paused.edit(&json!({"spec": {"paused": false}})).await?;
    world.bed.kubectl_ok(&["-n", &world.namespace, "delete", "pods", "-l", "app=on-delete"]).await?;
    world.request(&image("a/paused", "1.1.0"), "Completed").await?;
    world.request(&image("a/on-delete", "1.1.0"), "Completed").await?;
    Ok(())
}

/// Waits until the message of the open request for that image contains all of these texts.
async fn says(world: &World, wanted: &str, words: &[&str]) -> Result<()> {
    eventually(&format!("the request for {wanted} says {words:?}"), VERDICT, || async {
        let all = world.requests().await.map_err(|error| error.to_string())?;
        let request = all.iter().find(|request| request.spec.new_image == wanted).ok_or("none")?;
        let text = message(request);
        let open = request.phase().as_str() == "RollingOut";
        if open && words.iter().all(|words| text.contains(words)) { Ok(()) } else { Err(format!("{:?}", request.status)) }
    })
    .await
}

/// A change outside Headwind ends the watch, and a deletion ends everything, quietly.
pub(crate) async fn taken_over(kind: WorkloadKind) -> Result<()> {
    let world = World::new("over").await?;
    let edited = world.create(&watched(kind, "edited", &image("o/edited", "1.0.0"))).await?;
    let deleted = world.create(&watched(kind, "deleted", &image("o/deleted", "1.0.0"))).await?;
    let control = world.create(&watched(kind, "control", &image("o/control", "1.0.0"))).await?;
    for live in [&edited, &deleted, &control] {
        live.rolled_out(SOON).await?;
    }
    world.push("o/edited", "1.1.0-crash").await?;
    world.push("o/deleted", "1.1.0-crash").await?;
    ends(&world, &image("o/edited", "1.1.0-crash"), &["RollingOut"], SOON).await?;
    ends(&world, &image("o/deleted", "1.1.0-crash"), &["RollingOut"], SOON).await?;
    edited.set_image("web", &image("o/edited", "1.0.5-crash")).await?;
    deleted.delete().await?;
    let request = ends(&world, &image("o/edited", "1.1.0-crash"), &["Superseded", "RolledBack", "Failed"], VERDICT).await?;
    ensure!(request.phase().as_str() == "Superseded" && reason(&request) == "ImageChanged", "{:?}", request.status);
    eventually("the deleted one's request is gone", SOON, || async {
        let all = world.requests().await.map_err(|error| error.to_string())?;
        if all.iter().any(|request| request.spec.target_ref.name == "deleted") { Err(format!("{} left", all.len())) } else { Ok(()) }
    })
    .await?;
    // A later one that is not changed is rolled back now: the others would have been too.
    world.push("o/control", "1.1.0-crash").await?;
    ends(&world, &image("o/control", "1.1.0-crash"), &["RolledBack"], VERDICT).await?;
    ensure!(edited.image_of("web").await? == image("o/edited", "1.0.5-crash"), "no rollback");
    ensure!(world.patches(&edited).await? == 1);
    world.counted("headwind_rollbacks_total", 1.0).await?;
    ensure!(!world.operator.scrape().await?.contains("headwind_reconcile_errors_total{"), "a quiet end");
    Ok(())
}

/// Removes the rules for those resources from the operator's roles.
async fn take_rights(bed: &Bed, namespace: &str, roles: &serde_json::Value, resources: &[&str]) -> Result<()> {
    let mut roles = roles.clone();
    for role in roles["items"].as_array_mut().into_iter().flatten() {
        role["metadata"] = json!({"name": role["metadata"]["name"], "namespace": namespace});
        if let Some(rules) = role["rules"].as_array_mut() {
            rules.retain(|rule| !resources.contains(&rule["resources"][0].as_str().unwrap_or_default()));
        }
    }
    bed.kubectl_ok(&["delete", "roles", "-n", namespace, "--all"]).await?;
    bed.apply_yaml(&roles.to_string()).await?;
    Ok(())
}

/// Without permission to list pods, rollouts are judged only by the status of the workload, and a warning reports it.
/// Without permission to evict pods, a rollback reports the pod that it waits for.
pub(crate) async fn without_pods() -> Result<()> {
    // It has its own control plane, because its 403s must not be in the audit log that is checked after all tests.
    let bed = Bed::own().await?;
    let client = bed.client().await?;
    let namespace = bed.namespace("blind").await?;
    let operator = Operator::new(&bed, OperatorOptions::new(&namespace)).await?;
    let roles = bed.kubectl_ok(&["get", "roles", "-n", &namespace, "-o", "json"]).await?;
    let roles: serde_json::Value = serde_json::from_str(&roles)?;
    take_rights(&bed, &namespace, &roles, &["pods", "replicasets", "controllerrevisions"]).await?;
    operator.start().await?;
    operator.ready().await?;
    let http = reqwest::Client::builder().timeout(SOON).build()?;
    let mut lives = Vec::new();
    for (name, kind) in [("good", WorkloadKind::DaemonSet), ("exceeded", WorkloadKind::Deployment), ("stuck", WorkloadKind::StatefulSet)] {
        let fixture = watched(kind, name, &image(&format!("b/{name}"), "1.0.0")).progress_deadline(4);
        lives.push(fixture.create(&client, &namespace).await?);
    }
    for live in &lives {
        live.rolled_out(SOON).await?;
    }
    for (name, tag) in [("good", "1.1.0"), ("exceeded", "1.1.0-unready"), ("stuck", "1.1.0-unready")] {
        let body = headwind_testbed::payload::distribution(crate::world::HOST, &format!("b/{name}"), tag, &crate::world::digest('a'));
        ensure!(http.post(operator.notifications()?).json(&body).send().await?.status() == 202);
    }
    let requests: Api<UpdateRequest> = Api::namespaced(client.clone(), &namespace);
    let expected =
        [("good", "Completed", "RolloutComplete"), ("exceeded", "RolledBack", "RollbackComplete"), ("stuck", "Failed", "RolloutTimedOut")];
    for (name, phase, code) in expected {
        eventually(&format!("{name} is {phase}"), VERDICT, || async {
            let all = requests.list(&ListParams::default()).await.map_err(|error| error.to_string())?.items;
            let ours = all.iter().find(|request| request.spec.target_ref.name == name).ok_or("none")?;
            if (ours.phase().as_str(), reason(ours).as_str()) == (phase, code) { Ok(()) } else { Err(format!("{:?}", ours.status)) }
        })
        .await?;
    }
    ensure!(lives[2].image_of("web").await? == image("b/stuck", "1.1.0-unready"), "no evidence, no rollback");
    ensure!(operator.log_contains("may not list pods")?);
    let bed_client = client.clone();
    let events = Api::<Event>::namespaced(client, &namespace).list(&ListParams::default()).await?.items;
    let warned =
        events.iter().filter(|event| event.reason.as_deref() == Some("PodsForbidden") && event.type_.as_deref() == Some("Warning"));
    ensure!(warned.count() == 3, "one warning for each workload");

    take_rights(&bed, &namespace, &roles, &["pods/eviction"]).await?;
    let fixture = watched(WorkloadKind::StatefulSet, "members", &image("b/members", "1.0.0")).replicas(3);
    let members = fixture.create(&bed_client, &namespace).await?;
    members.rolled_out(SOON).await?;
    let body = headwind_testbed::payload::distribution(crate::world::HOST, "b/members", "1.1.0-nopull", &crate::world::digest('a'));
    ensure!(http.post(operator.notifications()?).json(&body).send().await?.status() == 202);
    let stuck = eventually("the rollback of members ends", VERDICT, || async {
        let all = requests.list(&ListParams::default()).await.map_err(|error| error.to_string())?.items;
        let ours = all.into_iter().find(|request| request.spec.target_ref.name == "members").ok_or("none")?;
        if ours.phase().is_open() { Err(format!("{:?}", ours.status)) } else { Ok(ours) }
    })
    .await?;
    ensure!(stuck.phase().as_str() == "RolledBack" && reason(&stuck) == "RollbackFailed", "{:?}", stuck.status);
    let text = message(&stuck);
    ensure!(text.contains("pod members-2") && text.contains("pods/eviction") && !text.contains("does not run"), "{text}");
    Ok(())
}
