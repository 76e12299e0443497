//! Collects failures in a file that `make test` prints last: the output of a run is long, and CI keeps only its end.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use headwind_testbed::Bed;

static FAILURES: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Adds the message of a failed trial.
pub(crate) fn add(trial: &str, message: &str) {
    FAILURES.lock().unwrap_or_else(PoisonError::into_inner).push(format!("---- {trial} ----\n{message}\n"));
}

/// Writes all of them, with the errors that the control plane logged.
pub(crate) async fn write() {
    let mut text = FAILURES.lock().unwrap_or_else(PoisonError::into_inner).join("\n");
    if let Ok(bed) = Bed::start().await {
        text += &bed.logged_errors();
    }
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("e2e-failures.txt");
    if let Err(error) = std::fs::write(&file, text) {
        eprintln!("{}: {error}", file.display());
    }
}
