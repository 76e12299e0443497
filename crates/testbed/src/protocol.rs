//! What a test and its supervisors say to each other: a JSON object a line.
//!
//! Orders go to the supervisor's standard input, reports come from its standard output. The end of
//! the input is an order too, the last: end everything.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// To a `guard`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "order", rename_all = "snake_case")]
pub enum Order {
    /// Start the program, with these variables on top of the guard's own.
    Start {
        /// The variables.
        env: BTreeMap<String, String>,
    },
    /// Send the program a signal.
    Signal {
        /// Which.
        signal: Signal,
    },
}

/// The signals that a test can send.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Signal {
    /// A polite request to end.
    Term,
    /// What Ctrl-C sends.
    Int,
    /// The end.
    Kill,
    /// Stand still (a replica that hangs, a leader that comes too late).
    Stop,
    /// Go on.
    Cont,
}

/// From a supervisor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "report", rename_all = "snake_case")]
pub enum Report {
    /// A guard's program runs.
    Started {
        /// Its process.
        process: ProcessId,
    },
    /// A guard's program has ended.
    Ended {
        /// The exit code, if it had one.
        code: Option<i32>,
        /// The signal that ended it, if one did.
        signal: Option<i32>,
    },
    /// The control plane takes requests.
    Ready {
        /// What there is.
        facts: Facts,
    },
    /// A part of the control plane ended unasked.
    Lost {
        /// Which, how, and the last lines of its log.
        message: String,
    },
    /// It could not be started; the supervisor ends.
    Failed {
        /// Why.
        message: String,
    },
}

/// A process, told apart from a later one with the same number by the time it started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessId {
    /// The program's name.
    pub name: String,
    /// The process's number.
    pub pid: u32,
    /// When it started, in clock ticks since boot.
    pub start: u64,
}

/// A control plane that runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// The folder with all its state and logs.
    pub folder: PathBuf,
    /// The administrator's kubeconfig.
    pub kubeconfig: PathBuf,
    /// The API server's audit log.
    pub audit: PathBuf,
    /// The registry's `host:port`, where one was asked for.
    pub registry: Option<String>,
    /// The supervisor first, then its children in the order they were started.
    pub processes: Vec<ProcessId>,
}
