//! Flux in the test bed: releases from every sort of source run, the real helm-controller rolls out a patched version,
//! and bad ones fail.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use headwind_testbed::registry::LOGIN;
use headwind_testbed::workload::Live;
use headwind_testbed::{Bed, Chart, ChartRepository, Fixture, Flux, Registry, RegistryOptions, WorkloadKind, eventually};
use kube::core::DynamicObject;
use serde_json::{Value, json};

use crate::said;

/// Timeout for releases, because Helm checks every two seconds, on a busy machine.
const SOON: Duration = Duration::from_secs(90);

fn release(name: &str) -> Fixture {
    Fixture::new(WorkloadKind::HelmRelease, name)
}

#[tokio::test]
async fn releases_of_every_source_run_and_are_upgraded() -> Result<()> {
    if Flux::lacks("releases_of_every_source_run_and_are_upgraded").await? {
        return Ok(());
    }
    let bed = Bed::start().await?;
    let started = Instant::now();
    let flux = bed.flux().await?;
    said("flux ready", started);
    for controller in [flux.source(), flux.helm()] {
        ensure!(controller.process().is_some_and(|process| process.lives()) && controller.folder().is_dir());
    }
    let client = bed.client().await?;
    let namespace = bed.namespace("flux").await?;
    let (user, password) = LOGIN;
    let open = Registry::start(&[], RegistryOptions::default()).await?;
    let locked = Registry::start(&[], RegistryOptions { locked: true, ..RegistryOptions::default() }).await?;
    let (public, private) = (ChartRepository::start().await?, ChartRepository::start().await?);
    private.lock(Some(LOGIN));
    for version in ["1.0.0", "1.1.0"] {
        open.publish(WorkloadKind::HelmRelease, "shop/web", version, "seed").await?;
        locked.push_chart("shop", &Chart::new("web", version)).await?;
        private.add(&Chart::new("web", version))?;
    }
    public.add(&Chart::new("web", "1.0.0"))?;
    let auth = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
    secret(
        bed,
        &namespace,
        "docker",
        "kubernetes.io/dockerconfigjson",
        &json!({".dockerconfigjson": json!({"auths": {locked.addr(): {"auth": auth}}}).to_string()}),
    )
    .await?;
    secret(bed, &namespace, "basic", "Opaque", &json!({"username": user, "password": password})).await?;

    let unwaited = json!({"install": {"disableWait": true}, "upgrade": {"disableWait": true}});
    let fixtures = [
        release("unwaited").container("web", &open.image("shop/web", "1.0.0")).spec(&unwaited),
        release("oci").container("web", &open.image("shop/web", "1.0.0")),
        release("oci-locked").container("web", &locked.image("shop/web", "1.0.0")).pull_secret("docker"),
        release("http").chart_repository(&public.url(), "web", "1.0.0"),
        release("http-locked").chart_repository(&private.url(), "web", "1.0.0").source_secret("basic"),
        release("by-reference").container("web", &open.image("shop/web", "1.0.0")).chart_ref("web").replicas(2),
        release("by-locked-reference").container("web", &locked.image("shop/web", "1.0.0")).chart_ref("locked").pull_secret("docker"),
    ];
    let started = Instant::now();
    let mut lives = Vec::new();
    for fixture in &fixtures {
        lives.push(fixture.create(&client, &namespace).await?);
    }
    for live in &lives {
        live.rolled_out(SOON).await.with_context(|| flux.helm().logs().unwrap_or_default())?;
        said(&format!("{} installed", live.name()), started);
        let pods = deployment(bed, &namespace, live.name()).await?;
        ensure!(pods == "registry.test:5000/charts/web:1.0.0", "{pods}");
        ensure!(live.image_of("web").await? == WorkloadKind::HelmRelease.image("any", "shop/web", "1.0.0"));
    }
    ensure!(private.saw(&format!("{user}:{password}")));
    let agents: Vec<String> = private.take_log().iter().map(|seen| seen.agent().to_owned()).collect();
    ensure!(agents.iter().all(|agent| agent.starts_with("Helm/")), "{agents:?}");

    // Published only now: Flux finds it.
    public.add(&Chart::new("web", "1.1.0"))?;
    for live in &lives {
        let started = Instant::now();
        live.set_image("web", "web:1.1.0").await?;
        live.rolled_out(SOON).await.with_context(|| flux.helm().logs().unwrap_or_default())?;
        said(&format!("{} upgraded", live.name()), started);
        ensure!(live.image_of("web").await? == "web:1.1.0");
        ensure!(deployment(bed, &namespace, live.name()).await? == "registry.test:5000/charts/web:1.1.0");
    }
    Ok(())
}

