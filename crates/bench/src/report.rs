//! The table of results, and the file that it is written to.

use std::fmt::{self, Write as _};
use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::channels::Channels;
use crate::direct::Latency;
use crate::pages::{self, Pages};
use crate::plugin::Listed;
use crate::unused::Unused;
use crate::{Load, Memory};

const BEGIN: &str = "<!-- measured: begin -->";
const END: &str = "<!-- measured: end -->";

/// The results for one size.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) load: Load,
    pub(crate) ready: Duration,
    pub(crate) idle: Memory,
    pub(crate) latency: Latency,
    pub(crate) burst: f64,
    pub(crate) unused: Unused,
    /// The operator's processor time for a change of a Deployment without an update, in microseconds.
    pub(crate) changed: f64,
    pub(crate) after: Memory,
}

/// All results.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) rows: Vec<Row>,
    /// Updates beside receivers of notifications that misbehave.
    pub(crate) channels: Option<Channels>,
    /// The pages of the UI.
    pub(crate) pages: Option<Pages>,
    /// A list of the plugin.
    pub(crate) listed: Option<Listed>,
}

/// Prints progress to standard error.
pub(crate) fn say(text: &str) {
    // If standard error is closed, nobody reads it.
    writeln!(std::io::stderr(), "{text}").ok();
}

/// Prints an error.
pub(crate) fn complain(error: &anyhow::Error) -> ExitCode {
    say(&format!("headwind-bench: {error:#}"));
    ExitCode::FAILURE
}

/// Returns the quantile of the values.
pub(crate) fn quantile(values: &[f64], part: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a place in a short list")]
    let place = ((sorted.len() as f64 - 1.0) * part).round() as usize;
    sorted.get(place).copied().unwrap_or(f64::NAN)
}

/// Returns the quantiles of a column.
pub(crate) fn three(values: &[f64]) -> String {
    format!("{:.1} / {:.1} / {:.1} ms", quantile(values, 0.5), quantile(values, 0.9), quantile(values, 0.99))
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { load: Load { nth: _, size, finished }, ready, idle, latency, burst, unused, changed, after } = self;
        let ratio = quantile(&latency.headwind, 0.5) / quantile(&latency.bare, 0.5);
        write!(
            f,
            "| {size} | {finished} | {:.2} s | {} | {} | {ratio:.2} | {burst:.0} | {:.0} ({:.0}) | {:.1} ({:.1}) µs | {changed:.0} µs | {} | {idle} | {after} |",
            ready.as_secs_f64(),
            three(&latency.headwind),
            three(&latency.bare),
            unused.rate,
            unused.bare_rate,
            unused.cpu,
            unused.bare_cpu,
            unused.api_calls
        )
    }
}

impl Report {
    /// Adds a row, and prints it: a later measurement may fail.
    pub(crate) fn add(&mut self, row: Row) {
        say(&row.to_string());
        self.rows.push(row);
    }

    fn table(&self) -> Result<String> {
        let mut text = String::new();
        let machine = machine();
        writeln!(
            text,
            "Measured {} on {machine}, Headwind {}, Kubernetes 1.37.2 of the test bed.\n",
            jiff::Timestamp::now().strftime("%Y-%m-%d"),
            env!("CARGO_PKG_VERSION")
        )?;
        writeln!(
            text,
            "| Deployments | finished requests | start to ready | push to patched p50 / p90 / p99 | bare create + PATCH p50 / p90 / p99 | ratio of p50 | updates/s of 200 (100) at once | unused pushes/s (`/health` calls/s) | operator's CPU for one (`/health`) | for a change of a Deployment | API calls of these | resident at start | resident after |"
        )?;
        writeln!(text, "|---|---|---|---|---|---|---|---|---|---|---|---|---|")?;
        for row in &self.rows {
            writeln!(text, "{row}")?;
        }
        if let Some(Channels { good, bad }) = &self.channels {
            let [median, high] = [0.5, 0.99].map(|part| quantile(bad, part) / quantile(good, part));
            writeln!(
                text,
                "\n| receivers of notifications | push to patched p50 / p90 / p99 |\n|---|---|\n| all accept | {} |\n| all misbehave | {} |",
                three(good),
                three(bad)
            )?;
            writeln!(text, "\nRatio of the two: {median:.2} (p50), {high:.2} (p99).")?;
        }
        if let Some(pages) = &self.pages {
            let (deployments, requests) = (pages::DEPLOYMENTS, pages::DEPLOYMENTS * pages::EACH);
            writeln!(
                text,
                "\n| page of the UI, with {deployments} Deployments and {requests} requests | HTML | p50 / p90 / p99 |\n|---|---|---|"
            )?;
            for page in &pages.all {
                let [p50, p90, p99] = [0.5, 0.9, 0.99].map(|part| quantile(&page.times, part));
                writeln!(text, "| `{}` | {} KB | {p50:.1} / {p90:.1} / {p99:.1} ms |", page.path, page.bytes.div_ceil(1000))?;
            }
            let (before, with) = pages.streams;
            writeln!(text, "\nMemory with 100 open event streams: {with}, before: {before}.")?;
            let [p50, p90, p99] = [0.5, 0.9, 0.99].map(|part| quantile(&pages.changes, part));
            writeln!(
                text,
                "\nFrom writing a change of a request until all 100 streams have its event: {p50:.0} / {p90:.0} / {p99:.0} ms (p50 / p90 / p99)."
            )?;
            let (requests, bytes) = pages.first_visit;
            writeln!(text, "\nA first visit of the dashboard: {requests} requests, {} KB on the wire.", bytes.div_ceil(1000))?;
        }
        if let Some(Listed { requests, cpu, times }) = &self.listed {
            let [p50, p90] = [0.5, 0.9].map(|part| quantile(times, part));
            writeln!(
                text,
                "\n`kubectl headwind list` of {requests} requests: {cpu:.0} ms of its own processor time, {p50:.0} / {p90:.0} ms until it ends (p50 / p90)."
            )?;
        }
        Ok(text)
    }

    /// Prints the table.
    pub(crate) fn print(&self) -> Result<()> {
        std::io::stdout().write_all(self.table()?.as_bytes())?;
        Ok(())
    }

    /// Writes the table between the markers of the file.
    pub(crate) fn write(&self, path: &str) -> Result<()> {
        replace(path, BEGIN, END, &self.table()?)
    }
}

/// Replaces the text between two markers of a file.
pub(crate) fn replace(path: &str, begin: &str, end: &str, table: &str) -> Result<()> {
    let text = std::fs::read_to_string(path).with_context(|| path.to_owned())?;
    let (before, rest) = text.split_once(begin).with_context(|| format!("{path} has no {begin}"))?;
    let (_, after) = rest.split_once(end).with_context(|| format!("{path} has no {end}"))?;
    std::fs::write(path, format!("{before}{begin}\n{}\n{end}{after}", table.trim_end())).with_context(|| path.to_owned())
}

/// Returns processors, memory and kernel.
pub(crate) fn machine() -> String {
    let processors = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let memory = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib: u64 =
        memory.lines().find_map(|line| line.strip_prefix("MemTotal:")?.split_whitespace().next()?.parse().ok()).unwrap_or_default();
    format!("{processors} processors, {} GiB, Linux {}", kib / 1024 / 1024, kernel.trim())
}
