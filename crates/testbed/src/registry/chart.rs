//! Charts in the registry, as `helm push` puts them there, and what there is for each kind.

use anyhow::Result;
use serde_json::{Value, json};

use super::Registry;
use super::image::{Blob, MANIFEST};
use crate::chart::{CONFIG, CONTENT, Chart};
use crate::workload::WorkloadKind;

impl Registry {
    /// Pushes a chart below a path: `shop` and chart `web` give the repository `shop/web`. Gives
    /// the digest.
    pub async fn push_chart(&self, path: &str, chart: &Chart) -> Result<String> {
        let repo = if path.is_empty() { chart.name().to_owned() } else { format!("{path}/{}", chart.name()) };
        let metadata = chart.metadata();
        let config = Blob::new(CONFIG, serde_json::to_vec(&metadata)?);
        let content = Blob::new(CONTENT, chart.archive()?);
        for blob in [&content, &config] {
            self.put_blob(&repo, blob).await?;
        }
        let manifest = manifest(&metadata, &config, &content)?;
        self.put_manifest(&repo, &chart.tag(), &manifest).await
    }

    /// Publishes a version for a kind: a chart for a release (it behaves well), an image for the
    /// others. Another seed gives another digest. Gives the digest.
    pub async fn publish(&self, kind: WorkloadKind, repo: &str, tag: &str, seed: &str) -> Result<String> {
        match kind {
            WorkloadKind::Deployment | WorkloadKind::StatefulSet | WorkloadKind::DaemonSet => self.push(repo, tag, seed).await,
            WorkloadKind::HelmRelease => {
                let (path, name) = repo.rsplit_once('/').unwrap_or(("", repo));
                self.push_chart(path, &Chart::new(name, &tag.replace('_', "+")).described(seed)).await
            }
        }
    }
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
