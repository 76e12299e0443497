//! Polling registries instead of waiting for webhooks: real registries that are open, locked and behind a token server,
//! and a fake one that counts requests.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use futures_util::{StreamExt as _, TryStreamExt as _};
use headwind_testbed::registry::{LOGIN, canaries};
use headwind_testbed::{
    Demand, FakeRegistry, Operator, OperatorOptions, Registry, RegistryOptions, TokenGate, WorkloadKind, eventually, payload,
};
use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{LocalObjectReference, Secret, ServiceAccount};
use kube::ResourceExt as _;
use kube::api::{Api, ObjectMeta, PostParams};
use serde_json::json;

use crate::world::{SOON, World};

/// Configures an operator that polls each second, and uses plain HTTP for these hosts.
fn polling(hosts: &[&str], file: &tempfile::NamedTempFile) -> Result<impl FnOnce(OperatorOptions) -> OperatorOptions + use<>> {
    name_hosts(hosts, file)?;
    let path = file.path().to_string_lossy().into_owned();
    Ok(move |options: OperatorOptions| {
        options.env("HEADWIND_POLLING_ENABLED", "true").env("HEADWIND_POLLING_INTERVAL", "1").env("HEADWIND_REGISTRY_CONFIG", &path)
    })
}

pub(crate) fn name_hosts(hosts: &[&str], file: &tempfile::NamedTempFile) -> Result<()> {
    let entries: Vec<_> = hosts.iter().map(|host| json!({"host": host, "plainHttp": true})).collect();
    Ok(std::fs::write(file.path(), json!({"registries": entries}).to_string())?)
}

fn settings() -> Result<tempfile::NamedTempFile> {
    Ok(tempfile::NamedTempFile::new()?)
}

impl World {
    /// Creates a pull secret; `.dockercfg` has the old format.
    async fn pull_secret(&self, name: &str, key: &str, host: &str, (user, password): (&str, &str)) -> Result<()> {
        let auth = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
        let auths = json!({ host: {"auth": auth} });
        let (kind, content) = match key {
            ".dockercfg" => ("kubernetes.io/dockercfg", auths),
            _ => ("kubernetes.io/dockerconfigjson", json!({ "auths": auths })),
        };
        let secret = Secret {
            metadata: ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() },
            type_: Some(kind.to_owned()),
            data: Some(BTreeMap::from([(key.to_owned(), ByteString(content.to_string().into_bytes()))])),
            ..Secret::default()
        };
        Api::<Secret>::namespaced(self.client.clone(), &self.namespace).create(&PostParams::default(), &secret).await?;
        Ok(())
    }

    async fn service_account(&self, name: &str, secret: &str) -> Result<()> {
        let account = ServiceAccount {
            metadata: ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() },
            image_pull_secrets: Some(vec![LocalObjectReference { name: secret.to_owned() }]),
            ..ServiceAccount::default()
        };
        Api::<ServiceAccount>::namespaced(self.client.clone(), &self.namespace).create(&PostParams::default(), &account).await?;
        Ok(())
    }

    /// Checks that the canary is in no log, no metric, no Event and no request.
    async fn keeps_the_canary(&self) -> Result<()> {
        let events: Api<k8s_openapi::api::events::v1::Event> = Api::namespaced(self.client.clone(), &self.namespace);
        let metrics = self.http.get(format!("{}/metrics", self.operator.metrics_url())).send().await?.text().await?;
        let places = [
            ("the log", self.operator.logs()?),
            ("the metrics", metrics),
            ("Events", serde_json::to_string(&events.list(&kube::api::ListParams::default()).await?.items)?),
            ("requests", serde_json::to_string(&self.requests().await?)?),
        ];
        for (place, text) in places {
            ensure!(!text.is_empty() || place == "requests", "{place}: nothing to look at");
            ensure!(!canaries().iter().any(|canary| text.contains(canary)), "the credential is in {place}");
        }
        Ok(())
    }

    async fn checked(&self, at_least: f64) -> Result<()> {
        eventually("scans were answered", SOON, || async {
            let now = self.operator.metric("headwind_polling_images_checked_total", &[]).await.map_err(|error| error.to_string())?;
            if now >= at_least { Ok(()) } else { Err(now.to_string()) }
        })
        .await
    }
}

