//! Collects failures in a file that `make test` prints last: the output of a run is long, and CI keeps only its end.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use headwind_testbed::Bed;

static FAILURES: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// The characters of a message in the file.
const LENGTH: usize = 1200;

/// Adds the message of a failed trial, and the lines of this program in its backtrace.
pub(crate) fn add(trial: &str, message: &str) {
    let (said, frames) = message.split_once("Stack backtrace:").unwrap_or((message, ""));
    let mut text = format!("---- {trial} ----\n");
    text.extend(said.chars().take(LENGTH));
    for place in frames.lines().filter(|line| line.contains("at ./tests/")) {
        text.extend(["\n", place.trim()]);
    }
    FAILURES.lock().unwrap_or_else(PoisonError::into_inner).push(text);
}

/// Writes all of them, after the errors that the control plane logged.
pub(crate) async fn write() {
    let logged = Bed::start().await.map(|bed| bed.logged_errors()).unwrap_or_default();
    let text = format!("{logged}\n{}\n", FAILURES.lock().unwrap_or_else(PoisonError::into_inner).join("\n\n"));
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("e2e-failures.txt");
    if let Err(error) = std::fs::write(&file, text) {
        eprintln!("{}: {error}", file.display());
    }
}
