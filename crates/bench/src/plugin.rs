//! Measures what a list of many requests costs the kubectl plugin.

use std::time::Instant;

use anyhow::{Result, ensure};
use headwind_testbed::{Bed, binaries};
use tokio::process::Command;

use crate::direct::millis;
use crate::process;

/// Number of lists.
const LISTS: u32 = 10;

/// The costs of one list.
#[derive(Debug)]
pub(crate) struct Listed {
    /// The number of requests in it.
    pub(crate) requests: usize,
    /// The plugin's processor time, in milliseconds.
    pub(crate) cpu: f64,
    /// Milliseconds from its start until its end, with the time of the API server.
    pub(crate) times: Vec<f64>,
}

/// Runs `kubectl headwind list` in a namespace.
pub(crate) async fn run(bed: &Bed, namespace: &str) -> Result<Listed> {
    let binary = tokio::task::spawn_blocking(binaries::plugin).await??;
    let mut listed = Listed { requests: 0, cpu: 0.0, times: Vec::new() };
    let before = process::children_time()?;
    for _ in 0..LISTS {
        let begun = Instant::now();
        let output = Command::new(&binary).env("KUBECONFIG", bed.kubeconfig()).args(["-n", namespace, "list"]).output().await?;
        listed.times.push(millis(begun.elapsed()));
        ensure!(output.status.success(), "kubectl headwind list: {}", String::from_utf8_lossy(&output.stderr));
        // The first line names the columns.
        listed.requests = String::from_utf8_lossy(&output.stdout).lines().count().saturating_sub(1);
    }
    listed.cpu = (process::children_time()? - before) * 1000.0 / f64::from(LISTS);
    Ok(listed)
}
