//! A control plane that a test starts. It runs as long as the value exists.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

use crate::folder;
use crate::guard::Guard;
use crate::protocol::{Facts, ProcessId, Report};
use crate::tools::Tools;

const START: Duration = Duration::from_mins(3);

/// A cluster for tests: the test bed's own, or the one in `KUBECONFIG`.
#[derive(Debug)]
pub struct ControlPlane {
    kubeconfig: PathBuf,
    tools: Tools,
    own: Option<(Facts, Guard)>,
}

impl ControlPlane {
    /// Starts etcd, API server, controller-manager, scheduler and kwok with three nodes. If `KUBECONFIG` is set, uses
    /// that cluster instead, without an audit log.
    pub async fn start() -> Result<Self> {
        let tools = Tools::ready().await?;
        if let Some(kubeconfig) = std::env::var_os("KUBECONFIG").filter(|value| !value.is_empty()).map(PathBuf::from) {
            if !kubeconfig.is_file() {
                bail!("KUBECONFIG must be one file, and {} is not a file", kubeconfig.display());
            }
            crate::skip::note(&format!("the test bed uses the cluster of KUBECONFIG={}", kubeconfig.display()));
            return Ok(Self { kubeconfig, tools, own: None });
        }
        let folder = folder::create("plane")?;
        let guard = Guard::spawn([Path::new("control-plane"), Path::new("--tools"), tools.folder(), Path::new("--folder"), &folder])?;
        let facts = guard
            .report("the control plane is ready", 0, START, |report| match report {
                Report::Ready { facts } => Some(Ok(facts.clone())),
                Report::Failed { message } | Report::Lost { message } => Some(Err(anyhow!("{message}"))),
                Report::Started { .. } | Report::Ended { .. } => None,
            })
            .await?
            .context("starting the control plane")?;
        Ok(Self { kubeconfig: facts.kubeconfig.clone(), tools, own: Some((facts, guard)) })
    }

    /// Returns the last errors in the logs of the control plane, for the analysis of a failed test.
    pub fn logged_errors(&self) -> String {
        const LINES: usize = 12;
        let Some((facts, _)) = &self.own else { return String::new() };
        let mut all = String::new();
        for name in ["kube-controller-manager", "kube-scheduler", "kwok", "kube-apiserver"] {
            let log = std::fs::read_to_string(facts.folder.join(format!("{name}.log"))).unwrap_or_default();
            let is_error = |line: &&str| line.starts_with(['E', 'F']) || line.contains("level\":\"ERROR");
            let lines: Vec<&str> = log.lines().filter(is_error).collect();
            all.extend([name, ": ", &lines.len().to_string(), " errors in its log; the last:\n"]);
            for line in &lines[lines.len().saturating_sub(LINES)..] {
                all.extend(line.chars().take(300));
                all.push('\n');
            }
        }
        all
    }

    /// Returns the administrator's kubeconfig.
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// Returns a new client with all permissions. Each test needs its own: a client belongs to the runtime that created
    /// it.
    pub async fn client(&self) -> Result<Client> {
        client(&self.kubeconfig).await
    }

    /// Returns the API server's audit log; `None` if the cluster is not the test bed's own.
    pub fn audit_log(&self) -> Option<&Path> {
        self.own.as_ref().map(|(facts, _)| facts.audit.as_path())
    }

    /// Returns the folder with state and logs; `None` if the cluster is not the test bed's own.
    pub fn folder(&self) -> Option<&Path> {
        self.own.as_ref().map(|(facts, _)| facts.folder.as_path())
    }

    /// Returns the supervisor and its children.
    pub fn processes(&self) -> &[ProcessId] {
        self.own.as_ref().map(|(facts, _)| facts.processes.as_slice()).unwrap_or_default()
    }

    /// Returns the programs.
    pub fn tools(&self) -> &Tools {
        &self.tools
    }
}

/// Creates a client from a kubeconfig.
pub(crate) async fn client(kubeconfig: &Path) -> Result<Client> {
    crate::provide_tls();
    let file = Kubeconfig::read_from(kubeconfig).with_context(|| format!("reading {}", kubeconfig.display()))?;
    let config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await?;
    Ok(Client::try_from(config)?)
}
