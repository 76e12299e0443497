//! Tests of the test bed: everything starts, pods become ready, registries send notifications, the audit log is
//! readable, and nothing remains however a test ends.

mod charts;
mod flux;

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use axum::extract::State;
use axum::routing::post;
use axum::{Json, Router};
use headwind_testbed::protocol::ProcessId;
use headwind_testbed::{
    Bed, Fixture, Flux, Operator, OperatorOptions, Query, Registry, RegistryOptions, WorkloadKind, eventually, payload, skip,
};
use reqwest::Url;
use serde_json::{Value, json};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

const SOON: Duration = Duration::from_secs(30);

pub(crate) fn said(what: &str, since: Instant) {
    let _ = writeln!(std::io::stderr(), "{what}: {:?}", since.elapsed());
}

#[tokio::test]
async fn workloads_of_every_kind_become_ready_and_are_in_the_audit_log() -> Result<()> {
    let started = Instant::now();
    let bed = Bed::start().await?;
    said("bed started", started);
    let client = bed.client().await?;
    let namespace = bed.namespace("every kind").await?;
    for kind in WorkloadKind::PODS {
        let created = Instant::now();
        let live = Fixture::new(kind, "web")
            .container("web", "127.0.0.1:5000/web:1.0.0")
            .container("side", "127.0.0.1:5000/side:1.0.0")
            .init_container("first", "127.0.0.1:5000/first:1.0.0")
            .headwind("policy", "minor")
            .replicas(2)
            .create(&client, &namespace)
            .await?;
        live.rolled_out(SOON).await?;
        said(&format!("{} available", kind.kind()), created);
        ensure!(live.annotations().await?.get("headwind.sh/policy").map(String::as_str) == Some("minor"));
        live.set_image("side", "127.0.0.1:5000/side:1.1.0").await?;
        live.set_image("first", "127.0.0.1:5000/first:2.0.0").await?;
        live.rolled_out(SOON).await?;
        ensure!(live.image_of("side").await? == "127.0.0.1:5000/side:1.1.0");
        ensure!(live.image_of("first").await? == "127.0.0.1:5000/first:2.0.0");
        ensure!(live.image_of("web").await? == "127.0.0.1:5000/web:1.0.0");
    }
    let stuck = Fixture::new(WorkloadKind::Deployment, "stuck")
        .container("web", "127.0.0.1:5000/web:1.0.0-unready")
        .create(&client, &namespace)
        .await?;
    let error = stuck.rolled_out(Duration::from_secs(2)).await.err().context("it is not ready")?.to_string();
    ensure!(error.contains("is rolled out: not within 2s") && error.contains("unavailableReplicas"), "{error}");

    let yaml = Fixture::new(WorkloadKind::Deployment, "by-yaml").container("web", "nginx:1.27").yaml()?;
    let refused =
        bed.kubectl_ok(&["get", "deployment", "by-yaml", "--namespace", &namespace]).await.err().context("it is not there")?.to_string();
    ensure!(refused.contains("NotFound"), "{refused}");
    bed.apply_yaml(&yaml.replace("metadata:\n  name:", &format!("metadata:\n  namespace: {namespace}\n  name:")))
        .await
        .with_context(|| yaml.clone())?;

    let Some(mut audit) = bed.audit() else {
        skip::skipped("the audit log", "the cluster of KUBECONFIG is not ours");
        return Ok(());
    };
    audit.catch_up(&client).await?;
    let patches =
        audit.entries(&Query::new().user("admin").verb("patch").resource("daemonsets").namespace(&namespace).name("web").successful())?;
    ensure!(patches.len() == 2, "{patches:?}");
    ensure!(
        patches.first().and_then(|entry| entry.body.as_ref()).is_some_and(|body| body.to_string().contains("side:1.1.0")),
        "{patches:?}"
    );
    let rules = audit.used_rules(&Query::new().user("admin").namespace(&namespace))?;
    ensure!(rules.iter().any(|rule| rule.group == "apps" && rule.resource == "statefulsets" && rule.verb == "create"), "{rules:?}");
    let nobody = bed.kubectl(&["get", "secrets", "--namespace", &namespace, "--as", "nobody"]).await?;
    ensure!(!nobody.status.success());
    audit.catch_up(&client).await?;
    ensure!(audit.forbidden(&Query::new().user("nobody").namespace(&namespace))?.len() == 1);
    Ok(())
}

