//! Measures pushes for unused repositories: their rate and their cost.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use headwind_testbed::{Audit, Bed, Operator, eventually, payload};
use jiff::Timestamp;
use kube::Client;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::LONG;
use crate::load::HOST;
use crate::process;

/// Number of connections, and of calls in progress on each: the sender shares the machine's cores.
const CONNECTIONS: usize = 8;
const PIPELINE: usize = 32;
const SPAN: Duration = Duration::from_secs(5);

/// The results.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Unused {
    /// Calls per second, one event each.
    pub(crate) rate: f64,
    /// The same for `GET /health` of the same port, which does nothing.
    pub(crate) bare_rate: f64,
    /// The operator's processor time per call, in microseconds.
    pub(crate) cpu: f64,
    /// The same for `GET /health`.
    pub(crate) bare_cpu: f64,
    /// Number of calls to the API server in that time, without the lease and the watches.
    pub(crate) api_calls: usize,
}

pub(crate) async fn run(bed: &Bed, client: &Client, operator: &Operator) -> Result<Unused> {
    quiet(bed, client, operator).await?;
    let address = operator.webhook_url().trim_start_matches("http://").to_owned();
    let since = Timestamp::now();
    let (rate, cpu) = load(operator, &address, push).await?;
    let mut audit = bed.audit().context("the test bed's own control plane")?;
    audit.catch_up(client).await?;
    let calls = audit.entries(&operator.requests().since(since))?;
    // Calls that are not caused by these pushes: the lease, watches, the checks of the namespace and of Flux's APIs.
    let api_calls =
        calls.iter().filter(|entry| !matches!(entry.resource.as_str(), "" | "leases" | "namespaces") && entry.verb != "watch").count();
    let (bare_rate, bare_cpu) = load(operator, &address, health).await?;
    Ok(Unused { rate, bare_rate, cpu, bare_cpu, api_calls })
}

/// A call of one connection: its bytes, and a text that appears once in each answer.
type Call = fn(address: &str, connection: usize) -> (String, &'static str);

fn push(address: &str, connection: usize) -> (String, &'static str) {
    let digest = format!("sha256:{}", "a".repeat(64));
    let body = payload::distribution(HOST, &format!("nobody/app-{connection}"), "1.0.0", &digest).to_string();
    let head = format!("POST /webhook/registry HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json");
    (format!("{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len()), "\"ignored\":0}")
}

fn health(address: &str, _: usize) -> (String, &'static str) {
    (format!("GET /health HTTP/1.1\r\nHost: {address}\r\n\r\n"), "HTTP/1.1 200")
}

/// Sends the calls of all connections for [`SPAN`]. Returns the calls per second, and the operator's processor time for
/// one in microseconds.
async fn load(operator: &Operator, address: &str, call: Call) -> Result<(f64, f64)> {
    let done = Arc::new(AtomicU64::new(0));
    let before = processor_time(operator)?;
    let started = Instant::now();
    let tasks: Vec<_> = (0..CONNECTIONS)
        .map(|n| tokio::spawn(connection(address.to_owned(), call(address, n), started + SPAN, Arc::clone(&done))))
        .collect();
    for task in tasks {
        task.await??;
    }
    let elapsed = started.elapsed().as_secs_f64();
    let spent = processor_time(operator)? - before;
    #[expect(clippy::cast_precision_loss, reason = "a rate")]
    let count = done.load(Ordering::Relaxed) as f64;
    Ok((count / elapsed, spent * 1e6 / count))
}

/// Returns the operator's processor time so far, in seconds.
fn processor_time(operator: &Operator) -> Result<f64> {
    process::processor_time(operator.process().context("the operator runs")?.pid)
}

/// Returns the number of the operator's calls since then, without periodic ones: the lease, the watches, the checks of
/// the namespace's annotations and of Flux's APIs.
fn calls(audit: &mut Audit, operator: &Operator, since: Timestamp) -> Result<usize> {
    let all = audit.entries(&operator.requests().since(since))?;
    Ok(all.iter().filter(|entry| !matches!(entry.resource.as_str(), "" | "leases" | "namespaces") && entry.verb != "watch").count())
}

/// Waits until the writes of earlier updates are complete.
async fn quiet(bed: &Bed, client: &Client, operator: &Operator) -> Result<()> {
    let begin = Timestamp::now();
    let last = std::cell::Cell::new((usize::MAX, Instant::now()));
    eventually("the earlier updates are complete", LONG, || async {
        let look = async {
            let mut audit = bed.audit().context("the test bed's own control plane")?;
            audit.catch_up(client).await?;
            calls(&mut audit, operator, begin)
        };
        let count = look.await.map_err(|error: anyhow::Error| error.to_string())?;
        let (before, since) = last.get();
        if count != before {
            last.set((count, Instant::now()));
        }
        if count == before && since.elapsed() > Duration::from_secs(2) { Ok(()) } else { Err(format!("{count} calls")) }
    })
    .await
}

async fn connection(address: String, (one, answer): (String, &'static str), end: Instant, done: Arc<AtomicU64>) -> Result<()> {
    let mut stream = TcpStream::connect(&address).await?;
    stream.set_nodelay(true)?;
    let batch = one.repeat(PIPELINE).into_bytes();
    let mut buffer = vec![0_u8; 64 * 1024];
    while Instant::now() < end {
        stream.write_all(&batch).await?;
        let mut answered = 0;
        let mut tail: Vec<u8> = Vec::new();
        while answered < PIPELINE {
            let read = stream.read(&mut buffer).await?;
            if read == 0 {
                bail!("the operator closed the connection");
            }
            tail.extend_from_slice(buffer.get(..read).unwrap_or_default());
            let text = String::from_utf8_lossy(&tail);
            if text.contains("HTTP/1.1 4") || text.contains("HTTP/1.1 5") {
                bail!("a call was refused: {text}");
            }
            answered = text.matches(answer).count();
        }
        done.fetch_add(PIPELINE as u64, Ordering::Relaxed);
    }
    Ok(())
}
