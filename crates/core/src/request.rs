//! The life of an UpdateRequest: the only state machine there is.
//!
//! This room owns the phases and their arrows, what makes two requests "the same version", what a
//! person may do to a request ([`action`]), the one next step for a workload ([`next()`]) and the
//! checker of what must always hold ([`invariant`]). The reconciler performs the steps; it has no
//! rules of its own.
//!
//! ```text
//!              ┌──────────── reopen ◄──────────────────────────────┐
//!              ▼                                                   │
//! (born) ─> Pending ─> Approved ──────────────> RollingOut ─> Completed ─> RolledBack (by a person)
//!              │           │                         └─────> Failed, RolledBack
//!              └─> Rejected, Expired ──────> Failed, Superseded
//! ```
//!
//! A request whose update needs no approval goes from `Pending` without a write of its own. The
//! patch and the record of it are one atomic write on the workload (`headwind.sh/last-request`):
//! after a crash the workload itself says whether it was patched and whether the change was rolled back ([`Request::back_mark`]).

pub mod action;
mod admission;
mod applied_marker;
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
pub mod refusal;
mod rollout;
mod schedule;
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
pub use step::{Apply, Change, ChangeKind, Observed, PodName, StatusWrite, Step};

use std::fmt;
use std::str::FromStr;
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

/// The phase of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub enum Phase {
    /// Born; waits for approval, or, approved by policy, for its turn.
    #[default]
    Pending,
    /// A person said yes; waits for its turn.
    Approved,
    /// The change stands in the workload, its rollout is watched.
    RollingOut,
    /// Done.
    Completed,
    /// A person said no.
    Rejected,
    /// The change could not be made, or its rollout failed.
    Failed,
    /// Nobody answered in time.
    Expired,
    /// Something else took its place.
    Superseded,
    /// It was taken back.
    RolledBack,
}

impl Phase {
    /// Every phase, in the order of a life.
    pub const ALL: &'static [Phase] = &[
        Phase::Pending,
        Phase::Approved,
        Phase::RollingOut,
        Phase::Completed,
        Phase::Rejected,
        Phase::Failed,
        Phase::Expired,
        Phase::Superseded,
        Phase::RolledBack,
    ];

    /// The phase's name in status, API and selectors.
    pub fn as_str(self) -> &'static str {
        match self {
            Phase::Pending => "Pending",
            Phase::Approved => "Approved",
            Phase::RollingOut => "RollingOut",
            Phase::Completed => "Completed",
            Phase::Rejected => "Rejected",
            Phase::Failed => "Failed",
            Phase::Expired => "Expired",
            Phase::Superseded => "Superseded",
            Phase::RolledBack => "RolledBack",
        }
    }

    /// Whether the request still has something before it.
    pub fn is_open(self) -> bool {
        match self {
            Phase::Pending | Phase::Approved | Phase::RollingOut => true,
            Phase::Completed | Phase::Rejected | Phase::Failed | Phase::Expired | Phase::Superseded | Phase::RolledBack => false,
        }
    }

    /// The arrows of the machine.
    pub fn may_become(self, to: Phase) -> bool {
        use Phase::{Approved, Completed, Expired, Failed, Pending, Rejected, RolledBack, RollingOut, Superseded};
        match self {
            Pending => matches!(to, Approved | Rejected | Expired | Superseded | RollingOut | Completed | Failed),
            // One that was approved after its expiry ends.
            Approved => matches!(to, RollingOut | Completed | Failed | Superseded | Expired),
            RollingOut => matches!(to, Completed | Failed | RolledBack | Superseded),
            // A person may go back over what is done.
            Completed | Failed => matches!(to, Pending | RolledBack),
            // What was applied once and reopened may be superseded, and is still to be reopened then.
            // What the workload says was applied was, whatever was written at the same time.
            Superseded => matches!(to, Pending | RollingOut | RolledBack),
            Rejected | Expired => matches!(to, Pending | RollingOut),
            RolledBack => to == Pending,
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Phase {
    type Err = UnknownPhase;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Phase::ALL
            .iter()
            .copied()
            .find(|phase| phase.as_str().eq_ignore_ascii_case(text))
            .ok_or_else(|| UnknownPhase(text.chars().take(64).collect()))
    }
}

/// A word that names no phase.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a phase of an UpdateRequest")]
pub struct UnknownPhase(String);

/// A request with everything the rules read of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The object's name.
    pub name: String,
    /// The uid of the target that it was made for.
    pub target_uid: String,
    /// What makes it no sensible request at all, whatever its target is like.
    pub fault: Option<String>,
    /// When the object was created, by the API server's clock.
    pub created: Timestamp,
    /// Names of the requests that the same event makes for other containers of the target.
    pub siblings: Vec<String>,
    /// When the claim arrived that it was made of. Of two pushes, the one that arrived later is the newer one.
    pub proposed: Timestamp,
    /// What is asked; never changes.
    pub spec: Spec,
    /// Where it stands.
    pub status: Status,
}

