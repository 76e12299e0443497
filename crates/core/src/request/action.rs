//! The actions of people on a request: approve, reject, reopen.
//!
//! Each action is a function from the request as read to the status to write with that `resourceVersion`. If twenty
//! people approve at the same time, the API server's optimistic locking lets exactly one succeed. The operator's
//! `Handle` calls it for the API, the UI and bulk actions. The admission policy in `deploy/k8s` limits what `kubectl`
//! may write.

use jiff::Timestamp;

use super::{Phase, Request, Status};
use crate::reason::Reason;

/// An action of a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Approve the update.
    Approve,
    /// Reject the version for good.
    Reject,
    /// Undo an earlier result, so that the version can be approved again.
    Reopen,
}

impl Action {
    /// Returns the action's name in routes, audit lines and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Action::Approve => "approve",
            Action::Reject => "reject",
            Action::Reopen => "reopen",
        }
    }
}

impl Status {
    /// Returns the status of an approval that also skips the cool-down.
    #[must_use]
    pub fn skipping_cool_down(self) -> Self {
        let message = self.message.map(|message| format!("{message}; the cool-down is skipped"));
        Self { skip_cool_down: true, message, ..self }
    }
}

/// The action is not possible in the request's phase.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot {} a request that is {phase}{}", .action.as_str(), .why.as_ref().map(|why| format!(": {why}")).unwrap_or_default())]
pub struct NotNow {
    /// The action.
    pub action: Action,
    /// The request's phase.
    pub phase: Phase,
    /// The reason for the phase, if known.
    pub why: Option<String>,
}

/// Returns the status after `action` by `person`.
///
/// A request that needs approval and is past its expiry counts as `Expired`, even if that is not written yet.
///
/// # Errors
/// If the action is not possible in the request's phase.
pub fn act(request: &Request, action: Action, person: &str, note: Option<&str>, now: Timestamp) -> Result<Status, NotNow> {
    let phase = match request.status.phase {
        Phase::Pending if request.needs_approval() && request.expires_at() <= now => Phase::Expired,
        phase => phase,
    };
    let refused = || {
        let why = if phase == request.status.phase { request.status.message.clone() } else { None };
        Err(NotNow { action, phase, why })
    };
    if request.is_reopening() {
        let why = Some("it was reopened a moment ago, and Headwind has not recorded that yet; try again".to_owned());
        return Err(NotNow { action, phase, why });
    }
    let message = |what: &str| {
        let note = note.map(str::trim).filter(|note| !note.is_empty());
        Some(note.map_or_else(|| format!("{what} by {person}"), |note| format!("{what} by {person}: {note}")))
    };
    let mut status = request.status.clone();
    match action {
        Action::Approve if phase == Phase::Pending => {
            status.phase = Phase::Approved;
            status.reason = Some(Reason::ApprovedByPerson);
            status.message = message("approved");
            status.approved_by = Some(person.to_owned());
            status.approved_at = Some(now);
        }
        Action::Reject if phase == Phase::Pending => {
            status.phase = Phase::Rejected;
            status.reason = Some(Reason::RejectedByPerson);
            status.message = message("rejected");
            status.rejected_by = Some(person.to_owned());
            status.rejected_at = Some(now);
            status.finished_at = Some(now);
            status.waiting = None;
        }
        Action::Reopen if phase == Phase::Expired || status.can_reopen() => {
            status = request.status.reopened(message("reopened").unwrap_or_default(), now);
        }
        Action::Approve | Action::Reject | Action::Reopen => return refused(),
    }
    Ok(status)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::Spec;
    use crate::testing;

    fn request(phase: Phase) -> Request {
        let base = testing::request("r", "a:1", "a:2", at(1000));
        let spec = Spec { require_approval: true, expires_at: Some(at(2000)), ..base.spec };
        Request { spec, status: Status { phase, ..Status::default() }, ..base }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    /// Every action in every phase: people can make exactly these transitions.
    #[test]
    fn arrows() {
        for phase in Phase::ALL.iter().copied() {
            for (action, to) in [(Action::Approve, Phase::Approved), (Action::Reject, Phase::Rejected), (Action::Reopen, Phase::Pending)] {
                let allowed = match action {
                    Action::Approve | Action::Reject => phase == Phase::Pending,
                    Action::Reopen => !phase.is_open() && phase != Phase::Superseded,
                };
                let done = act(&request(phase), action, "ann", None, at(1500));
                assert_eq!(done.as_ref().ok().map(|status| status.phase), allowed.then_some(to), "{phase} {action:?}");
                assert!(!allowed || phase.may_become(to));
            }
        }
    }

    #[test]
    fn an_expired_one_cannot_be_approved_but_reopened() {
        let refused = act(&request(Phase::Pending), Action::Approve, "ann", None, at(2000));
        assert_eq!(refused, Err(NotNow { action: Action::Approve, phase: Phase::Expired, why: None }));
        let mut superseded = request(Phase::Superseded);
        superseded.status.message = Some("superseded by a:3".to_owned());
        let refused = act(&superseded, Action::Approve, "ann", None, at(1500)).unwrap_err();
        assert_eq!(refused.to_string(), "cannot approve a request that is Superseded: superseded by a:3");
        let mut reopened = request(Phase::Pending);
        reopened.status = act(&reopened, Action::Reopen, "ann", None, at(2000)).unwrap();
        assert!(act(&reopened, Action::Approve, "ann", None, at(2000 + 86_399)).is_ok(), "another whole day");
    }

    #[test]
    fn who_and_why_are_kept() {
        let approved = act(&request(Phase::Pending), Action::Approve, "ann", Some(" tested "), at(1500)).unwrap();
        assert_eq!((approved.approved_by.as_deref(), approved.approved_at), (Some("ann"), Some(at(1500))));
        assert_eq!(approved.message.as_deref(), Some("approved by ann: tested"));
        let mut rejected = request(Phase::Pending);
        rejected.status = Status { times_applied: 3, ..act(&rejected, Action::Reject, "bob", None, at(1500)).unwrap() };
        assert_eq!((rejected.status.rejected_by.as_deref(), rejected.status.finished_at), (Some("bob"), Some(at(1500))));
        let reopened = act(&rejected, Action::Reopen, "ann", None, at(1600)).unwrap();
        assert_eq!((reopened.rejected_by, reopened.times_applied), (None, 3), "the old answer goes, the count stays");
    }
}