/// A new tag and a changed digest, from an open registry, a locked one and one behind a token server, with each source
/// of credentials, direct and by approval.
pub(crate) async fn finds(kind: WorkloadKind) -> Result<()> {
    let open = Registry::start(&[], RegistryOptions::default()).await?;
    let locked = Registry::start(&[], RegistryOptions { locked: true, ..RegistryOptions::default() }).await?;
    let gate = TokenGate::start(open.addr()).await?;
    let file = settings()?;
    let options = polling(&[open.addr(), locked.addr(), gate.addr()], &file)?;
    let world = World::prepared("poll", &[], options).await?;
    for registry in [&open, &locked] {
        registry.push("shop/web", "1.0.0", "old").await?;
        registry.push("shop/web", "main", "old").await?;
    }
    world.pull_secret("locked", ".dockerconfigjson", locked.addr(), LOGIN).await?;
    world.pull_secret("wrong", ".dockerconfigjson", locked.addr(), ("puller", "wrong")).await?;
    world.pull_secret("gate", ".dockercfg", &format!("http://{}/v2/", gate.addr()), LOGIN).await?;
    world.service_account("puller", "gate").await?;
    let image = |host: &str, tag: &str| format!("{host}/shop/web:{tag}");

    let direct = |name: &str, image: &str| World::direct(kind, name, image).headwind("event-source", "polling");
    let asking = World::asking(kind, "template", &image(locked.addr(), "1.0.0")).headwind("event-source", "polling");
    let fixtures = [
        direct("anonymous", &image(open.addr(), "1.0.0")),
        asking.pull_secret("missing").pull_secret("wrong").pull_secret("locked"),
        direct("account", &image(gate.addr(), "1.0.0")).service_account("puller"),
        direct("restarts", &image(gate.addr(), "main")).pull_policy("Always").headwind("policy", "force").service_account("puller"),
        direct("pins", &image(locked.addr(), "main")).headwind("policy", "force").headwind("digest-update", "pin").pull_secret("locked"),
        World::direct(kind, "not-polled", &image(open.addr(), "1.0.0")),
    ];
    let mut live = Vec::new();
    for fixture in fixtures {
        live.push(fixture.create(&world.client, &world.namespace).await?);
    }
    let [anonymous, template, account, restarts, pins, not_polled] = live.as_slice() else { anyhow::bail!("six workloads") };
    world.operator.start().await?;
    world.operator.ready().await?;
    // The first digest is recorded and not rolled out.
    for live in [restarts, pins] {
        eventually("the digest is noted", SOON, || async {
            let annotations = live.annotations().await.map_err(|error| error.to_string())?;
            annotations.get("headwind.sh/seen.web").cloned().ok_or_else(|| format!("{annotations:?}"))
        })
        .await?;
    }
    world.checked(10.0).await?;
    ensure!(world.requests().await?.is_empty(), "nothing is new yet");

    let mut moved = Vec::new();
    for registry in [&open, &locked] {
        registry.push("shop/web", "1.1.0", "new").await?;
        moved.push(registry.push("shop/web", "main", "new").await?);
    }
    anonymous.has_image("web", &image(open.addr(), "1.1.0"), SOON).await?;
    account.has_image("web", &image(gate.addr(), "1.1.0"), SOON).await?;
    pins.has_image("web", &format!("{}@{}", image(locked.addr(), "main"), moved[1]), SOON).await?;
    eventually("the pods are recreated", SOON, || async {
        let annotations = restarts.template_annotations().await.map_err(|error| error.to_string())?;
        if annotations.get("headwind.sh/digest.web") == Some(&format!("{}@{}", image(gate.addr(), "main"), moved[0])) {
            Ok(())
        } else {
            Err(format!("{annotations:?}"))
        }
    })
    .await?;
    let request = world.request(&image(locked.addr(), "1.1.0"), "Pending").await?;
    ensure!(serde_json::to_value(&request.spec)?["trigger"] == "polling");
    world.does(&request, "approve").await?;
    template.has_image("web", &image(locked.addr(), "1.1.0"), SOON).await?;
    ensure!(not_polled.image_of("web").await? == image(open.addr(), "1.0.0"));

    world.counted("headwind_polling_new_tags_found_total", 5.0).await?;
    ensure!(world.operator.metric("headwind_polling_cycles_total", &[]).await? >= 5.0);
    ensure!(world.operator.metric("headwind_polling_resources_filtered_total", &[]).await? >= 1.0);
    ensure!(world.operator.metric("headwind_polling_lateness_seconds_count", &[]).await? >= 5.0);
    world.keeps_the_canary().await
}

