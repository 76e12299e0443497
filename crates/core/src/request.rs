//! The state machine of an UpdateRequest.
//!
//! Defines the phases and their transitions, the actions of people ([`action`]), the next step for a workload
//! ([`next()`]) and the invariants ([`invariant`]). The reconciler executes the steps and has no rules of its own.
//!
//! ```text
//!              ┌──────────── reopen ◄──────────────────────────────┐
//!              ▼                                                   │
//! (new)  ─> Pending ─> Approved ──────────────> RollingOut ─> Completed ─> RolledBack (by a person)
//!              │           │                         └─────> Failed, RolledBack
//!              └─> Rejected, Expired ──────> Failed, Superseded
//! ```
//!
//! A request that needs no approval leaves `Pending` without a write in between. The patch and its record
//! (`headwind.sh/last-request`) are one atomic write on the workload. After a crash the workload itself shows whether
//! it was patched and whether the change was rolled back ([`Request::back_mark`]).

pub mod action;
mod admission;
mod applied_marker;
mod bound;
pub mod confirmation;
mod context;
mod facts;
pub mod invariant;
mod kept_markers;
mod next;
mod presence;
mod prior;
mod provenance;
mod prune;
mod push_order;
pub mod quorum;
pub mod refusal;
mod rollout;
mod schedule;
mod slot;
mod step;
pub mod timeline;
mod validity;

#[cfg(test)]
mod simulation;

#[cfg(test)]
fn violations_of(requests: &[Request]) -> Vec<String> {
    invariant::violations(requests, &[], &[])
}

pub use applied_marker::{mark_name, named_requests};
pub use context::history_of;
pub use next::next;
pub use presence::Presence;
pub use provenance::may_return_to;
pub use push_order::outdated;
pub use quorum::Approval;
pub use step::{Apply, Change, ChangeKind, Observed, PodName, StatusWrite, Step};

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::artifact::{Artifact, ArtifactKind};
use crate::decide::Identity;
use crate::gate::Waiting;
use crate::policy::Policy;
use crate::reason::Reason;
use crate::rollout::RolloutState;
use crate::settings::Settings;
use crate::trigger::Trigger;

/// Time until a request expires if its spec does not set `expiresAt`.
pub const DEFAULT_EXPIRY: Duration = Duration::from_hours(24);

crate::named! {
    /// The phase of a request.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
    pub enum Phase("phase", str::eq_ignore_ascii_case) {
        /// Created. Waits for approval, or, if the policy approves it, for the gate.
        #[default]
        Pending = "Pending",
        /// Approved by a person. Waits for the gate.
        Approved = "Approved",
        /// The change is in the workload, and Headwind watches its rollout.
        RollingOut = "RollingOut",
        /// The change was applied and its rollout succeeded.
        Completed = "Completed",
        /// Rejected by a person.
        Rejected = "Rejected",
        /// The change could not be applied, or its rollout failed.
        Failed = "Failed",
        /// It was not approved in time.
        Expired = "Expired",
        /// Another update replaced it, or it no longer applies to the workload.
        Superseded = "Superseded",
        /// It was rolled back.
        RolledBack = "RolledBack",
    }
}

impl Phase {
    /// Returns true if the request is not finished.
    pub fn is_open(self) -> bool {
        match self {
            Phase::Pending | Phase::Approved | Phase::RollingOut => true,
            Phase::Completed | Phase::Rejected | Phase::Failed | Phase::Expired | Phase::Superseded | Phase::RolledBack => false,
        }
    }

    /// Returns true if the phase may change to `to`.
    pub fn may_become(self, to: Phase) -> bool {
        use Phase::{Approved, Completed, Expired, Failed, Pending, Rejected, RolledBack, RollingOut, Superseded};
        match self {
            Pending => matches!(to, Approved | Rejected | Expired | Superseded | RollingOut | Completed | Failed),
            // A request that was approved after its expiry expires.
            // Several people must approve, and some are missing.
            Approved => matches!(to, Pending | RollingOut | Completed | Failed | Superseded | Expired),
            RollingOut => matches!(to, Completed | Failed | RolledBack | Superseded),
            // A person may roll back past a finished update.
            Completed => matches!(to, Pending | RolledBack),
            // A leader with a stale copy may apply a change that the API server refused before.
            Failed => matches!(to, Pending | RollingOut | RolledBack),
            // An update that was applied and reopened may be superseded, and can be reopened again. If the workload
            // shows that it was applied, that wins over a phase that was written at the same time.
            Superseded => matches!(to, Pending | RollingOut | RolledBack),
            Rejected | Expired => matches!(to, Pending | RollingOut),
            RolledBack => to == Pending,
        }
    }
}

