//! The limits on the updates of all workloads together, as this process knows them: the entries of the ConfigMap
//! `headwind`, and the requests in progress.
//!
//! The limits on rollouts depend only on the requests, so a new leader gets the same numbers as the previous one.
//! Between the decision to apply an update and the request that shows it, the workload is in `starting`.

use std::collections::BTreeSet;

use headwind_core::gate::limits::ConfiguredLimits;
use headwind_core::gate::{Limits, Rollouts, Turn, paused_since};
use headwind_core::request::{Phase, named_requests};
use headwind_core::workload::WorkloadKey;
use jiff::Timestamp;

use super::index::Index;
use super::requests::{Requests, Waits};
use super::state::State;

impl State {
    /// Returns the limits now. `starting` are the workloads to which an update is being applied.
    pub(crate) fn limits_with(&self, starting: &BTreeSet<WorkloadKey>, now: Timestamp) -> Limits {
        let mut limits = self.limits_without_rollouts(now);
        if limits.rollouts.is_limited() {
            let requests = self.requests.read();
            let index = self.index.read();
            let running = requests.rollouts().running(now).filter(|key| is_there(&index, key));
            let mut rollouts = Rollouts { running: running.chain(starting).cloned().collect(), ..limits.rollouts.clone() };
            // During a freeze nothing starts, and thousands may wait.
            if !limits.freeze.as_ref().is_some_and(|freeze| freeze.holds(now)) {
                rollouts.give_slots(queue(&requests, &index, &limits, now));
            }
            limits.rollouts = rollouts;
        }
        limits
    }

    /// Returns the limits now, without the rollouts in progress and in the queue.
    fn limits_without_rollouts(&self, now: Timestamp) -> Limits {
        let ConfiguredLimits { freeze, rollouts: limit, rollouts_per_namespace: limit_per_namespace, .. } = self.limits.configured();
        let rollouts = Rollouts { limit, limit_per_namespace, ..Rollouts::default() };
        Limits { freeze, paused_since: self.paused_since(now), rollouts }
    }

    /// Returns the number of updates that wait for the end of a rollout. 0 if rollouts are not limited.
    pub(crate) fn waiting_for_a_slot(&self, now: Timestamp) -> usize {
        let limits = self.limits_without_rollouts(now);
        if !limits.rollouts.is_limited() {
            return 0;
        }
        let requests = self.requests.read();
        let index = self.index.read();
        queue(&requests, &index, &limits, now).count()
    }

    /// Returns the limits now, for queries.
    pub(crate) fn current_limits(&self, now: Timestamp) -> Limits {
        let starting = self.limits.starting().clone();
        self.limits_with(&starting, now)
    }

    /// Returns since when updates that the policy approved are paused because too many failed.
    pub(crate) fn paused_since(&self, now: Timestamp) -> Option<Timestamp> {
        let configured = self.limits.configured.borrow().as_ref().map(|limits| (limits.pause_after_failures, limits.resumed_at));
        let mut known = self.limits.paused_since.lock();
        // Until the ConfigMap is read, what the Lease says stays.
        let Some((limit, resumed)) = configured else { return *known };
        if limit.is_none() || resumed.zip(*known).is_some_and(|(resumed, since)| resumed >= since) {
            *known = None;
        }
        if let (Some(limit), None) = (limit, *known) {
            *known = paused_since(self.requests.read().rollouts().failures(), limit, resumed, now);
        }
        *known
    }

    /// Counts the workloads to which the previous leader applied an update that no request shows yet.
    pub(crate) fn inherit_rollouts(&self) {
        let workloads = self.requests.read().shared_workloads();
        let applied: Vec<WorkloadKey> = workloads.iter().filter(|key| self.is_applied(key)).map(|key| (**key).clone()).collect();
        self.limits.starting().extend(applied);
    }

