//! The rollout of a Deployment, like `kubectl rollout status` but stricter.

use super::{Failure, ReplicaProgress, RolloutProblem, RolloutStatus};
use crate::reason::Reason;

/// The fields of a Deployment that are read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DeploymentView {
    /// `spec.replicas`.
    pub replicas: u32,
    /// `spec.paused`.
    pub paused: bool,
    /// `status.observedGeneration`.
    pub observed_generation: i64,
    /// `status.replicas`: pods of all revisions.
    pub total: u32,
    /// `status.updatedReplicas`.
    pub updated: u32,
    /// `status.availableReplicas`: ready for `minReadySeconds`, of all revisions.
    pub available: u32,
    /// The message of condition `Progressing` while its reason is `ProgressDeadlineExceeded`.
    pub deadline_exceeded: Option<Box<str>>,
    /// The message of condition `ReplicaFailure`: pods that could not be created, such as for a quota.
    pub replica_failure: Option<Box<str>>,
}

impl DeploymentView {
    pub(super) fn rollout_status(&self, generation: i64) -> RolloutStatus {
        let Self { replicas, paused, observed_generation, total, updated, available, ref deadline_exceeded, ref replica_failure } = *self;
        if observed_generation < generation {
            return RolloutStatus::Unseen;
        }
        let old = total.saturating_sub(updated);
        let remaining = replicas.saturating_sub(updated).saturating_add(old).saturating_add(replicas.saturating_sub(available));
        let new_available = available.saturating_sub(old);
        let count = ReplicaProgress { wanted: replicas, updated, available, remaining, new_available, stage: None };
        if updated >= replicas && old == 0 && available >= updated {
            RolloutStatus::Complete(count)
        } else if paused {
            RolloutStatus::Held(Reason::RolloutPaused)
        } else {
            // A pod that cannot be created cannot run.
            let problem = match (replica_failure, deadline_exceeded) {
                (Some(words), _) => Some(RolloutProblem::Blameless(words.to_string())),
                (None, Some(words)) => {
                    Some(RolloutProblem::Failing(Failure { reason: Reason::ProgressDeadlineExceeded, message: words.to_string() }))
                }
                (None, None) => None,
            };
            RolloutStatus::Moving(count, problem)
        }
    }
}