/// An UpdateRequest with the fields that the rules use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The object's name.
    pub name: String,
    /// The UID of its workload when the request was created.
    pub target_uid: String,
    /// Why the request is invalid for any workload.
    pub fault: Option<String>,
    /// When the object was created, according to the API server.
    pub created: Timestamp,
    /// Names of the requests for the workload's other containers from the same event.
    pub siblings: Vec<String>,
    /// When its claim arrived. The later of two pushes is the newer one.
    pub proposed: Timestamp,
    /// The requested change; immutable.
    pub spec: Spec,
    /// The state.
    pub status: Status,
}

/// The requested change (`spec`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spec {
    /// The kind of artifact: an image, or a chart's version.
    pub kind: ArtifactKind,
    /// The container to update.
    pub container: Option<String>,
    /// The container's image when the request was created, as written.
    pub current_image: String,
    /// The new image, as it will be written.
    pub new_image: String,
    /// The running digest, if it was known.
    pub current_digest: Option<String>,
    /// The new digest, if the event contained one.
    pub new_digest: Option<String>,
    /// The policy that selected the version.
    pub policy: Policy,
    /// True if the workload required approval when the request was created.
    pub require_approval: bool,
    /// The number of people who had to approve it when it was created.
    pub approvals: u32,
    /// When the request expires without approval.
    pub expires_at: Option<Timestamp>,
    /// The trigger of the request.
    pub trigger: Trigger,
}

impl Spec {
    /// Returns the identity of the requested update, independent of the workload's state; `None` if the request is
    /// invalid.
    pub fn identity(&self) -> Option<Identity> {
        let artifact = Artifact::parse(self.kind, &self.new_image).ok()?;
        Some(Identity::new(self.container.as_deref()?, &artifact, self.policy, self.new_digest.as_deref()))
    }

    /// Returns true if the request is for this identity, ignoring the workload's state that the identity includes.
    pub fn asks_for(&self, identity: &Identity) -> bool {
        self.identity().is_some_and(|asked| identity.is_tied(&asked))
    }
}

/// The state of a request (its `status`).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Status {
    /// The phase.
    pub phase: Phase,
    /// The reason for the phase.
    pub reason: Option<Reason>,
    /// The reason as a message for people.
    pub message: Option<String>,
    /// The approver.
    pub approved_by: Option<String>,
    /// True if the person who approved it skips the cool-down.
    pub skip_cool_down: bool,
    /// When it was approved.
    pub approved_at: Option<Timestamp>,
    /// The approvals that Headwind has counted, if several people must approve.
    pub approvals: Vec<Approval>,
    /// The people who rejected it before it was reopened.
    pub dissenters: Vec<String>,
    /// The person who rejected it.
    pub rejected_by: Option<String>,
    /// When it was rejected.
    pub rejected_at: Option<Timestamp>,
    /// When it was last reopened.
    pub reopened_at: Option<Timestamp>,
    /// When it reached its last finished phase.
    pub finished_at: Option<Timestamp>,
    /// The number of times that its change was applied: 0 or 1, and one more for each time a person reopened it.
    pub times_applied: u32,
    /// When its change was last applied.
    pub applied_at: Option<Timestamp>,
    /// The image that an admission webhook put in the place of the new image when it was applied.
    pub applied_image: Option<String>,
    /// The number of consecutive times that an admission rule denied the change.
    pub times_denied: u32,
    /// For a rollback that a person asked for, once it was applied: the image that it replaced.
    pub rolled_back_from: Option<String>,
    /// The wait of the approved update, or of the rollback that the API server denied (condition `Waiting`).
    pub waiting: Option<Waiting>,
    /// The state of the watch over its rollout.
    pub rollout: Option<RolloutState>,
}

impl Status {
    /// Returns why this request prevents a new proposal of the same version, if it does. Every finished phase except
    /// `Superseded` does, and `Superseded` does as well if the change was applied before.
    pub fn obstacle(&self) -> Option<Reason> {
        match self.phase {
            Phase::Pending | Phase::Approved | Phase::RollingOut => Some(Reason::AlreadyRequested),
            Phase::Completed => Some(Reason::RevertedExternally),
            Phase::Rejected => Some(Reason::Rejected),
            Phase::Failed => Some(Reason::Failed),
            Phase::Expired => Some(Reason::Expired),
            Phase::RolledBack => Some(Reason::RolledBack),
            Phase::Superseded => (self.times_applied > 0).then_some(Reason::RevertedExternally),
        }
    }

    /// Returns true if it ended because its update failed. A failed rollback is not a failed update, and neither is an
    /// update that a person rolled back past.
    pub fn is_failed_update(&self) -> bool {
        let ended_badly = matches!(self.phase, Phase::Failed | Phase::RolledBack);
        ended_badly && self.rolled_back_from.is_none() && self.reason != Some(Reason::RolledBack)
    }

