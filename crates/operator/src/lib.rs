//! Headwind's running machine.
//!
//! ```text
//!  web ──offer──> intake ──> decide ○ ──> record ──> UpdateRequests
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
mod confirm;
mod explain;
mod feed;
mod flux;
mod handle;
mod index;
mod intake;
mod last_scan;
mod lease;
mod metrics;
mod namespaces;
mod offered;
mod poll;
mod queue;
mod reconcile;
mod record;
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
pub use handle::{ActError, Busy, Filter, Handle, Offered, Page};
pub use rollback::{Past, RollbackError};
pub use run::{Config, Operator, Polling, StartError};