    /// Returns true if the workload carries an update that no request shows yet.
    pub(crate) fn is_applied(&self, key: &WorkloadKey) -> bool {
        let requests = self.requests.read();
        let Some(workload) = self.index.read().workload(key) else { return false };
        let open = requests.open_of(key).iter().filter(|request| request.phase() != Phase::RollingOut);
        let names: BTreeSet<&str> = open.filter_map(|request| request.metadata.name.as_deref()).collect();
        named_requests(&workload).any(|name| names.contains(name))
    }
}

/// Returns the updates that could start if there were no limit on rollouts, oldest first.
fn queue<'a>(requests: &'a Requests, index: &'a Index, limits: &'a Limits, now: Timestamp) -> impl Iterator<Item = &'a Turn> {
    let can = move |turn: &Turn, waits: &Waits| {
        let resolved = index.resolved(&turn.workload).filter(|resolved| !resolved.workload.deleting);
        resolved.is_some_and(|resolved| waits.is_in_queue(&resolved, limits, now))
    };
    requests.rollouts().waiting().filter(move |(turn, waits)| can(turn, waits)).map(|(turn, _)| turn)
}

/// Returns true if the workload can be read, and is not being deleted. A rollout of any other one may never end.
fn is_there(index: &Index, key: &WorkloadKey) -> bool {
    index.workload(key).is_some_and(|workload| !workload.deleting)
}

#[cfg(test)]
mod tests {
    use headwind_core::workload::{Container, Kind, Workload};
    use headwind_k8s::update_request::UpdateRequest;
    use serde_json::{Value, json};

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn key(name: &str) -> WorkloadKey {
        WorkloadKey { kind: Kind::Deployment, namespace: "n".to_owned(), name: name.to_owned() }
    }

