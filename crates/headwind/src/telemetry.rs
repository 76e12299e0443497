//! Logs: JSON, or readable on a terminal; and the one line that says why nothing was started.

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;

use headwind_web::audit;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, fmt, registry};

/// What is logged when `RUST_LOG` says nothing.
const DEFAULT: &str = "info";

/// Sets up logging to standard error.
pub(crate) fn init() -> anyhow::Result<()> {
    let filter = match std::env::var("RUST_LOG") {
        Ok(text) if !text.trim().is_empty() => EnvFilter::try_new(&text).map_err(|error| anyhow::anyhow!("RUST_LOG={text}: {error}"))?,
        _ => EnvFilter::new(DEFAULT),
    };
    let json = || fmt::layer().with_writer(std::io::stderr).json().flatten_event(true).with_current_span(false).with_span_list(false);
    // Always written, always as JSON, with the time of the action itself.
    let audit = json().without_time().with_filter(filter_fn(|line| line.target() == audit::TARGET));
    let logs = if std::io::stderr().is_terminal() { fmt::layer().with_writer(std::io::stderr).boxed() } else { json().boxed() };
    let logs = logs.with_filter(filter).with_filter(filter_fn(|line| line.target() != audit::TARGET));
    registry().with(vec![audit.boxed(), logs.boxed()]).try_init().map_err(|error| anyhow::anyhow!("logging could not be set up: {error}"))
}

/// Says what is wrong with the arguments, or prints the help that was asked for.
pub(crate) fn explain(faults: &[clap::Error]) -> ExitCode {
    match faults {
        [one] => {
            // Where there is nobody to tell, the exit code does.
            one.print().ok();
        }
        several => {
            // Of each its own words; how to get help is known after the first.
            let words = several.iter().map(|fault| fault.to_string().split("\n\n").next().unwrap_or_default().to_owned());
            let text = words.collect::<Vec<_>>().join("\n") + "\n";
            std::io::stderr().write_all(text.as_bytes()).ok();
        }
    }
    let code = faults.iter().map(clap::Error::exit_code).max().unwrap_or(1);
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}

/// One clear line on standard error, with the chain of causes.
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
    // Where standard error is gone there is nobody to tell.
    std::io::stderr().write_all(line.as_bytes()).ok();
}
