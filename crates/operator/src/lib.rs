//! Headwind's running machine.
//!
//! ```text
//!  web ──offer──> propose ──> decide ○ ──────────> UpdateRequests
//!                   │ index                              │ watch
//!  web ──act──> handle ──> UpdateRequests <── reconcile ─┤
//!                                                │       └ requests
//!                                              apply ──> the workload
//! ```
//!
//! The poller asks registries instead of waiting for them, on the leader, and goes the same way.
//!
//! Every replica watches, hears events and records; only the holder of the Lease reconciles.
//! What is in memory (`index`, `requests`) is a copy of what the API server has and can be
//! rebuilt at any time. All writes go through `verbs`.

mod admission;
mod apply;
mod asking;
mod clock;
mod explain;
mod feed;
mod flux;
mod handle;
mod index;
mod last_scan;
mod lease;
mod lists;
mod live;
mod metrics;
mod namespaces;
mod offered;
mod poll;
mod propose;
mod queue;
mod readiness;
mod reconcile;
mod requests;
mod rollback;
mod run;
mod secrets;
mod shared;
mod tasks;
mod tell;
mod verbs;
mod watch;

pub use explain::{WorkloadFilter, WorkloadPage, WorkloadView};
pub use handle::{ActError, Filter, Full, Handle, Offered, Page};
pub use propose::RecordingFailure;
pub use rollback::{Past, RollbackError};
pub use run::{Config, Operator, Polling, StartError};