#[tokio::test]
async fn bad_charts_end_as_bad_and_controllers_can_be_killed() -> Result<()> {
    if Flux::lacks("bad_charts_end_as_bad_and_controllers_can_be_killed").await? {
        return Ok(());
    }
    // In its own test bed: its controllers are killed.
    let bed = Bed::own().await?;
    let flux = bed.flux().await?;
    let (client, namespace) = (bed.client().await?, bed.namespace("bad").await?);
    let repository = ChartRepository::start().await?;
    repository.add(&Chart::new("web", "1.0.0"))?;
    repository.add(&Chart::new("web", "1.1.0").pods("-unready"))?;
    repository.add(&Chart::new("web", "1.2.0").broken())?;
    let make = |name: &str| release(name).chart_repository(&repository.url(), "web", "1.0.0").spec(&json!({"timeout": "5s"}));
    let (unready, broken) = (make("unready").create(&client, &namespace).await?, make("broken").create(&client, &namespace).await?);
    unready.rolled_out(SOON).await?;
    broken.rolled_out(SOON).await?;
    for controller in [flux.source(), flux.helm()] {
        let first = controller.process().context("no process")?;
        controller.kill().await?;
        ensure!(!first.lives());
        controller.start().await?;
        ensure!(controller.process().is_some_and(|second| second.lives() && second != first));
    }
    unready.set_image("web", "web:1.1.0").await?;
    broken.set_image("web", "web:1.2.0").await?;
    status(&unready, "it is stalled", |status| {
        is(status, "Stalled", "RetriesExceeded") && is(status, "Ready", "UpgradeFailed") && status["history"][0]["chartVersion"] == "1.1.0"
    })
    .await?;
    status(&broken, "its template fails", |status| {
        is(status, "Released", "UpgradeFailed") && status.to_string().contains("broken on purpose")
    })
    .await?;
    for live in [&unready, &broken] {
        let error = live.rolled_out(Duration::from_millis(500)).await.err().context("it does not run")?.to_string();
        ensure!(error.contains("UpgradeFailed"), "{error}");
        live.set_image("web", "web:1.0.0").await?;
        live.rolled_out(SOON).await?;
    }
    let processes = [flux.source().process().context("no process")?, flux.helm().process().context("no process")?];
    let folders = [flux.source().folder().to_owned(), flux.helm().folder().to_owned()];
    drop(bed);
    ensure!(processes.iter().all(|process| !process.lives()) && folders.iter().all(|folder| !folder.exists()), "they end with their bed");
    Ok(())
}

#[tokio::test]
async fn old_versions_of_the_api_come_before_new_ones() -> Result<()> {
    if Flux::lacks("old_versions_of_the_api_come_before_new_ones").await? {
        return Ok(());
    }
    let bed = Bed::own().await?;
    let (client, namespace) = (bed.client().await?, bed.namespace("old").await?);
    let fixture = release("old").container("web", "127.0.0.1:5000/shop/web:1.0.0");
    ensure!(fixture.create(&client, &namespace).await.is_err(), "there is no Flux");
    bed.install_old_flux_crds("v2beta2", "v1beta2").await?;
    ensure!(fixture.create(&client, &namespace).await.is_err(), "v2 is not served");
    let live = fixture.flux_versions("v2beta2", "v1beta2").create(&client, &namespace).await?;
    ensure!(live.get().await?.types.is_some_and(|types| types.api_version == "helm.toolkit.fluxcd.io/v2beta2"));
    live.set_image("web", "web:1.1.0").await?;
    ensure!(live.image_of("web").await? == "web:1.1.0" && live.generation().await? == 2);
    Ok(())
}

async fn secret(bed: &Bed, namespace: &str, name: &str, kind: &str, data: &Value) -> Result<()> {
    let secret =
        json!({"apiVersion": "v1", "kind": "Secret", "type": kind, "metadata": {"name": name, "namespace": namespace}, "stringData": data});
    bed.apply_yaml(&secret.to_string()).await.map(drop)
}

/// Returns the image of the pods of a release's Deployment.
async fn deployment(bed: &Bed, namespace: &str, name: &str) -> Result<String> {
    let path = "jsonpath={.spec.template.spec.containers[0].image}";
    bed.kubectl_ok(&["get", "deployment", name, "--namespace", namespace, "--output", path]).await
}

fn is(status: &Value, kind: &str, reason: &str) -> bool {
    status["conditions"].as_array().into_iter().flatten().any(|one| one["type"] == kind && one["reason"] == reason)
}

async fn status(live: &Live, what: &str, right: impl Fn(&Value) -> bool) -> Result<DynamicObject> {
    eventually(what, SOON, || async {
        let object = live.get().await.map_err(|error| format!("{error:#}"))?;
        let status = object.data["status"].clone();
        if right(&status) { Ok(object) } else { Err(status.to_string()) }
    })
    .await
}
