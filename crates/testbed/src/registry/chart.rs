//! Charts in the registry: pushed by the real Helm, or in the same format without it.

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::image::{Blob, MANIFEST};
use super::{LOGIN, Registry};
use crate::chart::{CONFIG, CONTENT, Chart};
use crate::helm::Helm;
use crate::workload::WorkloadKind;

impl Registry {
    /// Packs and pushes a chart with the real Helm, below a path: `shop` and chart `web` become the repository
    /// `shop/web`. Returns the digest, which differs each time, because Helm records the time.
    pub async fn push_chart(&self, path: &str, chart: &Chart) -> Result<String> {
        let helm = Helm::new().await?;
        chart.write(helm.folder())?;
        helm.ok(&["package", chart.name()]).await?;
        let (file, place) = (chart.file_name(), format!("oci://{}/{path}", self.address));
        let mut args = vec!["push", &file, &place, "--plain-http"];
        let (user, password) = LOGIN;
        if self.locked {
            args.extend(["--username", user, "--password", password]);
        }
        helm.ok(&args).await?;
        self.digest(&repository(path, chart), &chart.tag()).await?.context("the chart that Helm pushed is missing")
    }

    /// Does the same without Helm, for large numbers of charts: equal charts have the same digest.
    pub async fn put_chart(&self, path: &str, chart: &Chart) -> Result<String> {
        let repo = repository(path, chart);
        let metadata = chart.metadata();
        let config = Blob::new(CONFIG, serde_json::to_vec(&metadata)?);
        let content = Blob::new(CONTENT, chart.archive()?);
        for blob in [&content, &config] {
            self.put_blob(&repo, blob).await?;
        }
        let manifest = manifest(&metadata, &config, &content)?;
        self.put_manifest(&repo, &chart.tag(), &manifest).await
    }

    /// Publishes a version for a kind: a chart for a release (by Helm, with healthy pods), an image for the others.
    /// Another seed has another digest. Returns the digest.
    pub async fn publish(&self, kind: WorkloadKind, repo: &str, tag: &str, seed: &str) -> Result<String> {
        match kind {
            WorkloadKind::Deployment
            | WorkloadKind::StatefulSet
            | WorkloadKind::DaemonSet
            | WorkloadKind::CronJob
            | WorkloadKind::Rollout => self.push(repo, tag, seed).await,
            WorkloadKind::HelmRelease => {
                let (path, name) = repo.rsplit_once('/').unwrap_or(("", repo));
                self.push_chart(path, &Chart::new(name, &tag.replace('_', "+")).described(seed)).await
            }
        }
    }
}

fn repository(path: &str, chart: &Chart) -> String {
    format!("{path}/{}", chart.name()).trim_start_matches('/').to_owned()
}

fn manifest(metadata: &Value, config: &Blob, content: &Blob) -> Result<Blob> {
    let annotations: serde_json::Map<String, Value> = [("title", "name"), ("version", "version"), ("description", "description")]
        .into_iter()
        .map(|(key, field)| (format!("org.opencontainers.image.{key}"), metadata[field].clone()))
        .collect();
    let manifest = json!({
        "schemaVersion": 2, "config": config.descriptor(), "layers": [content.descriptor()], "annotations": annotations,
    });
    Ok(Blob::new(MANIFEST, serde_json::to_vec(&manifest)?))
}
