//! What a decision sees, and the steps it can answer with.

use jiff::Timestamp;

use super::{Phase, Presence, Request, Status};
use crate::reason::Reason;
use crate::rollout::pod::PodSnapshot;
use crate::settings::Annotations;

/// All that a decision about one workload needs to see.
#[derive(Debug, Clone, Copy)]
pub struct Observed<'a> {
    /// The workload, as far as it is known.
    pub presence: Presence<'a>,
    /// Headwind's annotations on the namespace.
    pub defaults: &'a Annotations,
    /// Every request of the workload, in any order.
    pub requests: &'a [&'a Request],
    /// The time.
    pub now: Timestamp,
    /// How many finished requests are kept (`HEADWIND_HISTORY_LIMIT`).
    pub history_limit: usize,
    /// The newest look at the workload's pods, if there was one.
    pub snapshot: Option<&'a PodSnapshot>,
    /// Since when the cluster is seen without a gap.
    pub seen_since: Timestamp,
    /// When this process last saw its clock step, by the clock as it is since.
    pub clock_stepped: Option<Timestamp>,
}

/// What is to be done next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Read the workload, its source and its namespace from the API server and ask again: what would be done next
    /// cannot be undone, and a copy is not enough for that.
    Read,
    /// Write this status to this request.
    Write(Box<StatusWrite>),
    /// Patch the workload, once, for all the changes.
    Apply(Apply),
    /// Read the workload anew, look at its pods, and ask again with what they say.
    InspectPods,
    /// Evict this pod of an older version, which keeps the rollout from going on.
    Evict(PodName),
    /// Delete this finished request: enough newer ones are kept.
    Delete {
        /// The request's name.
        request: String,
    },
    /// Nothing now. Look again at that time, or on the next change.
    Requeue(Option<Timestamp>),
}

impl Step {
    pub(super) fn write(write: StatusWrite) -> Self {
        Step::Write(Box::new(write))
    }
}

/// A pod, to be evicted if it is still the one that was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodName {
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
}

/// A status for a request, to be written with the `resourceVersion` it was decided on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusWrite {
    /// The request's name.
    pub request: String,
    /// The phase it leaves.
    pub from: Phase,
    /// Its whole new status.
    pub status: Status,
}

/// One guarded patch of the workload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Apply {
    /// What changes in which container; never empty, at most one a container.
    pub changes: Vec<Change>,
    /// The new value of `headwind.sh/last-update`.
    pub last_update: Timestamp,
    /// The new value of `headwind.sh/last-request`.
    pub last_request: String,
    /// The new value of `headwind.sh/update-history`.
    pub history: String,
}

/// The change of one container that one request asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The request's name.
    pub request: String,
    /// The container's name.
    pub container: String,
    /// The image that must stand there for the patch to be made.
    pub from: String,
    /// The image that will.
    pub to: String,
    /// With an unchanged image: the text that goes into the pod template so that the pods are made
    /// anew, the digest where it is known.
    pub restart_for: Option<String>,
    /// Which way it goes.
    pub kind: ChangeKind,
}

/// Which way a change goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeKind {
    /// To another version.
    Update,
    /// Back, because a person wants it.
    ManualRollback,
    /// Back, because the rollout failed.
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
