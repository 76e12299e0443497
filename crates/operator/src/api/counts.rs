//! Counts requests: by phase, by what they wait for, and recently finished ones.
//!
//! One pass over the requests in memory. No request is read from the API server.

use std::sync::Arc;

use headwind_core::request::Phase;
use headwind_core::settings::Settings;
use headwind_k8s::update_request::UpdateRequest;
use jiff::{SignedDuration, Timestamp};

use super::handle::Handle;
use crate::clock::now;
use crate::observe::requests::{Held, PhaseCounts};
use crate::observe::state::State;
use crate::observe::visible::Visible;

/// Time for which a completed request counts.
const COMPLETED_WITHIN: SignedDuration = SignedDuration::from_hours(24);
/// Time for which a failed or rolled back request counts.
const FAILED_WITHIN: SignedDuration = SignedDuration::from_hours(7 * 24);

/// The number of requests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// The number in each phase.
    pub by_phase: PhaseCounts,
    /// The pending requests that a person must approve or reject.
    pub awaiting_approval: usize,
    /// The pending requests that the policy approves and that wait for the gate.
    pub approved_by_policy: usize,
    /// The requests that completed in the last 24 hours.
    pub completed_last_day: usize,
    /// The requests that failed or were rolled back in the last 7 days.
    pub failed_last_week: usize,
}

impl Handle {
    /// Counts the requests in the namespaces that the caller may see.
    pub fn counts(&self, visible: &Visible) -> Counts {
        count(&self.state, visible, now())
    }

    /// Returns true if a pending request needs no approval by a person: the policy approves it, and it waits for the
    /// gate.
    pub fn is_approved_by_policy(&self, request: &UpdateRequest) -> bool {
        is_approved_by_policy(&self.state, request)
    }
}

fn count(state: &State, visible: &Visible, now: Timestamp) -> Counts {
    let mut counts = Counts::default();
    // The lock on the requests is released before the index is read.
    let pending: Vec<_> = {
        let requests = state.requests.read();
        counts.by_phase = requests.count_phases(visible);
        let mut pending = Vec::new();
        for (_, held) in requests.all().filter(|(workload, _)| visible.includes(&workload.namespace)) {
            match held {
                Held::Open(request) if request.phase() == Phase::Pending => pending.push(Arc::clone(request)),
                Held::Open(_) => {}
                Held::Finished(request) => {
                    let ended_within = |span| request.finished_at().is_some_and(|at| now.duration_since(at) <= span);
                    match request.phase() {
                        Phase::Completed => counts.completed_last_day += usize::from(ended_within(COMPLETED_WITHIN)),
                        Phase::Failed | Phase::RolledBack => counts.failed_last_week += usize::from(ended_within(FAILED_WITHIN)),
                        Phase::Rejected | Phase::Expired | Phase::Superseded | Phase::Pending | Phase::Approved | Phase::RollingOut => {}
                    }
                }
            }
        }
        pending
    };
    counts.approved_by_policy = pending.iter().filter(|request| is_approved_by_policy(state, request)).count();
    counts.awaiting_approval = pending.len() - counts.approved_by_policy;
    counts
}

/// Returns true if a pending request needs no approval by a person.
pub(super) fn is_approved_by_policy(state: &State, object: &UpdateRequest) -> bool {
    // The spec of most requests already requires approval.
    if object.phase() != Phase::Pending || object.spec.require_approval {
        return false;
    }
    let (Some(resolved), Some(name)) = (state.index.read().resolved(&object.workload_key()), object.container()) else { return false };
    let settings: Option<&Settings> =
        resolved.containers().find(|(container, _)| container.name == name).and_then(|(_, settings)| settings);
    settings.is_some_and(|settings| object.read().is_approved_by_policy(settings))
}

#[cfg(test)]
mod tests {
    use headwind_core::testing;
    use headwind_core::workload::{Kind, Workload};
    use serde_json::{Value, json};

    use super::*;

    const NOW: &str = "2026-11-28T12:00:00Z";

    fn object(name: &str, namespace: &str, target: &str, direct: bool, status: &Value) -> UpdateRequest {
        serde_json::from_value(json!({
            "apiVersion": "headwind.sh/v1alpha1", "kind": "UpdateRequest",
            "metadata": {"name": name, "namespace": namespace, "uid": format!("uid-{namespace}-{name}"), "resourceVersion": "1"},
            "spec": {
                "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": target, "uid": "u"}, "updateType": "image",
                "containerName": "web", "currentImage": "a:1", "newImage": "a:2", "policy": "minor", "requireApproval": !direct,
                "trigger": "webhook",
            },
            "status": status,
        }))
        .unwrap()
    }

    fn ended(phase: &str, at: &str) -> Value {
        json!({"phase": phase, "reason": "RolloutComplete", "message": "m", "finishedAt": at, "timesApplied": 1})
    }

    fn counted(state: &State, visible: &Visible) -> Counts {
        count(state, visible, NOW.parse().unwrap())
    }

    /// A request without required approval waits for a person if the workload requires approval now.
    #[test]
    fn who_waits_for_a_person() {
        let state = State::default();
        for (name, approval) in [("direct", "false"), ("careful", "true"), ("faulty", "perhaps")] {
            let workload = testing::deployment("a:1", &[("policy", "minor"), ("require-approval", approval)]);
            state.index.write().apply(Workload { key: testing::key(Kind::Deployment, name), ..workload });
        }
        for (name, target, direct) in
            [("a", "direct", true), ("b", "direct", false), ("c", "careful", true), ("d", "faulty", true), ("e", "unknown", true)]
        {
            state.record(object(name, "n", target, direct, &json!({"phase": "Pending"})));
        }
        state.record(object("f", "n", "direct", true, &json!({"phase": "Approved"})));
        let counts = counted(&state, &Visible::All);
        assert_eq!((counts.by_phase.of(Phase::Pending), counts.by_phase.of(Phase::Approved), counts.by_phase.total()), (5, 1, 6));
        assert_eq!((counts.awaiting_approval, counts.approved_by_policy), (4, 1));
    }

    #[test]
    fn what_ended_recently_and_in_which_namespace() {
        let state = State::default();
        for (name, namespace, phase, at) in [
            ("a", "n", "Completed", "2026-11-27T12:00:00Z"),
            ("b", "n", "Completed", "2026-11-27T11:59:59Z"),
            ("c", "n", "Failed", "2026-11-21T12:00:00Z"),
            ("d", "n", "RolledBack", "2026-11-28T11:00:00Z"),
            ("e", "n", "Failed", "2026-11-21T11:59:59Z"),
            ("f", "n", "Rejected", "2026-11-28T11:00:00Z"),
            ("g", "m", "Completed", "2026-11-28T11:00:00Z"),
        ] {
            state.record(object(name, namespace, "t", false, &ended(phase, at)));
        }
        let all = counted(&state, &Visible::All);
        assert_eq!((all.completed_last_day, all.failed_last_week, all.by_phase.of(Phase::Completed), all.by_phase.total()), (2, 2, 3, 7));
        let one = counted(&state, &Visible::Only(Arc::new(["n".to_owned()].into())));
        assert_eq!((one.completed_last_day, one.failed_last_week, one.by_phase.of(Phase::Failed), one.by_phase.total()), (1, 2, 2, 6));
        assert_eq!(counted(&state, &Visible::default()), Counts::default());
    }
}
