//! The status of requests whose patch the API server refused.
//!
//! A denial by an admission rule (a webhook, a policy, a quota) may be temporary. The request records the denial, waits
//! and retries. An object that the API server finds invalid stays invalid, so the request fails. Requests that are due
//! together share one patch, and the response does not say which of them caused the refusal. After `TOGETHER` denials
//! Headwind tries each one in its own patch, so that no container blocks another.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use super::{ChangeKind, Phase, Request, Status, StatusWrite, after};
use crate::backoff::Backoff;
use crate::gate::{Waiting, denial};
use crate::reason::Reason;

/// Number of consecutive denials after which a request is no longer tried together with others.
const TOGETHER: u32 = 3;
/// The backoff between denials.
const BACKOFF: Backoff = Backoff::new(Duration::from_secs(10), denial::LONGEST);
/// Maximum length of the API server's message in a status, in characters.
const QUOTE: usize = 1024;

/// Why the API server refused a patch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// An admission rule, or a missing permission, denies it.
    Denied(String),
    /// The object would not be valid.
    Invalid(String),
}

/// Returns the status of a request whose change was refused. `alone` is true if the patch contained no other change.
pub fn refused(request: &Request, kind: ChangeKind, refusal: &Refusal, alone: bool, now: Timestamp) -> StatusWrite {
    let (what, failed) = match kind {
        ChangeKind::Update => ("change", Reason::ApplyFailed),
        ChangeKind::ManualRollback | ChangeKind::AutomaticRollback => ("rollback", Reason::RollbackFailed),
    };
    let before = &request.status;
    let quote = |text: &str| text.chars().take(QUOTE).collect::<String>();
    let waits = |message: String, times_denied: u32, pause: Duration| Status {
        times_denied,
        waiting: Some(Waiting { reason: Reason::ApplyDenied, message, until: Some(after(now, pause)) }),
        ..before.clone()
    };
    let status = match refusal {
        Refusal::Denied(text) => {
            let times = before.times_denied.saturating_add(1);
            let message = format!("the API server denied the {what}: {}", quote(text));
            waits(message, times, BACKOFF.pause(times.saturating_sub(1)))
        }
        Refusal::Invalid(text) if !alone => {
            let message =
                format!("the API server rejected the {what} together with others; Headwind retries it on its own: {}", quote(text));
            waits(message, TOGETHER, Duration::ZERO)
        }
        Refusal::Invalid(text) => Status {
            phase: Phase::Failed,
            reason: Some(failed),
            message: Some(format!("the API server rejected the {what}: {}", quote(text))),
            finished_at: Some(now),
            waiting: None,
            ..before.clone()
        },
    };
    StatusWrite { request: request.name.clone(), from: before.phase, status }
}

/// Returns the due requests that share the next patch.
pub(super) fn together<'a>(due: BTreeMap<&'a str, &'a Request>) -> BTreeMap<&'a str, &'a Request> {
    let (denied, others): (BTreeMap<_, _>, BTreeMap<_, _>) =
        due.into_iter().partition(|(_, request)| request.status.times_denied >= TOGETHER);
    if others.is_empty() {
        denied.into_iter().min_by_key(|(_, request)| (request.status.times_denied, request.created)).into_iter().collect()
    } else {
        others
    }
}
