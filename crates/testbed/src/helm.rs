//! The real Helm, for tests that want its word: what it packs, pushes and reads.
//!
//! Each value has homes of its own, so that parallel tests share no cache and no login, and nothing
//! of the user's is read.

use std::process::{Output, Stdio};

use anyhow::{Context as _, Result, bail};
use tempfile::TempDir;
use tokio::process::Command;

use crate::tools::Tools;

/// Helm, with its own homes.
#[derive(Debug)]
pub struct Helm {
    tools: Tools,
    homes: TempDir,
}

impl Helm {
    /// One, where `testbed/tools.sh` could build it; else it is said that the test is skipped.
    pub async fn for_test(test: &str) -> Result<Option<Self>> {
        if Tools::ready().await?.has("helm") {
            return Self::new().await.map(Some);
        }
        crate::skip::skipped(test, "testbed/tools.sh could not build helm");
        Ok(None)
    }

    /// One, with new homes.
    pub async fn new() -> Result<Self> {
        let tools = Tools::ready().await?;
        if !tools.has("helm") {
            bail!("testbed/tools.sh could not build helm");
        }
        let homes = tempfile::Builder::new().prefix("headwind-testbed-helm-").tempdir().context("making Helm's homes")?;
        Ok(Self { tools, homes })
    }

    /// A folder that goes with the value.
    pub fn folder(&self) -> &std::path::Path {
        self.homes.path()
    }

    /// Runs it, in that folder.
    pub async fn run(&self, args: &[&str]) -> Result<Output> {
        let mut command = Command::new(self.tools.path("helm"));
        for home in ["CACHE", "CONFIG", "DATA"] {
            command.env(format!("HELM_{home}_HOME"), self.homes.path().join(home));
        }
        command.env("HOME", self.homes.path()).env_remove("KUBECONFIG").env_remove("DOCKER_CONFIG");
        command.current_dir(self.homes.path()).args(args).stdin(Stdio::null()).kill_on_drop(true);
        command.output().await.context("running helm")
    }

    /// Runs it and gives what it prints; fails, with what it said, where it fails.
    pub async fn ok(&self, args: &[&str]) -> Result<String> {
        let output = self.run(args).await?;
        if !output.status.success() {
            bail!("`helm {}` ended with {}: {}", args.join(" "), output.status, String::from_utf8_lossy(&output.stderr).trim());
        }
        String::from_utf8(output.stdout).context("its output is no UTF-8")
    }
}
