//! The page Observability, the dashboard and the alerts, with a real Prometheus that scrapes two replicas.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use headwind_testbed::prometheus::{lacks, promtool};
use headwind_testbed::{FakeRegistry, Fault, Operator, OperatorOptions, Prometheus, Tools, WorkloadKind, eventually};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, PostParams};
use serde_json::{Value, json};

use crate::poll::name_hosts;
use crate::world::{SOON, World, image};

fn files() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/observability")
}

/// Every expression of the dashboard, with the values of its variables.
fn expressions() -> Result<Vec<String>> {
    let dashboard: Value = serde_json::from_str(&std::fs::read_to_string(files().join("dashboard.json"))?)?;
    let panels = dashboard["panels"].as_array().context("panels")?;
    let targets = panels.iter().flat_map(|panel| panel["targets"].as_array().into_iter().flatten());
    let expression =
        |target: &Value| target["expr"].as_str().map(|text| text.replace("$__rate_interval", "10m").replace("$namespace", ".*"));
    targets.map(|target| expression(target).context("an expression")).collect()
}

/// The page of a replica.
async fn page(world: &World, operator: &Operator) -> Result<String, String> {
    let answer = world.http.get(format!("{}/observability?range=1h", operator.ui_url())).send().await;
    answer.map_err(|error| error.to_string())?.text().await.map_err(|error| error.to_string())
}

/// Page, dashboard and alerts show true figures; and the page says so when Prometheus is down.
pub(crate) async fn prometheus() -> Result<()> {
    if lacks("observability_prometheus").await? {
        return Ok(());
    }
    let (registry, file) = (FakeRegistry::start().await?, tempfile::NamedTempFile::new()?);
    name_hosts(&[&registry.host()], &file)?;
    let path = file.path().to_string_lossy().into_owned();
    let world = World::with("observability", |options| options.env("HEADWIND_REGISTRY_CONFIG", &path)).await?;
    let second = Operator::run(world.bed, OperatorOptions::new(&world.namespace).replica("headwind-1")).await?;
    let prometheus = Prometheus::start(&[&world.operator, &second], &files().join("alerts.yaml")).await?;
    let value = async |expression: &str| -> Result<f64, String> {
        let all = prometheus.query(expression).await.map_err(|error| error.to_string())?;
        let first = all.first().and_then(|one| one["value"][1].as_str()).ok_or_else(|| format!("{expression}: nothing"))?;
        first.parse().map_err(|_| format!("{expression}: {first}"))
    };
    let becomes = async |expression: &str, wanted: f64| {
        eventually(&format!("{expression} is {wanted}"), SOON, || async {
            let now = value(expression).await?;
            if (now - wanted).abs() < f64::EPSILON { Ok(()) } else { Err(now.to_string()) }
        })
        .await
    };
    becomes("count(headwind_leader)", 2.0).await?;
    becomes("sum(headwind_leader)", 1.0).await?;

    // The source is a setting like others.
    let config_maps: Api<ConfigMap> = Api::namespaced(world.client.clone(), &world.namespace);
    let settings = json!({"metadata": {"name": "headwind"}, "data": {"HEADWIND_PROMETHEUS_URL": prometheus.url()}});
    config_maps.create(&PostParams::default(), &serde_json::from_value(settings)?).await?;

    // A registry that states its limit.
    registry.push("o/d", "1.0.0", "x");
    registry.misbehave(|_| Some(Fault::Header("ratelimit-remaining", "76;w=21600".to_owned())));
    world.create(&World::direct(WorkloadKind::Deployment, "d", &format!("{}/o/d:1.0.0", registry.host()))).await?;
    let explain = format!("/api/v1/workloads/{}/Deployment/d/explain", world.namespace);
    ensure!(world.api("GET", &explain, None).await?.0 == 200);
    becomes(&format!("headwind_registry_quota_remaining{{registry=\"{}\"}}", registry.host()), 76.0).await?;

    // Two updates that are applied, and one that waits.
    for name in ["a", "b"] {
        world.create(&World::direct(WorkloadKind::Deployment, name, &image(&format!("o/{name}"), "1.0.0"))).await?;
    }
    world.create(&World::asking(WorkloadKind::Deployment, "c", &image("o/c", "1.0.0"))).await?;
    for name in ["a", "b", "c"] {
        world.push(&format!("o/{name}"), "1.1.0").await?;
    }
    for name in ["a", "b"] {
        world.request(&image(&format!("o/{name}"), "1.1.0"), "Completed").await?;
    }
    world.request(&image("o/c", "1.1.0"), "Pending").await?;
    becomes("sum(headwind_updates_applied_total)", 2.0).await?;
    becomes("sum(headwind_update_apply_delay_seconds_count)", 2.0).await?;
    becomes("max(headwind_updates_pending)", 1.0).await?;
    ensure!(value("max(headwind_updates_pending_oldest_seconds)").await.is_ok_and(|age| age < 600.0), "the age of what waits");
    ensure!(value("count(headwind_build_info{version!=\"\"})").await == Ok(2.0), "each replica reports its version");

    for operator in [&world.operator, &second] {
        eventually("the page has the figures of both replicas", SOON, || async {
            let page = page(&world, operator).await?;
            let shows = [
                "From Prometheus at 127.0.0.1:",
                ">2</span><span>updates applied",
                ">3</span><span>webhook events",
                "All replicas are included",
            ];
            match shows.iter().find(|text| !page.contains(**text)) {
                None => Ok(()),
                Some(missing) => Err(format!("{missing} is not in {page}")),
            }
        })
        .await?;
    }

    // Every expression of the dashboard has data, and every rule can be evaluated.
    for expression in expressions()? {
        eventually(&expression, SOON, || async {
            let all = prometheus.query(&expression).await.map_err(|error| error.to_string())?;
            if all.is_empty() { Err("no data".to_owned()) } else { Ok(()) }
        })
        .await?;
    }
    let rules = world.http.get(format!("{}/api/v1/rules", prometheus.url())).send().await?.json::<Value>().await?;
    let rules = rules["data"]["groups"][0]["rules"].as_array().context("rules")?.clone();
    ensure!(rules.len() >= 9 && rules.iter().all(|rule| rule["health"] == "ok"), "{rules:?}");
    // No alert fires while everything works.
    ensure!(rules.iter().all(|rule| rule["state"] == "inactive"), "{rules:?}");

    prometheus.kill().await?;
    eventually("the page falls back", SOON, || async {
        let page = page(&world, &world.operator).await?;
        let fallen_back =
            page.contains("did not answer") && page.contains("failed to connect") && page.contains("From the metrics of this process");
        if fallen_back { Ok(()) } else { Err(page) }
    })
    .await
}

/// `promtool` accepts the rules, and their unit tests pass.
pub(crate) async fn rules() -> Result<()> {
    if lacks("observability_rules").await? {
        return Ok(());
    }
    let tools = Tools::ready().await?;
    for arguments in [["check", "rules", "alerts.yaml"], ["test", "rules", "alerts.test.yaml"]] {
        let output = promtool(&tools, &arguments, &files())?;
        let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        ensure!(output.status.success() && text.contains("SUCCESS"), "promtool {arguments:?}: {text}");
    }
    Ok(())
}
