//! A controller of another project in the test bed: the real program, as a plain process under a guard.
//!
//! Used for Flux, Argo Rollouts and the peers of the benchmarks. A controller keeps its folder and its arguments over a
//! restart.
//!
//! ```text
//!  test process ──stdin──> guard ──> source-controller   folder: log, home, temporary files
//! ```
//!
//! As for the whole test bed, no process outlives the test process, and no folder remains.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, anyhow, bail};
use reqwest::StatusCode;

use crate::control_plane::ControlPlane;
use crate::folder;
use crate::guard::Guard;
use crate::protocol::{Order, ProcessId, Report, Signal};
use crate::tools::Tools;
use crate::wait::eventually;

/// Timeout for the start of a controller on a busy machine.
const START: Duration = Duration::from_secs(90);

/// A controller that a test may kill and restart.
#[derive(Debug)]
pub struct Controller {
    name: &'static str,
    guard: Guard,
    folder: PathBuf,
    health: String,
    env: BTreeMap<String, String>,
}

/// The launch configuration of a controller.
pub(crate) struct Launch {
    pub(crate) args: Vec<String>,
    /// The URL that returns 200 once the controller is ready.
    pub(crate) health: String,
    /// Its own namespace.
    pub(crate) namespace: &'static str,
}

/// Returns true if a test cannot run because a project is missing. Reports why, and counts the test as skipped.
pub(crate) async fn lacks(test: &str, project: &str, controllers: &[&str]) -> Result<bool> {
    let tools = Tools::ready().await?;
    let missing = controllers.iter().find(|name| !tools.has(name));
    let foreign = std::env::var_os("KUBECONFIG").is_some_and(|value| !value.is_empty());
    let reason = match missing {
        Some(name) => format!("testbed/tools.sh could not build {name}"),
        None if foreign => format!("the cluster of KUBECONFIG is not the test bed's own: {project} may already run there"),
        None => return Ok(false),
    };
    crate::skip::skipped(test, &reason);
    Ok(true)
}

impl Controller {
    /// Prepares a controller with its own folder, which `launch` gets. Does not start it.
    pub(crate) fn prepare(plane: &ControlPlane, name: &'static str, launch: impl FnOnce(&Path) -> Result<Launch>) -> Result<Self> {
        let tools: &Tools = plane.tools();
        if !tools.has(name) {
            bail!("testbed/tools.sh could not build {name}");
        }
        let folder = folder::create(name)?;
        let Launch { args, health, namespace } = launch(&folder)?;
        let env = [("KUBECONFIG", path(plane.kubeconfig())), ("RUNTIME_NAMESPACE", namespace.to_owned())];
        Self::within(folder, name, &tools.path(name), args, health, env)
    }

    /// Prepares a program that `testbed/tools.sh` does not build, with its own folder, in which `env` may create files.
    /// Does not start it.
    ///
    /// # Errors
    /// If its guard does not start.
    pub async fn foreign<const N: usize>(
        name: &'static str,
        binary: &Path,
        args: &[&str],
        health: &str,
        env: impl AsyncFnOnce(&Path) -> Result<[(&'static str, String); N]>,
    ) -> Result<Self> {
        let folder = folder::create(name)?;
        let env = env(&folder).await?;
        let args = args.iter().map(|word| (*word).to_owned()).collect();
        Self::within(folder, name, binary, args, health.to_owned(), env)
    }

    fn within<const N: usize>(
        folder: PathBuf,
        name: &'static str,
        binary: &Path,
        args: Vec<String>,
        health: String,
        env: [(&'static str, String); N],
    ) -> Result<Self> {
        let temporary = folder.join("tmp");
        std::fs::create_dir_all(&temporary)?;
        let mut words = vec!["guard".to_owned(), "--wait".to_owned()];
        words.extend(["--folder".to_owned(), path(&folder), "--log".to_owned(), path(&folder.join("log"))]);
        words.extend(["--".to_owned(), path(binary)]);
        words.extend(args);
        let guard = Guard::spawn(words)?;
        let own = [("HOME", path(&folder)), ("TMPDIR", path(&temporary))];
        let env = env.into_iter().chain(own).map(|(name, value)| (name.to_owned(), value)).collect();
        Ok(Self { name, guard, folder, health, env })
    }

    /// Starts it, or restarts it, and waits until it is ready.
    pub async fn start(&self) -> Result<()> {
        self.start_with(&[]).await
    }

    /// Like [`Controller::start`], with more variables.
    ///
    /// # Errors
    /// If it does not become ready.
    pub async fn start_with(&self, more: &[(&str, &str)]) -> Result<()> {
        let since = self.guard.reports();
        let mut env = self.env.clone();
        env.extend(more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        self.guard.order(&Order::Start { env })?;
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

    /// Kills it. Its folder is kept.
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

    /// Returns its latest process.
    pub fn process(&self) -> Option<ProcessId> {
        self.guard.heard(0).into_iter().rev().find_map(|report| match report {
            Report::Started { process } => Some(process),
            Report::Ended { .. } | Report::Ready { .. } | Report::Lost { .. } | Report::Failed { .. } => None,
        })
    }

    /// Returns its folder, which is removed with it.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Returns its output.
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
