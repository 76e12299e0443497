//! Flux in the bed: the real source-controller and helm-controller, as plain processes.
//!
//! Started by [`Bed::flux`], once a bed, when a test first asks; its CRDs alone by
//! [`Bed::install_flux_crds`], also in an older version. The controllers keep their ports over a
//! restart: helm-controller asks for artifacts where it was told that they are.
//!
//! ```text
//!  test process ──stdin──> guard ──> source-controller   folder: log, artifacts, temporary files
//!       └─────────stdin──> guard ──> helm-controller     folder: log, home, temporary files
//! ```
//!
//! The invariant is the bed's: nothing outlives the test process, no folder stays.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use reqwest::StatusCode;
use serde_json::Value;

use crate::control_plane::ControlPlane;
use crate::folder;
use crate::guard::Guard;
use crate::port;
use crate::protocol::{Order, ProcessId, Report, Signal};
use crate::tools::Tools;
use crate::wait::eventually;

/// How long a controller may take to start on a machine that is busy.
const START: Duration = Duration::from_secs(90);
const CONTROLLERS: [&str; 2] = ["source-controller", "helm-controller"];
pub(crate) const NAMESPACE: &str = "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: flux-system\n";

/// The two controllers.
#[derive(Debug)]
pub struct Flux {
    helm: Controller,
    source: Controller,
}

/// One of them.
#[derive(Debug)]
pub struct Controller {
    name: &'static str,
    guard: Guard,
    folder: PathBuf,
    health: String,
    env: BTreeMap<String, String>,
}

/// The names of the CRDs that the controllers need.
pub(crate) const CRDS: [&str; 3] =
    ["helmreleases.helm.toolkit.fluxcd.io", "helmrepositories.source.toolkit.fluxcd.io", "ocirepositories.source.toolkit.fluxcd.io"];

