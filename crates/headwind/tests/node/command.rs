//! The programs that the tests run.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use headwind_testbed::{Bed, binaries};
use tokio::process::Command;

/// Returns the root of the repository.
pub(crate) fn root() -> Result<PathBuf> {
    Ok(Path::new("../..").canonicalize()?)
}

/// Returns a path as text.
pub(crate) fn text(path: &Path) -> Result<&str> {
    path.to_str().context("a path that is not UTF-8")
}

/// Runs a program and returns its output. Fails with its error output.
pub(crate) async fn run(command: &mut Command) -> Result<String> {
    // The registry is on this machine.
    let output = command.env("NO_PROXY", "*").kill_on_drop(true).output().await?;
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "{:?} ended with {}: {error}", command.as_std(), output.status);
    Ok(String::from_utf8(output.stdout)?)
}

/// Runs the kubectl plugin with a token, for objects in a namespace.
pub(crate) async fn plugin(bed: &Bed, namespace: &str, token: &str, args: &[&str]) -> Result<String> {
    let binary = tokio::task::spawn_blocking(binaries::plugin).await??;
    run(Command::new(binary).env("KUBECONFIG", bed.kubeconfig()).args(["-n", namespace, "--token", token]).args(args)).await
}
