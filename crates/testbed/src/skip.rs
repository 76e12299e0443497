//! Tests that cannot run here: they say so loudly and are counted.

use std::io::Write;

/// Says that a test is skipped, and why. Where `HEADWIND_TESTBED_SKIPPED` names a file, a line is
/// added to it, so that `make test` can count what did not run.
pub fn skipped(test: &str, reason: &str) {
    let line = format!("SKIPPED {test}: {reason}");
    let _ = writeln!(std::io::stderr(), "{line}");
    if let Some(path) = std::env::var_os("HEADWIND_TESTBED_SKIPPED")
        && let Ok(mut file) = std::fs::OpenOptions::new().create(true).append(true).open(path)
    {
        let _ = writeln!(file, "{line}");
    }
}

/// Says something that whoever runs the tests should know.
pub(crate) fn note(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}