/// A digest that changes while the operator is down is found after its restart.
pub(crate) async fn after_a_restart() -> Result<()> {
    let registry = FakeRegistry::start().await?;
    let file = settings()?;
    let world = World::with("pollrestart", polling(&[&registry.host()], &file)?).await?;
    registry.push("web", "main", "old");
    let image = format!("{}/web:main", registry.host());
    let live = world
        .create(&World::direct(WorkloadKind::Deployment, "web", &image).headwind("policy", "force").headwind("event-source", "polling"))
        .await?;
    eventually("the digest is noted", SOON, || async {
        let annotations = live.annotations().await.map_err(|error| error.to_string())?;
        annotations.get("headwind.sh/seen.web").cloned().ok_or_else(|| format!("{annotations:?}"))
    })
    .await?;
    world.operator.kill9().await?;
    let moved = registry.push("web", "main", "new");
    world.operator.start().await?;
    live.has_image("web", &format!("{image}@{moved}"), SOON).await
}

/// A cycle without new versions is one request for the tags and one HEAD for each followed digest, for all workloads
/// together. It writes and logs nothing. Two replicas send no more than one.
pub(crate) async fn quiet() -> Result<()> {
    let registry = FakeRegistry::start().await?;
    let canary = LOGIN;
    registry.demand(Demand::Bearer { realm: None, login: Some((canary.0.to_owned(), canary.1.to_owned())), expires_in: Some(3600) });
    let elsewhere = FakeRegistry::start().await?;
    for fake in [&registry, &elsewhere] {
        fake.push("shop/web", "1.0.0", "x");
        fake.push("shop/web", "main", "x");
    }
    registry.etags(true);
    let file = settings()?;
    let world = World::with("pollquiet", polling(&[&registry.host(), &elsewhere.host()], &file)?).await?;
    world.pull_secret("canary", ".dockerconfigjson", &registry.host(), canary).await?;
    world.pull_secret("copy", ".dockerconfigjson", &registry.host(), canary).await?;
    let image = |host: &str, tag: &str| format!("{host}/shop/web:{tag}");
    for (name, secret) in [("a", "canary"), ("b", "canary"), ("c", "copy")] {
        let fixture = World::direct(WorkloadKind::Deployment, name, &image(&registry.host(), "1.0.0"));
        world.create(&fixture.headwind("event-source", "polling").pull_secret(secret)).await?;
    }
    let mut follow = Vec::new();
    for name in ["d", "e"] {
        let fixture = World::direct(WorkloadKind::Deployment, name, &image(&registry.host(), "main")).headwind("policy", "force");
        follow.push(world.create(&fixture.headwind("event-source", "polling").pull_secret("canary")).await?);
    }
    let fixture = World::direct(WorkloadKind::Deployment, "f", &image(&elsewhere.host(), "1.0.0"));
    world.create(&fixture.headwind("event-source", "polling").pull_secret("canary")).await?;
    // The only write of a scan: the digest that it first saw.
    for live in &follow {
        eventually("the digest is noted", SOON, || async {
            let annotations = live.annotations().await.map_err(|error| error.to_string())?;
            annotations.keys().any(|key| key.starts_with("headwind.sh/seen")).then_some(()).ok_or_else(|| format!("{annotations:?}"))
        })
        .await?;
    }
    world.checked(30.0).await?;
    let options = polling(&[&registry.host(), &elsewhere.host()], &file)?(OperatorOptions::new(&world.namespace));
    let second = Operator::run(world.bed, options.replica("headwind-1")).await?;
    second.ready().await?;

    let writes = || async {
        let mut audit = world.audit().context("the test bed's audit log")?;
        audit.catch_up(&world.client).await?;
        let all = audit.entries(&world.operator.requests().writes())?;
        let described = |entry: headwind_testbed::audit::Entry| {
            format!("{} {} {}: {} {:?}", entry.verb, entry.resource, entry.name, entry.code, entry.body)
        };
        anyhow::Ok(all.into_iter().filter(|entry| entry.resource != "leases").map(described).collect::<Vec<_>>())
    };
    let (before, since) = (writes().await?, Timestamp::now());
    let (log, cycles) = (world.operator.logs()?.len(), world.operator.metric("headwind_polling_cycles_total", &[]).await?);
    registry.take_lines();
    elsewhere.take_lines();
    eventually("twenty quiet cycles", SOON, || async {
        let now = world.operator.metric("headwind_polling_cycles_total", &[]).await.map_err(|error| error.to_string())?;
        if now - cycles >= 20.0 { Ok(()) } else { Err(format!("{now}")) }
    })
    .await?;
    let (lines, others) = (registry.take_lines(), elsewhere.take_lines());
    let scans = world.operator.metric("headwind_polling_cycles_total", &[]).await? - cycles;
    let lists = lines.iter().filter(|line| *line == "GET /v2/shop/web/tags/list?n=1000 bearer 304").count();
    let heads = lines.iter().filter(|line| *line == "HEAD /v2/shop/web/manifests/main bearer 200").count();
    ensure!(lists + heads == lines.len(), "nothing else is asked: {lines:#?}");
    ensure!(lists.abs_diff(heads) <= 1, "one of each a cycle: {lists} lists, {heads} heads");
    ensure!(others.iter().all(|line| line == "GET /v2/shop/web/tags/list?n=1000 - 200"), "{others:#?}");
    let asked = f64::from(u32::try_from(lists + others.len())?);
    ensure!((asked - scans).abs() <= 2.0, "a scan is one list: {scans} scans, {asked} lists");
    ensure!(second.metric("headwind_polling_cycles_total", &[]).await? < 0.5, "a standby asks nothing");
    ensure!(!elsewhere.saw(canary.1), "another host saw the credential");
    let after = writes().await?;
    ensure!(after.len() == before.len(), "a quiet cycle writes nothing: {:#?}", &after[before.len()..]);
    let mut audit = world.audit().context("the test bed's audit log")?;
    audit.catch_up(&world.client).await?;
    let mut calls = |verb| anyhow::Ok(audit.entries(&world.operator.requests().since(since).resource("leases").verb(verb))?.len());
    let (reads, renewals) = (calls("get")?, calls("update")?);
    ensure!(
        reads < renewals + renewals.div_ceil(2),
        "a renewal is one call, and only the standby reads: {reads} reads, {renewals} renewals"
    );
    let said = world.operator.logs()?.split_off(log);
    let loud: Vec<&str> = said.lines().filter(|line| line.contains("\"level\":\"INFO\"") || line.contains("\"level\":\"WARN\"")).collect();
    ensure!(loud.is_empty(), "{loud:?}");
    world.keeps_the_canary().await
}

