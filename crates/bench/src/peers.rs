//! `make bench-peers`: measures Headwind and another tool on the same test bed, in the same run, with the same code.
//!
//! ```text
//!  run ─> for each size: turn(Headwind), turn(peer) ─> report ─> the table
//!    └──> polling: Headwind, peer ────────────────────────┘
//! ```
//!
//! The tools take turns: only one of them runs at a time, and the order changes from size to size. Both use the same
//! Deployments, which have the annotations of both. A peer is one file that implements [`Tool`].

mod account;
mod calls;
mod headwind;
mod keel;
mod polling;
mod pushes;
mod report;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Result;
use headwind_testbed::{Bed, FakeRegistry, Query};
use kube::Client;

use crate::peers::headwind::Headwind;
use crate::peers::keel::Keel;
use crate::peers::report::{Report, Row};
use crate::report::say;
use crate::{LONG, load, process};

/// The numbers of Deployments, one after the other.
pub(crate) const SIZES: [usize; 3] = [100, 1_000, 5_000];
/// The time in which the calls of an idle tool are counted, in seconds.
pub(crate) const QUIET: u64 = 120;
/// The number of polled repositories. Keel lists pods for each pair of them (`docs/benchmarks.md`).
pub(crate) const POLLED: usize = 10;
/// The polling interval of both tools.
pub(crate) const INTERVAL: Duration = Duration::from_mins(1);
/// Time after a start before anything is measured.
const SETTLE: Duration = Duration::from_secs(10);
/// A tool is quiet if it used less processor time than this within [`STEP`].
const LITTLE: f64 = 0.03;
const STEP: Duration = Duration::from_secs(1);

/// The options of the command line.
#[derive(Debug)]
pub(crate) struct Options {
    /// Keel's binary.
    pub(crate) keel: PathBuf,
    pub(crate) sizes: Vec<usize>,
    pub(crate) quiet: Duration,
    pub(crate) polled: usize,
    /// The file with the markers for the table.
    pub(crate) write: Option<String>,
}

/// A measured tool. It watches one namespace, and does not run yet when it is created.
pub(crate) trait Tool {
    /// Its name in the table.
    const NAME: &'static str;

    /// Starts it, and waits until it knows that many Deployments.
    async fn start(&self, deployments: usize, polling: bool) -> Result<()>;
    /// Ends it.
    async fn stop(&self) -> Result<()>;
    /// Returns its process ID.
    fn pid(&self) -> Result<u32>;
    /// Sends it a webhook about a pushed tag of a repository on [`load::HOST`].
    async fn push(&self, repository: &str, tag: &str) -> Result<()>;
    /// Selects its requests in the API server's audit log.
    fn requests(&self) -> Query;
    /// Returns the number of polls of a repository since its start, by its own metrics.
    async fn scans(&self) -> Result<f64>;
}

/// The place of the measurements.
pub(crate) struct Site {
    bed: &'static Bed,
    client: Client,
    namespace: String,
    quiet: Duration,
}

/// One measurement of one tool.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Turn {
    /// The number of the turn, from 1. Versions increase with it.
    nth: usize,
    /// The number of Deployments.
    size: usize,
}

/// Measures all sizes, then polling. Prints the tables, and writes them to the file.
pub(crate) async fn run(options: Options) -> Result<()> {
    let bed = Bed::start().await?;
    let site = Site { bed, client: bed.client().await?, namespace: bed.namespace("peers").await?, quiet: options.quiet };
    let headwind = Headwind::new(bed, &site.namespace).await?;
    let keel = Keel::new(bed, &site.namespace, &options.keel).await?;
    let mut report = Report::new(keel.version().await?, &options);
    let mut made = 0;
    for (place, size) in options.sizes.iter().copied().enumerate() {
        say(&format!("{size} Deployments: creating"));
        let fixtures = (made..size).map(|n| keel::annotated(load::fixture(n, &load::image(n, "1.0.0"))));
        load::create(&site.client, &site.namespace, fixtures).await?;
        made = size;
        let (first, second) = (Turn { nth: 2 * place + 1, size }, Turn { nth: 2 * place + 2, size });
        if place.is_multiple_of(2) {
            report.add(measure(&site, &headwind, first).await?);
            report.add(measure(&site, &keel, second).await?);
        } else {
            report.add(measure(&site, &keel, first).await?);
            report.add(measure(&site, &headwind, second).await?);
        }
    }
    let registry = FakeRegistry::start().await?;
    let namespace = bed.namespace("polled").await?;
    polling::create(&site.client, &namespace, &registry, options.polled).await?;
    let site = Site { namespace, quiet: polling::span(site.quiet), ..site };
    report.polled.push(polling::run(&site, &Headwind::new(bed, &site.namespace).await?, &registry, options.polled).await?);
    report.polled.push(polling::run(&site, &Keel::new(bed, &site.namespace, &options.keel).await?, &registry, options.polled).await?);
    report.print()?;
    match &options.write {
        Some(file) => report.write(file),
        None => Ok(()),
    }
}

/// Measures one tool at one size: idle with polling on, then restarted with polling off.
async fn measure<T: Tool>(site: &Site, tool: &T, turn: Turn) -> Result<Row> {
    let progress = |text: &str| say(&format!("{} with {} Deployments: {text}", T::NAME, turn.size));
    progress("idle, polling on");
    tool.start(turn.size, true).await?;
    settled(tool, LONG / 6).await?;
    let polling = calls::count(site, tool).await?;
    tool.stop().await?;
    progress("idle, polling off");
    tool.start(turn.size, false).await?;
    settled(tool, LONG).await?;
    let before = process::memory(tool.pid()?)?;
    let idle = calls::count(site, tool).await?;
    progress("pushes");
    let pushed = pushes::single(site, tool, turn).await?;
    let burst = pushes::burst(site, tool, turn).await?;
    settled(tool, LONG).await?;
    progress("pushes for unused repositories");
    let unused = pushes::unused(tool).await?;
    let after = process::memory(tool.pid()?)?;
    tool.stop().await?;
    Ok(Row { tool: T::NAME, size: turn.size, pushed, burst, before, after, unused, idle, polling })
}

/// Waits [`SETTLE`], and then until the tool uses almost no processor time, at most that long.
async fn settled<T: Tool>(tool: &T, patience: Duration) -> Result<()> {
    tokio::time::sleep(SETTLE).await;
    quiet(tool, patience).await
}

/// Waits until the tool uses almost no processor time, at most that long.
async fn quiet<T: Tool>(tool: &T, patience: Duration) -> Result<()> {
    let pid = tool.pid()?;
    let started = Instant::now();
    let mut last = process::processor_time(pid)?;
    while started.elapsed() < patience {
        tokio::time::sleep(STEP).await;
        let now = process::processor_time(pid)?;
        if now - last < LITTLE {
            return Ok(());
        }
        last = now;
    }
    say(&format!("{} is not idle after {} s", T::NAME, patience.as_secs()));
    Ok(())
}