    /// Returns true if a new request may replace it under the same name.
    pub fn is_replaceable(&self) -> bool {
        self.obstacle().is_none()
    }

    /// Returns the status after the request was reopened.
    fn reopened(&self, message: String, now: Timestamp) -> Self {
        let mut dissenters = self.dissenters.clone();
        dissenters.extend(self.rejected_by.clone().filter(|person| !dissenters.contains(person)));
        Self {
            phase: Phase::Pending,
            reason: Some(Reason::Reopened),
            message: Some(message),
            reopened_at: Some(now),
            times_applied: self.times_applied,
            applied_image: self.applied_image.clone(),
            dissenters,
            ..Self::default()
        }
    }

    /// Returns the reason that the person gave for a rejection. With plain `kubectl`, it is the whole message.
    pub fn rejection_reason(&self) -> Option<&str> {
        let message = self.message.as_deref()?.trim();
        let said = format!("rejected by {}", self.rejected_by.as_deref().unwrap_or("somebody"));
        let reason = match (message.strip_prefix(&said), self.reason) {
            (Some(rest), _) => rest.strip_prefix(':')?.trim_start(),
            // What Headwind wrote while the request was open.
            (None, Some(Reason::AwaitingApproval)) if message.ends_with(" approvals") => return None,
            (None, Some(Reason::Reopened)) if message.starts_with("reopened") => return None,
            (None, None | Some(Reason::AwaitingApproval | Reason::Reopened)) => message,
            (None, Some(_)) => return None,
        };
        (!reason.is_empty()).then_some(reason)
    }

    /// Returns true if a person may reopen it.
    pub fn can_reopen(&self) -> bool {
        !self.phase.is_open() && !self.is_replaceable()
    }
}

impl Request {
    /// Returns the container's image once the request is applied.
    pub fn placed_image(&self) -> &str {
        self.status.applied_image.as_deref().unwrap_or(&self.spec.new_image)
    }

    /// Returns true if it expires without approval by a person. A request that the policy approved does not expire.
    pub fn needs_approval(&self) -> bool {
        self.spec.require_approval || self.spec.trigger == Trigger::Manual
    }

    /// Returns true if it is approved, by a person or by the policy, and not applied yet. `settings` are the current
    /// settings of its container; `None` if an annotation has an invalid value.
    pub fn is_approved(&self, settings: Option<&Settings>) -> bool {
        match self.status.phase {
            Phase::Pending => settings.is_some_and(|settings| self.is_approved_by_policy(settings)),
            Phase::Approved => {
                // Requests of people are usually rollbacks; `Context::approvals_needed` has the exact rule.
                self.spec.trigger == Trigger::Manual || settings.is_none_or(|settings| self.has_quorum(settings.approvals))
            }
            Phase::RollingOut
            | Phase::Completed
            | Phase::Rejected
            | Phase::Failed
            | Phase::Expired
            | Phase::Superseded
            | Phase::RolledBack => false,
        }
    }

    /// Returns true if the policy approves it, with the current settings of its container. If the workload requires
    /// approval now, an update that was proposed before requires approval too.
    pub fn is_approved_by_policy(&self, settings: &Settings) -> bool {
        !self.needs_approval() && !settings.require_approval
    }

    /// Returns the time after which it can no longer be approved.
    pub fn expires_at(&self) -> Timestamp {
        let born = self.spec.expires_at.unwrap_or_else(|| after(self.created, DEFAULT_EXPIRY));
        match self.status.reopened_at {
            Some(reopened) => born.max(after(reopened, DEFAULT_EXPIRY)),
            None => born,
        }
    }

    /// Returns true if a person reopened it with plain `kubectl`, and Headwind has not recorded that yet: the status still
    /// has the end or the rejection of before. Somebody may have approved it already.
    pub fn is_reopening(&self) -> bool {
        let Status { phase, finished_at, rejected_by, .. } = &self.status;
        matches!(phase, Phase::Pending | Phase::Approved) && (finished_at.is_some() || rejected_by.is_some())
    }

    /// Parses a text as an artifact of the request's kind.
    pub fn artifact(&self, text: &str) -> Option<Artifact> {
        Artifact::parse(self.spec.kind, text).ok()
    }

    /// Returns true if the image text is unchanged and the pods are restarted for a new digest.
    pub fn is_restart(&self) -> bool {
        self.spec.current_image == self.spec.new_image
    }
}

fn after(at: Timestamp, span: Duration) -> Timestamp {
    at.checked_add(span).unwrap_or(Timestamp::MAX)
}
