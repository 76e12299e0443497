//! Hundreds of releases, and Flux that is installed late, is old, or has undecodable objects. Without Flux's
//! controllers: the tests check Headwind's queries and writes.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use futures_util::{StreamExt as _, TryStreamExt as _};
use headwind_testbed::chart::Chart;
use headwind_testbed::chart_repository::ChartRepository;
use headwind_testbed::{Bed, Fault, Operator, OperatorOptions, WorkloadKind, eventually, payload};
use kube::api::{Api, ListParams};
use serde_json::json;

use crate::world::{HOST, SOON, World, digest, image};

const RELEASE: WorkloadKind = WorkloadKind::HelmRelease;

/// Returns the operator's peak memory, in KiB.
fn peak(operator: &Operator) -> Result<u64> {
    let process = operator.process().context("it runs")?;
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.pid))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("VmHWM")?;
    Ok(line.trim().trim_end_matches("kB").trim().parse()?)
}

/// 500 releases with 20 repositories, one with an index of 50 MB, one dead, one that sends 10 kB/s: one request per
/// repository and interval, 304 if nothing has changed, and the others are on time.
pub(crate) async fn at_scale() -> Result<()> {
    const INTERVAL: Duration = Duration::from_secs(15);
    const ROUNDS: u32 = 3;
    const LARGE: usize = 0;
    const SLOW: usize = 1;
    const DEAD: usize = 2;
    let bed = Bed::own().await?;
    bed.install_flux_crds().await?;
    let client = bed.client().await?;
    let namespace = bed.namespace("helmscale").await?;
    let mut repositories = Vec::new();
    for place in 0..20 {
        let repository = ChartRepository::start().await?;
        repository.add(&Chart::new("web", "0.1.0"))?;
        match place {
            LARGE => repository.fill(50_000_000, 2_000, 40),
            // 60 kB: six seconds.
            SLOW => repository.fill(60_000, 20, 5),
            _ => {}
        }
        repositories.push(repository);
    }
    repositories[SLOW].misbehave(|_| Some(Fault::Slow(10_000)));
    repositories[DEAD].misbehave(|_| Some(Fault::Hang));
    let fixtures = (0..500_usize).map(|number| {
        let url = repositories[number % 20].url();
        World::asking(RELEASE, &format!("r{number}"), "unused/web:0.1.0")
            .chart_repository(&url, "web", "0.1.0")
            .headwind("event-source", "polling")
    });
    let create = |fixture: headwind_testbed::Fixture| {
        let (client, namespace) = (client.clone(), namespace.clone());
        async move { fixture.create(&client, &namespace).await.map(drop) }
    };
    futures_util::stream::iter(fixtures.map(create)).buffer_unordered(8).try_collect::<Vec<()>>().await?;
    let options = OperatorOptions::new(&namespace)
        .env("HEADWIND_POLLING_ENABLED", "true")
        .env("HEADWIND_POLLING_INTERVAL", &INTERVAL.as_secs().to_string());
    let operator = Operator::run(&bed, options).await?;
    let before = peak(&operator)?;
    eventually("every repository was read once", INTERVAL * 4, || async {
        let checked = operator.metric("headwind_polling_helm_charts_checked_total", &[]).await.map_err(|error| error.to_string())?;
        if checked >= 475.0 { Ok(()) } else { Err(checked.to_string()) }
    })
    .await?;
    for repository in &repositories {
        repository.take_log();
    }
    // Counted over a whole number of intervals.
    tokio::time::sleep(INTERVAL * ROUNDS).await;
    for (place, repository) in repositories.iter().enumerate() {
        let log = repository.take_log();
        let asked = u32::try_from(log.len())?;
        if place == DEAD {
            ensure!(asked <= ROUNDS + 1, "the dead one is left alone: {asked}");
            continue;
        }
        ensure!(asked.abs_diff(ROUNDS) <= 1, "{place}: 25 releases cost one request an interval: {asked}");
        ensure!(log.iter().all(|seen| seen.status == 304 && seen.path.ends_with("/index.yaml")), "{place}: {log:?}");
    }
    // All 25 get their new versions, including those of the large and the slow repository.
    for place in [LARGE, SLOW, 3, 19] {
        repositories[place].add(&Chart::new("web", "0.2.0"))?;
    }
    let requests: Api<headwind_k8s::update_request::UpdateRequest> = Api::namespaced(client.clone(), &namespace);
    eventually("100 requests", INTERVAL * 4, || async {
        let count = requests.list_metadata(&ListParams::default()).await.map_err(|error| error.to_string())?.items.len();
        if count == 100 { Ok(()) } else { Err(count.to_string()) }
    })
    .await?;
    let after = peak(&operator)?;
    eprintln!("500 releases, 20 repositories, an index of 50 MB: resident {before} KiB at the start, {after} KiB at most");
    ensure!(after < 64 * 1024, "the goal is 64 MB, and an unoptimized build had {after} KiB");
    let text = operator.scrape().await?;
    for line in text.lines().filter(|line| line.starts_with("headwind_polling_lateness_seconds_bucket")) {
        eprintln!("{line}");
    }
    let errors: Vec<&str> = text.lines().filter(|line| line.starts_with("headwind_helm_repository_errors_total{")).collect();
    ensure!(errors.len() == 1 && errors[0].contains("timed_out"), "the dead one is counted, and no other: {errors:?}");
    Ok(())
}

