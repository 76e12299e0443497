//! Reports what happened, with reasons from one list: the journal of transitions, Kubernetes Events, metrics, log lines,
//! notifications and traces.
//!
//! ```text
//! request store ──> journal ──> log, metrics, events, subscribers
//! propose, act ──────────────────> events (what is no transition: faults that a person should know of)
//! ```

pub(crate) mod channel;
pub(crate) mod entry;
pub(crate) mod events;
pub(crate) mod journal;
pub(crate) mod marks;
pub(crate) mod metrics;
pub mod notify;
pub mod trace;
