//! The rollout of a StatefulSet: in order or parallel, as far as its partition lets it.

use super::{ReplicaProgress, RolloutProblem, RolloutStatus};
use crate::reason::Reason;

/// What is read of a StatefulSet.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StatefulSetView {
    /// `spec.replicas`.
    pub replicas: u32,
    /// `spec.updateStrategy.rollingUpdate.partition`: pods with a lower ordinal stay as they are.
    pub partition: u32,
    /// `spec.ordinals.start`: the number of the first pod.
    pub start: u32,
    /// Whether `spec.podManagementPolicy` is `Parallel`: no pod waits for another one.
    pub parallel: bool,
    /// Whether `spec.updateStrategy.type` is `OnDelete`: pods are made anew when a person deletes them.
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
    /// Whether `status.currentRevision` is `status.updateRevision`.
    pub one_revision: bool,
}

impl StatefulSetView {
    /// The ordinal of the pod of that name, if the rolling update is to replace it.
    ///
    /// A partition, or strategy `OnDelete`, keeps pods as they are because somebody wants it so.
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
        // A set that is updated in part, or by deleting, keeps naming its old revision as current.
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
