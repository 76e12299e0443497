//! What is known of the workload, and what may follow from its absence.
//!
//! A cache that lacks an object proves nothing: its first list may be incomplete, its watch may lag, the object may
//! not decode. So "gone" is not something that a copy can say. [`Presence::Gone`] is the API server's own answer, and
//! a decision that cannot be undone is made from a live read only: [`super::next()`] answers [`Step::Read`] until the
//! caller has read the workload, its source and its namespace.

use jiff::Timestamp;

use super::context::Context;
use super::step::end;
use super::{Phase, Request, Status, StatusWrite, Step, after};
use crate::reason::Reason;
use crate::rollout::RolloutState;
use crate::settings::Settings;
use crate::workload::Workload;

/// What is known of the workload that a decision is about.
#[derive(Debug, Clone, Copy)]
pub enum Presence<'a> {
    /// A copy of it.
    Present {
        /// The copy.
        workload: &'a Workload,
        /// Whether it, its source and its namespace were read from the API server for this decision.
        live: bool,
    },
    /// No copy of it. That says nothing: the API server was not asked.
    Unknown,
    /// The API server was asked, and has no such object.
    Gone,
    /// It cannot be read: the object does not decode, or the API server does not serve its kind (any more, or yet).
    Unreadable,
}

impl<'a> Presence<'a> {
    /// Whether the API server was asked for this decision.
    pub fn is_live(&self) -> bool {
        match self {
            Presence::Present { live, .. } => *live,
            Presence::Unknown => false,
            Presence::Gone | Presence::Unreadable => true,
        }
    }

    /// The copy, if there is one.
    pub fn workload(&self) -> Option<&'a Workload> {
        match self {
            Presence::Present { workload, .. } => Some(workload),
            Presence::Unknown | Presence::Gone | Presence::Unreadable => None,
        }
    }
}

/// Returns whether the step ends or deletes something because of how the workload, its settings or its requests look:
/// an old or incomplete copy must not lead to it.
pub(super) fn concludes(step: &Step) -> bool {
    match step {
        Step::Delete { .. } => true,
        Step::Write(write) => write.from.is_open() && matches!(write.status.phase, Phase::Superseded | Phase::Expired | Phase::Failed),
        Step::Read | Step::Apply(_) | Step::InspectPods | Step::Evict(_) | Step::Requeue(_) => false,
    }
}

/// The step for a workload that cannot be read. Only the clock ends a request then.
pub(super) fn unreadable(open: &[&Request], now: Timestamp) -> Step {
    let mut expiring: Vec<&Request> =
        open.iter().copied().filter(|request| request.status.phase == Phase::Pending && request.spec.require_approval).collect();
    expiring.sort_by_key(|request| request.expires_at());
    match expiring.first() {
        Some(request) if request.expires_at() <= now => end(request, Phase::Expired, Reason::PastExpiry, None, now),
        first => Step::Requeue(first.map(|request| request.expires_at())),
    }
}

/// The step for a release whose version stands in an object that is missing: requests expire, a rollout times out,
/// and an approved update says what it waits for.
pub(super) fn unseen(context: &Context<'_>, open: &[&Request]) -> Step {
    let (rolling, open): (Vec<&Request>, Vec<&Request>) = open.iter().partition(|request| request.status.phase == Phase::RollingOut);
    let ended =
        open.iter().find_map(|request| context.expired(request)).or_else(|| rolling.iter().find_map(|one| without_source(context, one)));
    // Nothing can be applied; what is approved waits.
    let noted = || context.go_out(&open).filter(|step| matches!(step, Step::Write(_)));
    let wake = || context.wake(&open).into_iter().chain(rolling.iter().map(|request| limits(context, request))).min();
    ended.or_else(noted).unwrap_or_else(|| Step::Requeue(wake()))
}

/// The watch over a rollout whose source is missing: nothing can be seen of it until its time is over.
fn without_source(context: &Context<'_>, request: &Request) -> Option<Step> {
    let now = context.observed.now;
    let left = context.workload.containers.iter().find_map(Context::skip_reason);
    let (reason, message) = left.unwrap_or_else(|| (Reason::SourceMissing, Reason::SourceMissing.sentence().to_owned()));
    if limits(context, request) <= now {
        return Some(end(request, Phase::Failed, Reason::RolloutTimedOut, Some(message), now));
    }
    (request.status.reason != Some(reason)).then(|| {
        let status = Status { reason: Some(reason), message: Some(message), ..request.status.clone() };
        Step::write(StatusWrite { request: request.name.clone(), from: request.status.phase, status })
    })
}

/// When the watch over a rollout of which nothing can be seen ends.
fn limits(context: &Context<'_>, request: &Request) -> Timestamp {
    let name = request.spec.container.as_deref().unwrap_or_default();
    let timeout =
        context.settings(name).unwrap_or_else(|_| Settings::default()).rollback_timeout.max(context.workload.rollout.least_timeout());
    let began = request.status.rollout.as_ref().map_or(request.created, |RolloutState { progressed_at, .. }| *progressed_at);
    after(began.max(context.observed.seen_since), timeout)
}
