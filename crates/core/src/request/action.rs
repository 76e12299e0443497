//! What a person may do to a request: approve, reject, reopen.
//!
//! Each is a function from the request as it was read to the status that is to be written with
//! that `resourceVersion`; the API server's compare-and-swap makes one of twenty parallel
//! approvals the first. Called by the operator's `Handle` for every door that people come
//! through; what plain `kubectl` may do is fenced by the admission policy in `deploy/k8s`.

use jiff::Timestamp;

use super::{Phase, Request, Status};
use crate::reason::Reason;

/// Something a person asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Let it go out.
    Approve,
    /// Never propose it again.
    Reject,
    /// Take back an earlier end.
    Reopen,
}

impl Action {
    /// The word in routes, audit lines and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Action::Approve => "approve",
            Action::Reject => "reject",
            Action::Reopen => "reopen",
        }
    }
}

/// The request is not in a phase from which the action leads anywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("cannot {} a request that is {phase}", .action.as_str())]
pub struct NotNow {
    /// What was asked.
    pub action: Action,
    /// Where the request stands.
    pub phase: Phase,
}

/// The status after `action` by `person`, or why it cannot be.
///
/// A request past its expiry counts as `Expired` whether or not that was written yet.
pub fn act(request: &Request, action: Action, person: &str, note: Option<&str>, now: Timestamp) -> Result<Status, NotNow> {
    let phase = match request.status.phase {
        Phase::Pending if request.expires_at() <= now => Phase::Expired,
        phase => phase,
    };
    let refused = Err(NotNow { action, phase });
    let told = |what: &str| {
        let note = note.map(str::trim).filter(|note| !note.is_empty());
        Some(note.map_or_else(|| format!("{what} by {person}"), |note| format!("{what} by {person}: {note}")))
    };
    let mut status = request.status.clone();
    match action {
        Action::Approve if phase == Phase::Pending => {
            status.phase = Phase::Approved;
            status.reason = Some(Reason::ApprovedByPerson);
            status.message = told("approved");
            status.approved_by = Some(person.to_owned());
            status.approved_at = Some(now);
        }
        Action::Reject if phase == Phase::Pending => {
            status.phase = Phase::Rejected;
            status.reason = Some(Reason::RejectedByPerson);
            status.message = told("rejected");
            status.rejected_by = Some(person.to_owned());
            status.rejected_at = Some(now);
            status.finished_at = Some(now);
            status.waiting = None;
        }
        Action::Reopen if phase == Phase::Expired || status.can_reopen() => {
            status = Status {
                phase: Phase::Pending,
                reason: Some(Reason::Reopened),
                message: told("reopened"),
                reopened_at: Some(now),
                times_applied: request.status.times_applied,
                ..Status::default()
            };
        }
        Action::Approve | Action::Reject | Action::Reopen => return refused,
    }
    Ok(status)
}
