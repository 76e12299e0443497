//! Decides the next step for a workload, from the workload and all its requests.
//!
//! The operator's reconciler and the simulation call it repeatedly until it returns [`Step::Requeue`]. The order makes
//! it safe: first record what has happened, then end invalid requests, and only then apply anything new, with
//! everything that is due in one patch.
//!
//! ```text
//! applied already? ─> valid? ─> superseded? ─> expired? ─> watched? ─> due? ─> apply ─┐
//!        │               │           │            │           │         └─> waiting  │
//!        └───────────────┴───────────┴────────────┴───────────┴──> StatusWrite <─────┘ (next pass)
//! ```
//!
//! [`super::rollout`] decides what follows after the patch.

use super::admission::rewritten;
use super::applied_marker::marks;
use super::context::Context;
use super::presence::{concludes, unreadable, unseen};
use super::rollout::{follow, rolled_back_past, settle_rollback};
use super::step::end;
use super::validity::ended_by_hand;
use super::{Observed, Phase, Presence, Request, Status, StatusWrite, Step};
use crate::reason::Reason;
use crate::rollout::RolloutState;
use crate::trigger::Trigger;
use crate::workload::Workload;

/// Decides the next step. Returns [`Step::Read`] before a step that cannot be undone, unless the workload was read
/// live.
pub fn next(observed: &Observed<'_>) -> Step {
    let step = decide(observed);
    let unseen = observed.presence.workload().is_some_and(Workload::is_unseen);
    let needs_live = concludes(&step) || (unseen && matches!(step, Step::Write(_)));
    if needs_live && !observed.presence.is_live() { Step::Read } else { step }
}

fn decide(observed: &Observed<'_>) -> Step {
    let mut open: Vec<&Request> = observed.requests.iter().copied().filter(|request| request.status.phase.is_open()).collect();
    // The result must not depend on the order of a cache or a list.
    open.sort_by(|a, b| (a.created, &a.name).cmp(&(b.created, &b.name)));

    let gone = |request: &Request| end(request, Phase::Superseded, Reason::TargetGone, None, observed.now);
    let workload = match observed.presence {
        Presence::Present { workload, .. } => workload,
        Presence::Gone => return open.first().map_or(Step::Requeue(None), |request| gone(request)),
        Presence::Unknown if open.is_empty() => return Step::Requeue(None),
        Presence::Unknown => return Step::Read,
        Presence::Unreadable => return unreadable(&open, observed.now),
    };
    if let Some(orphan) = open.iter().find(|request| request.target_uid != workload.uid) {
        return gone(orphan);
    }
    if workload.deleting {
        return Step::Requeue(None);
    }
    let context = Context::new(workload, observed);
    if workload.is_unseen() {
        return unseen(&context, &open);
    }
    if let Some(step) = observed.requests.iter().find_map(|request| context.settle_applied(request)) {
        return step;
    }
    if let Some(step) = open.iter().find_map(|request| settle_rollback(&context, request)) {
        return step;
    }
    if let Some(step) = rolled_back_past(&context) {
        return step;
    }
    let (rolling, open): (Vec<&Request>, Vec<&Request>) = open.into_iter().partition(|request| request.status.phase == Phase::RollingOut);
    if let Some(step) = open.iter().find_map(|request| context.end_invalid(request)) {
        return step;
    }
    if let Some(step) = open.iter().find_map(|request| context.superseded_by(request, &open)) {
        return step;
    }
    if let Some(step) = open.iter().find_map(|request| context.expired(request)) {
        return step;
    }
    if let Some(step) = observed.requests.iter().find_map(|request| ended_by_hand(request, observed.now)) {
        return step;
    }
    if let Some(step) = open.iter().find_map(|request| context.count_approvals(request)) {
        return step;
    }
    let watched = match follow(&context, &rolling) {
        Ok(step) => return step,
        Err(again) => again,
    };
    let rest = || Step::Requeue(context.wake(&open).into_iter().chain(watched).min());
    context.apply_due(&open).unwrap_or_else(|| context.prune().unwrap_or_else(rest))
}

impl Context<'_> {
    /// Records that a request was applied, if the workload names it, whatever the container runs now.
    ///
    /// `last-request` names changes that are in place, the history names earlier ones as well. Otherwise a very stale
    /// copy of the request would apply its change again.
    fn settle_applied(&self, request: &Request) -> Option<Step> {
        // A request may be superseded because of a stale copy, rejected by a person or expired just after its patch, or a
        // leader with a stale copy applied it after the API server had refused the change once. It was applied nevertheless.
        let refused = (request.status.phase, request.status.reason) == (Phase::Failed, Some(Reason::ApplyFailed));
        let late = matches!(request.status.phase, Phase::Superseded | Phase::Rejected | Phase::Expired) || refused;
        if !(request.status.phase.is_open() || late) || request.target_uid != self.workload.uid {
            return None;
        }
        let noted = self.history.times_applied(&request.name) > request.status.times_applied as usize;
        if !noted && !marks(self.workload).any(|mark| request.is_behind(mark)) {
            return None;
        }
        let now = self.observed.now;
        // A rollback removes history entries; an update adds one with its name.
        let back = request.spec.trigger == Trigger::Manual && !self.history.names(&request.name);
        let named = marks(self.workload).any(|mark| mark == request.mark());
        let status = Status {
            phase: Phase::RollingOut,
            reason: Some(Reason::RolloutProgressing),
            message: Some(match request.status.phase {
                Phase::Rejected => format!("{} was written to the workload just before the request was rejected", request.spec.new_image),
                _ => format!("{} is written to the workload", request.spec.new_image),
            }),
            finished_at: None,
            // An approval with plain `kubectl` contains a name and no time.
            approved_at: request.status.approved_at.or(request.status.approved_by.as_ref().map(|_| now)),
            times_applied: request.status.times_applied.saturating_add(1),
            applied_at: self.workload.last_update().filter(|_| named).or(Some(now)),
            applied_image: self.container_of(request).filter(|_| named).and_then(|container| rewritten(request, container)),
            times_denied: 0,
            rolled_back_from: back.then(|| request.spec.current_image.clone()),
            waiting: None,
            rollout: Some(RolloutState::new(self.workload.generation, now)),
            ..request.status.clone()
        };
        Some(Step::write(StatusWrite { request: request.name.clone(), from: request.status.phase, status }))
    }
}

#[cfg(test)]
mod tests;
