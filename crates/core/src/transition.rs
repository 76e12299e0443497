//! A transition: the change between two versions of an UpdateRequest, for everything that reports it.
//!
//! The operator computes it when the change becomes visible, whichever writer made it. Log lines, Kubernetes Events,
//! metrics, notifications and the live view all use this one value.

use crate::reason::{Reason, Reasoned};
use crate::request::{ChangeKind, Phase, Request, Status};

/// A change of a request that is reported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transition {
    /// The ID of the transition, unique within its request: the same on every replica and after a restart.
    pub id: String,
    /// The phase before; `None` for a new request, or if its earlier status is unknown.
    pub from: Option<Phase>,
    /// The phase now.
    pub to: Phase,
    /// The reason for the new status.
    pub reason: Option<Reason>,
    /// The reason as a sentence, with the details.
    pub message: String,
    /// The attention that it needs.
    pub weight: Weight,
    /// The change of its approval.
    pub approval: Option<ApprovalChange>,
    /// The change written to the workload.
    pub applied: Option<ChangeKind>,
    /// The rollout's latest failed check, if it counted.
    pub failed_check: Option<Reasoned>,
    /// True if an update failed permanently: it was not applied, or it was rolled back.
    pub update_failed: bool,
    /// True if a rollback failed.
    pub rollback_failed: bool,
    /// True if the request began to wait for the minimum interval between updates.
    pub waits_for_interval: bool,
}

/// The attention that a transition needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// Only counters changed. The phase, the reason and the wait are unchanged.
    Detail,
    /// The request made normal progress.
    Normal,
    /// A person should look at it.
    Warning,
}

/// A change of the approval of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ApprovalChange {
    /// It was created and waits for approval.
    Proposed,
    /// It was created, and the policy approves it.
    ProposedAndApproved,
    /// A person approved it.
    Approved,
    /// A person rejected it.
    Rejected,
    /// A person reopened it.
    Reopened,
}

/// Returns the change from `before` to `after`; `None` if there is nothing to report.
///
/// Without `before`, a request in its first phase counts as created, and any other one as having just reached its
/// status. The next leader uses this to report what the previous one could not.
pub fn transition(before: Option<&Request>, after: &Request) -> Option<Transition> {
    let status = &after.status;
    let unknown = Status::default();
    let was = before.map_or(&unknown, |before| &before.status);
    let is_new = before.is_none();
    // Only a part of a finished request's status is stored.
    if !is_new && !was.phase.is_open() && (was.phase, was.reason) == (status.phase, status.reason) {
        return None;
    }
    let approval = approval(before, after);
    let failed_checks = |status: &Status| status.rollout.as_ref().map_or(0, |watch| watch.failed_checks);
    let failed_check = (failed_checks(status) > failed_checks(was))
        .then(|| status.rollout.as_ref()?.failure.as_ref())
        .flatten()
        .map(|failure| Reasoned::new(failure.reason, failure.message.clone()));
    let applied = applied(was, status);
    let ended = is_new || was.phase != status.phase;
    // The end of a wait is reported by the next transition.
    let now_waits_for = status.waiting.as_ref().filter(|waiting| was.waiting.as_ref().is_none_or(|before| !before.is_same(waiting)));
    let moved = ended || was.reason != status.reason || now_waits_for.is_some() || approval.is_some();
    if !moved && applied.is_none() && failed_check.is_none() {
        return None;
    }
    let reason = reason(after, approval);
    let weight = match (moved, is_warning(status, reason)) {
        (false, _) => Weight::Detail,
        (true, false) => Weight::Normal,
        (true, true) => Weight::Warning,
    };
    let taken_back = status.phase == Phase::RolledBack && (is_new || was.phase == Phase::RollingOut);
    Some(Transition {
        id: id(status, failed_check.is_some()),
        from: before.map(|before| before.status.phase),
        to: status.phase,
        reason,
        message: message(status, reason, approval),
        weight,
        approval,
        applied,
        failed_check,
        update_failed: ended && status.is_failed_update() && (status.phase == Phase::Failed || taken_back),
        rollback_failed: ended && status.reason == Some(Reason::RollbackFailed),
        waits_for_interval: now_waits_for.is_some_and(|waiting| waiting.reason == Reason::MinUpdateInterval),
    })
}

