//! The tenant: everything that one namespace and any pod on the network can do.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use headwind_testbed::workload::Live;
use headwind_testbed::{Bed, Demand, FakeRegistry, Fault, Fixture, Operator, WorkloadKind, payload};
use kube::Client;
use parking_lot::Mutex;
use serde_json::{Value, json};

/// Number of invalid calls per minute.
const JUNK: usize = 10_000;
/// Number of concurrent senders.
const SENDERS: usize = 16;
/// Number of workloads for each of the tenant's registries.
const EACH: usize = 20;
/// Size of one oversized object's annotations, in bytes; the API server allows 256 KiB.
const ANNOTATIONS: usize = 250 * 1024;
/// Interval between changes of the oversized objects.
const TOUCH: Duration = Duration::from_secs(2);
/// Number of tags in the registry with too many tags.
const TAGS: usize = 60_000;

/// The tenant, with its registries and objects.
pub(crate) struct Tenant {
    normal_host: String,
    _registries: Vec<FakeRegistry>,
    oversized: Vec<Live>,
    sent: AtomicUsize,
    answers: Mutex<BTreeMap<u16, usize>>,
}

/// Returns a Deployment with the most demanding settings.
fn greedy(name: &str, image: &str) -> Fixture {
    Fixture::new(WorkloadKind::Deployment, name)
        .container("web", image)
        .replicas(0)
        .headwind("policy", "all")
        .headwind("require-approval", "false")
        .headwind("min-update-interval", "0")
        .headwind("event-source", "both")
        .headwind("polling-interval", "1s")
}

impl Tenant {
    /// Creates the tenant's objects. `normal` is the registry that everybody uses.
    pub(crate) async fn create(bed: &Bed, client: &Client, normal: &FakeRegistry) -> Result<Self> {
        let namespace = bed.namespace("tenant").await?;
        let registries = registries().await?;
        for (place, registry) in registries.iter().enumerate() {
            for n in 0..EACH {
                let (name, repository) = (format!("bad-{place}-{n}"), format!("bad/app-{n}"));
                if place > 0 {
                    registry.push(&repository, "1.0.0", "1.0.0");
                }
                greedy(&name, &format!("{}/{repository}:1.0.0", registry.host())).create(client, &namespace).await?;
            }
        }
        broken_proxies(bed, client, &namespace, normal).await?;
        let mut oversized = Vec::new();
        for (n, annotations) in [keys(), list()].into_iter().enumerate() {
            let mut fixture = greedy(&format!("large-{n}"), &format!("{}/large:1.0.0", normal.host()));
            for (key, value) in annotations {
                fixture = fixture.headwind(&key, &value);
            }
            oversized.push(fixture.create(client, &namespace).await?);
        }
        refusing(bed, client, normal).await?;
        Ok(Self { normal_host: normal.host(), _registries: registries, oversized, sent: AtomicUsize::new(0), answers: Mutex::default() })
    }

    /// Returns how many invalid calls got a response.
    pub(crate) fn sent(&self) -> usize {
        self.sent.load(Ordering::Relaxed)
    }

    /// Returns the number of responses by status.
    pub(crate) fn answers(&self) -> String {
        self.answers.lock().iter().map(|(status, count)| format!("{status}: {count}")).collect::<Vec<_>>().join(", ")
    }

    /// Fails if the load was too low.
    pub(crate) fn check(&self, length: Duration) -> Result<()> {
        let wanted = usize::try_from(length.as_secs())? * JUNK / 60;
        ensure!(self.sent() >= wanted * 9 / 10, "only {} of {wanted} junk calls were made: this was no test", self.sent());
        Ok(())
    }

    /// Creates load until the end.
    pub(crate) async fn load(&self, operator: &Operator, end: Instant) -> Result<()> {
        let url = operator.notifications()?;
        let http = reqwest::Client::builder().local_address(Some([127, 0, 0, 2].into())).timeout(Duration::from_secs(20)).build()?;
        let senders = (0..SENDERS).map(|sender| self.junk(&http, url.clone(), sender, end));
        let touches = async {
            let mut round = 0_u64;
            while Instant::now() < end {
                for object in &self.oversized {
                    object
                        .edit(&json!({"metadata": {"labels": {"touched": round.to_string()}}}))
                        .await
                        .context("touching an oversized object")?;
                }
                round += 1;
                tokio::time::sleep(TOUCH).await;
            }
            anyhow::Ok(())
        };
        let junk = async {
            futures_util::future::join_all(senders).await;
            anyhow::Ok(())
        };
        tokio::try_join!(junk, touches).map(drop)
    }

