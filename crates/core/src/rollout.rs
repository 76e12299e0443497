//! The verdict on a rollout: in progress, complete or failed.
//!
//! Pure. The operator passes the workload's status ([`View`], one small file per kind), the state of its newest pods
//! ([`pod`]), the memory of the watch so far ([`RolloutState`], stored in the UpdateRequest's status, so that the next
//! leader continues) and the time. [`judge`] returns what to remember, or the result. A release has no pods of its own:
//! the problems in its status ([`RolloutProblem`]) are the evidence.
//!
//! ```text
//! status ──> View ─────> RolloutStatus ─┐
//! pods ────> PodSnapshot ──> Evidence ──┼─> judge ─> Continue(RolloutState) … Healthy | Failed(Failure) | TimedOut
//! request's status ──> RolloutState ────┘
//! ```
//!
//! Missing data is never a failure: without a response from the API nothing is judged, and without permission to list
//! pods only the status counts.

mod argo_rollout;
mod daemon_set;
mod deployment;
pub mod flux;
mod helm_release;
mod judge;
pub mod pod;
mod stateful_set;

pub use argo_rollout::{ArgoPhase, ArgoRolloutView};
pub use daemon_set::DaemonSetView;
pub use deployment::DeploymentView;
pub use helm_release::HelmReleaseView;
pub use judge::{RolloutLimits, RolloutObservation, Verdict, judge};
pub use stateful_set::StatefulSetView;

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;

use crate::reason::Reason;

/// The state of a workload's rollout from its status, by kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum View {
    /// Of a Deployment.
    Deployment(DeploymentView),
    /// Of a StatefulSet.
    StatefulSet(StatefulSetView),
    /// Of a DaemonSet.
    DaemonSet(DaemonSetView),
    /// Of a Flux HelmRelease.
    HelmRelease(Box<HelmReleaseView>),
    /// Of a Rollout of Argo Rollouts.
    ArgoRollout(ArgoRolloutView),
    /// A kind without a rollout: a CronJob uses the new version in its next Job.
    NoRollout,
}

impl View {
    /// Returns the status of the rollout of the object's newest spec. `generation` is the object's.
    pub fn rollout_status(&self, generation: i64) -> RolloutStatus {
        match self {
            View::Deployment(view) => view.rollout_status(generation),
            View::StatefulSet(view) => view.rollout_status(generation),
            View::DaemonSet(view) => view.rollout_status(generation),
            // The workload's generation may include that of its source.
            View::HelmRelease(view) => view.rollout_status(),
            View::ArgoRollout(view) => view.rollout_status(generation),
            View::NoRollout => RolloutStatus::NoRollout,
        }
    }

    /// Returns true if there are pods to check.
    pub fn has_pods(&self) -> bool {
        !matches!(self, View::HelmRelease(_) | View::NoRollout)
    }

    /// Returns what is true once the rollout is complete, for messages.
    pub fn well(&self) -> &'static str {
        match self {
            View::Deployment(_) | View::StatefulSet(_) | View::DaemonSet(_) | View::ArgoRollout(_) => "every pod is available",
            View::HelmRelease(_) => "the release is ready",
            View::NoRollout => "the next Job uses it",
        }
    }

    /// Returns the minimum timeout of the rollout in its current state; zero for kinds that report every step.
    pub fn least_timeout(&self) -> Duration {
        match self {
            View::Deployment(_) | View::StatefulSet(_) | View::DaemonSet(_) | View::ArgoRollout(_) | View::NoRollout => Duration::ZERO,
            View::HelmRelease(view) => view.least_timeout(),
        }
    }
}

/// The status of a rollout, for any kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RolloutStatus {
    /// The controller has not observed the newest spec yet (`observedGeneration`): its status is about an older one.
    Unseen,
    /// Somebody paused it on purpose: its timeout pauses as well.
    Held(Reason),
    /// It is in progress, or stuck.
    Moving(ReplicaProgress, Option<RolloutProblem>),
    /// All new pods exist and are available, or the release is deployed and ready.
    Complete(ReplicaProgress),
    /// Its controller has given up.
    Failed(Failure),
    /// The kind has no rollout: the change is complete when it is written.
    NoRollout,
}

