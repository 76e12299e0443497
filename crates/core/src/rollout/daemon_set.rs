//! The rollout of a DaemonSet: one pod on each node, including nodes that are down.

use super::{ReplicaProgress, RolloutProblem, RolloutStatus};
use crate::reason::Reason;

/// The fields of a DaemonSet that are read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DaemonSetView {
    /// True if `spec.updateStrategy.type` is `OnDelete`: pods are recreated when a person deletes them.
    pub on_delete: bool,
    /// `status.observedGeneration`.
    pub observed_generation: i64,
    /// `status.desiredNumberScheduled`.
    pub desired: u32,
    /// `status.updatedNumberScheduled`.
    pub updated: u32,
    /// `status.numberAvailable`: ready for `minReadySeconds`.
    pub available: u32,
}

impl DaemonSetView {
    pub(super) fn rollout_status(&self, generation: i64) -> RolloutStatus {
        let Self { on_delete, observed_generation, desired, updated, available } = *self;
        if observed_generation < generation {
            return RolloutStatus::Unseen;
        }
        let (missing, unavailable) = (desired.saturating_sub(updated), desired.saturating_sub(available));
        let new_available = updated.saturating_add(available).saturating_sub(desired);
        let remaining = missing.saturating_mul(2).saturating_add(unavailable);
        let count = ReplicaProgress { wanted: desired, updated, available, remaining, new_available, stage: None };
        if missing == 0 && unavailable == 0 {
            RolloutStatus::Complete(count)
        } else if on_delete && unavailable == 0 {
            RolloutStatus::Held(Reason::OnDelete)
        } else {
            RolloutStatus::Moving(count, (on_delete && missing > 0).then_some(RolloutProblem::Waits(Reason::OnDelete)))
        }
    }
}
