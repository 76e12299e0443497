//! The presence of the workload, and what its absence allows.
//!
//! An object that is missing from a cache may still exist: the first list may be incomplete, the watch may lag, the
//! object may fail to decode. So a cache never proves that an object is gone. [`Presence::Gone`] is the API server's
//! own response, and a decision that cannot be undone needs a live read: [`super::next()`] returns [`Step::Read`] until
//! the caller has read the workload, its source and its namespace.

use jiff::Timestamp;

use super::context::Context;
use super::step::end;
use super::validity::reopened_by_hand;
use super::{Phase, Request, Status, StatusWrite, Step, after};
use crate::reason::{Reason, Reasoned};
use crate::rollout::RolloutState;
use crate::settings::Settings;
use crate::workload::Workload;

/// The presence of the workload that a decision is about.
#[derive(Debug, Clone, Copy)]
pub enum Presence<'a> {
    /// It was found in the cache or read.
    Present {
        /// The workload.
        workload: &'a Workload,
        /// True if it, its source and its namespace were read from the API server for this decision.
        live: bool,
    },
    /// It is not in the cache. The API server was not queried, so it may exist.
    Unknown,
    /// The API server has no such object.
    Gone,
    /// It cannot be read: the object does not decode, or the API server does not serve its kind now.
    Unreadable,
}

impl<'a> Presence<'a> {
    /// Returns true if the API server was queried for this decision.
    pub fn is_live(&self) -> bool {
        match self {
            Presence::Present { live, .. } => *live,
            Presence::Unknown => false,
            Presence::Gone | Presence::Unreadable => true,
        }
    }

    /// Returns the workload, if it is present.
    pub fn workload(&self) -> Option<&'a Workload> {
        match self {
            Presence::Present { workload, .. } => Some(workload),
            Presence::Unknown | Presence::Gone | Presence::Unreadable => None,
        }
    }
}

/// Returns true if the step ends or deletes something because of the workload, its settings or its requests. A stale or
/// incomplete copy must not lead to it.
pub(super) fn concludes(step: &Step) -> bool {
    match step {
        Step::Delete { .. } => true,
        Step::Write(write) => write.from.is_open() && matches!(write.status.phase, Phase::Superseded | Phase::Expired | Phase::Failed),
        Step::Read | Step::Confirm(_) | Step::Apply(_) | Step::InspectPods | Step::Evict(_) | Step::Requeue(_) => false,
    }
}

/// Returns the step for a workload that cannot be read: its requests only expire.
pub(super) fn unreadable(open: &[&Request], now: Timestamp) -> Step {
    let mut expiring: Vec<&Request> =
        open.iter().copied().filter(|request| request.status.phase == Phase::Pending && request.spec.require_approval).collect();
    expiring.sort_by_key(|request| request.expires_at());
    match expiring.first() {
        Some(request) if request.expires_at() <= now => end(request, Phase::Expired, Reason::PastExpiry, None, now),
        first => Step::Requeue(first.map(|request| request.expires_at())),
    }
}

/// Returns the step for a release whose version is in an object that is missing: requests expire, a rollout times out,
/// and an approved update records that it waits for the object.
pub(super) fn unseen(context: &Context<'_>, open: &[&Request]) -> Step {
    let (rolling, open): (Vec<&Request>, Vec<&Request>) = open.iter().partition(|request| request.status.phase == Phase::RollingOut);
    let reopened = open.iter().find_map(|request| reopened_by_hand(request, context.observed.now));
    let expired = || open.iter().find_map(|request| context.expired(request));
    let ended = reopened.or_else(expired).or_else(|| rolling.iter().find_map(|one| without_source(context, one)));
    // Nothing can be applied: approved requests wait.
    let noted = || context.apply_due(&open).filter(|step| matches!(step, Step::Write(_)));
    let wake = || context.wake(&open).into_iter().chain(rolling.iter().map(|request| limits(context, request))).min();
    ended.or_else(noted).unwrap_or_else(|| Step::Requeue(wake()))
}

/// Watches a rollout whose source is missing: its state is unknown until it times out.
fn without_source(context: &Context<'_>, request: &Request) -> Option<Step> {
    let now = context.observed.now;
    let left = context.workload.containers.iter().find_map(Context::skip_reason);
    let Reasoned { reason, message } = left.unwrap_or_else(|| Reason::SourceMissing.into());
    if limits(context, request) <= now {
        return Some(end(request, Phase::Failed, Reason::RolloutTimedOut, Some(message), now));
    }
    (request.status.reason != Some(reason)).then(|| {
        let status = Status { reason: Some(reason), message: Some(message), ..request.status.clone() };
        Step::write(StatusWrite { request: request.name.clone(), from: request.status.phase, status })
    })
}

/// Returns when the watch over a rollout with an unknown state ends.
fn limits(context: &Context<'_>, request: &Request) -> Timestamp {
    let name = request.spec.container.as_deref().unwrap_or_default();
    let timeout =
        context.settings(name).unwrap_or_else(|_| Settings::default()).rollback_timeout.max(context.workload.rollout.least_timeout());
    let began = request.status.rollout.as_ref().map_or(request.created, |RolloutState { progressed_at, .. }| *progressed_at);
    after(began.max(context.observed.seen_since), timeout)
}
