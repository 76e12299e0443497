//! The process between a test and its programs: `headwind-testbed guard` and `headwind-testbed control-plane`.
//!
//! It runs in its own session (Ctrl-C in the terminal reaches the test, not this process), and is the parent of the
//! programs. When its standard input ends or it gets a signal, it ends them in reverse order and removes its folder.
//! Children are killed with SIGKILL: all their data is in the folder. A test that needs a graceful end must order it
//! first.

use std::io::{BufRead, Write};
use std::path::PathBuf;
use std::process::ExitStatus;

use anyhow::Result;
use tokio::signal::unix::{Signal as Signals, SignalKind, signal};
use tokio::sync::mpsc;

use crate::cluster::{Cluster, Plan};
use crate::folder::{self, Held};
use crate::program::{Program, parts};
use crate::protocol::{Order, Report};

/// A program to guard.
#[derive(Debug, Clone)]
pub struct Guarded {
    /// The program and its arguments.
    pub command: Vec<String>,
    /// The file for its output.
    pub log: PathBuf,
    /// The folder to remove at the end.
    pub folder: Option<PathBuf>,
    /// True if it starts only by order.
    pub wait: bool,
}

/// Runs a program until the input ends. Orders can restart it.
pub async fn guard(guarded: Guarded) -> Result<()> {
    let mut inbox = Inbox::open(true)?;
    let held = guarded.folder.as_deref().map(Held::take).transpose()?;
    let mut program = None;
    if !guarded.wait {
        start(&guarded, &Order::Start { env: std::collections::BTreeMap::new() }, &mut program).await;
    }
    loop {
        tokio::select! {
            order = inbox.next() => match order {
                Some(order) => start(&guarded, &order, &mut program).await,
                None => break,
            },
            status = ended(&mut program) => {
                program = None;
                let (code, signal) = status.map_or((None, None), parts);
                report(&Report::Ended { code, signal });
            }
        }
    }
    if let Some(program) = program {
        program.end().await;
    }
    match held {
        Some(held) => held.remove().await,
        None => Ok(()),
    }
}

async fn start(guarded: &Guarded, order: &Order, program: &mut Option<Program>) {
    match order {
        Order::Start { env } => {
            if let Some(before) = program.take() {
                before.end().await;
            }
            let (path, args) = guarded.command.split_first().map_or((PathBuf::new(), &[][..]), |(path, args)| (PathBuf::from(path), args));
            match Program::start(&path, args, env.clone(), &guarded.log) {
                Ok(started) => {
                    report(&Report::Started { process: started.process().clone() });
                    *program = Some(started);
                }
                Err(error) => report(&Report::Failed { message: format!("{error:#}") }),
            }
        }
        Order::Signal { signal } => {
            if let Some(program) = program {
                program.signal(*signal);
            }
        }
    }
}

async fn ended(program: &mut Option<Program>) -> Option<ExitStatus> {
    match program {
        Some(program) => program.ended().await.ok(),
        None => std::future::pending().await,
    }
}

/// Starts a control plane and runs it until the input ends or, if it is detached, a signal arrives. Calls `ready` once,
/// with its addresses and files.
pub async fn control_plane(plan: Plan, detached: bool, ready: impl FnOnce(&crate::protocol::Facts) -> Result<()>) -> Result<()> {
    let mut inbox = Inbox::open(!detached)?;
    folder::sweep();
    let held = Held::take(&plan.folder)?;
    let mut cluster = Cluster::new(plan);
    let outcome = tokio::select! {
        facts = cluster.start() => facts.and_then(|facts| {
            ready(&facts)?;
            report(&Report::Ready { facts });
            Ok(())
        }),
        () = inbox.end() => Ok(()),
    };
    if let Err(error) = &outcome {
        report(&Report::Failed { message: format!("{error:#}") });
    } else {
        loop {
            tokio::select! {
                () = inbox.end() => break,
                message = cluster.lost() => {
                    let _ = writeln!(std::io::stderr(), "a part of the test bed ended: {message}");
                    report(&Report::Lost { message });
                }
            }
        }
    }
    cluster.end().await;
    held.remove().await?;
    outcome
}

fn report(report: &Report) {
    // Possibly nobody reads it now: the end of the input shows that.
    let Ok(line) = serde_json::to_string(report) else { return };
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// Receives orders and the signals to end.
struct Inbox {
    orders: mpsc::UnboundedReceiver<Order>,
    signals: [Signals; 3],
    ended: bool,
    /// Used if no thread reads the input, so that the channel stays open.
    _detached: Option<mpsc::UnboundedSender<Order>>,
}

impl Inbox {
    fn open(attached: bool) -> Result<Self> {
        // Fails for the leader of a process group, which already has its own session.
        let _ = rustix::process::setsid();
        let signals = [signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?, signal(SignalKind::hangup())?];
        let (send, orders) = mpsc::unbounded_channel();
        let mut detached = None;
        if attached {
            std::thread::spawn(move || {
                for line in std::io::stdin().lock().lines() {
                    let Ok(line) = line else { break };
                    match serde_json::from_str(&line) {
                        Ok(order) => {
                            let _ = send.send(order);
                        }
                        Err(error) => report(&Report::Failed { message: format!("invalid order: {error}: {line}") }),
                    }
                }
            });
        } else {
            detached = Some(send);
        }
        Ok(Self { orders, signals, ended: false, _detached: detached })
    }

    /// Returns the next order; `None` when everything must end.
    async fn next(&mut self) -> Option<Order> {
        if self.ended {
            return None;
        }
        let [term, int, hup] = &mut self.signals;
        let order = tokio::select! {
            order = self.orders.recv() => order,
            _ = term.recv() => None,
            _ = int.recv() => None,
            _ = hup.recv() => None,
        };
        self.ended = order.is_none();
        order
    }

    async fn end(&mut self) {
        while self.next().await.is_some() {}
    }
}
