//! Releases: charts that Flux deploys, from every kind of source, with the real controllers.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use headwind_k8s::update_request::UpdateRequest;
use headwind_testbed::chart::Chart;
use headwind_testbed::chart_repository::ChartRepository;
use headwind_testbed::registry::LOGIN;
use headwind_testbed::workload::Live;
use headwind_testbed::{Bed, Fixture, Registry, RegistryOptions, WorkloadKind, eventually};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt as _;
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, ObjectMeta, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use crate::rollout::{VERDICT, cause, ends};
use crate::world::{SOON, World};

/// Timeout of an upgrade: Flux fetches, renders and waits for pods, some seconds each.
const UPGRADE: Duration = Duration::from_secs(90);
const RELEASE: WorkloadKind = WorkloadKind::HelmRelease;

impl World {
    /// Creates a secret with these values.
    async fn secret(&self, name: &str, kind: &str, values: &[(&str, &str)]) -> Result<()> {
        let data: BTreeMap<String, ByteString> =
            values.iter().map(|(key, value)| ((*key).to_owned(), ByteString(value.as_bytes().to_vec()))).collect();
        let secret = Secret {
            metadata: ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() },
            type_: Some(kind.to_owned()),
            data: Some(data),
            ..Secret::default()
        };
        Api::<Secret>::namespaced(self.client.clone(), &self.namespace).create(&PostParams::default(), &secret).await?;
        Ok(())
    }

    /// Waits until the request for a release and a chart is in that phase.
    async fn of_release(&self, release: &str, chart: &str, phase: &str) -> Result<UpdateRequest> {
        eventually(&format!("{release}: a request for {chart} is {phase}"), UPGRADE, || async {
            let all = self.requests().await.map_err(|error| error.to_string())?;
            let ours = || all.iter().filter(|request| request.spec.target_ref.name == release);
            ours()
                .find(|request| request.spec.new_image == chart && request.phase().as_str() == phase)
                .cloned()
                .ok_or_else(|| ours().map(|one| format!("{} {:?}", one.spec.new_image, one.status)).collect::<Vec<_>>().join("\n"))
        })
        .await
    }

    async fn explained(&self, release: &str) -> Result<Value> {
        let path = format!("/api/v1/workloads/{}/HelmRelease/{release}/explain", self.namespace);
        let (code, body) = self.api("GET", &path, None).await?;
        ensure!(code == 200, "{code} {body}");
        Ok(body["containers"][0].clone())
    }
}

fn direct(name: &str, image: &str) -> Fixture {
    World::direct(RELEASE, name, image)
}

/// Returns a release with the chart `web` from an HTTP repository.
fn http(name: &str, repository: &ChartRepository) -> Fixture {
    direct(name, "unused/web:0.1.0").chart_repository(&repository.url(), "web", "0.1.0")
}

async fn publish(registry: &Registry, version: &str) -> Result<()> {
    registry.push_chart("charts", &Chart::new("web", version)).await.map(drop)
}

