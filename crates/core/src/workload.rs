//! The workloads that Headwind updates.
//!
//! ```text
//! object ──> headwind_k8s ──> Workload { containers, rollout, annotations }
//! HelmRelease and its source ──> release::resolve ──> Workload
//! ```

mod container;
pub mod history;
mod kind;
mod meaningless;
mod object;
pub mod owner;
pub mod placement;
pub mod release;
pub mod source;

pub use container::{Container, MAX_CONTAINERS, Slot, noted_digest};
pub use kind::Kind;
pub use meaningless::{Unknown, has_unknown, unknown};
pub use object::{Destination, PullSource, Workload, WorkloadKey};
