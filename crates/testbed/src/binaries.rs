//! Finds Headwind's own binaries: `headwind-testbed` (the supervisor), and `headwind` and `kubectl-headwind` (under test).
//!
//! In this order: the environment variable for the binary, the variable that Cargo sets for the tests of the same
//! package, the build folder of this process, and finally `cargo build`.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::tools::repository;

/// Allows one build at a time.
static BUILDING: Mutex<()> = Mutex::new(());

/// Returns the supervisor's binary (`HEADWIND_TESTBED_BIN` overrides it).
pub fn testbed() -> Result<PathBuf> {
    find("HEADWIND_TESTBED_BIN", "headwind-testbed")
}

/// Returns the operator's binary (`HEADWIND_BIN` overrides it).
pub fn headwind() -> Result<PathBuf> {
    find("HEADWIND_BIN", "headwind")
}

/// Returns the binary of the kubectl plugin (`HEADWIND_PLUGIN_BIN` overrides it).
pub fn plugin() -> Result<PathBuf> {
    find("HEADWIND_PLUGIN_BIN", "kubectl-headwind")
}

fn find(variable: &str, name: &str) -> Result<PathBuf> {
    if let Some(path) = std::env::var_os(variable).map(PathBuf::from) {
        if !path.is_file() {
            bail!("{variable} names {}, which does not exist", path.display());
        }
        return Ok(path);
    }
    if let Some(path) = std::env::var_os(format!("CARGO_BIN_EXE_{name}")).map(PathBuf::from).filter(|path| path.is_file()) {
        return Ok(path);
    }
    let _one = BUILDING.lock().unwrap_or_else(PoisonError::into_inner);
    let here = std::env::current_exe().context("finding the executable of this process")?;
    if let Some(path) = beside(&here, name) {
        return Ok(path);
    }
    build(name)
}

/// Returns `target/debug/NAME` for a process from `target/debug` or `target/debug/deps`.
fn beside(here: &Path, name: &str) -> Option<PathBuf> {
    here.ancestors().skip(1).take(2).map(|folder| folder.join(name)).find(|path| path.is_file())
}

fn build(name: &str) -> Result<PathBuf> {
    let _ = writeln!(std::io::stderr(), "the test bed needs the binary {name}: building it");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["build", "--package", name, "--bin", name, "--message-format", "json-render-diagnostics"])
        .current_dir(repository())
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .context("running cargo")?;
    if !output.status.success() {
        bail!("building {name} failed; see the output above");
    }
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|message| message.pointer("/target/name").and_then(Value::as_str) == Some(name))
        .find_map(|message| message.get("executable").and_then(Value::as_str).map(PathBuf::from))
        .with_context(|| format!("cargo built {name}, but did not say where"))
}
