//! The protocol between a test and its supervisors: one JSON object per line.
//!
//! Orders are sent to the supervisor's standard input, reports come from its standard output. The end of the input is
//! the last order: end everything.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// An order to a `guard`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "order", rename_all = "snake_case")]
pub enum Order {
    /// Start the program, with these variables in addition to the guard's own.
    Start {
        /// The variables.
        env: BTreeMap<String, String>,
    },
    /// Send the program a signal.
    Signal {
        /// The signal.
        signal: Signal,
    },
}

/// The signals that a test can send.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Signal {
    /// SIGTERM.
    Term,
    /// SIGINT, which Ctrl-C sends.
    Int,
    /// SIGKILL.
    Kill,
    /// SIGSTOP: simulates a replica that hangs, or a leader that acts too late.
    Stop,
    /// SIGCONT.
    Cont,
}

/// A report of a supervisor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "report", rename_all = "snake_case")]
pub enum Report {
    /// The guard's program has started.
    Started {
        /// Its process.
        process: ProcessId,
    },
    /// The guard's program has ended.
    Ended {
        /// The exit code, if it had one.
        code: Option<i32>,
        /// The signal that ended it, if one did.
        signal: Option<i32>,
    },
    /// The control plane accepts requests.
    Ready {
        /// Its addresses and files.
        facts: Facts,
    },
    /// A part of the control plane ended unexpectedly.
    Lost {
        /// The program, its exit status, and the last lines of its log.
        message: String,
    },
    /// The start failed; the supervisor ends.
    Failed {
        /// The cause.
        message: String,
    },
}

/// A process, identified by ID and start time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessId {
    /// The program's name.
    pub name: String,
    /// The process ID.
    pub pid: u32,
    /// When it started, in clock ticks since boot.
    pub start: u64,
}

/// A running control plane.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// The folder with all its state and logs.
    pub folder: PathBuf,
    /// The administrator's kubeconfig.
    pub kubeconfig: PathBuf,
    /// The API server's audit log.
    pub audit: PathBuf,
    /// The registry's `host:port`, if there is one.
    pub registry: Option<String>,
    /// The supervisor, then its children in start order.
    pub processes: Vec<ProcessId>,
}