fn approval(before: Option<&Request>, after: &Request) -> Option<ApprovalChange> {
    let status = &after.status;
    match (before.map(|before| before.status.phase), status.phase) {
        (None, Phase::Pending) if status.reopened_at.is_some() => Some(ApprovalChange::Reopened),
        (None, Phase::Pending) if after.needs_approval() => Some(ApprovalChange::Proposed),
        (None, Phase::Pending) => Some(ApprovalChange::ProposedAndApproved),
        // A new wait is not a new approval: the approval was reported before.
        (None, Phase::Approved) if status.waiting.is_some() => None,
        (None | Some(Phase::Pending | Phase::Approved), Phase::Approved)
            if after.is_counted() && !before.is_some_and(Request::is_counted) =>
        {
            Some(ApprovalChange::Approved)
        }
        (None | Some(Phase::Pending), Phase::Rejected) => Some(ApprovalChange::Rejected),
        // Reopened and approved between two versions that this process saw.
        (Some(was), Phase::Approved) if !was.is_open() && after.is_counted() => Some(ApprovalChange::Approved),
        (Some(was), Phase::Pending | Phase::Approved) if !was.is_open() => Some(ApprovalChange::Reopened),
        (_, _) => None,
    }
}

/// Returns the change that is new in this status.
fn applied(was: &Status, status: &Status) -> Option<ChangeKind> {
    let returned = |status: &Status| status.rollout.as_ref().is_some_and(|watch| watch.returned_to.is_some());
    if returned(status) && !returned(was) {
        Some(ChangeKind::AutomaticRollback)
    } else if status.times_applied > was.times_applied && status.reason != Some(Reason::RolledOutByOwner) {
        Some(if status.rolled_back_from.is_some() { ChangeKind::ManualRollback } else { ChangeKind::Update })
    } else {
        None
    }
}

/// Returns the reason to report. An approval or rejection made with `kubectl` has none of its own.
fn reason(after: &Request, approval: Option<ApprovalChange>) -> Option<Reason> {
    let status = &after.status;
    match approval {
        Some(ApprovalChange::Proposed | ApprovalChange::ProposedAndApproved) => Some(Reason::Proposed),
        Some(ApprovalChange::Approved) => Some(Reason::ApprovedByPerson),
        Some(ApprovalChange::Rejected) => Some(Reason::RejectedByPerson),
        Some(ApprovalChange::Reopened) => Some(Reason::Reopened),
        None => status.waiting.as_ref().map(|waiting| waiting.reason).or(status.reason),
    }
}

fn message(status: &Status, reason: Option<Reason>, approval: Option<ApprovalChange>) -> String {
    let own = status.message.as_deref().filter(|own| !own.is_empty());
    match (&status.waiting, approval) {
        (Some(waiting), None) if waiting.until.is_some() => format!("waits {waiting}"),
        (Some(waiting), None) => format!("waits: {waiting}"),
        (_, _) => own.map(str::to_owned).or_else(|| Some(reason?.sentence().to_owned())).unwrap_or_default(),
    }
}

fn is_warning(status: &Status, reason: Option<Reason>) -> bool {
    // A successful rollback was reported when the rollout failed.
    let bad_end = matches!(status.phase, Phase::Failed | Phase::RolledBack) && reason != Some(Reason::RollbackComplete);
    bad_end || matches!(reason, Some(Reason::RollingBack | Reason::ApplyDenied))
}

fn id(status: &Status, failed_check: bool) -> String {
    let mut id = format!("{}/{}", status.phase, status.times_applied);
    let mut part = |part: String| {
        id.push('/');
        id.push_str(&part);
    };
    if let Some(reason) = status.reason {
        part(reason.code().to_owned());
    }
    if let Some(reopened) = status.reopened_at {
        part(reopened.to_string());
    }
    if let Some(waiting) = &status.waiting {
        let until = waiting.until.map(|until| until.to_string()).unwrap_or_default();
        part(format!("{}@{until}", waiting.reason.code()));
    }
    if let Some(watch) = status.rollout.as_ref().filter(|_| failed_check) {
        part(format!("check {}@{:?}", watch.failed_checks, watch.checked_at));
    }
    id
}

#[cfg(test)]
mod tests;