/// New and changed workloads are polled at once, and removed ones no longer.
pub(crate) async fn comes_and_goes() -> Result<()> {
    let registry = FakeRegistry::start().await?;
    let file = settings()?;
    let options = polling(&[&registry.host()], &file)?;
    let world = World::with("polllive", |all| options(all).env("HEADWIND_APPROVAL_CONFIRM", "true")).await?;
    for repository in ["one", "two"] {
        registry.push(repository, "1.0.0", "x");
    }
    let image = |repository: &str, tag: &str| format!("{}/{repository}:{tag}", registry.host());
    let one =
        world.create(&World::asking(WorkloadKind::Deployment, "one", &image("one", "1.0.0")).headwind("event-source", "both")).await?;
    let asked = async |repository: &str| {
        eventually("the repository is asked for", SOON, || async {
            let path = format!("/v2/{repository}/");
            let lines = registry.take_lines();
            if lines.iter().any(|line| line.contains(&path)) { Ok(()) } else { Err(format!("{repository}: {lines:?}")) }
        })
        .await
    };
    asked("one").await?;
    // A tag whose query fails (Harbor: 412 for a vulnerable image) affects its followers only. A version that is listed
    // and was deleted is not proposed, and the next best is.
    registry.misbehave(|seen| {
        let faults = [("/manifests/old", 412), ("/manifests/1.3.0", 404)];
        let fault = faults.iter().find(|(tail, _)| seen.path.ends_with(tail));
        fault.map(|(_, status)| headwind_testbed::Fault::Answer(*status, Vec::new(), String::new()))
    });
    registry.push("one", "1.3.0", "x");
    let refused = World::direct(WorkloadKind::Deployment, "a-refused", &image("one", "old")).headwind("policy", "force");
    let refused = world.create(&refused.headwind("event-source", "polling")).await?;
    eventually("the tag is refused", SOON, || async {
        if registry.take_lines().iter().any(|line| line.ends_with(" 412")) { Ok(()) } else { Err("not asked".to_owned()) }
    })
    .await?;
    // A deleted repository, an empty list and an error trigger no update.
    registry.push("one", "1.2.0", "x");
    let request = world.request(&image("one", "1.2.0"), "Pending").await?;
    ensure!(world.requests().await?.iter().all(|request| request.spec.new_image != image("one", "1.3.0")), "1.3.0 does not exist");
    registry.remove("one", "1.3.0");
    refused.annotate("headwind.sh/event-source", Some("webhook")).await?;
    registry.remove("one", "1.2.0");
    registry.remove("one", "1.0.0");
    asked("one").await?;
    registry.misbehave(|_| Some(headwind_testbed::Fault::Answer(500, Vec::new(), String::new())));
    eventually("the error is counted", SOON, || async {
        let errors =
            world.operator.metric("headwind_polling_errors_total", &[("class", "unavailable")]).await.map_err(|e| e.to_string())?;
        if errors >= 1.0 { Ok(()) } else { Err(errors.to_string()) }
    })
    .await?;
    registry.behave();
    ensure!(world.requests().await?.iter().any(|open| open.name_any() == request.name_any() && open.phase().as_str() == "Pending"));

    one.set_image("web", &image("two", "1.0.0")).await?;
    asked("two").await?;
    one.annotate("headwind.sh/event-source", Some("webhook")).await?;
    eventually("nothing is asked any more", SOON, || async {
        registry.take_lines();
        let cycles = world.operator.metric("headwind_polling_cycles_total", &[]).await.map_err(|error| error.to_string())?;
        tokio::time::sleep(Duration::from_secs(3)).await;
        let lines = registry.take_lines();
        let now = world.operator.metric("headwind_polling_cycles_total", &[]).await.map_err(|error| error.to_string())?;
        if lines.is_empty() && (now - cycles).abs() < 0.5 { Ok(()) } else { Err(format!("{lines:?}")) }
    })
    .await
}

