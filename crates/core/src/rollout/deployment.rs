//! The rollout of a Deployment, as `kubectl rollout status` reads it and a little stricter.

use super::{Count, Failure, Standing, Trouble};
use crate::reason::Reason;

/// What is read of a Deployment.
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
    pub(super) fn standing(&self, generation: i64) -> Standing {
        let Self { replicas, paused, observed_generation, total, updated, available, ref deadline_exceeded, ref replica_failure } = *self;
        if observed_generation < generation {
            return Standing::Unseen;
        }
        let old = total.saturating_sub(updated);
        let remaining = replicas.saturating_sub(updated) + old + replicas.saturating_sub(available);
        let new_available = available.saturating_sub(old);
        let count = Count { wanted: replicas, updated, available, remaining, new_available, stage: None };
        if updated >= replicas && old == 0 && available >= updated {
            Standing::Complete(count)
        } else if paused {
            Standing::Held(Reason::RolloutPaused)
        } else {
            // What cannot be created has no chance to run.
            let trouble = match (replica_failure, deadline_exceeded) {
                (Some(words), _) => Some(Trouble::Blameless(words.to_string())),
                (None, Some(words)) => {
                    Some(Trouble::Failing(Failure { reason: Reason::ProgressDeadlineExceeded, message: words.to_string() }))
                }
                (None, None) => None,
            };
            Standing::Moving(count, trouble)
        }
    }
}