#[tokio::test]
async fn a_push_notifies_the_listener() -> Result<()> {
    let (url, mut bodies) = listener().await?;
    let started = Instant::now();
    let options = RegistryOptions {
        ignore_pulls: true,
        headers: vec![("Authorization".to_owned(), "Bearer let-me-in".to_owned())],
        ..RegistryOptions::default()
    };
    let registry = Registry::start(&[url], options).await?;
    said("registry started", started);

    let digest = registry.push("team/web", "1.2.3", "one").await?;
    ensure!(digest == registry.push("team/other", "1.2.3", "one").await?, "the same seed is the same image");
    ensure!(registry.digest("team/web", "1.2.3").await? == Some(digest.clone()));
    let event = pushed(&mut bodies, "team/web", "1.2.3").await?;
    ensure!(event.pointer("/target/digest") == Some(&json!(digest)), "{event}");
    ensure!(event.pointer("/request/host") == Some(&json!(registry.addr())), "{event}");
    let ours = payload::distribution_event("push", registry.addr(), "team/web", "1.2.3", &digest);
    for field in [
        "/action",
        "/target/mediaType",
        "/target/digest",
        "/target/repository",
        "/target/url",
        "/target/tag",
        "/request/host",
        "/request/method",
    ] {
        ensure!(ours.pointer(field) == event.pointer(field), "{field}: ours {ours}, theirs {event}");
    }

    let index = registry.push_index("team/web", "2.0.0", "two").await?;
    let event = pushed(&mut bodies, "team/web", "2.0.0").await?;
    ensure!(event.pointer("/target/digest") == Some(&json!(index)), "{event}");
    ensure!(event.pointer("/target/mediaType") == Some(&json!("application/vnd.oci.image.index.v1+json")), "{event}");

    registry.stop().await?;
    ensure!(registry.digest("team/web", "1.2.3").await.is_err(), "it is down");
    registry.restart().await?;
    registry.delete("team/web", &index).await?;
    ensure!(registry.digest("team/web", "2.0.0").await?.is_none());
    let process = registry.process().context("it has a process")?;
    drop(registry);
    ensure!(!process.lives(), "the registry ends with its value");
    Ok(())
}

/// The operator runs with the shipped permissions, and can be killed, restarted and terminated.
#[tokio::test]
async fn an_operator_runs_and_ends() -> Result<()> {
    let bed = Bed::start().await?;
    let namespace = bed.namespace("operator").await?;
    let started = Instant::now();
    let operator = Operator::new(bed, OperatorOptions::new(&namespace).replica("one")).await?;
    said("operator prepared", started);
    let started = Instant::now();
    operator.start().await?;
    operator.ready().await?;
    said("operator ready", started);
    ensure!(operator.is_running() && !operator.logs()?.is_empty());
    ensure!(operator.metric("headwind_updates_applied_total", &[]).await?.abs() < f64::EPSILON);
    let first = operator.process().context("it has a process")?;
    operator.kill9().await?;
    ensure!(!first.lives() && !operator.is_running());
    operator.restart().await?;
    ensure!(operator.process() != Some(first) && operator.identity() == "one-2");
    let started = Instant::now();
    ensure!(operator.terminate().await? == Some(0), "{}", operator.logs()?);
    said("operator terminated", started);
    ensure!(operator.terminate().await.is_err(), "it does not run");
    if let Some(mut audit) = bed.audit() {
        audit.catch_up(&bed.client().await?).await?;
        let refused = audit.forbidden(&operator.requests())?;
        ensure!(refused.is_empty(), "{refused:?}");
        let used = audit.used_rules(&operator.requests())?;
        ensure!(used.iter().any(|rule| rule.resource == "deployments" && rule.verb == "watch"), "{used:?}");
    }
    operator.set_env("HEADWIND_METRICS_ADDR", Some("nonsense"));
    operator.start().await?;
    let error = operator.ready().await.err().context("a bad setting ends the start")?.to_string();
    ensure!(error.contains("ended before it was ready") && error.contains("nonsense"), "{error}");
    Ok(())
}