    /// Runs one sender with its part of the rate. Responses are counted and otherwise ignored.
    async fn junk(&self, http: &reqwest::Client, url: reqwest::Url, sender: usize, end: Instant) {
        let pace = Duration::from_mins(1) * u32::try_from(SENDERS).unwrap_or(1) / u32::try_from(JUNK).unwrap_or(1);
        let mut due = tokio::time::interval(pace);
        due.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Burst);
        let mut round = 0;
        while Instant::now() < end {
            due.tick().await;
            let body = self.body(sender + round * SENDERS);
            let answer = http.post(url.clone()).header("content-type", "application/json").body(body).send().await;
            let status = answer.map_or(0, |answer| answer.status().as_u16());
            *self.answers.lock().entry(status).or_default() += 1;
            self.sent.fetch_add(1, Ordering::Relaxed);
            round += 1;
        }
    }

    /// Returns the n-th invalid body.
    fn body(&self, n: usize) -> String {
        let digest = format!("sha256:{n:064x}");
        match n % 8 {
            // Unused repositories.
            0..=2 => payload::distribution("nobody.test:5000", &format!("junk/app-{n}"), "1.0.0", &digest).to_string(),
            // Not JSON, or JSON without an event.
            3 => "{\"events\":[{".repeat(20),
            // Missing versions of normal workloads.
            4 => payload::distribution(&self.normal_host, &format!("team/app-{:03}", n % 500), &format!("1.999.{n}"), &digest).to_string(),
            // Pushes for the refusing namespace.
            5 => payload::distribution(&self.normal_host, &format!("refused/app-{}", n % EACH), &format!("1.{n}.0"), &digest).to_string(),
            // Many tags of one repository in one call.
            6 => {
                let events: Vec<Value> = (0..50)
                    .map(|tag| payload::distribution_event("push", &self.normal_host, "refused/app-0", &format!("2.{n}.{tag}"), &digest))
                    .collect();
                payload::distribution_events(&events).to_string()
            }
            // A deletion.
            _ => {
                payload::distribution_events(&[payload::distribution_event("delete", &self.normal_host, "team/app-001", "1.0.0", &digest)])
                    .to_string()
            }
        }
    }
}

/// Starts the tenant's own registries: no response, an endless response, byte by byte, too many tags, a token issuer
/// elsewhere, errors.
async fn registries() -> Result<Vec<FakeRegistry>> {
    let mut all = Vec::new();
    for _ in 0..6 {
        all.push(FakeRegistry::start().await?);
    }
    let [hangs, endless, drips, many, realm, _] = all.as_slice() else { return Ok(all) };
    hangs.misbehave(|_| Some(Fault::Hang));
    endless.misbehave(|seen| seen.path.contains("/tags/list").then_some(Fault::Huge(1 << 30)));
    drips.misbehave(|seen| seen.path.contains("/tags/list").then_some(Fault::Drip(Duration::from_millis(200))));
    for n in 0..TAGS {
        many.push("bad/app-0", &format!("1.{n}.0-with-a-name-that-is-as-long-as-a-tag-may-reasonably-be"), "x");
    }
    realm.demand(Demand::Bearer { realm: Some("http://169.254.169.254/token".to_owned()), login: None, expires_in: None });
    let errs = Arc::new(AtomicUsize::new(0));
    if let Some(last) = all.last() {
        last.misbehave(move |_| {
            let status = [500, 502, 429, 403][errs.fetch_add(1, Ordering::Relaxed) % 4];
            Some(Fault::Answer(status, vec![("retry-after", "1".to_owned())], "x".repeat(4096)))
        });
    }
    Ok(all)
}

/// Creates releases whose sources have a dead proxy for the registry that everybody uses.
async fn broken_proxies(bed: &Bed, client: &Client, namespace: &str, normal: &FakeRegistry) -> Result<()> {
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "proxy", "namespace": namespace},
        "stringData": {"address": "http://127.0.0.1:9"},
    });
    bed.apply_yaml(&secret.to_string()).await?;
    for n in 0..EACH {
        normal.push(&format!("charts/web-{n}"), "1.0.0", "1.0.0");
        Fixture::new(WorkloadKind::HelmRelease, &format!("release-{n}"))
            .container("web", &format!("{}/charts/web-{n}:1.0.0", normal.host()))
            .chart_ref(&format!("source-{n}"))
            .source_spec(&json!({"proxySecretRef": {"name": "proxy"}}))
            .headwind("policy", "minor")
            .headwind("require-approval", "false")
            .headwind("event-source", "both")
            .headwind("polling-interval", "1s")
            .create(client, namespace)
            .await?;
    }
    Ok(())
}

/// Creates a namespace that refuses UpdateRequests.
async fn refusing(bed: &Bed, client: &Client, normal: &FakeRegistry) -> Result<()> {
    let namespace = bed.namespace("refusing").await?;
    let quota = json!({
        "apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "none", "namespace": namespace},
        "spec": {"hard": {"count/updaterequests.headwind.sh": "0"}},
    });
    bed.apply_yaml(&quota.to_string()).await?;
    for n in 0..EACH {
        let repository = format!("refused/app-{n}");
        normal.push(&repository, "1.0.0", "1.0.0");
        // This version exists, so that there is a request to refuse.
        normal.push(&repository, "1.1.0", "1.1.0");
        greedy(&format!("app-{n}"), &format!("{}/{repository}:1.0.0", normal.host())).create(client, &namespace).await?;
    }
    Ok(())
}

/// Returns as many unknown keys as fit.
fn keys() -> Vec<(String, String)> {
    (0..ANNOTATIONS / 24).map(|n| (format!("polcy{n:05}"), String::new())).collect()
}

/// Returns one list as long as fits.
fn list() -> Vec<(String, String)> {
    vec![("images".to_owned(), "name,".repeat(ANNOTATIONS / 5))]
}
