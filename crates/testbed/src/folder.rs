//! Temporary folders: one per supervisor, which removes it.
//!
//! A killed supervisor cannot remove its folder. So each supervisor holds a lock in its folder while it runs, and the
//! next control plane removes the folders whose lock is free.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::wait::eventually;

const PREFIX: &str = "headwind-testbed-";
const LOCK: &str = "lock";
/// Minimum age of a folder without a lock before it is removed: its supervisor may be about to start.
const GRACE: Duration = Duration::from_mins(10);
/// Timeout for the removal of a folder, because another process may still write into it.
const RESIST: Duration = Duration::from_secs(5);

/// Creates a folder that only this user can read. The caller passes it to a supervisor.
pub(crate) fn create(kind: &str) -> Result<PathBuf> {
    let folder = tempfile::Builder::new().prefix(&format!("{PREFIX}{kind}-")).tempdir().context("creating a temporary folder")?;
    Ok(folder.keep())
}

/// A folder that this process, a supervisor, owns.
#[derive(Debug)]
pub(crate) struct Held {
    path: PathBuf,
    _lock: File,
}

impl Held {
    /// Takes ownership of the folder. The lock is in place before the folder is visible.
    pub(crate) fn take(path: &Path) -> Result<Self> {
        fs::create_dir_all(path).with_context(|| format!("creating {}", path.display()))?;
        let unseen = path.join("lock.new");
        let lock = File::create(&unseen).with_context(|| format!("creating {}", unseen.display()))?;
        lock.lock()?;
        fs::rename(&unseen, path.join(LOCK))?;
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    /// Removes the folder, unless `HEADWIND_TESTBED_KEEP` is set. Processes that are ending may still write into it for
    /// a moment.
    pub(crate) async fn remove(self) -> Result<()> {
        if std::env::var_os("HEADWIND_TESTBED_KEEP").is_some() {
            return Ok(());
        }
        let path = &self.path;
        eventually("the temporary folder is gone", RESIST, || async move {
            match fs::remove_dir_all(path) {
                Ok(()) => Ok(()),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
                Err(error) => Err(format!("{}: {error}", path.display())),
            }
        })
        .await
    }
}

/// Removes the folders of supervisors that no longer run. Never fails.
pub(crate) fn sweep() {
    let Ok(entries) = fs::read_dir(std::env::temp_dir()) else { return };
    for entry in entries.flatten() {
        if entry.file_name().to_str().is_some_and(|name| name.starts_with(PREFIX)) && orphaned(&entry.path()) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

fn orphaned(folder: &Path) -> bool {
    match File::open(folder.join(LOCK)) {
        Ok(lock) => lock.try_lock().is_ok(),
        Err(_) => folder.metadata().and_then(|about| about.modified()).is_ok_and(|at| at.elapsed().is_ok_and(|age| age > GRACE)),
    }
}

/// Returns the last lines of a log file.
pub(crate) fn tail(log: &Path, lines: usize) -> String {
    let Ok(text) = fs::read(log) else { return format!("(no log at {})", log.display()) };
    let text = String::from_utf8_lossy(&text);
    let all: Vec<&str> = text.lines().collect();
    let last = all.get(all.len().saturating_sub(lines)..).unwrap_or_default();
    let name = log.file_name().unwrap_or_else(|| OsStr::new("log")).to_string_lossy();
    format!("--- last {} lines of {name} ---\n{}\n--- end of {name} ---", last.len(), last.join("\n"))
}
