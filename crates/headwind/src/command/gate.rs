//! `headwind gate`: shows whether the time windows for updates are open at a time, and when that changes.

use std::io::Write;
use std::process::ExitCode;

use headwind_core::window::{Schedule, Windows};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::lines::{self, Output};

/// `headwind gate --window W [--deny D] [--at TIME]`
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Windows in which updates may start, such as "Mon-Fri 09:00-17:00 Europe/Berlin"; several are separated by ; or given
    /// in several flags. If unset, updates may start at any time
    #[arg(long = "window", value_name = "WINDOWS", required_unless_present_any = ["deny", "stdin"])]
    windows: Vec<String>,
    /// Windows in which updates may not start
    #[arg(long, value_name = "WINDOWS")]
    deny: Vec<String>,
    /// Time to evaluate (RFC 3339). Default: now
    #[arg(long, value_name = "TIME")]
    at: Option<Timestamp>,
    /// Read one JSON object {"windows": [WINDOWS…], "deny": [WINDOWS…], "at": TIME} per line and print one JSON object for
    /// each
    #[arg(long, conflicts_with_all = ["windows", "deny", "at"])]
    stdin: bool,
    /// Output format
    #[arg(short, long, default_value = "text")]
    output: Output,
}

#[derive(Debug, Deserialize)]
struct Question {
    /// Missing, null or empty: updates may start at any time.
    #[serde(default)]
    windows: Option<Vec<String>>,
    #[serde(default)]
    deny: Option<Vec<String>>,
    at: Timestamp,
}

#[derive(Debug, Serialize)]
struct Answer {
    /// True if updates may start at that time.
    open: bool,
    /// When that changes; null if it does not change within three years.
    until: Option<Timestamp>,
}

fn answer(windows: &[String], deny: &[String], at: Timestamp) -> Result<Answer, String> {
    let read = |what: &str, lists: &[String]| {
        let lists = (!lists.is_empty()).then(|| Windows::parse(lists.iter().map(String::as_str)));
        lists.transpose().map_err(|error| format!("{what}: {error}"))
    };
    let schedule = Schedule { allow: read("windows", windows)?, deny: read("deny", deny)? };
    Ok(Answer { open: schedule.is_open(at), until: schedule.next_change(at) })
}

/// Evaluates the arguments, or every line.
pub(crate) fn run(args: &Args, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    if args.stdin {
        let answer = |question: Question| answer(&question.windows.unwrap_or_default(), &question.deny.unwrap_or_default(), question.at);
        lines::answer_each(std::io::stdin().lock(), out, answer)?;
        return Ok(ExitCode::SUCCESS);
    }
    let answer = answer(&args.windows, &args.deny, args.at.unwrap_or_else(Timestamp::now)).map_err(anyhow::Error::msg)?;
    match args.output {
        Output::Json => lines::write(out, &answer)?,
        Output::Text => {
            let state = if answer.open { "open" } else { "closed" };
            match answer.until {
                Some(until) => writeln!(out, "{state} until {until}")?,
                None => writeln!(out, "{state}; this does not change within three years")?,
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}
