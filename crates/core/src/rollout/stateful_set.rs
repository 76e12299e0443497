//! The rollout of a StatefulSet: in order or parallel, down to its partition.

use super::{ReplicaProgress, RolloutProblem, RolloutStatus};
use crate::reason::Reason;

/// The fields of a StatefulSet that are read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StatefulSetView {
    /// `spec.replicas`.
    pub replicas: u32,
    /// `spec.updateStrategy.rollingUpdate.partition`: pods with a lower ordinal are not updated.
    pub partition: u32,
    /// `spec.ordinals.start`: the ordinal of the first pod.
    pub start: u32,
    /// True if `spec.podManagementPolicy` is `Parallel`: no pod waits for another one.
    pub parallel: bool,
    /// True if `spec.updateStrategy.type` is `OnDelete`: pods are recreated when a person deletes them.
    pub on_delete: bool,
    /// `status.observedGeneration`.
    pub observed_generation: i64,
    /// `status.replicas`: pods of all revisions.
    pub total: u32,
    /// `status.readyReplicas`.
    pub ready: u32,
    /// `status.availableReplicas`: ready for `minReadySeconds`.
    pub available: u32,
    /// `status.updatedReplicas`.
    pub updated: u32,
    /// True if `status.currentRevision` is `status.updateRevision`.
    pub one_revision: bool,
}

impl StatefulSetView {
    /// Returns the ordinal of the pod with that name, if the rolling update will replace it.
    ///
    /// A partition, or strategy `OnDelete`, keeps pods unchanged on purpose.
    pub(crate) fn to_replace(&self, pod: &str) -> Option<u32> {
        let ordinal = pod.rsplit_once('-').and_then(|(_, ordinal)| ordinal.parse::<u32>().ok());
        ordinal.filter(|ordinal| !self.on_delete && *ordinal >= self.start.saturating_add(self.partition))
    }

    pub(super) fn rollout_status(&self, generation: i64) -> RolloutStatus {
        let Self {
            replicas,
            partition,
            start: _,
            parallel: _,
            on_delete,
            observed_generation,
            total,
            ready,
            available,
            updated,
            one_revision,
        } = *self;
        if observed_generation < generation {
            return RolloutStatus::Unseen;
        }
        let to_update = if on_delete { replicas } else { replicas.saturating_sub(partition) };
        let unavailable = replicas.saturating_sub(available.min(ready));
        let missing = to_update.saturating_sub(updated);
        let new_available = updated.saturating_add(available).saturating_sub(total);
        let remaining = missing.saturating_mul(2).saturating_add(unavailable);
        let count = ReplicaProgress { wanted: to_update, updated, available, remaining, new_available, stage: None };
        // A set that is updated partially, or by deleting pods, keeps its old revision as the current one.
        let whole = partition == 0 && !on_delete;
        if missing == 0 && unavailable == 0 && (one_revision || !whole) {
            RolloutStatus::Complete(count)
        } else if on_delete && unavailable == 0 {
            RolloutStatus::Held(Reason::OnDelete)
        } else {
            RolloutStatus::Moving(count, (on_delete && missing > 0).then_some(RolloutProblem::Waits(Reason::OnDelete)))
        }
    }
}
