//! The limits on the updates of all workloads together, as this process knows them: the entries of the ConfigMap
//! `headwind`, and the requests in progress.
//!
//! The limits on rollouts depend only on the requests, so a new leader gets the same numbers as the previous one.
//! Between the decision to apply an update and the request that shows it, the workload is in `starting`.

use std::collections::BTreeSet;

use headwind_core::gate::limits::ConfiguredLimits;
use headwind_core::gate::{Freeze, Limits, Rollouts, Turn, paused_since};
use headwind_core::request::{Phase, named_requests};
use headwind_core::workload::WorkloadKey;
use jiff::Timestamp;

use super::index::Index;
use super::requests::Requests;
use super::state::State;

impl State {
    /// Returns the limits now. `starting` are the workloads to which an update is being applied.
    pub(crate) fn limits_with(&self, starting: &BTreeSet<WorkloadKey>, now: Timestamp) -> Limits {
        let ConfiguredLimits { freeze, rollouts: limit, rollouts_per_namespace: limit_per_namespace, .. } = self.limits.configured();
        let mut rollouts = Rollouts { limit, limit_per_namespace, ..Rollouts::default() };
        if rollouts.is_limited() {
            let requests = self.requests.read();
            let index = self.index.read();
            rollouts.running = requests.rollouts().running().chain(starting).cloned().collect();
            rollouts.give_slots(queue(&requests, &index, freeze.as_ref(), now));
        }
        Limits { freeze, paused_since: self.paused_since(), rollouts }
    }

    /// Returns the number of updates that wait for the end of a rollout. 0 if rollouts are not limited.
    pub(crate) fn waiting_for_a_slot(&self, now: Timestamp) -> usize {
        let ConfiguredLimits { freeze, rollouts, rollouts_per_namespace, .. } = self.limits.configured();
        if rollouts.is_none() && rollouts_per_namespace.is_none() {
            return 0;
        }
        let requests = self.requests.read();
        let index = self.index.read();
        queue(&requests, &index, freeze.as_ref(), now).count()
    }

    /// Returns the limits now, for queries.
    pub(crate) fn current_limits(&self, now: Timestamp) -> Limits {
        let starting = self.limits.starting().clone();
        self.limits_with(&starting, now)
    }

    /// Returns since when updates that the policy approved are paused because too many failed.
    pub(crate) fn paused_since(&self) -> Option<Timestamp> {
        let (limit, resumed) = {
            let configured = self.limits.configured.borrow();
            (configured.pause_after_failures?, configured.resumed_at)
        };
        let mut known = self.limits.paused_since.lock();
        if known.is_none_or(|since| resumed.is_some_and(|resumed| resumed >= since)) {
            *known = paused_since(self.requests.read().rollouts().failures(), limit, resumed);
        }
        *known
    }

    /// Counts the workloads to which the previous leader applied an update that no request shows yet.
    pub(crate) fn inherit_rollouts(&self) {
        let applied: Vec<WorkloadKey> = {
            let requests = self.requests.read();
            let index = self.index.read();
            let is_applied = |key: &&WorkloadKey| {
                let Some(workload) = index.workload(key) else { return false };
                let open = requests.open_of(key).iter().filter(|request| request.phase() != Phase::RollingOut);
                let names: BTreeSet<&str> = open.filter_map(|request| request.metadata.name.as_deref()).collect();
                named_requests(&workload).any(|name| names.contains(name))
            };
            requests.workloads().filter(is_applied).cloned().collect()
        };
        self.limits.starting().extend(applied);
    }
}

/// Returns the updates that could start if there were no limit, oldest first.
fn queue<'a>(requests: &'a Requests, index: &'a Index, freeze: Option<&Freeze>, now: Timestamp) -> impl Iterator<Item = &'a Turn> {
    let is_frozen = freeze.is_some_and(|freeze| freeze.holds(now));
    let by_annotation = |key: &WorkloadKey| {
        let resolved = index.resolved(key);
        resolved.is_none_or(|resolved| resolved.containers().any(|(_, settings)| settings.is_none_or(|settings| settings.frozen.is_some())))
    };
    let can = |turn: &&Turn| index.workload(&turn.workload).is_some_and(|workload| !workload.deleting);
    requests.rollouts().queue(now, move |key| !is_frozen && !by_annotation(key)).filter(can)
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
        state.record(request("d", 1, "webhook", &waiting("Suspended", None)));
        state.record(request("unknown", 1, "webhook", &waiting("TooManyRollouts", None)));
        let running = || state.current_limits(at(99)).rollouts.running;
        let queue = |now: i64| -> Vec<Turn> { super::queue(&state.requests.read(), &state.index.read(), None, at(now)).cloned().collect() };
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
        let failed = |second: i64| json!({"phase": "Failed", "timesApplied": 1, "finishedAt": at(second).to_string()});
        state.record(request("never-applied", 1, "webhook", &json!({"phase": "Failed", "finishedAt": at(10).to_string()})));
        state.record(request("rollback", 1, "manual", &failed(11)));
        state.record(request("a", 1, "webhook", &failed(12)));
        assert_eq!(state.paused_since(), None, "one failed update");
        state.record(request("b", 1, "webhook", &failed(20)));
        assert_eq!(state.paused_since(), Some(at(20)));
        for name in ["a", "b"] {
            state.requests.write().remove(&("n".to_owned(), name.to_owned()));
        }
        assert_eq!(state.paused_since(), Some(at(20)));
        let resumed = ConfiguredLimits { resumed_at: Some(at(20)), ..state.limits.configured() };
        state.limits.configure(resumed);
        assert_eq!(state.paused_since(), None);
        state.limits.inherit_pause(Some(&at(19).to_string()));
        assert_eq!(state.paused_since(), None, "that was before");
        state.limits.inherit_pause(Some(&at(30).to_string()));
        assert_eq!(state.paused_since(), Some(at(30)), "as the Lease has it");
    }
}
