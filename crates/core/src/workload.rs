//! The workload that Headwind keeps up to date, and what it says of itself.
//!
//! ```text
//! object ──> headwind_k8s ──> Target { containers, rollout, annotations }
//! HelmRelease and its source ──> release::resolve ──> Target
//! ```

mod container;
pub mod history;
mod kind;
pub mod release;
pub mod source;
mod target;

pub use container::{Container, Slot, noted_digest};
pub use kind::{Kind, UnknownKind};
pub use target::{Carrier, PullSource, Target, TargetKey};
