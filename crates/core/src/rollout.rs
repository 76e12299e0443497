//! Whether a rollout is under way, done or failed: the judgement after the patch.
//!
//! Pure. The operator hands in what the workload's status says ([`View`], one small file a kind),
//! what its newest pods say ([`pod`]), what was remembered of the watch so far ([`RolloutState`], kept in the
//! UpdateRequest's status, so that a successor goes on where its predecessor was killed) and the
//! time; [`judge`] answers what to remember, or how it ended. A release has no pods of its own: what
//! its status complains of ([`RolloutProblem`]) is the evidence.
//!
//! ```text
//! status ──> View ──> Standing ─┐
//! pods ────> Look ──> Evidence ─┼─> judge ─> Watch … Healthy | Failed(with evidence) | TimedOut
//! request's status ──> Watch ───┘
//! ```
//!
//! Silence is never failure: without an answer from the API nothing is judged, without the right
//! to list pods the status alone speaks.

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

/// What a workload's status says of its rollout, by its kind.
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
    /// A kind that rolls nothing out: a CronJob uses the new version in its next Job.
    NoRollout,
}

impl View {
    /// Where the rollout of the object's newest spec stands. `generation` is the object's.
    pub fn rollout_status(&self, generation: i64) -> RolloutStatus {
        match self {
            View::Deployment(view) => view.rollout_status(generation),
            View::StatefulSet(view) => view.rollout_status(generation),
            View::DaemonSet(view) => view.rollout_status(generation),
            // The target's generation may count its source's as well.
            View::HelmRelease(view) => view.rollout_status(),
            View::ArgoRollout(view) => view.rollout_status(generation),
            View::NoRollout => RolloutStatus::NoRollout,
        }
    }

    /// Whether there are pods to look at.
    pub fn has_pods(&self) -> bool {
        !matches!(self, View::HelmRelease(_) | View::NoRollout)
    }

    /// What is true once the rollout is done, for messages.
    pub fn well(&self) -> &'static str {
        match self {
            View::Deployment(_) | View::StatefulSet(_) | View::DaemonSet(_) | View::ArgoRollout(_) => "every pod is available",
            View::HelmRelease(_) => "the release is ready",
            View::NoRollout => "the next Job uses it",
        }
    }

    /// The least time that the rollout has to be given as it stands; none for those that tell their
    /// steps one by one.
    pub fn least_timeout(&self) -> Duration {
        match self {
            View::Deployment(_) | View::StatefulSet(_) | View::DaemonSet(_) | View::ArgoRollout(_) | View::NoRollout => Duration::ZERO,
            View::HelmRelease(view) => view.least_timeout(),
        }
    }
}

/// Where a rollout stands, whatever the kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RolloutStatus {
    /// The controller has not seen the newest spec yet (`observedGeneration`): what the status counts
    /// is of an older one.
    Unseen,
    /// It stands still because somebody wants it so: the clock stands still as well.
    Held(Reason),
    /// It is under way, or stuck.
    Moving(ReplicaProgress, Option<RolloutProblem>),
    /// Every pod that has to be new is, and all are available; a release is deployed and ready.
    Complete(ReplicaProgress),
    /// Its controller has given up: nothing more comes by itself.
    Failed(Failure),
    /// The kind has nothing to roll out: the change is done when it is written.
    NoRollout,
}

/// What the status of a rollout that is under way complains of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RolloutProblem {
    /// The new version does not run: a check that finds it counts as failed.
    Failing(Failure),
    /// It may still pass, or its controller is at work on it: the cause if the time runs out.
    AtTimeout(Failure),
    /// The new version is not to blame: only told when the time runs out.
    Blameless(String),
    /// It goes on when a person acts: the time does not run out.
    Waits(Reason),
}

/// How far a rollout is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ReplicaProgress {
    /// Pods that the workload is to have.
    pub wanted: u32,
    /// Pods of the new revision.
    pub updated: u32,
    /// Pods that are available, of whichever revision.
    pub available: u32,
    /// Steps that are left: pods to be made anew, old ones to go, new ones to become available. It
    /// falls with each pod that gets on, and a pod that comes and goes does not make it fall again.
    pub remaining: u32,
    /// Pods of the new revision that are available, at least.
    pub new_available: u32,
    /// How far it is in words, for what has no pods to count: a release is one thing that becomes new.
    pub stage: Option<&'static str>,
}

impl fmt::Display for ReplicaProgress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(stage) = self.stage {
            return f.write_str(stage);
        }
        // While it is scaled down, or has a pod more for the time of the rollout, there are more than are wanted.
        let Self { wanted, updated, available, .. } = *self;
        write!(f, "{} of {wanted} pods are new, {} available", updated.min(wanted), available.min(wanted))
    }
}

/// What is remembered of a watch between two looks. Times have whole seconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RolloutState {
    /// The workload's generation when the change was first seen in it: an older copy says nothing.
    pub generation: i64,
    /// When the change was first seen in the workload.
    pub started_at: Timestamp,
    /// When the rollout last got on.
    pub progressed_at: Timestamp,
    /// [`ReplicaProgress::wanted`] when it was last counted.
    pub wanted: u32,
    /// The least [`ReplicaProgress::remaining`] since.
    pub remaining: u32,
    /// The most [`ReplicaProgress::new_available`] since.
    pub new_available: u32,
    /// Whether somebody held it when it was last looked at.
    pub held: bool,
    /// When a check last counted.
    pub checked_at: Option<Timestamp>,
    /// Checks that failed in a row.
    pub failed_checks: u32,
    /// Restarts of the new pods' containers by the last check that counted.
    pub restarts: u32,
    /// Since when all is available without a restart.
    pub available_since: Option<Timestamp>,
    /// What the last failed check found.
    pub failure: Option<Failure>,
    /// The image that was put back, once it was: then it is that rollout which is watched.
    pub returned_to: Option<String>,
    /// Why it was put back.
    pub cause: Option<Failure>,
}

impl RolloutState {
    /// The watch of a change that is first seen now, in the workload of that generation.
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

    /// The same, with no time later than `now` by more than `tolerance`: the clock was set back since.
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
    /// As a code.
    pub reason: Reason,
    /// For a person, with the pod's own words.
    pub message: String,
}

/// The next whole second: what is written into a status must read back as the same moment, and
/// Kubernetes' times carry no fraction.
pub(crate) fn whole_second(at: Timestamp) -> Timestamp {
    let up = i64::from(at.subsec_nanosecond() > 0);
    Timestamp::from_second(at.as_second().saturating_add(up)).unwrap_or(at)
}

#[cfg(test)]
mod tests;
