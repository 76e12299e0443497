//! Tests that cannot run in this environment: reported and counted.

use std::io::Write;

/// Reports that a test is skipped, and why. If `HEADWIND_TESTBED_SKIPPED` names a file, appends a line to it, so that
/// `make test` can count the skipped tests.
pub fn skipped(test: &str, reason: &str) {
    let line = format!("SKIPPED {test}: {reason}");
    let _ = writeln!(std::io::stderr(), "{line}");
    if let Some(path) = std::env::var_os("HEADWIND_TESTBED_SKIPPED")
        && let Ok(mut file) = std::fs::OpenOptions::new().create(true).append(true).open(path)
    {
        let _ = writeln!(file, "{line}");
    }
}

/// Prints a note for the person who runs the tests.
pub(crate) fn note(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}
