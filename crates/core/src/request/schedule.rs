//! Selects which approved requests to apply, which to supersede, and records what the others wait for
//! ([`crate::gate`]).

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use super::context::Context;
use super::refusal::together;
use super::rollout::is_rollback;
use super::step::end;
use super::{Apply, Change, ChangeKind, DEFAULT_EXPIRY, Phase, Request, Status, StatusWrite, Step, after};
use crate::decide;
use crate::gate::{self, Facts, Gate, Turn, Waiting};
use crate::reason::Reason;
use crate::settings::Settings;
use crate::trigger::Trigger;

/// Minimum time until an update that waits for a rollout to end is looked at again. When one ends, only the next ones in
/// the queue are looked at, so this is a safety net. Thousands may wait.
const NEXT_TURN: Duration = Duration::from_mins(10);
/// Maximum time that is added, a different one for each request.
const SPREAD: u64 = 300;

impl Context<'_> {
    /// Supersedes a request if a better one for its container is open.
    ///
    /// A request that still waits for approval does not supersede an approved one. Requests by people and requests from
    /// claims do not supersede each other.
    pub(super) fn superseded_by(&self, request: &Request, open: &[&Request]) -> Option<Step> {
        let rival = open.iter().find(|rival| {
            rival.name != request.name
                && rival.spec.container == request.spec.container
                && (rival.spec.trigger == Trigger::Manual) == (request.spec.trigger == Trigger::Manual)
                && (self.approved(rival) || !self.approved(request))
                && self.better(rival, request)
        })?;
        let message = format!("superseded by {}", rival.spec.new_image);
        Some(end(request, Phase::Superseded, Reason::NewerVersion, Some(message), self.observed.now))
    }

    /// Returns true if `a` is preferred over `b`: by the policy's order, else by age, newest first.
    fn better(&self, a: &Request, b: &Request) -> bool {
        let younger = (a.proposed, a.created, &a.name) > (b.proposed, b.created, &b.name);
        let Some(container) = self.container_of(a) else { return younger };
        let (Ok(installed), Ok(settings)) = (container.artifact(), self.settings(&container.name)) else { return younger };
        let rule = settings.rule();
        if !rule.policy.ranks_versions() || a.spec.trigger == Trigger::Manual || b.spec.trigger == Trigger::Manual {
            return younger;
        }
        match decide::prefer(&rule, &installed, container, &a.spec.new_image, &b.spec.new_image) {
            Some(first) => first,
            None => younger,
        }
    }

    /// Returns true if the request is approved, so that only the gate can delay it.
    fn approved(&self, request: &Request) -> bool {
        let by_enough = || request.status.phase != Phase::Approved || request.has_quorum(self.approvals_needed(request));
        request.is_approved(self.settings_of(request).as_ref()) && by_enough()
    }

    fn settings_of(&self, request: &Request) -> Option<Settings> {
        self.settings(request.spec.container.as_deref()?).ok()
    }

    /// Expires a request that was not approved in time.
    pub(super) fn expired(&self, request: &Request) -> Option<Step> {
        let now = self.observed.now;
        let late = match request.status.phase {
            Phase::Pending => request.needs_approval() && self.expires(request) <= now,
            // `kubectl` can approve an expired request while there is no leader. It need not write a time.
            Phase::Approved => request.needs_approval() && request.status.approved_at.unwrap_or(now) > self.expires(request),
            Phase::RollingOut
            | Phase::Completed
            | Phase::Rejected
            | Phase::Failed
            | Phase::Expired
            | Phase::Superseded
            | Phase::RolledBack => false,
        };
        late.then(|| end(request, Phase::Expired, Reason::PastExpiry, None, now))
    }

    /// Returns when the request expires. After a step of the clock its real age is unknown, so it gets the whole time
    /// again.
    fn expires(&self, request: &Request) -> Timestamp {
        let stepped = self.observed.clock_stepped.map(|stepped| after(stepped, DEFAULT_EXPIRY));
        stepped.map_or(request.expires_at(), |again| again.max(request.expires_at()))
    }

    fn facts<'b>(&'b self, request: &'b Request) -> Facts<'b> {
        let own = self.own_facts(request);
        let first = self.first_turn();
        let turn = own.turn.map(|turn| Turn { since: first.map_or(turn.since, |first| first.min(turn.since)), ..turn });
        Facts { turn, ..own }
    }

    fn own_facts<'b>(&'b self, request: &'b Request) -> Facts<'b> {
        let any = self.container_of(request).map(|container| Facts::of(self.workload, container, self.observed.limits)).unwrap_or_default();
        request.facts(any, self.workload, &self.history, self.observed.requests, self.observed.now)
    }

    /// Returns since when the workload is in the queue for a rollout: the time of its oldest update that waits for nothing
    /// else. The updates of a workload share one rollout, so they share its place. `None` if rollouts are not limited.
    fn first_turn(&self) -> Option<Timestamp> {
        if !self.observed.limits.rollouts.is_limited() {
            return None;
        }
        let since = |request: &Request| {
            let facts = self.own_facts(request);
            let since = facts.turn.as_ref().filter(|_| !facts.is_rollback)?.since;
            let alone = Facts { turn: None, ..facts };
            (self.approved(request) && self.gate_by(request, &alone).is_open()).then_some(since)
        };
        *self.first_turn.get_or_init(|| self.observed.requests.iter().filter_map(|request| since(request)).min())
    }

    /// Returns the gate's result for the request with these facts. With an invalid annotation, only a request by a
    /// person is still valid. It waits until the value is corrected, because the value may have been meant to hold it back.
    /// A rollback does not wait.
    fn gate_by(&self, request: &Request, facts: &Facts<'_>) -> Gate {
        let name = request.spec.container.as_deref().unwrap_or_default();
        match self.settings(name) {
            Ok(settings) => gate::check(&settings, facts, self.observed.now),
            Err(_) if facts.is_rollback => gate::check(&self.valid_settings(name), facts, self.observed.now),
            Err(faults) => {
                let message = format!("an annotation has an invalid value: {faults}");
                Gate::Wait(Waiting { reason: Reason::InvalidAnnotation, message, until: None })
            }
        }
    }

    fn gate(&self, request: &Request) -> Gate {
        self.gate_by(request, &self.facts(request))
    }

    /// Returns when the request was approved. An approval with plain `kubectl` contains a name and no time.
    pub(super) fn approved_at(&self, request: &Request) -> Option<Timestamp> {
        let approved = request.status.approved_by.as_ref().map(|_| self.observed.now);
        request.status.approved_at.or(approved)
    }

    /// Applies what is due, or records on each approved request what it waits for.
    pub(super) fn apply_due(&self, open: &[&Request]) -> Option<Step> {
        let approved: Vec<&Request> = open.iter().copied().filter(|request| self.approved(request)).collect();
        let mut due: BTreeMap<&str, &Request> = BTreeMap::new();
        // Requests by people come first.
        let (asked, found): (Vec<&Request>, Vec<&Request>) = approved.iter().partition(|request| request.spec.trigger == Trigger::Manual);
        for request in asked.into_iter().chain(found).filter(|request| self.gate(request).is_open()) {
            if let Some(container) = request.spec.container.as_deref() {
                due.entry(container).or_insert(request);
            }
        }
        // A patch with an update tests the version of the object, which changes during a rollout. A rollback must not
        // wait for that.
        if due.values().any(|request| is_rollback(self, request)) {
            due.retain(|_, request| is_rollback(self, request));
        }
        if !due.is_empty() {
            due = together(due);
            // A rollback of one container by a person does not include updates of others.
            if due.values().all(|request| request.spec.trigger != Trigger::Manual) {
                self.join(&mut due, &approved);
            }
            let unconfirmed = due.values().find_map(|request| self.unconfirmed(request));
            return Some(unconfirmed.unwrap_or_else(|| Step::Apply(self.patch(&due))));
        }
        open.iter().find_map(|request| self.record_waiting(request))
    }

    /// Records what the request waits for, if the reason or the time has changed.
    fn record_waiting(&self, request: &Request) -> Option<Step> {
        let before = request.status.waiting.as_ref();
        let now = match self.gate(request) {
            Gate::Wait(waiting) if self.approved(request) => Some(waiting).filter(Waiting::is_recorded).or_else(|| before.cloned()),
            // It is applied in this pass or the next one.
            Gate::Open if self.approved(request) => before.cloned(),
            // The workload requires approval now: the request waits for a person, and for nothing else.
            Gate::Open | Gate::Wait(_) => None,
        };
        let same = match (&now, before) {
            (Some(now), Some(before)) => now.is_same(before),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        (!same).then(|| {
            let status = Status { waiting: now, approved_at: self.approved_at(request), ..request.status.clone() };
            Step::write(StatusWrite { request: request.name.clone(), from: request.status.phase, status })
        })
    }

    /// Adds the requests that only wait for the workload's minimum interval, if their own container was not updated
    /// within it. The pods are replaced anyway. Otherwise a container with a longer interval than the others would wait
    /// for as long as the others are updated.
    fn join<'a>(&self, due: &mut BTreeMap<&'a str, &'a Request>, approved: &[&'a Request]) {
        for request in approved {
            let Some(name) = request.spec.container.as_deref() else { continue };
            let own = self.history.of(name).next().map(|entry| entry.timestamp);
            let alone = Facts { last_update: own, ..self.facts(request) };
            if request.status.times_denied == 0 && self.gate_by(request, &alone).is_open() {
                due.entry(name).or_insert(request);
            }
        }
    }

    fn patch(&self, due: &BTreeMap<&str, &Request>) -> Apply {
        let now = self.observed.now;
        let mut history = self.history.clone();
        let mut changes = Vec::with_capacity(due.len());
        let mut over = Vec::new();
        for (name, request) in due {
            let Some(container) = self.workload.container(name) else { continue };
            let approver = request.approved_by_all();
            let back = is_rollback(self, request);
            if back {
                let left_behind = history.go_back(name, &container.image, &request.spec.new_image, now);
                over.extend(self.over_marks(&left_behind));
            } else {
                history.record(name, &container.image, &request.spec.new_image, now, &request.name, approver.as_deref());
            }
            changes.push(Change {
                request: request.name.clone(),
                container: (*name).to_owned(),
                from: container.image.clone(),
                to: request.spec.new_image.clone(),
                restart_for: request.is_restart().then(|| request.spec.new_digest.clone().unwrap_or_else(|| now.to_string())),
                kind: if back { ChangeKind::ManualRollback } else { ChangeKind::Update },
            });
        }
        let own = due.values().map(|request| request.mark());
        let last_request = self.kept_marks(due).chain(over).chain(own).collect::<Vec<_>>().join(",");
        Apply { changes, last_update: now, last_request, history: history.to_annotation() }
    }

    /// Returns the next time at which something changes without an event.
    pub(super) fn wake(&self, open: &[&Request]) -> Option<Timestamp> {
        open.iter()
            .filter_map(|request| match (self.approved(request), self.gate(request)) {
                (true, Gate::Wait(waiting)) if waiting.reason == Reason::TooManyRollouts => {
                    Some(after(self.observed.now, NEXT_TURN + spread(&request.name)))
                }
                (true, gate) => gate.waiting()?.until,
                (false, _) => (request.status.phase == Phase::Pending && request.needs_approval()).then(|| self.expires(request)),
            })
            .min()
    }
}

/// Returns the part of [`SPREAD`] for the request with that name, always the same one.
fn spread(name: &str) -> Duration {
    let sum = name.bytes().fold(0_u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(byte)));
    Duration::from_secs(sum % SPREAD)
}
