//! The input of a decision, and the steps that it can return.

use jiff::Timestamp;

use super::confirmation::{Confirm, Confirmations};
use super::{Phase, Presence, Request, Status};
use crate::gate::Limits;
use crate::reason::Reason;
use crate::rollout::pod::PodSnapshot;
use crate::settings::Annotations;

/// The input of a decision about one workload.
#[derive(Debug, Clone, Copy)]
pub struct Observed<'a> {
    /// The limits on the updates of all workloads together.
    pub limits: &'a Limits,
    /// The workload, as far as it is known.
    pub presence: Presence<'a>,
    /// Headwind's annotations on the namespace.
    pub defaults: &'a Annotations,
    /// Every request of the workload, in any order.
    pub requests: &'a [&'a Request],
    /// The current time.
    pub now: Timestamp,
    /// Number of finished requests to keep (`HEADWIND_HISTORY_LIMIT`).
    pub history_limit: usize,
    /// The newest snapshot of the workload's pods, if there is one.
    pub snapshot: Option<&'a PodSnapshot>,
    /// Start of the current period of uninterrupted watches.
    pub seen_since: Timestamp,
    /// When the clock of this process was last set, as a time of the new clock.
    pub clock_stepped: Option<Timestamp>,
    /// The registry's answers about approved digests; `None` if Headwind does not ask.
    pub confirmations: Option<&'a Confirmations>,
}

/// The next action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Read the workload, its source and its namespace from the API server and decide again: the next step cannot be
    /// undone, and a cached copy is not enough for it.
    Read,
    /// Write this status to this request.
    Write(Box<StatusWrite>),
    /// Ask the registry for the digest behind the tag of an approved update, and decide again with the answer.
    Confirm(Confirm),
    /// Patch the workload, once, with all changes.
    Apply(Apply),
    /// Read the workload again, take a snapshot of its pods, and decide again.
    InspectPods,
    /// Evict this pod of an older version, which blocks the rollout.
    Evict(PodName),
    /// Delete this finished request: enough newer ones are kept.
    Delete {
        /// The request's name.
        request: String,
    },
    /// Nothing to do now. Decide again at that time, or on the next change.
    Requeue(Option<Timestamp>),
}

impl Step {
    pub(super) fn write(write: StatusWrite) -> Self {
        Step::Write(Box::new(write))
    }
}

/// A pod to evict, if its UID is unchanged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodName {
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
}

/// A new status for a request, to write with the `resourceVersion` that the decision was made on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusWrite {
    /// The request's name.
    pub request: String,
    /// The phase before.
    pub from: Phase,
    /// The whole new status.
    pub status: Status,
}

/// One guarded patch of the workload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Apply {
    /// The changes; never empty, at most one per container.
    pub changes: Vec<Change>,
    /// The new value of `headwind.sh/last-update`.
    pub last_update: Timestamp,
    /// The new value of `headwind.sh/last-request`.
    pub last_request: String,
    /// The new value of `headwind.sh/update-history`.
    pub history: String,
}

impl Apply {
    /// Returns true if the patch contains an update. Rollbacks wait for nothing that updates wait for.
    #[must_use]
    pub fn is_update(&self) -> bool {
        self.changes.iter().any(|change| change.kind == ChangeKind::Update)
    }
}

/// The change of one container for one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The request's name.
    pub request: String,
    /// The container's name.
    pub container: String,
    /// The image that must be in place for the patch to succeed.
    pub from: String,
    /// The new image.
    pub to: String,
    /// For an unchanged image: the text to write into the pod template so that the pods are recreated. It is the
    /// digest, if known.
    pub restart_for: Option<String>,
    /// The direction.
    pub kind: ChangeKind,
}

/// The direction of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeKind {
    /// To another version.
    Update,
    /// Rollback by a person.
    ManualRollback,
    /// Rollback after a failed rollout.
    AutomaticRollback,
}

pub(super) fn end(request: &Request, phase: Phase, reason: Reason, message: Option<String>, now: Timestamp) -> Step {
    let mut status = request.status.clone();
    status.phase = phase;
    status.reason = Some(reason);
    status.message = Some(message.unwrap_or_else(|| reason.sentence().to_owned()));
    status.finished_at = Some(now);
    status.waiting = None;
    Step::write(StatusWrite { request: request.name.clone(), from: request.status.phase, status })
}