/// Without webhook authentication, Headwind verifies claims with the registry first, with the workload's credential.
pub(crate) async fn confirms() -> Result<()> {
    let registry = FakeRegistry::start().await?;
    registry.demand(Demand::Basic(LOGIN.0.to_owned(), LOGIN.1.to_owned()));
    let there = registry.push("web", "1.1.0", "there");
    let file = settings()?;
    let options = polling(&[&registry.host()], &file)?;
    let world = World::prepared("confirm", &[], |all| options(all).env("HEADWIND_POLLING_ENABLED", "false")).await?;
    world.operator.set_env("HEADWIND_WEBHOOK_CONFIRM", None);
    world.operator.start().await?;
    world.operator.ready().await?;
    world.pull_secret("mine", ".dockerconfigjson", &registry.host(), LOGIN).await?;
    let image = |tag: &str| format!("{}/web:{tag}", registry.host());
    let with = |name: &str| World::asking(WorkloadKind::Deployment, name, &image("1.0.0"));
    world.create(&with("web").pull_secret("mine")).await?;
    world.create(&with("stranger")).await?;
    let lie = crate::world::digest('f');
    for tag in ["1.2.0", "1.1.0"] {
        let (status, body) = world.post(&payload::distribution(&registry.host(), "web", tag, &lie)).await?;
        ensure!(status == 202, "{status} {body}");
    }
    world.has_event("web", "NotInRegistry").await?;
    world.has_event("stranger", "NotConfirmed").await?;
    let request = world.request(&image("1.1.0"), "Pending").await?;
    ensure!(request.spec.target_ref.name == "web" && request.spec.new_digest.as_deref() == Some(&there), "{:?}", request.spec);
    ensure!(world.requests().await?.len() == 1);

    // A registry may send a notification before it has linked the tag.
    registry.take_lines();
    let (status, body) = world.post(&payload::distribution(&registry.host(), "web", "1.1.1", &lie)).await?;
    ensure!(status == 202, "{status} {body}");
    eventually("the tag is missing", SOON, || async {
        let lines = registry.take_lines();
        if lines.iter().any(|line| line.ends_with(" 404")) { Ok(()) } else { Err(format!("{lines:?}")) }
    })
    .await?;
    registry.push("web", "1.1.1", "late");
    world.request(&image("1.1.1"), "Pending").await?;

    // A registry that does not respond is queried again until it does.
    registry.misbehave(|_| Some(headwind_testbed::Fault::Answer(503, Vec::new(), String::new())));
    registry.push("web", "1.3.0", "later");
    registry.take_lines();
    let (status, _) = world.post(&payload::distribution(&registry.host(), "web", "1.3.0", &lie)).await?;
    ensure!(status == 202);
    eventually("it is asked", SOON, || async {
        let lines = registry.take_lines();
        if lines.iter().any(|line| line.ends_with(" 503")) { Ok(()) } else { Err(format!("{lines:?}")) }
    })
    .await?;
    registry.behave();
    world.request(&image("1.3.0"), "Pending").await?;
    world.keeps_the_canary().await
}

