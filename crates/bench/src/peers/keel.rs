//! Keel (`github.com/keel-hq/keel`): the permissions of its chart, one namespace, its native webhook.
//!
//! Keel has no option for its port. With the external authentication proxy, it listens on loopback only. It does not
//! authenticate webhooks.

use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;

use anyhow::{Context as _, Result};
use headwind_testbed::controller::Controller;
use headwind_testbed::{Bed, Fixture, Query, eventually};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::LONG;
use crate::load::HOST;
use crate::peers::{INTERVAL, Tool, account};

const PORT: u16 = 9300;
const ACCOUNT: &str = "keel";

/// Adds the annotation that follows minor versions by webhook. An update needs no approval.
pub(crate) fn annotated(fixture: Fixture) -> Fixture {
    fixture.annotation("keel.sh/policy", "minor")
}

/// Adds the annotations that follow minor versions by polling.
pub(crate) fn polled(fixture: Fixture) -> Fixture {
    annotated(fixture).annotation("keel.sh/trigger", "poll").annotation("keel.sh/pollSchedule", &format!("@every {}s", INTERVAL.as_secs()))
}

/// Keel.
pub(crate) struct Keel {
    process: Controller,
    namespace: String,
    http: reqwest::Client,
}

/// The answer of `/version`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct About {
    version: String,
    revision: String,
    go_version: String,
}

impl Keel {
    /// Prepares a Keel that watches this namespace, with a database in a folder of its own.
    pub(crate) async fn new(bed: &Bed, namespace: &str, binary: &Path) -> Result<Self> {
        let process = Controller::foreign("keel", binary, &["--no-incluster"], &url("healthz"), async |folder| {
            let kubeconfig = folder.join("kubeconfig");
            account::kubeconfig(bed, namespace, ACCOUNT, &rules(), &kubeconfig).await?;
            Ok([
                ("KUBERNETES_CONFIG", kubeconfig.to_string_lossy().into_owned()),
                ("RESTRICTED_NAMESPACE", namespace.to_owned()),
                ("XDG_DATA_HOME", folder.to_string_lossy().into_owned()),
                ("AUTH_MODE", "external-proxy".to_owned()),
                // The registry of the test bed uses plain HTTP.
                ("INSECURE_REGISTRY", "true".to_owned()),
            ])
        })
        .await?;
        Ok(Self { process, namespace: namespace.to_owned(), http: reqwest::Client::builder().no_proxy().build()? })
    }

    /// Starts it for a moment. Returns its version, its commit, and the version of Go that built it.
    pub(crate) async fn version(&self) -> Result<String> {
        self.start(0, false).await?;
        let About { version, revision, go_version } = self.http.get(url("version")).send().await?.json().await?;
        self.stop().await?;
        let or_unknown = |text: String| if text.is_empty() { "unknown".to_owned() } else { text };
        Ok(format!("Keel {} (commit {}, {go_version})", or_unknown(version), or_unknown(revision)))
    }

    async fn metrics(&self) -> Result<String> {
        Ok(self.http.get(url("metrics")).send().await?.error_for_status()?.text().await?)
    }
}

impl Tool for Keel {
    const NAME: &'static str = "Keel";

    async fn start(&self, deployments: usize, polling: bool) -> Result<()> {
        // If another program answered at the port, it would be measured instead.
        drop(TcpListener::bind((Ipv4Addr::LOCALHOST, PORT)).with_context(|| format!("port {PORT}, which Keel always uses"))?);
        self.process.start_with(&[("POLL", &polling.to_string())]).await?;
        let expected = f64::from(u32::try_from(deployments)?);
        eventually("Keel knows every Deployment", LONG, || async {
            let metrics = self.metrics().await.map_err(|error| error.to_string())?;
            let added = sum(&metrics, "kubernetes_event_buffer_events_total", "event=\"add\"");
            let waiting = sum(&metrics, "kubernetes_event_buffer_queue_depth", "");
            if added >= expected && waiting < 0.5 { Ok(()) } else { Err(format!("{added} known, {waiting} waiting")) }
        })
        .await
    }

    async fn stop(&self) -> Result<()> {
        self.process.kill().await
    }

    fn pid(&self) -> Result<u32> {
        Ok(self.process.process().context("Keel runs")?.pid)
    }

    async fn push(&self, repository: &str, tag: &str) -> Result<()> {
        let body = json!({"name": format!("{HOST}/{repository}"), "tag": tag});
        self.http.post(url("v1/webhooks/native")).json(&body).send().await?.error_for_status()?.bytes().await?;
        Ok(())
    }

    fn requests(&self) -> Query {
        Query::new().account(&self.namespace, ACCOUNT)
    }

    async fn scans(&self) -> Result<f64> {
        Ok(sum(&self.metrics().await?, "registries_scanned_total", ""))
    }
}

fn url(path: &str) -> String {
    format!("http://127.0.0.1:{PORT}/{path}")
}

/// Returns the permissions in the values of Keel's chart.
fn rules() -> Value {
    json!([
        {"apiGroups": [""], "resources": ["namespaces", "nodes"], "verbs": ["get", "watch", "list"]},
        {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "watch", "list"]},
        {
            "apiGroups": ["", "extensions", "apps", "batch"],
            "resources": [
                "pods", "replicasets", "replicationcontrollers", "statefulsets", "deployments", "daemonsets", "jobs", "cronjobs"
            ],
            "verbs": ["get", "delete", "watch", "list", "update"],
        },
        {"apiGroups": [""], "resources": ["configmaps", "pods/portforward"], "verbs": ["get", "create", "update"]},
    ])
}

/// Returns the sum of the series of a metric whose labels contain this text. 0 if there is none.
fn sum(metrics: &str, name: &str, labels: &str) -> f64 {
    let series = |line: &&str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' '])) && line.contains(labels);
    let value = |line: &str| line.rsplit_once(' ')?.1.parse::<f64>().ok();
    metrics.lines().filter(series).filter_map(value).sum()
}

#[cfg(test)]
mod tests {
    use super::sum;

    #[test]
    fn sums_the_series_with_a_label() {
        let text = "# TYPE events_total counter\nevents_total{event=\"add\"} 20\nevents_total{event=\"update\"} 4\nevents_total_more 9\ndepth 1e+01\n";
        assert!((sum(text, "events_total", "event=\"add\"") - 20.0).abs() < 1e-9);
        assert!((sum(text, "events_total", "") - 24.0).abs() < 1e-9);
        assert!((sum(text, "depth", "") - 10.0).abs() < 1e-9);
        assert!(sum(text, "nothing", "").abs() < 1e-9);
    }
}
