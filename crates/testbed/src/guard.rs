//! A test's guard over a supervisor: the supervisor's program runs as long as this value exists.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use tokio::sync::watch;

use crate::binaries;
use crate::protocol::{Order, Report};

/// The supervisor, its input and its reports.
#[derive(Debug)]
pub struct Guard {
    child: Child,
    orders: Mutex<Option<ChildStdin>>,
    heard: watch::Receiver<Heard>,
}

#[derive(Debug, Default)]
struct Heard {
    reports: Vec<Report>,
    silent: bool,
}

impl Guard {
    /// Starts `headwind-testbed ARGS` as a supervisor, without the test's own environment variables for Headwind or a
    /// cluster.
    pub fn spawn<A: AsRef<OsStr>>(args: impl IntoIterator<Item = A>) -> Result<Self> {
        let binary = binaries::testbed()?;
        let mut command = Command::new(&binary);
        command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped());
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if text == "KUBECONFIG" || text == "RUST_LOG" || (text.starts_with("HEADWIND_") && !text.starts_with("HEADWIND_TESTBED_")) {
                command.env_remove(&name);
            }
        }
        let mut child = command.spawn().with_context(|| format!("starting the supervisor {}", binary.display()))?;
        let orders = child.stdin.take();
        let reports = child.stdout.take().context("the supervisor has no output")?;
        let (tell, heard) = watch::channel(Heard::default());
        std::thread::spawn(move || {
            for line in BufReader::new(reports).lines().map_while(std::io::Result::ok) {
                if let Ok(report) = serde_json::from_str(&line) {
                    tell.send_modify(|heard| heard.reports.push(report));
                }
            }
            tell.send_modify(|heard| heard.silent = true);
        });
        Ok(Self { child, orders: Mutex::new(orders), heard })
    }

    /// Returns the supervisor's process ID.
    pub fn supervisor(&self) -> u32 {
        self.child.id()
    }

    /// Sends an order.
    pub fn order(&self, order: &Order) -> Result<()> {
        let mut orders = self.orders.lock().unwrap_or_else(PoisonError::into_inner);
        let input = orders.as_mut().context("the supervisor was stopped")?;
        writeln!(input, "{}", serde_json::to_string(order)?).and_then(|()| input.flush()).context("the supervisor is gone")
    }

    /// Returns the number of reports so far.
    pub fn reports(&self) -> usize {
        self.heard.borrow().reports.len()
    }

    /// Returns all reports, starting at the given one.
    pub fn heard(&self, since: usize) -> Vec<Report> {
        self.heard.borrow().reports.get(since..).unwrap_or_default().to_vec()
    }

    /// Waits for the first report, starting at the given one, for which `pick` returns a value.
    pub async fn report<T>(&self, what: &str, since: usize, deadline: Duration, mut pick: impl FnMut(&Report) -> Option<T>) -> Result<T> {
        let mut heard = self.heard.clone();
        let mut next = since;
        let found = tokio::time::timeout(deadline, async {
            loop {
                {
                    let heard = heard.borrow_and_update();
                    while let Some(report) = heard.reports.get(next) {
                        next += 1;
                        if let Some(found) = pick(report) {
                            return Ok(found);
                        }
                    }
                    if heard.silent {
                        bail!("{what}: the supervisor ended before; its last report: {:?}", heard.reports.last());
                    }
                }
                heard.changed().await.map_err(|_| anyhow!("{what}: the supervisor's reports stopped"))?;
            }
        })
        .await;
        found.unwrap_or_else(|_| bail!("{what}: not within {deadline:?}; last report: {:?}", self.heard.borrow().reports.last()))
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        drop(self.orders.lock().unwrap_or_else(PoisonError::into_inner).take());
        let _ = self.child.wait();
    }
}
