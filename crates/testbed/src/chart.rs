//! Chart versions created by tests: one Deployment, with the pod behavior that the test needs.
//!
//! The real Helm packs and pushes charts for a registry (`Registry::push_chart`). Charts for an HTTP repository, and
//! large numbers of charts, are packed here in the same format, which one test compares with the real Helm.
//!
//! Equal charts are packed into equal bytes, so they have the same digest.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// The media type of a chart's configuration in a registry: the chart's metadata.
pub(crate) const CONFIG: &str = "application/vnd.cncf.helm.config.v1+json";
/// The media type of a chart's archive in a registry.
pub(crate) const CONTENT: &str = "application/vnd.cncf.helm.chart.content.v1.tar+gzip";

/// A version of a chart.
#[derive(Debug, Clone)]
pub struct Chart {
    name: String,
    version: String,
    description: String,
    pods: String,
    broken: bool,
    deprecated: bool,
}

impl Chart {
    /// Creates a chart whose pods become ready at once.
    pub fn new(name: &str, version: &str) -> Self {
        Self {
            name: name.to_owned(),
            version: version.to_owned(),
            description: "A chart of the test bed".to_owned(),
            pods: String::new(),
            broken: false,
            deprecated: false,
        }
    }

    /// Sets the behavior of its pods: a suffix of their image's tag (`-unready`, `-crash`, `-slow`;
    /// [`crate::Fixture::container`] lists all).
    #[must_use]
    pub fn pods(mut self, ending: &str) -> Self {
        ending.clone_into(&mut self.pods);
        self
    }

    /// Makes its templates impossible to render.
    #[must_use]
    pub fn broken(mut self) -> Self {
        self.broken = true;
        self
    }

    /// Marks it as deprecated.
    #[must_use]
    pub fn deprecated(mut self) -> Self {
        self.deprecated = true;
        self
    }

    /// Sets another description, and so another digest for the same version.
    #[must_use]
    pub fn described(mut self, description: &str) -> Self {
        description.clone_into(&mut self.description);
        self
    }

    /// Returns its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns its version.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Returns its tag in a registry, where `+` is not allowed.
    pub fn tag(&self) -> String {
        self.version.replace('+', "_")
    }

    /// Returns the file name, such as `web-1.0.0.tgz`.
    pub fn file_name(&self) -> String {
        format!("{}-{}.tgz", self.name, self.version)
    }

    /// Returns the image of its pods.
    pub fn image(&self) -> String {
        format!("registry.test:5000/charts/{}:{}{}", self.name, self.tag(), self.pods)
    }

    /// Returns the content of `Chart.yaml`, which is the chart's configuration in a registry.
    pub fn metadata(&self) -> Value {
        let mut metadata = json!({
            "name": self.name, "version": self.version, "description": self.description, "apiVersion": "v2",
            "appVersion": self.version, "type": "application",
        });
        if self.deprecated {
            metadata["deprecated"] = true.into();
        }
        metadata
    }

    /// Returns its files, below a folder with its name.
    fn files(&self) -> Result<Vec<(String, String)>> {
        let mut files = vec![
            ("Chart.yaml", serde_saphyr::to_string(&self.metadata())?),
            ("values.yaml", "replicas: 1\n".to_owned()),
            ("templates/deployment.yaml", DEPLOYMENT.replace("IMAGE", &self.image())),
        ];
        if self.broken {
            files.push(("templates/broken.yaml", "{{ fail \"this chart is broken on purpose\" }}\n".to_owned()));
        }
        Ok(files.into_iter().map(|(path, text)| (format!("{}/{path}", self.name), text)).collect())
    }

    /// Writes it into a folder, for `helm package`.
    pub fn write(&self, folder: &Path) -> Result<()> {
        for (path, text) in self.files()? {
            let path = folder.join(path);
            fs::create_dir_all(path.parent().unwrap_or(folder))?;
            fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
        }
        Ok(())
    }

    /// Returns the archive, as `helm package` creates it.
    pub fn archive(&self) -> Result<Vec<u8>> {
        let mut archive = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::default()));
        for (path, text) in self.files()? {
            let mut header = tar::Header::new_ustar();
            header.set_mode(0o644);
            header.set_size(text.len() as u64);
            header.set_entry_type(tar::EntryType::Regular);
            archive.append_data(&mut header, path, text.as_bytes())?;
        }
        archive.into_inner().and_then(GzEncoder::finish).context("packing a chart")
    }
}

/// Returns the archive's digest as in an index: SHA-256 in hexadecimal.
pub(crate) fn digest(archive: &[u8]) -> String {
    hex::encode(Sha256::digest(archive))
}

const DEPLOYMENT: &str = r#"apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ .Release.Name }}
  labels:
    app: {{ .Release.Name }}
spec:
  replicas: {{ .Values.replicas }}
  selector:
    matchLabels:
      app: {{ .Release.Name }}
  template:
    metadata:
      labels:
        app: {{ .Release.Name }}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
      - name: web
        image: "IMAGE"
"#;

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    fn packed(chart: &Chart) -> Vec<(String, String)> {
        let archive = chart.archive().unwrap();
        let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(archive.as_slice()));
        archive
            .entries()
            .unwrap()
            .map(|file| {
                let mut file = file.unwrap();
                let mut text = String::new();
                file.read_to_string(&mut text).unwrap();
                (file.path().unwrap().display().to_string(), text)
            })
            .collect()
    }

    #[test]
    fn the_same_chart_is_the_same_file() {
        let chart = Chart::new("web", "1.0.0");
        assert_eq!(chart.archive().unwrap(), chart.clone().archive().unwrap());
        for other in [chart.clone().pods("-crash"), chart.clone().broken(), chart.clone().deprecated(), chart.clone().described("other")] {
            assert_ne!(chart.archive().unwrap(), other.archive().unwrap(), "{other:?}");
        }
    }

    #[test]
    fn the_image_tag_determines_the_behavior_of_the_pods() {
        let files = packed(&Chart::new("web", "1.0.0+build.1").pods("-unready"));
        let (_, deployment) = files.iter().find(|(path, _)| path == "web/templates/deployment.yaml").unwrap();
        assert!(deployment.contains("image: \"registry.test:5000/charts/web:1.0.0_build.1-unready\""), "{deployment}");
    }
}
