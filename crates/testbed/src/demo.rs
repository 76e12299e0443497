//! `headwind-testbed up` and `down`: a control plane and a registry that outlive the command, for `make demo`.
//!
//! The supervisor continues in its own session. `DIR/state.json` lists its processes with their process IDs and start
//! times, so that `down` ends only these processes, and never another one that reuses one of their IDs.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use reqwest::Url;

use crate::cluster::Plan;
use crate::folder::tail;
use crate::protocol::{Facts, ProcessId, Signal};
use crate::registry::RegistryOptions;
use crate::supervisor;
use crate::tools::Tools;
use crate::wait::eventually;

const START: Duration = Duration::from_mins(3);
const END: Duration = Duration::from_secs(30);
/// The file with the state, in the state folder.
const STATE: &str = "state.json";
const LOG: &str = "supervisor.log";
const PLANE: &str = "control-plane";

/// Starts everything, or finds it already running.
pub async fn up(state: &Path, notify: &[Url], registry_port: Option<u16>) -> Result<Facts> {
    if let Some(facts) = read(state)? {
        if facts.processes.first().is_some_and(ProcessId::lives) {
            return Ok(facts);
        }
        down(state).await?;
    }
    let tools = Tools::ready().await?;
    fs::create_dir_all(state)?;
    let state = fs::canonicalize(state)?;
    let log = state.join(LOG);
    let out = File::create(&log)?;
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("control-plane").arg("--tools").arg(tools.folder()).arg("--state").arg(&state);
    for url in notify {
        command.arg("--notify").arg(url.as_str());
    }
    if let Some(port) = registry_port {
        command.arg("--registry-port").arg(port.to_string());
    }
    let child = command
        .env_remove("KUBECONFIG")
        .stdin(Stdio::null())
        .stdout(out.try_clone()?)
        .stderr(out)
        .spawn()
        .context("starting the supervisor")?;
    let child = std::sync::Mutex::new(child);
    eventually("the control plane is up", START, || async {
        if let Some(facts) = read(&state).map_err(|error| format!("{error:#}"))? {
            return Ok(Ok(facts));
        }
        let ended = child.lock().ok().and_then(|mut child| child.try_wait().ok().flatten());
        match ended {
            Some(status) => Ok(Err(anyhow::anyhow!("the supervisor ended ({status})\n{}", tail(&log, 30)))),
            None => Err("it is still starting".to_owned()),
        }
    })
    .await?
}

/// Runs the supervisor of a demo until it is stopped.
pub async fn supervise(state: PathBuf, tools: Tools, notify: Vec<Url>, registry_port: Option<u16>) -> Result<()> {
    let registry = Some((notify, RegistryOptions { port: registry_port, ..RegistryOptions::default() }));
    let plan = Plan { tools, folder: state.join(PLANE), registry };
    supervisor::control_plane(plan, true, |facts| {
        let unseen = state.join("state.json.new");
        fs::write(&unseen, serde_json::to_vec_pretty(facts)?)?;
        fs::rename(&unseen, state.join(STATE)).context("writing the state")
    })
    .await
}

/// Ends what `up` started. Returns true if something was running.
pub async fn down(state: &Path) -> Result<bool> {
    let Some(facts) = read(state)? else { return Ok(false) };
    let (supervisor, children) = facts.processes.split_first().context("a state without processes")?;
    if supervisor.lives() {
        supervisor.signal(Signal::Term)?;
        let _ = gone(&facts.processes).await;
    }
    // A killed supervisor has left them, and the folder.
    for process in std::iter::once(supervisor).chain(children.iter().rev()) {
        process.signal(Signal::Kill)?;
    }
    gone(&facts.processes).await?;
    for folder in [facts.folder.as_path(), &state.join(PLANE)] {
        if folder.starts_with(fs::canonicalize(state)?) && folder.is_dir() {
            fs::remove_dir_all(folder)?;
        }
    }
    for file in [STATE, LOG] {
        let _ = fs::remove_file(state.join(file));
    }
    // Removes the folder only if it contains no files of the user.
    let _ = fs::remove_dir(state);
    Ok(true)
}

async fn gone(processes: &[ProcessId]) -> Result<()> {
    eventually("the processes are gone", END, || async {
        let left: Vec<String> =
            processes.iter().filter(|process| process.lives()).map(|process| format!("{} ({})", process.name, process.pid)).collect();
        if left.is_empty() { Ok(()) } else { Err(left.join(", ")) }
    })
    .await
}

fn read(state: &Path) -> Result<Option<Facts>> {
    let path = state.join(STATE);
    match fs::read(&path) {
        Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes).with_context(|| format!("reading {}", path.display()))?)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => bail!("reading {}: {error}", path.display()),
    }
}
