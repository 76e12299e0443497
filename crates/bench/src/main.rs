//! `make bench`: measures Headwind on the real control plane of the test bed, in one run.
//!
//! Prints a table; `--write FILE` also writes it between the two markers of that file, and `--sizes` sets other numbers
//! of Deployments, `--finished` another number of finished requests for each (0: not measured). `--only-deployments`
//! leaves out the receivers and the pages. The bench only measures: it fails only if something does not work at all.
//! Values that depend on the machine are ratios to the same work without Headwind, both in the same loop.
//!
//! `--soak MINUTES` runs the mixed load of [`soak`] instead, which fails when a limit is exceeded. `--peer-keel BINARY`
//! compares Headwind with another tool instead, in [`peers`]; `--quiet SECONDS` and `--polled NUMBER` set its quiet time
//! and its number of polled repositories.

mod changed;
mod channels;
mod direct;
mod finished;
mod load;
mod pages;
mod peers;
mod plugin;
mod process;
mod report;
mod seen;
mod soak;
mod unused;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use headwind_testbed::{Bed, Operator, OperatorOptions, eventually};

use crate::pages::Pages;
use crate::plugin::Listed;
pub(crate) use crate::process::Memory;
use crate::report::{Report, Row};

/// The numbers of Deployments, one after the other.
const SIZES: [usize; 3] = [100, 5_000, 10_000];
/// The number of finished requests for each Deployment in the last measurement.
const EACH: usize = 10;
/// Timeout for ten thousand objects on a busy machine.
const LONG: Duration = Duration::from_mins(3);

fn main() -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return report::complain(&error.into()),
    };
    match runtime.block_on(run()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => report::complain(&error),
    }
}

async fn run() -> Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    let option = |name: &str| arguments.iter().position(|argument| argument == name).and_then(|at| arguments.get(at + 1));
    if let Some(minutes) = option("--soak") {
        return soak::run(Duration::from_mins(minutes.parse().context("--soak MINUTES")?)).await;
    }
    let sizes: Option<Vec<usize>> = match option("--sizes") {
        Some(list) => Some(list.split(',').map(str::parse).collect::<Result<_, _>>().context("--sizes 100,5000")?),
        None => None,
    };
    if let Some(keel) = option("--peer-keel") {
        return peers::run(peers::Options {
            keel: PathBuf::from(keel),
            sizes: sizes.unwrap_or_else(|| peers::SIZES.to_vec()),
            quiet: option("--quiet").map_or(Ok(peers::QUIET), |text| text.parse()).map(Duration::from_secs).context("--quiet 120")?,
            polled: option("--polled").map_or(Ok(peers::POLLED), |text| text.parse()).context("--polled 10")?,
            write: option("--write").cloned(),
        })
        .await;
    }
    let sizes = sizes.unwrap_or_else(|| SIZES.to_vec());
    let each = option("--finished").map_or(Ok(EACH), |text| text.parse()).context("--finished 10")?;
    let bed = Bed::start().await?;
    let client = bed.client().await?;
    let mut report = Report::default();
    if !arguments.iter().any(|argument| argument == "--only-deployments") {
        report::say("two operators, one of them with receivers of notifications that misbehave");
        report.channels = Some(channels::run(bed, &client).await?);
        let (pages, listed) = pages(bed, &client).await?;
        (report.pages, report.listed) = (Some(pages), Some(listed));
    }
    let (namespace, operator) = site(bed, "bench").await?;
    let mut made = 0;
    for size in sizes {
        report::say(&format!("{size} Deployments: creating"));
        load::deployments(&client, &namespace, made..size).await?;
        made = size;
        report.add(measure(bed, &client, &namespace, &operator, Load { nth: report.rows.len() + 1, size, finished: 0 }).await?);
    }
    if each > 0 {
        report::say(&format!("{made} Deployments: creating {each} finished requests for each"));
        operator.terminate().await?;
        let finished = finished::create(&client, &namespace, made, each).await?;
        finished::settled(&client, &namespace).await?;
        report.add(measure(bed, &client, &namespace, &operator, Load { nth: report.rows.len() + 1, size: made, finished }).await?);
    }
    report.print()?;
    if let Some(file) = option("--write") {
        report.write(file)?;
    }
    Ok(())
}

/// Returns a namespace and the operator that watches it.
async fn site(bed: &Bed, name: &str) -> Result<(String, Operator)> {
    let namespace = bed.namespace(name).await?;
    let options = OperatorOptions::new(&namespace).env("MALLOC_ARENA_MAX", "1").env("RUST_LOG", "info");
    let operator = Operator::new(bed, options).await?;
    Ok((namespace, operator))
}

/// Measures the pages of the UI and a list of the plugin, in a namespace of their own.
async fn pages(bed: &Bed, client: &kube::Client) -> Result<(Pages, Listed)> {
    let (namespace, operator) = site(bed, "pages").await?;
    report::say(&format!("{} Deployments with {} finished requests each: the pages of the UI", pages::DEPLOYMENTS, pages::EACH));
    load::deployments(client, &namespace, 0..pages::DEPLOYMENTS).await?;
    finished::create(client, &namespace, pages::DEPLOYMENTS, pages::EACH).await?;
    finished::settled(client, &namespace).await?;
    start(&operator, pages::DEPLOYMENTS).await?;
    let measured = pages::run(client, &namespace, &operator).await?;
    operator.terminate().await?;
    Ok((measured, plugin::run(bed, &namespace).await?))
}

/// The state of the cluster at a measurement.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    /// The number of the measurement, from 1.
    pub(crate) nth: usize,
    /// The number of Deployments.
    pub(crate) size: usize,
    /// The number of finished requests before the first push.
    pub(crate) finished: usize,
}

async fn measure(bed: &Bed, client: &kube::Client, namespace: &str, operator: &Operator, load: Load) -> Result<Row> {
    let Load { size, finished, .. } = load;
    let ready = start(operator, size).await?;
    let idle = memory(operator)?;
    report::say(&format!("{size} Deployments, {finished} finished requests: ready after {:.2} s, {idle}; pushing", ready.as_secs_f64()));
    let latency = direct::latency(client, namespace, operator, load).await?;
    let burst = direct::burst(client, namespace, operator, load).await?;
    report::say(&format!("{size} Deployments: pushes for unused repositories"));
    let unused = unused::run(bed, client, operator).await?;
    let changed = changed::run(client, namespace, operator, load).await?;
    Ok(Row { load, ready, idle, latency, burst, unused, changed, after: memory(operator)? })
}

/// Starts or restarts the operator. Returns the time from the start of the process until `/ready` succeeds.
async fn start(operator: &Operator, size: usize) -> Result<Duration> {
    if operator.is_running() {
        operator.terminate().await?;
    }
    let started = Instant::now();
    operator.start().await?;
    operator.ready_within(LONG).await?;
    let ready = started.elapsed();
    let expected = f64::from(u32::try_from(size)?);
    eventually("the operator leads and knows every Deployment", LONG, || async {
        let metric = async |name: &str| operator.metric(name, &[]).await.map_err(|error| error.to_string());
        let (known, leads) = (metric("headwind_deployments_watched").await?, metric("headwind_leader").await?);
        if known >= expected && leads > 0.5 { Ok(()) } else { Err(format!("{known} known, leads: {leads}")) }
    })
    .await?;
    Ok(ready)
}

/// Returns the operator's memory.
fn memory(operator: &Operator) -> Result<Memory> {
    process::memory(operator.process().context("the operator runs")?.pid)
}