/// Flux's CRDs as YAML: as they are shipped, or with these versions of releases and sources alone.
pub(crate) fn manifests(tools: &Tools, versions: Option<(&str, &str)>) -> Result<String> {
    let mut yaml = String::new();
    for controller in CONTROLLERS {
        let folder = tools.flux_crds(controller);
        for crd in crds(&folder).with_context(|| format!("reading {}", folder.display()))? {
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

/// The CRDs of a folder.
fn crds(folder: &Path) -> Result<Vec<Value>> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    files.retain(|file| file.extension().is_some_and(|extension| extension == "yaml"));
    files.sort();
    files.iter().map(|file| Ok(serde_saphyr::from_str(&std::fs::read_to_string(file)?)?)).collect()
}

/// The CRD with the version that it stores, and no other, under another name.
fn renamed(mut crd: Value, version: &str) -> Result<Value> {
    let versions = crd.pointer_mut("/spec/versions").and_then(Value::as_array_mut).context("a CRD without versions")?;
    versions.retain(|version| version["storage"] == true);
    let stored = versions.first_mut().context("a CRD that stores nothing")?;
    stored["name"] = version.into();
    Ok(crd)
}

impl Flux {
    /// Whether this test has to do without Flux: then it is said why, and counted as skipped.
    pub async fn lacks(test: &str) -> Result<bool> {
        let tools = Tools::ready().await?;
        let missing = CONTROLLERS.into_iter().find(|name| !tools.has(name));
        let foreign = std::env::var_os("KUBECONFIG").is_some_and(|value| !value.is_empty());
        let reason = match missing {
            Some(name) => format!("testbed/tools.sh could not build {name}"),
            None if foreign => "the cluster of KUBECONFIG is not ours: its own Flux may be at work there".to_owned(),
            None => return Ok(false),
        };
        crate::skip::skipped(test, &reason);
        Ok(true)
    }

    pub(crate) async fn start(plane: &ControlPlane) -> Result<Self> {
        let source = Controller::prepare(plane, "source-controller", |folder| {
            let storage = folder.join("artifacts");
            std::fs::create_dir_all(&storage)?;
            // Kept over a restart: releases name it.
            let address = format!("127.0.0.1:{}", port::free()?);
            Ok(vec![
                format!("--storage-path={}", storage.display()),
                format!("--storage-addr={address}"),
                format!("--storage-adv-addr={address}"),
            ])
        })?;
        let helm = Controller::prepare(plane, "helm-controller", |_| Ok(Vec::new()))?;
        tokio::try_join!(source.start(), helm.start())?;
        Ok(Self { helm, source })
    }

    /// The source-controller.
    pub fn source(&self) -> &Controller {
        &self.source
    }

    /// The helm-controller.
    pub fn helm(&self) -> &Controller {
        &self.helm
    }
}

impl Controller {
    fn prepare(plane: &ControlPlane, name: &'static str, more: impl FnOnce(&Path) -> Result<Vec<String>>) -> Result<Self> {
        let tools: &Tools = plane.tools();
        if !tools.has(name) {
            bail!("testbed/tools.sh could not build {name}");
        }
        let folder = folder::create(name)?;
        let temporary = folder.join("tmp");
        std::fs::create_dir_all(&temporary)?;
        let health = format!("127.0.0.1:{}", port::free()?);
        let mut args = vec![
            format!("--health-addr={health}"),
            "--metrics-addr=127.0.0.1:0".to_owned(),
            "--enable-leader-election=false".to_owned(),
            "--watch-all-namespaces=true".to_owned(),
            // A source that hangs holds a worker: others must not wait for it.
            "--concurrent=10".to_owned(),
            "--requeue-dependency=1s".to_owned(),
        ];
        args.extend(more(&folder)?);
        let mut words = vec!["guard".to_owned(), "--wait".to_owned()];
        words.extend(["--folder".to_owned(), path(&folder), "--log".to_owned(), path(&folder.join("log"))]);
        words.extend(["--".to_owned(), path(&tools.path(name))]);
        words.extend(args);
        let guard = Guard::spawn(words)?;
        let env = [
            ("KUBECONFIG", path(plane.kubeconfig())),
            ("RUNTIME_NAMESPACE", "flux-system".to_owned()),
            ("HOME", path(&folder)),
            ("TMPDIR", path(&temporary)),
        ];
        let env = env.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        Ok(Self { name, guard, folder, health: format!("http://{health}/readyz"), env })
    }

    /// Starts it (again), and waits until it is ready.
    pub async fn start(&self) -> Result<()> {
        let since = self.guard.reports();
        self.guard.order(&Order::Start { env: self.env.clone() })?;
        crate::provide_tls();
        let http = reqwest::Client::builder().pool_max_idle_per_host(0).no_proxy().build()?;
        eventually(&format!("{} is ready", self.name), START, || async {
            let ended = self.guard.heard(since).iter().any(|report| matches!(report, Report::Ended { .. } | Report::Failed { .. }));
            match http.get(&self.health).send().await {
                Ok(answer) if answer.status() == StatusCode::OK => Ok(Ok(())),
                _ if ended => Ok(Err(anyhow!("{} ended\n{}", self.name, folder::tail(&self.log(), 30)))),
                Ok(answer) => Err(answer.status().to_string()),
                Err(error) => Err(error.to_string()),
            }
        })
        .await?
    }

    /// Kills it; what it has on disk stays.
    pub async fn kill(&self) -> Result<()> {
        let since = self.guard.reports();
        self.signal(Signal::Kill)?;
        let ended = |report: &Report| matches!(report, Report::Ended { .. }).then_some(());
        self.guard.report(&format!("{} has ended", self.name), since, START, ended).await
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        self.guard.order(&Order::Signal { signal })
    }

    /// Its process, the latest.
    pub fn process(&self) -> Option<ProcessId> {
        self.guard.heard(0).into_iter().rev().find_map(|report| match report {
            Report::Started { process } => Some(process),
            Report::Ended { .. } | Report::Ready { .. } | Report::Lost { .. } | Report::Failed { .. } => None,
        })
    }

    /// Its folder, which goes with it.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What it has written.
    pub fn logs(&self) -> Result<String> {
        Ok(String::from_utf8_lossy(&std::fs::read(self.log())?).into_owned())
    }

    fn log(&self) -> PathBuf {
        self.folder.join("log")
    }
}

fn path(path: &Path) -> String {
    path.to_string_lossy().into_owned()
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
