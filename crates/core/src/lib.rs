//! Headwind's meaning: every rule, as a plain function over plain values.
//!
//! Nothing in this crate does I/O, reads a clock or knows a Kubernetes type; time comes in as an
//! argument. The operator, the command line, the API's explanations and the tests all call the
//! same functions, so what is tried offline is what runs.
//!
//! ```text
//! artifact ─> policy ─> settings ─> workload ─┬─> claim ─> evidence
//!                                             ├─> decide ─────┬──> request (the machine) ─> explain
//!                                             └─> rollout, gate ─┘
//! ```
//!
//! Every decision returns *what* and *why*, the why as a [`reason::Reason`].

pub mod artifact;
pub mod backoff;
pub mod claim;
pub mod decide;
pub mod evidence;
pub mod explain;
pub mod gate;
pub mod lease;
pub mod offline;
pub mod policy;
pub mod reason;
pub mod request;
pub mod rollout;
pub mod settings;
#[cfg(any(test, feature = "testing"))]
#[allow(clippy::panic, reason = "a builder may fail like the test that uses it")]
pub mod testing;
pub mod transition;
pub mod trigger;
pub mod workload;