/// Every kind of source, open and locked, and every trigger: look-up at startup and for a new release, polling,
/// webhook; direct and by approval. Flux really upgrades the release.
pub(crate) async fn finds() -> Result<()> {
    Bed::start().await?.flux().await?;
    let (open, locked) = (ChartRepository::start().await?, ChartRepository::start().await?);
    locked.lock(Some(LOGIN));
    for repository in [&open, &locked] {
        repository.add(&Chart::new("web", "0.1.0"))?;
    }
    let oci_locked = Registry::start(&[], RegistryOptions { locked: true, ..RegistryOptions::default() }).await?;
    publish(&oci_locked, "0.1.0").await?;
    let world =
        World::prepared("helm", &[], |options| options.env("HEADWIND_POLLING_ENABLED", "true").env("HEADWIND_POLLING_INTERVAL", "1"))
            .await?;
    let oci = world.registry().await?;
    publish(&oci, "0.1.0").await?;

    let (user, password) = LOGIN;
    world.secret("login", "Opaque", &[("username", user), ("password", password)]).await?;
    let auths = json!({"auths": {oci_locked.addr(): {"username": user, "password": password}}}).to_string();
    world.secret("docker", "kubernetes.io/dockerconfigjson", &[(".dockerconfigjson", &auths)]).await?;
    let (plain, secret) = (oci.image("charts/web", "0.1.0"), oci_locked.image("charts/web", "0.1.0"));
    let polled = |fixture: Fixture| fixture.headwind("event-source", "polling");
    let fixtures = [
        http("looked-up", &open),
        polled(World::asking(RELEASE, "polled", "unused/web:0.1.0").chart_repository(&locked.url(), "web", "0.1.0")).source_secret("login"),
        direct("pushed", &plain),
        polled(direct("docker", &secret)).source_secret("docker"),
        direct("referred", &plain).chart_ref("referred"),
        polled(direct("referred-locked", &secret).chart_ref("referred-locked").source_secret("docker")),
    ];
    let mut lives = Vec::new();
    for fixture in &fixtures {
        lives.push(fixture.create(&world.client, &world.namespace).await?);
    }
    for live in &lives {
        live.rolled_out(UPGRADE).await?;
    }
    // It exists before the operator: looked up at startup, without polling or webhook.
    open.add(&Chart::new("web", "0.2.0"))?;
    world.operator.start().await?;
    world.operator.ready().await?;
    let completed = async |release: &str| world.of_release(release, "web:0.2.0", "Completed").await;
    let found = completed("looked-up").await?;
    ensure!(found.spec.update_type.artifacts() == headwind_core::artifact::ArtifactKind::Chart && found.spec.container_name.is_none());
    ensure!(found.spec.current_image == "web:0.1.0" && found.spec.trigger.0.as_str() == "polling", "{:?}", found.spec);

    // Published while it runs: found by polling, with the source's own secret, and it requires approval.
    locked.add(&Chart::new("web", "0.2.0"))?;
    publish(&oci_locked, "0.2.0").await?;
    let asked = world.of_release("polled", "web:0.2.0", "Pending").await?;
    ensure!(lives[1].image_of("web").await? == "web:0.1.0");
    world.does(&asked, "approve").await?;
    // The registry's webhook: a push like an image's, for the release and for the one with a reference.
    publish(&oci, "0.2.0").await?;
    for (fixture, live) in ["looked-up", "polled", "pushed", "docker", "referred", "referred-locked"].into_iter().zip(&lives) {
        let request = completed(fixture).await?;
        live.rolled_out(SOON).await?;
        ensure!(live.image_of("web").await? == "web:0.2.0", "{fixture}");
        ensure!(request.owner_references().iter().any(|owner| owner.kind == "HelmRelease"), "{fixture}");
    }
    ensure!(world.of_release("pushed", "web:0.2.0", "Completed").await?.spec.trigger.0.as_str() == "webhook");
    // New while it runs: looked up at once.
    let late = world.create(&direct("late", &secret).source_secret("login")).await?;
    completed("late").await?;
    late.rolled_out(SOON).await?;
    for metric in [
        "helm_chart_versions_checked_total",
        "helm_updates_found_total",
        "helm_updates_approved_total",
        "helm_updates_applied_total",
        "helm_repository_queries_total",
        "helm_repository_query_duration_seconds_count",
        "polling_helm_charts_checked_total",
        "polling_helm_new_versions_found_total",
    ] {
        ensure!(world.operator.metric(&format!("headwind_{metric}"), &[]).await? >= 1.0, "{metric} did not move");
    }
    world.counted("headwind_helm_updates_applied_total", 7.0).await?;
    reference_is_the_record(&world, &lives[4]).await?;
    // A missing repository has its own error, and is counted.
    locked.lock(Some(("another", "login")));
    eventually("the refusal is counted", SOON, || async {
        let scrape = world.operator.scrape().await.map_err(|error| error.to_string())?;
        if scrape.contains(r#"headwind_helm_repository_errors_total{class="denied"}"#) { Ok(()) } else { Err("not yet".to_owned()) }
    })
    .await
}

/// With `chartRef`, the change and its record are in the OCIRepository, in one write.
async fn reference_is_the_record(world: &World, live: &Live) -> Result<()> {
    let text = world.bed.kubectl_ok(&["get", "ocirepository", "referred", "-n", &world.namespace, "-o", "json"]).await?;
    let repository: Value = serde_json::from_str(&text)?;
    let annotations = &repository["metadata"]["annotations"];
    ensure!(repository["spec"]["ref"]["tag"] == "0.2.0" && annotations["headwind.sh/last-request"].is_string(), "{repository}");
    let own = live.annotations().await?;
    ensure!(!own.contains_key("headwind.sh/last-request"), "{own:?}");
    let history = world.api("GET", &format!("/api/v1/rollback/{}/HelmRelease/referred", world.namespace), None).await?;
    ensure!(history.0 == 200 && history.1["entries"][1]["image"] == "web:0.1.0", "{history:?}");
    Ok(())
}

/// While somebody edits an OCIRepository continuously, its tag is changed once and no edit is lost. A rollback restores
/// the tag.
pub(crate) async fn reference() -> Result<()> {
    let world = World::of(RELEASE, "reference").await?;
    let resource =
        ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk("source.toolkit.fluxcd.io", "v1", "OCIRepository"), "ocirepositories");
    let repositories: Api<DynamicObject> = Api::namespaced_with(world.client.clone(), &world.namespace, &resource);
    for round in 0..40 {
        let name = format!("app-{round}");
        let chart = format!("r/{name}");
        let source = world.source(&chart, "1.0.0").await?;
        let live = world.create(&direct(&name, &source).chart_ref(&name)).await?;
        live.rolled_out(UPGRADE).await?;
        let (mut count, done) = (0, tokio_util::sync::CancellationToken::new());
        let edits = async {
            while !done.is_cancelled() {
                count += 1;
                let patch = json!({"metadata": {"labels": {"edited": count.to_string()}}});
                repositories.patch(&name, &PatchParams::default(), &Patch::Merge(patch)).await?;
            }
            anyhow::Ok(())
        };
        let update = async {
            world.push(&chart, "1.1.0").await?;
            let seen = live.has_image("web", &format!("{name}:1.1.0"), SOON).await;
            done.cancel();
            seen
        };
        let (edited, updated) = tokio::join!(edits, update);
        edited?;
        updated?;
        let labels = repositories.get(&name).await?.metadata.labels.unwrap_or_default();
        ensure!(labels.get("edited") == Some(&count.to_string()), "the last edit is kept: {labels:?}");
        let mut audit = world.audit().context("this test needs the audit log")?;
        audit.catch_up(&world.client).await?;
        let ours = |verb: &str| world.operator.requests().verb(verb).resource("ocirepositories");
        ensure!(audit.count(&ours("patch").name(&name).successful())? == 1, "one patch");
        if audit.count(&ours("get"))? > 0 {
            world.of_release(&name, &format!("{name}:1.1.0"), "Completed").await?;
            let path = format!("/api/v1/rollback/{}/HelmRelease/{name}", world.namespace);
            let (code, body) = world.api("POST", &path, None).await?;
            ensure!(code == 200, "{code} {body}");
            live.has_image("web", &format!("{name}:1.0.0"), SOON).await?;
            world.of_release(&name, &format!("{name}:1.1.0"), "RolledBack").await?;
            return Ok(());
        }
    }
    anyhow::bail!("forty rounds without a conflict: the edits do not meet the update")
}

