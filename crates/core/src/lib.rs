//! The rules of Headwind, as pure functions over plain values.
//!
//! Nothing in this crate does I/O, reads a clock or knows a Kubernetes type; the time is an argument. The operator, the
//! command line, the API's explanations and the tests call the same functions, so offline results are those of the
//! operator.
//!
//! ```text
//! artifact ─> policy ─> settings ─> workload ─┬─> claim ─> evidence
//!                                             ├─> decide ─────┬──> request ─> explain
//!                                             └─> rollout, gate ─┘
//! ```
//!
//! Every decision returns its result and the reason as a [`reason::Reason`].

pub mod artifact;
pub mod backoff;
pub mod claim;
pub mod config;
pub mod decide;
pub mod evidence;
pub mod explain;
pub mod gate;
pub mod keel;
pub mod lease;
pub mod named;
pub mod notification;
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
pub mod window;
pub mod workload;
