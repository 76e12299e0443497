//! Notification events, and the notifications that follow from the status of a request.
//!
//! They depend only on the status, so that the next leader derives what the previous one did not send.
//!
//! ```text
//! proposal ─> update_request_created ─> update_approved | update_rejected
//!          └> update_detected (approved by policy)
//! rollout  ─> update_completed | update_failed | rollback_triggered ─> rollback_completed | rollback_failed
//! ```

use jiff::Timestamp;

use crate::reason::Reason;
use crate::request::{Phase, Request, Status};
use crate::trigger::Trigger;

crate::named! {
    /// A kind of notification.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
    pub enum NotificationEvent("notification event", str::eq) {
        /// A new version was found, and the policy approves it.
        UpdateDetected = "update_detected",
        /// A new version was found, and its request waits for a person.
        UpdateRequestCreated = "update_request_created",
        /// A person approved the update.
        UpdateApproved = "update_approved",
        /// A person rejected the update.
        UpdateRejected = "update_rejected",
        /// The update is complete.
        UpdateCompleted = "update_completed",
        /// The update failed and is not rolled back.
        UpdateFailed = "update_failed",
        /// Headwind restores the previous version, because the rollout failed or a person requested it.
        RollbackTriggered = "rollback_triggered",
        /// The previous version is in place again.
        RollbackCompleted = "rollback_completed",
        /// The rollback failed.
        RollbackFailed = "rollback_failed",
    }
}

/// One notification of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// The event.
    pub event: NotificationEvent,
    /// Identifies the notification among all of its request: the same on every replica and after a restart.
    pub id: String,
    /// When it happened; `None` if the status does not say it, for example after an approval with `kubectl`.
    pub at: Option<Timestamp>,
}

/// Returns the notifications that follow from the status of a request, in order. The whole status must be known.
pub fn notices(request: &Request) -> Vec<Notice> {
    let Request { status, spec, created, .. } = request;
    let mut all = Vec::new();
    let mut add = |event: NotificationEvent, at: Option<Timestamp>| {
        let life = status.reopened_at.map(|at| format!("/{at}")).unwrap_or_default();
        all.push(Notice { event, id: format!("{event}{life}"), at });
    };
    // The person who requests a rollback approves it in the same call.
    let is_rollback = spec.trigger == Trigger::Manual;
    if !is_rollback {
        let event = if request.needs_approval() { NotificationEvent::UpdateRequestCreated } else { NotificationEvent::UpdateDetected };
        add(event, Some(status.reopened_at.unwrap_or(*created)));
        let approved = match status.phase {
            Phase::Pending => false,
            Phase::Approved => request.is_counted(),
            _ => status.approved_by.is_some() || status.approved_at.is_some(),
        };
        if approved {
            // A time before the creation cannot be true, and the next leader would repeat everything since then.
            add(NotificationEvent::UpdateApproved, status.approved_at.map(|at| at.max(*created)));
        }
    } else if status.rolled_back_from.is_some() {
        add(NotificationEvent::RollbackTriggered, status.applied_at);
    }
    if let Some(watch) = status.rollout.as_ref().filter(|watch| watch.returned_to.is_some()) {
        add(NotificationEvent::RollbackTriggered, Some(watch.started_at));
    }
    if let Some(end) = end(status, is_rollback) {
        let at = if end == NotificationEvent::UpdateRejected { status.rejected_at.or(status.finished_at) } else { status.finished_at };
        add(end, at);
    }
    all
}

fn end(status: &Status, is_rollback: bool) -> Option<NotificationEvent> {
    match (status.phase, status.reason) {
        (Phase::Rejected, _) => Some(NotificationEvent::UpdateRejected),
        (Phase::Completed, _) if is_rollback => Some(NotificationEvent::RollbackCompleted),
        (Phase::Completed, _) => Some(NotificationEvent::UpdateCompleted),
        (Phase::Failed, _) if is_rollback => Some(NotificationEvent::RollbackFailed),
        (Phase::Failed | Phase::RolledBack, Some(Reason::RollbackFailed)) => Some(NotificationEvent::RollbackFailed),
        (Phase::Failed, _) => Some(NotificationEvent::UpdateFailed),
        // In phase `RolledBack`, a person rolled back past it, and the request of that rollback has the notification.
        (Phase::RolledBack, reason) => (reason != Some(Reason::RolledBack)).then_some(NotificationEvent::RollbackCompleted),
        (Phase::Pending | Phase::Approved | Phase::RollingOut | Phase::Expired | Phase::Superseded, _) => None,
    }
}

/// Returns the notifications of a change. Of a finished request, only a part of the status before is known.
pub fn new_notices(before: Option<&Request>, after: &Request) -> Vec<Notice> {
    let mut all = notices(after);
    let Some(before) = before else { return all };
    let known = notices(before);
    all.retain(|notice| known.iter().all(|known| known.id != notice.id));
    if !before.status.phase.is_open() && after.status.reopened_at.is_none() {
        all.drain(..all.len().saturating_sub(1));
    }
    all
}

#[cfg(test)]
mod tests;