/// A failure: the release's `spec` besides the chart, the version, and Flux's message.
struct Case {
    name: &'static str,
    spec: Value,
    version: &'static str,
    reasons: &'static [&'static str],
    words: &'static str,
    taken_back: bool,
}

fn cases() -> Vec<Case> {
    let remediation = json!({"upgrade": {"remediation": {"retries": 1, "strategy": "rollback", "remediateLastFailure": true}}});
    let case = |name, spec, version, reasons, words, taken_back| Case { name, spec, version, reasons, words, taken_back };
    vec![
        case("unready", json!({}), "1.1.0-unready", &["UpgradeFailed"], "", true),
        case("watched-only", json!({}), "1.1.0-unready", &["UpgradeFailed"], "", false),
        case("template", json!({}), "1.1.0-broken", &["UpgradeFailed"], "broken", true),
        case("missing", json!({}), "1.1.0-gone", &["SourceNotReady"], "", true),
        case("remediated", remediation, "1.1.0-unready", &["Remediated", "UpgradeFailed", "RollbackSucceeded"], "", true),
    ]
}

/// Pods that never become ready, a template that cannot be rendered, a missing version, Flux's own remediation: each
/// ends with Flux's own message, the previous version is restored and Ready, and the failed one is not proposed again.
pub(crate) async fn bad_cases() -> Result<()> {
    let world = World::of(RELEASE, "bad").await?;
    let mut lives = Vec::new();
    for Case { name, spec, taken_back, .. } in &cases() {
        let source = world.source(&format!("bad/{name}"), "1.0.0").await?;
        let fixture = crate::rollout::watched(RELEASE, name, &source)
            // Every suffix of a chart's version is a pre-release.
            .headwind("policy", "all")
            .headwind("auto-rollback", &taken_back.to_string())
            .headwind("rollback-timeout", "25")
            .headwind("settle-time", "1")
            .spec(&json!({"timeout": "8s"}))
            .spec(spec);
        lives.push(world.create(&fixture).await?);
    }
    for live in &lives {
        live.rolled_out(UPGRADE).await?;
    }
    for Case { name, version, .. } in &cases() {
        world.push_bad(&format!("bad/{name}"), version).await?;
    }
    for (Case { name, version, reasons, words, taken_back, .. }, live) in cases().iter().zip(&lives) {
        let chart = format!("{name}:{version}");
        let request = ends(&world, &chart, &["RolledBack", "Failed", "Completed", "Superseded"], VERDICT * 2).await?;
        let status = request.status.clone().unwrap_or_default();
        let expected = if *taken_back { "RolledBack" } else { "Failed" };
        ensure!(request.phase().as_str() == expected, "{name}: {status:?}");
        ensure!(reasons.contains(&cause(&request).as_str()), "{name}: {status:?}");
        ensure!(!taken_back || status.reason.as_deref() == Some("RollbackComplete"), "{name}: {status:?}");
        ensure!(status.message.as_deref().is_some_and(|message| message.len() > 20 && message.contains(words)), "{name}: {status:?}");
        eprintln!("{name}: {:?} {:?}", status.reason, status.message);
        if *taken_back {
            ensure!(live.image_of("web").await? == format!("{name}:1.0.0"), "{name}");
            live.rolled_out(UPGRADE).await.with_context(|| format!("{name}: rolled back, but not ready"))?;
        } else {
            ensure!(live.image_of("web").await? == chart, "{name}: automatic rollback is disabled");
        }
    }
    world.counted("headwind_rollbacks_automatic_total", 4.0).await?;
    let before = world.requests().await?.len();
    for round in 0..4 {
        if round == 2 {
            world.operator.restart().await?;
        }
        for Case { name, version, .. } in &cases() {
            world.push_bad(&format!("bad/{name}"), version).await?;
        }
    }
    world.quiet().await?;
    ensure!(world.requests().await?.len() == before, "what failed is not offered again");
    for (Case { name, .. }, live) in
        cases().iter().filter(|case| case.taken_back).zip(lives.iter().filter(|live| live.name() != "watched-only"))
    {
        ensure!(live.image_of("web").await? == format!("{name}:1.0.0"), "{name}");
    }
    Ok(())
}

