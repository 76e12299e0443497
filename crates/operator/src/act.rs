//! Acts on the cluster. Runs on the leader only.
//!
//! ```text
//! lease ──leads──> reconcile(workload): observe ─> core::request::next ─> perform one Step ─> requeue
//!                                                                          └─ apply: the guarded patch
//! ```

pub(crate) mod admission;
pub(crate) mod apply;
pub(crate) mod confirm;
pub(crate) mod lease;
pub(crate) mod live;
pub(crate) mod reads;
pub(crate) mod reconcile;
pub(crate) mod reconciler;
pub(crate) mod turns;
