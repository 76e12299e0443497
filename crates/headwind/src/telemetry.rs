//! Logs, as JSON or as text on a terminal, and the line that says why the process did not start.

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;

use headwind_operator::AUDIT;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, fmt, registry};

/// The filter if `RUST_LOG` is not set.
const DEFAULT: &str = "info";

/// Sets up logging to standard error.
pub(crate) fn init() -> anyhow::Result<()> {
    let filter = match std::env::var("RUST_LOG") {
        Ok(text) if !text.trim().is_empty() => EnvFilter::try_new(&text).map_err(|error| anyhow::anyhow!("RUST_LOG={text}: {error}"))?,
        _ => EnvFilter::new(DEFAULT),
    };
    let json = || fmt::layer().with_writer(std::io::stderr).json().flatten_event(true).with_current_span(false).with_span_list(false);
    // The audit log is always written, as JSON, with the time of the action itself.
    let audit = json().without_time().with_filter(filter_fn(|line| line.target() == AUDIT));
    let logs = if std::io::stderr().is_terminal() { fmt::layer().with_writer(std::io::stderr).boxed() } else { json().boxed() };
    let logs = logs.with_filter(filter).with_filter(filter_fn(|line| line.target() != AUDIT));
    registry().with(vec![audit.boxed(), logs.boxed()]).try_init().map_err(|error| anyhow::anyhow!("failed to set up logging: {error}"))
}

/// Prints the faults of the arguments, or the requested help.
pub(crate) fn explain(faults: &[clap::Error]) -> ExitCode {
    match faults {
        [one] => {
            // If standard output is closed, the exit code remains.
            one.print().ok();
        }
        several => {
            // Without the hint about --help that ends each error.
            let words = several.iter().map(|fault| fault.to_string().split("\n\n").next().unwrap_or_default().to_owned());
            let text = words.collect::<Vec<_>>().join("\n") + "\n";
            std::io::stderr().write_all(text.as_bytes()).ok();
        }
    }
    let code = faults.iter().map(clap::Error::exit_code).max().unwrap_or(1);
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}

/// Prints one line to standard error, with the chain of causes.
pub(crate) fn complain(error: &anyhow::Error) {
    let mut line = String::from("headwind: ");
    for (depth, cause) in error.chain().enumerate() {
        let cause = cause.to_string();
        if depth > 0 && line.ends_with(&cause) {
            continue;
        }
        if depth > 0 {
            line.push_str(": ");
        }
        line.push_str(&cause);
    }
    line.push('\n');
    // If standard error is closed, the exit code remains.
    std::io::stderr().write_all(line.as_bytes()).ok();
}