/// Releases that Headwind does not update report why; ten good ones next to them are updated.
pub(crate) async fn odd_ones() -> Result<()> {
    let platform = Bed::start().await?.namespace("platform").await?;
    let world = World::of_releases("odd", &[&platform]).await?;
    let good: Vec<String> = (0..10).map(|n| format!("good-{n}")).collect();
    let mut lives = Vec::new();
    for name in &good {
        let source = world.source("odd/web", "1.0.0").await?;
        lives.push(world.create(&direct(name, &source)).await?);
    }
    let source = world.source("odd/web", "1.0.0").await?;
    let at = |name: &str| direct(name, &source);
    let version = |version: &str| json!({"chart": {"spec": {"version": version}}});
    let from = |kind: &str, name: &str| json!({"chart": {"spec": {"sourceRef": {"kind": kind, "name": name}}}});
    let odd = [
        (at("range").spec(&version(">=1.0.0")), "VersionRange", "range"),
        (at("short").spec(&version("1.0")), "VersionRange", "range"),
        (at("suspended").spec(&json!({"suspend": true})), "Suspended", "the release is suspended"),
        (at("source-suspended").source_spec(&json!({"suspend": true})), "Suspended", "HelmRepository"),
        (at("missing").spec(&from("HelmRepository", "nobody")), "SourceMissing", "HelmRepository"),
        (at("git").spec(&from("GitRepository", "code")), "SourceUnsupported", "GitRepository"),
        (at("pinned").chart_ref("pinned").source_spec(&json!({"ref": {"semver": ">=1.0.0"}})), "VersionRange", "OCIRepository"),
        (at("shared-a").chart_ref("shared"), "SourceShared", "shared-source"),
        (at("shared-b").chart_ref("shared"), "SourceShared", "shared-source"),
        (at("allowed").chart_ref("twice"), "", ""),
        (at("with-allowed").chart_ref("twice").headwind("policy", "none"), "", ""),
    ];
    // The release's annotations do not matter, because the changed object has another owner.
    let foreign = at("foreign").chart_ref("foreign").spec(&json!({"chartRef": {"namespace": platform}})).headwind("shared-source", "true");
    let odd = [odd.as_slice(), &[(foreign, "SourceInOtherNamespace", "another namespace")]].concat();
    let address = source.rsplit_once(':').map(|(address, _)| address).unwrap_or_default();
    let theirs = json!({
        "apiVersion": "source.toolkit.fluxcd.io/v1", "kind": "OCIRepository", "metadata": {"name": "foreign", "namespace": platform},
        "spec": {"url": format!("oci://{address}"), "insecure": true, "interval": "1h", "ref": {"tag": "1.0.0"}},
    });
    world.bed.apply_yaml(&theirs.to_string()).await?;
    for (fixture, ..) in &odd {
        world.create(fixture).await?;
    }
    world.bed.kubectl_ok(&["-n", &world.namespace, "annotate", "ocirepository", "twice", "headwind.sh/shared-source=true"]).await?;
    world.push("odd/web", "1.1.0").await?;
    for live in &lives {
        live.has_image("web", "web:1.1.0", SOON).await?;
    }
    for (fixture, reason, words) in odd.iter().filter(|(_, reason, _)| !reason.is_empty()) {
        let name = fixture.json()["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        let explained = world.explained(&name).await?;
        let shown = explained["message"].as_str().unwrap_or_default();
        ensure!(explained["reason"] == *reason && shown.contains(words) && explained["wouldTake"].is_null(), "{name}: {explained}");
        // A suspended release is not reported: a person suspended it.
        if *reason != "Suspended" {
            world.has_event(&name, reason).await?;
        }
    }
    world.quiet().await?;
    let served: Vec<String> = world.requests().await?.iter().map(|request| request.spec.target_ref.name.clone()).collect();
    ensure!(served.len() == 11 && served.iter().all(|name| good.contains(name) || name == "allowed"), "{served:?}");
    for name in &good {
        world.of_release(name, "web:1.1.0", "Completed").await?;
    }
    let text = world.bed.kubectl_ok(&["-n", &platform, "get", "ocirepository", "foreign", "-o", "json"]).await?;
    let theirs: Value = serde_json::from_str(&text)?;
    ensure!(theirs["spec"]["ref"]["tag"] == "1.0.0" && !theirs["metadata"].to_string().contains("headwind.sh/"), "{theirs}");
    resumed(&world).await
}

/// A suspended release gets no request. An earlier request waits until it is resumed.
async fn resumed(world: &World) -> Result<()> {
    let source = world.source("odd/late", "1.0.0").await?;
    let live = world.create(&World::asking(RELEASE, "late", &source)).await?;
    live.rolled_out(UPGRADE).await?;
    world.push("odd/late", "1.1.0").await?;
    let request = world.of_release("late", "late:1.1.0", "Pending").await?;
    live.edit(&json!({"spec": {"suspend": true}})).await?;
    eventually("the operator knows that it is suspended", SOON, || async {
        let explained = world.explained("late").await.map_err(|error| error.to_string())?;
        if explained["reason"] == "Suspended" { Ok(()) } else { Err(explained.to_string()) }
    })
    .await?;
    world.does(&request, "approve").await?;
    eventually("the request says what it waits for", SOON, || async {
        let request = world.requests_api().get(&request.name_any()).await.map_err(|error| error.to_string())?;
        let status = request.status.unwrap_or_default();
        let waiting = status.conditions.iter().find(|condition| condition.type_ == "Waiting" && condition.status == "True");
        let says = waiting.is_some_and(|waiting| waiting.reason == "Suspended" && waiting.message == "the release is suspended");
        // The end of the wait is unknown, and no other field shows one.
        let alone = status.waiting_until.is_none() && status.reason.as_deref() == Some("ApprovedByPerson");
        if says && alone { Ok(()) } else { Err(format!("{status:?}")) }
    })
    .await?;
    ensure!(live.image_of("web").await? == "late:1.0.0", "nothing is written while it is suspended");
    live.edit(&json!({"spec": {"suspend": false}})).await?;
    world.of_release("late", "late:1.1.0", "Completed").await?;
    live.rolled_out(SOON).await
}