/// A real registry sends notifications about Headwind's own HEADs: these cost no API call.
pub(crate) async fn own_pulls() -> Result<()> {
    let file = settings()?;
    let world = World::prepared("ownpulls", &[], polling(&[], &file)?).await?;
    let registry = Registry::start(&[world.operator.notifications()?], RegistryOptions::default()).await?;
    name_hosts(&[registry.addr()], &file)?;
    world.operator.start().await?;
    world.operator.ready().await?;
    registry.push("web", "main", "x").await?;
    world
        .create(
            &World::direct(WorkloadKind::Deployment, "web", &registry.image("web", "main"))
                .headwind("policy", "force")
                .headwind("event-source", "polling"),
        )
        .await?;
    world.checked(2.0).await?;
    let mut audit = world.audit().context("the test bed's audit log")?;
    let since = Timestamp::now();
    let (checked, ignored) = (
        world.operator.metric("headwind_polling_images_checked_total", &[]).await?,
        world.operator.metric("headwind_webhook_ignored_total", &[("reason", "NotAPush")]).await?,
    );
    world.checked(checked + 10.0).await?;
    eventually("its own pulls come back", SOON, || async {
        let now =
            world.operator.metric("headwind_webhook_ignored_total", &[("reason", "NotAPush")]).await.map_err(|error| error.to_string())?;
        if now - ignored >= 10.0 { Ok(()) } else { Err(format!("{}", now - ignored)) }
    })
    .await?;
    let cost = world.calls(&mut audit, since).await?;
    ensure!(cost.is_empty(), "pulls cost API calls: {cost:?}");
    Ok(())
}