/// A problem in the status of a rollout in progress.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RolloutProblem {
    /// The new version does not run: a check with this problem counts as failed.
    Failing(Failure),
    /// It may be temporary, or its controller is working on it: it is the cause if the rollout times out.
    AtTimeout(Failure),
    /// Not caused by the new version: only reported when the rollout times out.
    Blameless(String),
    /// It waits for a person: the rollout does not time out.
    Waits(Reason),
}

/// The progress of a rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ReplicaProgress {
    /// Desired number of pods.
    pub wanted: u32,
    /// Number of pods of the new revision.
    pub updated: u32,
    /// Number of available pods, of any revision.
    pub available: u32,
    /// Number of remaining steps: pods to recreate, old ones to delete, new ones to become available. It decreases with
    /// each pod that makes progress, and does not decrease again with a pod that disappears and appears again.
    pub remaining: u32,
    /// Minimum number of available pods of the new revision.
    pub new_available: u32,
    /// The progress in words, if there are no pods to count: a release changes as a whole.
    pub stage: Option<&'static str>,
}

impl fmt::Display for ReplicaProgress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(stage) = self.stage {
            return f.write_str(stage);
        }
        // During scaling down, or with a surge pod, there are more pods than desired.
        let Self { wanted, updated, available, .. } = *self;
        write!(f, "{} of {wanted} pods are new, {} available", updated.min(wanted), available.min(wanted))
    }
}

/// The state of a rollout watch between two checks. Times have whole seconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RolloutState {
    /// The workload's generation when the change was first observed in it. Older copies do not count.
    pub generation: i64,
    /// When the change was first observed in the workload.
    pub started_at: Timestamp,
    /// When the rollout last made progress.
    pub progressed_at: Timestamp,
    /// [`ReplicaProgress::wanted`] at the last progress.
    pub wanted: u32,
    /// The lowest [`ReplicaProgress::remaining`] since.
    pub remaining: u32,
    /// The highest [`ReplicaProgress::new_available`] since.
    pub new_available: u32,
    /// True if it was paused on purpose at the last check.
    pub held: bool,
    /// When a check last counted.
    pub checked_at: Option<Timestamp>,
    /// Number of consecutive failed checks.
    pub failed_checks: u32,
    /// Restarts of the new pods' containers at the last check that counted.
    pub restarts: u32,
    /// Since when everything is available without a restart.
    pub available_since: Option<Timestamp>,
    /// The result of the last failed check.
    pub failure: Option<Failure>,
    /// The restored image, while its rollout is watched.
    pub returned_to: Option<String>,
    /// The cause of the rollback.
    pub cause: Option<Failure>,
}

impl RolloutState {
    /// Creates the watch of a change that is observed now, in the workload of that generation.
    pub fn new(generation: i64, now: Timestamp) -> Self {
        let now = whole_second(now);
        Self {
            generation,
            started_at: now,
            progressed_at: now,
            wanted: 0,
            remaining: 0,
            new_available: 0,
            held: false,
            checked_at: None,
            failed_checks: 0,
            restarts: 0,
            available_since: None,
            failure: None,
            returned_to: None,
            cause: None,
        }
    }

    /// Returns the same without times later than `now` by more than `tolerance`: the clock was set back since.
    fn not_ahead_of(&self, now: Timestamp, tolerance: Duration) -> Self {
        let latest = now.checked_add(tolerance).unwrap_or(Timestamp::MAX);
        let back = |at: Timestamp| if at > latest { whole_second(now) } else { at };
        Self {
            progressed_at: back(self.progressed_at),
            checked_at: self.checked_at.map(back),
            available_since: self.available_since.map(back),
            ..self.clone()
        }
    }
}

/// Evidence that the new version does not run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The reason.
    pub reason: Reason,
    /// A message for people, with the pod's own message.
    pub message: String,
}

/// Returns the next whole second: a time in a status must be equal when it is read back, and Kubernetes' times have no
/// fractions.
pub(crate) fn whole_second(at: Timestamp) -> Timestamp {
    let up = i64::from(at.subsec_nanosecond() > 0);
    Timestamp::from_second(at.as_second().saturating_add(up)).unwrap_or(at)
}

#[cfg(test)]
mod tests;
