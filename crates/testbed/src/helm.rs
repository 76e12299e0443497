//! The real Helm, as a reference in tests: what it packs, pushes and reads.
//!
//! Each value has its own home folders, so that parallel tests share no cache and no login, and the user's
//! configuration is not read.

use std::process::{Output, Stdio};

use anyhow::{Context as _, Result, bail};
use tempfile::TempDir;
use tokio::process::Command;

use crate::program::tied;
use crate::tools::Tools;

/// Helm with its own home folders.
#[derive(Debug)]
pub struct Helm {
    tools: Tools,
    homes: TempDir,
}

impl Helm {
    /// Returns Helm if `testbed/tools.sh` could build it. Otherwise reports that the test is skipped.
    pub async fn for_test(test: &str) -> Result<Option<Self>> {
        if Tools::ready().await?.has("helm") {
            return Self::new().await.map(Some);
        }
        crate::skip::skipped(test, "testbed/tools.sh could not build helm");
        Ok(None)
    }

    /// Creates one with new home folders.
    pub async fn new() -> Result<Self> {
        let tools = Tools::ready().await?;
        if !tools.has("helm") {
            bail!("testbed/tools.sh could not build helm");
        }
        let homes = tempfile::Builder::new().prefix("headwind-testbed-helm-").tempdir().context("creating Helm's home folders")?;
        Ok(Self { tools, homes })
    }

    /// Returns a folder that is removed with the value.
    pub fn folder(&self) -> &std::path::Path {
        self.homes.path()
    }

    /// Runs it in that folder.
    pub async fn run(&self, args: &[&str]) -> Result<Output> {
        // With `--wait` it would run on for minutes after a test that was killed.
        let mut command = Command::from(tied(&self.tools.path("helm")));
        for home in ["CACHE", "CONFIG", "DATA"] {
            command.env(format!("HELM_{home}_HOME"), self.homes.path().join(home));
        }
        command.env("HOME", self.homes.path()).env_remove("KUBECONFIG").env_remove("DOCKER_CONFIG").env("NO_PROXY", "*");
        command.current_dir(self.homes.path()).args(args).stdin(Stdio::null()).kill_on_drop(true);
        command.output().await.context("running helm")
    }

    /// Runs it and returns its output. Fails with its error output.
    pub async fn ok(&self, args: &[&str]) -> Result<String> {
        let output = self.run(args).await?;
        if !output.status.success() {
            bail!("`helm {}` ended with {}: {}", args.join(" "), output.status, String::from_utf8_lossy(&output.stderr).trim());
        }
        String::from_utf8(output.stdout).context("its output is not UTF-8")
    }
}