/// What a request asks for (its `spec`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spec {
    /// Whether an image or a chart's version is changed.
    pub kind: ArtifactKind,
    /// The container whose image is changed.
    pub container: Option<String>,
    /// The image that stood there when the request was made, as written.
    pub current_image: String,
    /// The image that is to stand there, as it will be written.
    pub new_image: String,
    /// The digest that was known to run.
    pub current_digest: Option<String>,
    /// The digest that came with the event.
    pub new_digest: Option<String>,
    /// The policy that took the version.
    pub policy: Policy,
    /// Whether a person's approval was asked for when it was made.
    pub require_approval: bool,
    /// Until when an answer is waited for.
    pub expires_at: Option<Timestamp>,
    /// What made Headwind propose it.
    pub trigger: Trigger,
}

impl Spec {
    /// The identity that the request asks for, tied to no state of the target; `None` when the request does not make
    /// sense.
    pub fn identity(&self) -> Option<Identity> {
        let artifact = Artifact::parse(self.kind, &self.new_image).ok()?;
        Some(Identity::new(self.container.as_deref()?, &artifact, self.policy, self.new_digest.as_deref()))
    }

    /// Returns whether the request asks for this identity, whatever state of the target that is tied to.
    pub fn asks_for(&self, identity: &Identity) -> bool {
        self.identity().is_some_and(|asked| identity.is_tied(&asked))
    }
}

/// The state of a request (its `status`).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Status {
    /// The phase.
    pub phase: Phase,
    /// Why it is in this phase.
    pub reason: Option<Reason>,
    /// The same for a person.
    pub message: Option<String>,
    /// Who approved it.
    pub approved_by: Option<String>,
    /// When.
    pub approved_at: Option<Timestamp>,
    /// Who rejected it.
    pub rejected_by: Option<String>,
    /// When.
    pub rejected_at: Option<Timestamp>,
    /// When it was last reopened.
    pub reopened_at: Option<Timestamp>,
    /// When it reached its last finished phase.
    pub finished_at: Option<Timestamp>,
    /// How many times its change was applied: 0 or 1, one more for each time a person reopened it.
    pub times_applied: u32,
    /// When its change was last applied.
    pub applied_at: Option<Timestamp>,
    /// The image that an admission webhook put in the place of the new image when it was applied.
    pub applied_image: Option<String>,
    /// How many times in a row an admission rule denied the change.
    pub times_denied: u32,
    /// For a rollback that a person asked for, once it was applied: the image that it left.
    pub rolled_back_from: Option<String>,
    /// What the approved update waits for, or the rollback that the API server denied (condition `Waiting`).
    pub waiting: Option<Waiting>,
    /// What is remembered of the watch over its rollout.
    pub rollout: Option<RolloutState>,
}

impl Status {
    /// Why the request stands in the way of the same version being proposed again, if it does:
    /// all finished phases but `Superseded`. What was applied before it was reopened
    /// and superseded was applied all the same.
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

    /// Whether a new request may take its place under its name.
    pub fn makes_room(&self) -> bool {
        self.obstacle().is_none()
    }

    /// Whether a person may reopen it.
    pub fn can_reopen(&self) -> bool {
        !self.phase.is_open() && !self.makes_room()
    }
}

impl Request {
    /// The image that stands in the container once the request is applied.
    pub fn placed_image(&self) -> &str {
        self.status.applied_image.as_deref().unwrap_or(&self.spec.new_image)
    }

    /// Whether it ends when nobody approves it in time. One that the policy approved does not.
    pub fn needs_approval(&self) -> bool {
        self.spec.require_approval || self.spec.trigger == Trigger::Manual
    }

    /// Returns whether it is approved, by a person or by the policy, and not applied. `settings` are those of its container
    /// as they are now; none if an annotation has an invalid value.
    pub fn is_approved(&self, settings: Option<&Settings>) -> bool {
        match self.status.phase {
            Phase::Pending => settings.is_some_and(|settings| self.is_approved_by_policy(settings)),
            Phase::Approved => true,
            Phase::RollingOut
            | Phase::Completed
            | Phase::Rejected
            | Phase::Failed
            | Phase::Expired
            | Phase::Superseded
            | Phase::RolledBack => false,
        }
    }

    /// Returns whether the policy approves it and no person is needed, with the settings of its container as they are
    /// now: if a workload requires approval by now, an update that was proposed before needs approval too.
    pub fn is_approved_by_policy(&self, settings: &Settings) -> bool {
        !self.needs_approval() && !settings.require_approval
    }

    /// The moment after which it cannot be approved any more.
    pub fn expires_at(&self) -> Timestamp {
        let born = self.spec.expires_at.unwrap_or_else(|| after(self.created, DEFAULT_EXPIRY));
        match self.status.reopened_at {
            Some(reopened) => born.max(after(reopened, DEFAULT_EXPIRY)),
            None => born,
        }
    }

    /// What a text of this request names.
    pub fn artifact(&self, text: &str) -> Option<Artifact> {
        Artifact::parse(self.spec.kind, text).ok()
    }

    /// Whether the image string stays as it is and the pods are made anew for a new digest.
    pub fn is_restart(&self) -> bool {
        self.spec.current_image == self.spec.new_image
    }
}

fn after(at: Timestamp, span: Duration) -> Timestamp {
    at.checked_add(span).unwrap_or(Timestamp::MAX)
}
