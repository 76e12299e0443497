//! The rollout of an Argo Rollouts Rollout, from its controller's status.
//!
//! `status.phase` is the verdict, with three exceptions. For a moment after a change it still describes the previous
//! one, `Degraded` may last for milliseconds only, and a version whose pods crash every second is `Healthy` in between.
//! So the phase counts only once the controller has observed the generation, a degraded Rollout must fail several
//! checks, and a healthy one must stay so for the settle time, without a restart of its pods.

use super::{Failure, ReplicaProgress, RolloutProblem, RolloutStatus};
use crate::reason::Reason;

/// The fields of a Rollout that are read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ArgoRolloutView {
    /// `spec.replicas`.
    pub replicas: u32,
    /// `status.observedGeneration`, which is a decimal number in a string; 0 for anything else.
    pub observed_generation: i64,
    /// `status.phase`.
    pub phase: ArgoPhase,
    /// `status.message`: the cause of the phase.
    pub message: Box<str>,
    /// True if `status.stableRS` is `status.currentPodHash`: the new version is the stable one.
    pub is_stable: bool,
    /// `status.replicas`: pods of all revisions.
    pub total: u32,
    /// `status.updatedReplicas`.
    pub updated: u32,
    /// `status.availableReplicas`, of all revisions.
    pub available: u32,
}

/// `status.phase` of a Rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ArgoPhase {
    /// The controller is working on it, or has not reported yet.
    #[default]
    Progressing,
    /// Complete.
    Healthy,
    /// It failed, or somebody aborted it.
    Degraded,
    /// It waits for a person, or for the end of a step.
    Paused,
}

impl ArgoPhase {
    /// Parses `status.phase`.
    pub fn parse(text: &str) -> Self {
        match text {
            "Healthy" => Self::Healthy,
            "Degraded" => Self::Degraded,
            "Paused" => Self::Paused,
            _ => Self::Progressing,
        }
    }
}

impl ArgoRolloutView {
    pub(super) fn rollout_status(&self, generation: i64) -> RolloutStatus {
        if self.observed_generation < generation {
            return RolloutStatus::Unseen;
        }
        match self.phase {
            ArgoPhase::Healthy if self.is_stable => RolloutStatus::Complete(self.count()),
            ArgoPhase::Paused => RolloutStatus::Held(Reason::RolloutPaused),
            ArgoPhase::Healthy | ArgoPhase::Progressing => RolloutStatus::Moving(self.count(), None),
            ArgoPhase::Degraded => RolloutStatus::Moving(self.count(), Some(self.problem())),
        }
    }

    /// Returns the problem of a degraded Rollout. An invalid spec was invalid before its image was changed.
    fn problem(&self) -> RolloutProblem {
        let message = self.message.to_string();
        let reason = match message.split_once(':').map_or(&*message, |(cause, _)| cause) {
            "InvalidSpec" => return RolloutProblem::Blameless(message),
            "ProgressDeadlineExceeded" => Reason::ProgressDeadlineExceeded,
            "RolloutAborted" => Reason::RolloutAborted,
            _ => Reason::RolloutDegraded,
        };
        RolloutProblem::Failing(Failure { reason, message })
    }

    /// Returns the progress. Old pods that are deleted are no progress: with `blueGreen` this happens long after the
    /// change.
    fn count(&self) -> ReplicaProgress {
        let Self { replicas, total, updated, available, is_stable, .. } = *self;
        let old = total.saturating_sub(updated);
        ReplicaProgress {
            wanted: replicas,
            updated,
            available,
            remaining: replicas
                .saturating_sub(updated)
                .saturating_add(replicas.saturating_sub(available))
                .saturating_add(u32::from(!is_stable)),
            new_available: available.saturating_sub(old),
            stage: None,
        }
    }
}