/// A child that starts everything and is killed leaves nothing.
#[tokio::test]
async fn nothing_is_left_of_a_test_that_is_killed() -> Result<()> {
    if std::env::var_os("KUBECONFIG").is_some() {
        skip::skipped("nothing_is_left_of_a_test_that_is_killed", "the cluster of KUBECONFIG is not ours to kill");
        return Ok(());
    }
    let mut child = Command::new(std::env::current_exe()?)
        .args(["--ignored", "--exact", "holds_a_bed_until_it_is_killed", "--nocapture"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let lines = BufReader::new(child.stdout.take().context("no output")?).lines();
    let held = lines
        .map_while(std::io::Result::ok)
        .find_map(|line| line.split_once("HELD ").and_then(|(_, json)| serde_json::from_str::<Value>(json).ok()))
        .context("the child did not come up")?;
    let processes: Vec<ProcessId> = serde_json::from_value(held["processes"].clone())?;
    let folders: Vec<PathBuf> = serde_json::from_value(held["folders"].clone())?;
    // With Flux's controllers, if available.
    ensure!(processes.len() == 8 || processes.len() == 10, "{processes:?}");
    ensure!(processes.iter().all(ProcessId::lives) && folders.iter().all(|folder| folder.is_dir()), "{held}");
    child.kill()?;
    child.wait()?;
    let killed = Instant::now();
    eventually("nothing is left", SOON, || async {
        let mut left: Vec<String> = processes.iter().filter(|process| process.lives()).map(|process| process.name.clone()).collect();
        left.extend(folders.iter().filter(|folder| folder.exists()).map(|folder| folder.display().to_string()));
        if left.is_empty() { Ok(()) } else { Err(left.join(", ")) }
    })
    .await?;
    said("gone after the kill", killed);
    for folder in &folders {
        let found = Command::new("pgrep").arg("-f").arg(folder).output()?;
        ensure!(found.stdout.is_empty(), "a process still names {}: {}", folder.display(), String::from_utf8_lossy(&found.stdout));
    }
    Ok(())
}

/// Not a test: the child of the test above.
#[tokio::test]
#[ignore = "run by nothing_is_left_of_a_test_that_is_killed"]
async fn holds_a_bed_until_it_is_killed() -> Result<()> {
    let bed = Bed::own().await?;
    let registry = Registry::start(&[], RegistryOptions::default()).await?;
    let mut processes = bed.processes().to_vec();
    processes.extend(registry.process());
    processes.push(guard_of(processes.last().context("no process")?)?);
    let registry_folder = folder_of(processes.get(processes.len() - 2).context("no registry")?)?;
    let mut folders = vec![bed.folder().context("no folder")?.to_owned(), registry_folder];
    if !Flux::lacks("nothing_is_left_of_a_test_that_is_killed (of Flux)").await? {
        let flux = bed.flux().await?;
        for controller in [flux.source(), flux.helm()] {
            processes.extend(controller.process());
            folders.push(controller.folder().to_owned());
        }
    }
    let held = json!({"processes": processes, "folders": folders});
    writeln!(std::io::stdout(), "HELD {held}")?;
    std::future::pending().await
}

/// Returns the parent of a process, which is its guard.
fn guard_of(process: &ProcessId) -> Result<ProcessId> {
    let stat = |pid: u32| -> Result<Vec<String>> {
        let text = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
        Ok(text.rsplit_once(')').context("no name")?.1.split_whitespace().map(str::to_owned).collect())
    };
    let pid: u32 = stat(process.pid)?[1].parse()?;
    Ok(ProcessId { name: "guard".to_owned(), pid, start: stat(pid)?[19].parse()? })
}

/// Returns the folder of a registry, from the path of its configuration.
fn folder_of(process: &ProcessId) -> Result<PathBuf> {
    let line = std::fs::read_to_string(format!("/proc/{}/cmdline", process.pid))?;
    let config = line.split('\0').find(|word| word.ends_with("config.yaml")).context("no configuration")?;
    Ok(Path::new(config).parent().context("no folder")?.to_owned())
}

/// Starts a server that keeps every body with the right secret.
async fn listener() -> Result<(Url, UnboundedReceiver<Value>)> {
    type Sender = UnboundedSender<Value>;
    let (send, bodies) = unbounded_channel();
    let router = Router::new()
        .route(
            "/hook",
            post(|State(send): State<Sender>, headers: axum::http::HeaderMap, body: String| async move {
                if headers.get("authorization").is_none_or(|value| value != "Bearer let-me-in") {
                    return Err(axum::http::StatusCode::UNAUTHORIZED);
                }
                // Distribution's media type is application/vnd.docker.distribution.events.v2+json.
                send.send(serde_json::from_str(&body).unwrap_or_default()).map_err(|_| axum::http::StatusCode::GONE)?;
                Ok(Json(json!({})))
            }),
        )
        .with_state(send);
    let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let url = Url::parse(&format!("http://{}/hook", socket.local_addr()?))?;
    tokio::spawn(async move { axum::serve(socket, router).await });
    Ok((url, bodies))
}

async fn pushed(bodies: &mut UnboundedReceiver<Value>, repo: &str, tag: &str) -> Result<Value> {
    let found = async {
        while let Some(body) = bodies.recv().await {
            let events = body["events"].as_array().cloned().unwrap_or_default();
            if let Some(event) = events
                .into_iter()
                .find(|event| event["action"] == "push" && event["target"]["repository"] == repo && event["target"]["tag"] == tag)
            {
                return Ok(event);
            }
        }
        bail!("the listener is gone")
    };
    tokio::time::timeout(SOON, found).await.with_context(|| format!("no push of {repo}:{tag} arrived"))?
}
