//! Observes the cluster: watches feed the index of workloads, the store of UpdateRequests and the reconciler's queue.
//!
//! ```text
//! watch ──> feed ──> index, requests (state)
//!                └─> queue ──> act
//! ```
//!
//! Everything here is a copy of what the API server has and can be rebuilt at any time. Absence in a copy is not
//! absence in the cluster.

pub(crate) mod early_reads;
pub(crate) mod feed;
pub(crate) mod index;
pub(crate) mod known_limits;
pub(crate) mod known_nodes;
pub(crate) mod limits;
pub(crate) mod namespaces;
pub(crate) mod nodes;
pub(crate) mod optional_apis;
pub(crate) mod queue;
pub(crate) mod readiness;
pub(crate) mod requests;
pub(crate) mod state;
pub(crate) mod visible;
pub(crate) mod watch;
