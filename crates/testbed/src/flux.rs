//! Flux in the test bed: the real source-controller and helm-controller, as plain processes.
//!
//! `Bed::flux` starts them once per test bed, when a test first needs them. `Bed::install_flux_crds` installs only the
//! CRDs, also in an older version. The controllers keep their ports over a restart, because helm-controller fetches
//! artifacts from their stored URLs.
//!
//! ```text
//!  test process ──stdin──> guard ──> source-controller   folder: log, artifacts, temporary files
//!       └─────────stdin──> guard ──> helm-controller     folder: log, home, temporary files
//! ```
//!
//! As for the whole test bed, no process outlives the test process, and no folder remains.

use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::control_plane::ControlPlane;
use crate::controller::{self, Controller, Launch};
use crate::port;
use crate::tools::Tools;

const CONTROLLERS: [&str; 2] = ["source-controller", "helm-controller"];
pub(crate) const NAMESPACE: &str = "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: flux-system\n";

/// The two controllers.
#[derive(Debug)]
pub struct Flux {
    helm: Controller,
    source: Controller,
}

/// The names of the CRDs that the controllers need.
pub(crate) const CRDS: [&str; 3] =
    ["helmreleases.helm.toolkit.fluxcd.io", "helmrepositories.source.toolkit.fluxcd.io", "ocirepositories.source.toolkit.fluxcd.io"];

/// Returns Flux's CRDs as YAML: unchanged, or with only these versions of releases and sources.
pub(crate) fn manifests(tools: &Tools, versions: Option<(&str, &str)>) -> Result<String> {
    let mut yaml = String::new();
    for controller in CONTROLLERS {
        for crd in tools.crds(controller)? {
            let crd = match versions {
                None => crd,
                Some((releases, _)) if controller == "helm-controller" => renamed(crd, releases)?,
                Some((_, sources)) => renamed(crd, sources)?,
            };
            yaml.extend(["---\n", &crd.to_string(), "\n"]);
        }
    }
    Ok(yaml)
}

/// Returns the CRD with only its stored version, renamed.
fn renamed(mut crd: Value, version: &str) -> Result<Value> {
    let versions = crd.pointer_mut("/spec/versions").and_then(Value::as_array_mut).context("a CRD without versions")?;
    versions.retain(|version| version["storage"] == true);
    let stored = versions.first_mut().context("a CRD without a stored version")?;
    stored["name"] = version.into();
    Ok(crd)
}

impl Flux {
    /// Returns true if this test cannot run because Flux is missing. Reports why, and counts the test as skipped.
    pub async fn lacks(test: &str) -> Result<bool> {
        controller::lacks(test, "Flux", &CONTROLLERS).await
    }

    pub(crate) async fn start(plane: &ControlPlane) -> Result<Self> {
        let source = prepare(plane, "source-controller", |folder| {
            let storage = folder.join("artifacts");
            std::fs::create_dir_all(&storage)?;
            // Kept over a restart: the status of releases contains it.
            let address = format!("127.0.0.1:{}", port::free()?);
            Ok(vec![
                format!("--storage-path={}", storage.display()),
                format!("--storage-addr={address}"),
                format!("--storage-adv-addr={address}"),
            ])
        })?;
        let helm = prepare(plane, "helm-controller", |_| Ok(Vec::new()))?;
        tokio::try_join!(source.start(), helm.start())?;
        Ok(Self { helm, source })
    }

    /// Returns the source-controller.
    pub fn source(&self) -> &Controller {
        &self.source
    }

    /// Returns the helm-controller.
    pub fn helm(&self) -> &Controller {
        &self.helm
    }
}

/// Prepares one of the two, with additional arguments.
fn prepare(plane: &ControlPlane, name: &'static str, more: impl FnOnce(&Path) -> Result<Vec<String>>) -> Result<Controller> {
    Controller::prepare(plane, name, |folder| {
        let health = format!("127.0.0.1:{}", port::free()?);
        let mut args = vec![
            format!("--health-addr={health}"),
            "--metrics-addr=127.0.0.1:0".to_owned(),
            "--enable-leader-election=false".to_owned(),
            "--watch-all-namespaces=true".to_owned(),
            // A hanging source blocks a worker: others must not wait for it.
            "--concurrent=10".to_owned(),
            "--requeue-dependency=1s".to_owned(),
        ];
        args.extend(more(folder)?);
        Ok(Launch { args, health: format!("http://{health}/readyz"), namespace: "flux-system" })
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::renamed;

    #[test]
    fn an_old_crd_serves_the_old_version_alone() {
        let crd = json!({"spec": {"versions": [
            {"name": "v1", "served": true, "storage": false}, {"name": "v2", "served": true, "storage": true, "schema": {"a": 1}},
        ]}});
        let old = renamed(crd, "v2beta2").unwrap();
        assert_eq!(old["spec"]["versions"], json!([{"name": "v2beta2", "served": true, "storage": true, "schema": {"a": 1}}]));
        assert!(renamed(json!({"spec": {"versions": []}}), "v1beta2").is_err());
    }
}