    /// A request for the workload of the same name.
    fn request(workload: &str, version: u32, trigger: &str, status: &Value) -> UpdateRequest {
        serde_json::from_value(json!({
            "apiVersion": "headwind.sh/v1alpha1", "kind": "UpdateRequest",
            "metadata": {"name": workload, "namespace": "n", "uid": workload, "resourceVersion": version.to_string()},
            "spec": {
                "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": workload, "uid": "u"}, "updateType": "image", "containerName": "web",
                "currentImage": "a:1", "newImage": "a:2", "policy": "minor", "requireApproval": false, "trigger": trigger,
            },
            "status": status,
        }))
        .unwrap()
    }

    fn waiting(reason: &str, until: Option<i64>) -> Value {
        let condition =
            json!({"type": "Waiting", "status": "True", "reason": reason, "message": "m", "lastTransitionTime": at(0).to_string()});
        json!({"phase": "Approved", "approvedAt": at(5).to_string(), "waitingUntil": until.map(|until| at(until).to_string()), "conditions": [condition]})
    }

    fn state(workloads: &[&str]) -> State {
        let state = State::default();
        for name in workloads {
            state.index.write().apply(Workload::new(key(name), vec![Container::new("web", "a:1")]));
        }
        state.limits.configure(ConfiguredLimits { rollouts: Some(1), pause_after_failures: Some(2), ..ConfiguredLimits::default() });
        state
    }

    #[test]
    fn rollouts_and_the_queue_follow_the_requests() {
        let state = state(&["a", "b", "c", "d"]);
        state.record(request("a", 1, "webhook", &json!({"phase": "RollingOut"})));
        state.record(request("b", 1, "webhook", &waiting("TooManyRollouts", None)));
        state.record(request("c", 1, "webhook", &waiting("UpdateWindow", Some(100))));
        state.record(request("d", 1, "webhook", &waiting("MinUpdateInterval", Some(1000))));
        state.record(request("unknown", 1, "webhook", &waiting("TooManyRollouts", None)));
        let running = || state.current_limits(at(99)).rollouts.running;
        let limits = Limits::default();
        let queue =
            |now: i64| -> Vec<Turn> { super::queue(&state.requests.read(), &state.index.read(), &limits, at(now)).cloned().collect() };
        let turn = |name: &str| Turn { since: at(5), workload: key(name) };
        assert_eq!((running(), queue(99)), ([key("a")].into(), vec![turn("b")]));
        assert_eq!(queue(100), [turn("b"), turn("c")], "the other wait is over");
        assert_eq!(state.waiting_for_a_slot(at(100)), 2);
        assert_eq!(state.current_limits(at(100)).rollouts.next, BTreeSet::new(), "no slot is left");
        state.record(request("a", 2, "webhook", &json!({"phase": "Completed", "finishedAt": at(7).to_string()})));
        assert_eq!(state.current_limits(at(100)).rollouts.next, [turn("b")].into());
        state.record(request("b", 2, "webhook", &json!({"phase": "RollingOut"})));
        assert_eq!((running(), queue(99)), ([key("b")].into(), vec![]));
        state.requests.write().remove(&("n".to_owned(), "b".to_owned()));
        assert_eq!(running(), BTreeSet::new());
        state.limits.starting().insert(key("c"));
        assert_eq!(running(), [key("c")].into(), "an update that is being applied counts");
    }

    #[test]
    fn after_a_pause_the_oldest_approved_update_is_the_first() {
        let state = state(&["a", "b"]);
        let waits = |name: &str, approved: i64| {
            let mut status = waiting("FailureBudget", None);
            status["approvedAt"] = json!(at(approved).to_string());
            state.record(request(name, 1, "webhook", &status));
        };
        waits("a", 7);
        waits("b", 6);
        let next = || state.current_limits(at(99)).rollouts.next;
        state.limits.inherit_pause(Some(&at(30).to_string()));
        assert_eq!(next(), BTreeSet::new());
        state.limits.configure(ConfiguredLimits { resumed_at: Some(at(30)), ..state.limits.configured() });
        assert_eq!(next(), [Turn { since: at(6), workload: key("b") }].into());
    }

    #[test]
    fn a_newer_version_keeps_the_place_in_the_queue() {
        let state = state(&["a", "b"]);
        let created = |mut request: UpdateRequest, name: &str, second: i64| {
            request.metadata.name = Some(name.to_owned());
            request.metadata.uid = Some(name.to_owned());
            request.metadata.creation_timestamp = serde_json::from_value(json!(at(second).to_string())).unwrap();
            state.record(request);
        };
        let mut waits = waiting("TooManyRollouts", None);
        waits.as_object_mut().unwrap().remove("approvedAt");
        waits["phase"] = json!("Pending");
        created(request("b", 1, "webhook", &waits), "b", 20);
        created(request("a", 1, "webhook", &waits), "a-new", 30);
        let next = || state.current_limits(at(99)).rollouts.next;
        assert_eq!(next(), [Turn { since: at(20), workload: key("b") }].into());
        let replaced = json!({"phase": "Superseded", "reason": "NewerVersion", "finishedAt": at(30).to_string()});
        created(request("a", 2, "webhook", &replaced), "a-old", 10);
        assert_eq!(next(), [Turn { since: at(10), workload: key("a") }].into());
    }

    #[test]
    fn a_rollout_that_may_never_end_takes_no_slot() {
        let state = state(&["moves", "paused", "deleting"]);
        let mut deleting = Workload::new(key("deleting"), vec![Container::new("web", "a:1")]);
        (deleting.deleting, deleting.resource_version) = (true, "2".to_owned());
        state.index.write().apply(deleting);
        for name in ["moves", "deleting", "unreadable"] {
            state.record(request(name, 1, "webhook", &json!({"phase": "RollingOut"})));
        }
        let watch = json!({"generation": 1, "startedAt": at(0).to_string(), "progressedAt": at(100).to_string(), "held": true});
        state.record(request("paused", 1, "webhook", &json!({"phase": "RollingOut", "rollout": watch})));
        let running = |now: i64| state.current_limits(at(now)).rollouts.running;
        assert_eq!(running(699), [key("moves"), key("paused")].into());
        assert_eq!(running(700), [key("moves")].into());
    }

    #[test]
    fn what_the_last_leader_applied_counts() {
        let state = state(&["a", "b"]);
        let mut patched = Workload::new(key("a"), vec![Container::new("web", "a:2")]);
        patched.resource_version = "2".to_owned();
        patched.annotations.insert("headwind.sh/last-request".to_owned(), "a".to_owned());
        state.index.write().apply(patched);
        for name in ["a", "b"] {
            state.record(request(name, 1, "webhook", &json!({"phase": "Approved"})));
        }
        state.inherit_rollouts();
        assert_eq!(state.current_limits(at(0)).rollouts.running, [key("a")].into());
    }

    #[test]
    fn a_pause_outlives_the_failures_and_ends_when_a_person_resumes() {
        let state = state(&[]);
        let paused = || state.paused_since(at(99_999));
        let failed = |second: i64| json!({"phase": "Failed", "timesApplied": 1, "finishedAt": at(second).to_string()});
        state.record(request("never-applied", 1, "webhook", &json!({"phase": "Failed", "finishedAt": at(10).to_string()})));
        state.record(request("rollback", 1, "manual", &failed(11)));
        state.record(request("a", 1, "webhook", &failed(12)));
        assert_eq!(state.paused_since(at(20)), None, "one failed update");
        state.record(request("b", 1, "webhook", &failed(20)));
        assert_eq!(state.paused_since(at(20)), Some(at(20)));
        assert_eq!(paused(), Some(at(20)), "the hour is over");
        for name in ["a", "b"] {
            state.requests.write().remove(&("n".to_owned(), name.to_owned()));
        }
        assert_eq!(paused(), Some(at(20)));
        let resumed = ConfiguredLimits { resumed_at: Some(at(20)), ..state.limits.configured() };
        state.limits.configure(resumed);
        assert_eq!(paused(), None);
        state.limits.inherit_pause(Some(&at(19).to_string()));
        assert_eq!(paused(), None, "that was before");
        state.limits.inherit_pause(Some(&at(30).to_string()));
        assert_eq!(paused(), Some(at(30)), "as the Lease has it");
        let off = ConfiguredLimits { pause_after_failures: None, ..state.limits.configured() };
        state.limits.configure(off);
        assert_eq!(paused(), None, "there is no budget");
        state.limits.configure(ConfiguredLimits { pause_after_failures: Some(2), ..state.limits.configured() });
        assert_eq!(paused(), None, "an earlier pause does not come back");
    }

    #[test]
    fn updates_that_fail_in_one_second_are_several_and_a_rollback_by_a_person_is_none() {
        let state = state(&[]);
        let rolled_back =
            |reason: &str| json!({"phase": "RolledBack", "reason": reason, "timesApplied": 1, "finishedAt": at(5).to_string()});
        for name in ["a", "b", "c"] {
            state.record(request(name, 1, "webhook", &rolled_back("RolledBack")));
        }
        assert_eq!(state.paused_since(at(5)), None, "a person rolled back past them");
        state.record(request("d", 1, "webhook", &rolled_back("CrashLoopBackOff")));
        state.record(request("e", 1, "webhook", &rolled_back("CrashLoopBackOff")));
        assert_eq!(state.paused_since(at(5)), Some(at(5)));
    }

    #[test]
    fn before_the_config_map_is_read_everything_is_frozen_and_a_pause_stays() {
        let state = State::default();
        state.limits.inherit_pause(Some(&at(30).to_string()));
        let limits = state.current_limits(at(40));
        assert!(limits.freeze.is_some_and(|freeze| freeze.holds(at(40))));
        assert_eq!(limits.paused_since, Some(at(30)));
        state.limits.configure(ConfiguredLimits::default());
        assert_eq!(state.current_limits(at(40)), Limits::default());
    }
}
