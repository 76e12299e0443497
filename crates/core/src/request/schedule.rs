//! What is due: who goes out, who gives way, who waits for what.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use super::context::Context;
use super::refusal::together;
use super::rollout::is_rollback;
use super::step::end;
use super::{Apply, Change, ChangeKind, DEFAULT_EXPIRY, Phase, Request, Status, StatusWrite, Step, Waiting, after};
use crate::decide;
use crate::gate::{self, Gate};
use crate::policy::Policy;
use crate::reason::Reason;
use crate::trigger::Trigger;
use crate::workload::release::passes;

/// How long a request waits for those that the same event makes for other containers.
const SIBLINGS: Duration = Duration::from_secs(2);

impl Context<'_> {
    /// Ends a request for whose container a better one is open.
    ///
    /// What a person approved gives way to nothing that still waits for an approval; what a person
    /// asked for and what Headwind found leave each other alone.
    pub(super) fn superseded_by(&self, request: &Request, open: &[&Request]) -> Option<Step> {
        let rival = open.iter().find(|rival| {
            rival.name != request.name
                && rival.spec.container == request.spec.container
                && (rival.spec.trigger == Trigger::Manual) == (request.spec.trigger == Trigger::Manual)
                && (self.approved(rival) || !self.approved(request))
                && self.better(rival, request)
        })?;
        let message = format!("{} took its place", rival.spec.new_image);
        Some(end(request, Phase::Superseded, Reason::NewerVersion, Some(message), self.observed.now))
    }

    /// Whether `a` is to go out rather than `b`: the policy's choice, else the younger.
    fn better(&self, a: &Request, b: &Request) -> bool {
        let younger = (a.proposed, a.created, &a.name) > (b.proposed, b.created, &b.name);
        let Some(container) = self.container_of(a) else { return younger };
        let (Ok(standing), Ok(settings)) = (container.artifact(), self.settings(&container.name)) else { return younger };
        let rule = settings.rule();
        if rule.policy == Policy::Force || a.spec.trigger == Trigger::Manual || b.spec.trigger == Trigger::Manual {
            return younger;
        }
        match decide::prefer(&rule, &standing, container, &a.spec.new_image, &b.spec.new_image) {
            Some(first) => first,
            None => younger,
        }
    }

    /// Whether nothing but its turn is missing.
    ///
    /// Approved by policy is what both the request and today's settings say needs no approval: a
    /// workload that asks for approval by now gets it asked.
    fn approved(&self, request: &Request) -> bool {
        match request.status.phase {
            Phase::Pending => {
                let settings = request.spec.container.as_deref().and_then(|name| self.settings(name).ok());
                settings.is_some_and(|settings| request.is_approved_by_policy(&settings))
            }
            Phase::Approved => true,
            Phase::RollingOut
            | Phase::Completed
            | Phase::Rejected
            | Phase::Failed
            | Phase::Expired
            | Phase::Superseded
            | Phase::RolledBack => false,
        }
    }

    /// Ends a request that nobody approved in time.
    pub(super) fn expired(&self, request: &Request) -> Option<Step> {
        let now = self.observed.now;
        let late = match request.status.phase {
            Phase::Pending => request.needs_approval() && self.expires(request) <= now,
            // Plain `kubectl` can approve what has expired while no leader says so. It need not write a time.
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

    /// When the request expires. After a step of the clock nobody knows how long it has really waited: it is given the
    /// whole time again.
    fn expires(&self, request: &Request) -> Timestamp {
        let stepped = self.observed.clock_stepped.map(|stepped| after(stepped, DEFAULT_EXPIRY));
        stepped.map_or(request.expires_at(), |again| again.max(request.expires_at()))
    }

    fn gate(&self, request: &Request) -> Gate {
        if let Some(until) = self.denied_until(request) {
            return Gate::Wait { until, reason: Reason::ApplyDenied };
        }
        if request.spec.trigger == Trigger::Manual {
            // Who asks for it wants it now.
            return Gate::Open;
        }
        match request.spec.container.as_deref().map(|name| self.settings(name)) {
            Some(Ok(settings)) => gate::interval(self.last_update(), settings.min_update_interval, self.observed.now),
            Some(Err(_)) | None => Gate::Open,
        }
    }

    /// Until when the request waits for the other requests of its event, so that one push is one rollout.
    fn siblings_until(&self, request: &Request) -> Option<Timestamp> {
        let now = self.observed.now;
        let until = after(request.created, SIBLINGS);
        let missing = || request.siblings.iter().any(|name| !self.observed.requests.iter().any(|one| one.name == *name));
        // A maker whose clock is further ahead than that is not waited for.
        (now < until && request.created <= after(now, SIBLINGS) && missing()).then_some(until)
    }

    /// When the request was approved. Who approves with plain `kubectl` writes a name and no time.
    fn approved_at(&self, request: &Request) -> Option<Timestamp> {
        let approved = request.status.approved_by.as_ref().map(|_| self.observed.now);
        request.status.approved_at.or(approved)
    }

    /// What an approved update waits for without an end that is known: the release is suspended.
    fn held(&self, request: &Request) -> Option<(Reason, String)> {
        self.container_of(request).and_then(Self::left)
    }

    /// Applies what is due, or notes on each approved request what it waits for.
    pub(super) fn go_out(&self, open: &[&Request]) -> Option<Step> {
        let approved: Vec<&Request> = open.iter().copied().filter(|request| self.approved(request)).collect();
        let mut due: BTreeMap<&str, &Request> = BTreeMap::new();
        // What a person asked for comes first.
        let (asked, found): (Vec<&Request>, Vec<&Request>) = approved.iter().partition(|request| request.spec.trigger == Trigger::Manual);
        let goes =
            |request: &&Request| self.gate(request) == Gate::Open && self.held(request).is_none() && self.siblings_until(request).is_none();
        for request in asked.into_iter().chain(found).filter(goes) {
            if let Some(container) = request.spec.container.as_deref() {
                due.entry(container).or_insert(request);
            }
        }
        if !due.is_empty() {
            due = together(due);
            // A person who rolls one container back does not ask for updates of others.
            if due.values().all(|request| request.spec.trigger != Trigger::Manual) {
                self.join(&mut due, &approved);
            }
            return Some(Step::Apply(self.patch(&due)));
        }
        approved.iter().find_map(|request| {
            if let Some((reason, message)) = self.held(request).filter(|(reason, _)| request.status.reason != Some(*reason)) {
                let approved_at = self.approved_at(request);
                let status = Status { reason: Some(reason), message: Some(message), waiting: None, approved_at, ..request.status.clone() };
                return Some(Step::write(StatusWrite { request: request.name.clone(), from: request.status.phase, status }));
            }
            let Gate::Wait { until, reason } = self.gate(request) else { return None };
            let waiting = Some(Waiting { reason, until });
            (request.status.waiting != waiting).then(|| {
                let mut status = Status { waiting, approved_at: self.approved_at(request), ..request.status.clone() };
                if status.reason.is_some_and(passes) {
                    // What it was held for before is over.
                    status.reason = Some(reason);
                    status.message = Some(reason.sentence().to_owned());
                }
                Step::write(StatusWrite { request: request.name.clone(), from: request.status.phase, status })
            })
        })
    }

    /// Adds the requests that wait for the interval of the workload alone, if their own container has not been
    /// updated within it. The pods are replaced anyway, and a container whose interval is longer than those of
    /// the others would otherwise wait for as long as the others are updated.
    fn join<'a>(&self, due: &mut BTreeMap<&'a str, &'a Request>, approved: &[&'a Request]) {
        for request in approved {
            let Some(name) = request.spec.container.as_deref() else { continue };
            let waits = matches!(self.gate(request), Gate::Wait { reason: Reason::MinUpdateInterval, .. });
            let Ok(settings) = self.settings(name) else { continue };
            let own = self.history.of(name).next().map(|entry| entry.timestamp);
            let passed = gate::interval(own, settings.min_update_interval, self.observed.now) == Gate::Open;
            if waits && passed && request.status.times_denied == 0 && self.held(request).is_none() {
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
            let approver = request.status.approved_by.as_deref();
            let back = is_rollback(self, request);
            if back {
                let left_behind = history.go_back(name, &container.image, &request.spec.new_image, now);
                over.extend(self.over_marks(&left_behind));
            } else {
                history.record(name, &container.image, &request.spec.new_image, now, &request.name, approver);
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
        let last_request = self.standing_marks(due).chain(over).chain(own).collect::<Vec<_>>().join(",");
        Apply { changes, last_update: now, last_request, history: history.to_annotation() }
    }

    /// When something happens by the clock alone.
    pub(super) fn wake(&self, open: &[&Request]) -> Option<Timestamp> {
        open.iter()
            .filter_map(|request| match (self.approved(request), self.gate(request)) {
                (true, Gate::Wait { until, .. }) => Some(until),
                (true, Gate::Open) => self.siblings_until(request),
                (false, _) => (request.status.phase == Phase::Pending && request.needs_approval()).then(|| self.expires(request)),
            })
            .min()
    }
}