/// 2,000 workloads with 200 repositories on five hosts, one that never responds and one that takes 2 s per request: the
/// others are queried on time, each repository once per interval.
pub(crate) async fn at_scale() -> Result<()> {
    const INTERVAL: Duration = Duration::from_secs(20);
    const ROUNDS: u32 = 3;
    let mut hosts = Vec::new();
    for _ in 0..5 {
        hosts.push(FakeRegistry::start().await?);
    }
    for (index, host) in hosts.iter().enumerate() {
        for repository in 0..40 {
            host.push(&format!("team/app{repository}"), "1.0.0", "x");
        }
        match index {
            0 => host.misbehave(|_| Some(headwind_testbed::Fault::Hang)),
            1 => host.misbehave(|_| Some(headwind_testbed::Fault::Late(Duration::from_secs(2)))),
            _ => {}
        }
    }
    let names: Vec<String> = hosts.iter().map(|host| host.host()).collect();
    let file = settings()?;
    let options = polling(&names.iter().map(String::as_str).collect::<Vec<_>>(), &file)?;
    let seconds = INTERVAL.as_secs().to_string();
    let world = World::prepared("pollscale", &[], |all| options(all).env("HEADWIND_POLLING_INTERVAL", &seconds)).await?;
    let fixtures = (0..2000_usize).map(|number| {
        let image = format!("{}/team/app{}:1.0.0", names[number % 5], (number / 5) % 40);
        World::asking(WorkloadKind::Deployment, &format!("w{number}"), &image).headwind("event-source", "polling").replicas(0)
    });
    let create = |fixture: headwind_testbed::Fixture| {
        let (client, namespace) = (world.client.clone(), world.namespace.clone());
        async move { fixture.create(&client, &namespace).await.map(drop) }
    };
    futures_util::stream::iter(fixtures.map(create)).buffer_unordered(16).try_collect::<Vec<()>>().await?;
    world.operator.start().await?;
    world.operator.ready().await?;

    // The first scans are spread over the first interval; then a whole number of intervals.
    tokio::time::sleep(INTERVAL + Duration::from_secs(2)).await;
    for host in &hosts {
        host.take_log();
    }
    tokio::time::sleep(INTERVAL * ROUNDS).await;
    let logs: Vec<_> = hosts.iter().map(|host| host.take_log()).collect();
    for log in &logs[2..] {
        let mut counts: BTreeMap<&str, u32> = BTreeMap::new();
        for seen in log {
            ensure!(seen.status == 200, "{seen}");
            *counts.entry(&seen.path).or_default() += 1;
        }
        ensure!(counts.len() == 40, "every repository is asked: {}", counts.len());
        ensure!(counts.values().all(|count| count.abs_diff(ROUNDS) <= 1), "once an interval: {counts:?}");
        // Ten workloads share a repository, and cost no more than one.
        ensure!(log.len().abs_diff(40 * 3) <= 12, "the floor is {}, asked were {}", 40 * 3, log.len());
    }
    ensure!(logs[1].len() >= 40, "the slow one is asked as fast as it goes: {}", logs[1].len());
    ensure!(logs[0].len() <= 6, "the dead one is left alone: {}", logs[0].len());
    let text = world.http.get(format!("{}/metrics", world.operator.metrics_url())).send().await?.text().await?;
    for line in text.lines().filter(|line| line.starts_with("headwind_polling_lateness_seconds")) {
        eprintln!("{line}");
    }
    Ok(())
}
