//! The tables of the comparison.

use std::fmt::{self, Write as _};
use std::io::Write as _;
use std::time::Duration;

use anyhow::Result;

use crate::peers::calls::Calls;
use crate::peers::polling::{self, Polled};
use crate::peers::pushes::{Burst, Pushed};
use crate::peers::{INTERVAL, Options};
use crate::process::Memory;
use crate::report::{machine, quantile, replace, say, three};

const BEGIN: &str = "<!-- peers: begin -->";
const END: &str = "<!-- peers: end -->";

/// One tool at one size.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) tool: &'static str,
    pub(crate) size: usize,
    pub(crate) pushed: Pushed,
    pub(crate) burst: Burst,
    pub(crate) before: Memory,
    pub(crate) after: Memory,
    /// Processor time for an unused push, in microseconds.
    pub(crate) unused: f64,
    /// API calls with polling off.
    pub(crate) idle: Calls,
    /// API calls with polling on and no polled workload.
    pub(crate) polling: Calls,
}

/// All results.
#[derive(Debug)]
pub(crate) struct Report {
    /// The version of the peer.
    peer: String,
    quiet: Duration,
    repositories: usize,
    rows: Vec<Row>,
    pub(crate) polled: Vec<Polled>,
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { tool, size, pushed, burst, before, after, unused, idle, polling } = self;
        let Pushed { sent, times, bare } = pushed;
        let (latency, ratio) = if times.is_empty() {
            ("–".to_owned(), "–".to_owned())
        } else {
            (three(times), format!("{:.2}", quantile(times, 0.5) / quantile(bare, 0.5)))
        };
        write!(f, "| {size} | {tool} | {} of {sent} | {latency} | {} | {ratio} ", times.len(), three(bare))?;
        write!(f, "| {} of {} in {:.1} s | {before} | {after} ", burst.seen, burst.sent, burst.seconds)?;
        write!(f, "| {unused:.0} µs | {idle} | {polling} |")
    }
}

impl Report {
    pub(crate) fn new(peer: String, options: &Options) -> Self {
        Self { peer, quiet: options.quiet, repositories: options.polled, rows: Vec::new(), polled: Vec::new() }
    }

    /// Adds a row, and prints it: a later measurement may fail.
    pub(crate) fn add(&mut self, row: Row) {
        say(&row.to_string());
        self.rows.push(row);
    }

    fn table(&self) -> Result<String> {
        let Self { peer, quiet, repositories, rows, polled } = self;
        let mut text = String::new();
        let build = if cfg!(debug_assertions) { "debug build" } else { "release build" };
        writeln!(
            text,
            "Measured {} on {}, Headwind {} ({build}), {peer}, Kubernetes 1.37.2 of the test bed.\n",
            jiff::Timestamp::now().strftime("%Y-%m-%d"),
            machine(),
            env!("CARGO_PKG_VERSION"),
        )?;
        writeln!(
            text,
            "| Deployments | tool | single pushes seen | push to patched p50 / p90 / p99 | bare create + PATCH p50 / p90 / p99 | ratio of p50 | pushes at once, seen | resident at start | resident after | CPU for an unused push | API calls per hour, idle, polling off (Lease), scaled from {} s | the same, polling on, no workload polled |",
            quiet.as_secs()
        )?;
        writeln!(text, "|---|---|---|---|---|---|---|---|---|---|---|---|")?;
        for row in rows {
            writeln!(text, "{row}")?;
        }
        let (interval, span) = (INTERVAL.as_secs(), polling::span(*quiet).as_secs());
        writeln!(
            text,
            "\n| tool, polling {repositories} repositories every {interval} s | polls of a repository in {span} s | registry requests for one cycle of {repositories} | API calls per hour (Lease), scaled from {span} s |\n|---|---|---|---|"
        )?;
        for one in polled {
            let cycle = if one.scans > 0.5 { format!("{:.1}", one.per_cycle(*repositories)) } else { "–".to_owned() };
            writeln!(text, "| {} | {:.0} | {cycle} | {} |", one.tool, one.scans, one.calls)?;
        }
        Ok(text)
    }

    /// Prints the tables.
    pub(crate) fn print(&self) -> Result<()> {
        std::io::stdout().write_all(self.table()?.as_bytes())?;
        Ok(())
    }

    /// Writes the tables between the markers of the file.
    pub(crate) fn write(&self, path: &str) -> Result<()> {
        replace(path, BEGIN, END, &self.table()?)
    }
}