/// Without Flux nothing breaks and nothing is logged repeatedly. An old Flux that is installed later is used without a
/// restart, an undecodable object does not stop the others, and Flux may be removed again.
pub(crate) async fn comes_later() -> Result<()> {
    let bed = Bed::own().await?;
    let namespace = bed.namespace("later").await?;
    let client = bed.client().await?;
    let operator = Operator::run(&bed, OperatorOptions::new(&namespace).env("HEADWIND_HELM_AUTO_DISCOVERY", "false")).await?;
    // More than two checks of the API server's APIs.
    tokio::time::sleep(Duration::from_secs(35)).await;
    let logged = |text: &str| operator.log_lines().map(|lines| lines.iter().filter(|line| line.to_string().contains(text)).count());
    ensure!(logged("fluxcd.io")? == 0 && logged("helmre")? == 0, "{}", operator.logs()?);

    bed.install_old_flux_crds("v2beta2", "v1beta2").await?;
    // An object that the schema of another version allows.
    let loose = json!([{"op": "replace", "path": "/spec/versions/0/schema/openAPIV3Schema/properties/spec", "value": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}]);
    bed.kubectl_ok(&["patch", "crd", "helmreleases.helm.toolkit.fluxcd.io", "--type=json", "-p", &loose.to_string()]).await?;
    let odd = json!({
        "apiVersion": "helm.toolkit.fluxcd.io/v2beta2", "kind": "HelmRelease",
        "metadata": {"name": "odd", "namespace": namespace, "annotations": {"headwind.sh/policy": "all"}}, "spec": {"chart": "a text"},
    });
    bed.apply_yaml(&odd.to_string()).await?;
    let mut lives = Vec::new();
    for name in ["one", "two"] {
        let fixture = World::direct(RELEASE, name, &image("later/web", "1.0.0")).flux_versions("v2beta2", "v1beta2");
        lives.push(fixture.create(&client, &namespace).await?);
    }
    eventually("Flux is picked up", SOON * 2, || async {
        let known = operator.metric("headwind_helm_releases_watched", &[]).await.map_err(|error| error.to_string())?;
        if known >= 2.0 { Ok(()) } else { Err(known.to_string()) }
    })
    .await?;
    let http = reqwest::Client::new();
    let answer = http.post(operator.notifications()?).json(&payload::distribution(HOST, "later/web", "1.1.0", &digest('a'))).send().await?;
    ensure!(answer.status() == 202, "{answer:?}");
    for live in &lives {
        live.has_image("web", "web:1.1.0", SOON).await?;
    }
    let request = bed.kubectl_ok(&["get", "ur", "-n", &namespace, "-o", "jsonpath={.items[*].spec.targetRef.apiVersion}"]).await?;
    ensure!(request.split(' ').all(|version| version == "helm.toolkit.fluxcd.io/v2beta2"), "{request}");
    let events: Api<k8s_openapi::api::events::v1::Event> = Api::namespaced(client.clone(), &namespace);
    eventually("the odd one says why", SOON, || async {
        let all = events.list(&ListParams::default()).await.map_err(|error| error.to_string())?.items;
        let odd = |event: &&k8s_openapi::api::events::v1::Event| {
            event.regarding.as_ref().and_then(|object| object.name.as_deref()) == Some("odd")
        };
        let matching: Vec<_> = all.iter().filter(odd).map(|event| (event.reason.clone(), event.note.clone())).collect();
        if matching.iter().any(|(reason, _)| reason.as_deref() == Some("InvalidObject")) { Ok(()) } else { Err(format!("{matching:?}")) }
    })
    .await?;

    bed.kubectl_ok(&["delete", "crd", "helmreleases.helm.toolkit.fluxcd.io", "ocirepositories.source.toolkit.fluxcd.io"]).await?;
    eventually("what is gone is forgotten", SOON * 4, || async {
        let known = operator.metric("headwind_helm_releases_watched", &[]).await.map_err(|error| error.to_string())?;
        if known < 0.5 { Ok(()) } else { Err(known.to_string()) }
    })
    .await?;
    ensure!(http.get(format!("{}/ready", operator.metrics_url())).send().await?.status() == 200, "it is well without");
    let mut audit = bed.audit().context("own control plane")?;
    audit.catch_up(&client).await?;
    ensure!(audit.forbidden(&operator.requests())?.is_empty(), "no 403");
    Ok(())
}
