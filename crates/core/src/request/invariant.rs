//! The invariants that hold after every step.
//!
//! Unit, property, simulation and end-to-end tests pass what they observed in the cluster, and get a list of
//! violations.

use std::collections::BTreeMap;

use super::{Phase, Request};
use crate::trigger::Trigger;

/// A write that changed a container's image, in API server order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// The marker of the request that caused it ([`Request::mark`]).
    pub mark: String,
    /// The container.
    pub container: String,
    /// The image before.
    pub from: String,
    /// The image after.
    pub to: String,
    /// True if the request was approved at that time, by policy or by a person.
    pub approved: bool,
}

/// A stored change of phase, in API server order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moved {
    /// The request's name.
    pub request: String,
    /// The phase before.
    pub from: Phase,
    /// The phase after.
    pub to: Phase,
}

/// Container, image and, if it matters, digest.
type Version<'a> = (Option<&'a str>, &'a str, Option<&'a str>);

/// Returns the violations in the requests of one workload.
pub fn violations(requests: &[Request], applied: &[Applied], moved: &[Moved]) -> Vec<String> {
    let mut all = Vec::new();
    let mut marks: BTreeMap<&str, usize> = BTreeMap::new();
    for write in applied {
        *marks.entry(&write.mark).or_default() += 1;
    }
    all.extend(marks.iter().filter(|(_, count)| **count > 1).map(|(mark, count)| format!("{mark} was applied {count} times")));
    all.extend(applied.iter().filter(|write| !write.approved).map(|write| format!("{} was applied without approval", write.mark)));
    all.extend(
        moved
            .iter()
            .filter(|step| step.from != step.to && !step.from.may_become(step.to))
            .map(|step| format!("{} went from {} to {}", step.request, step.from, step.to)),
    );

    let mut open: BTreeMap<Version<'_>, Vec<&str>> = BTreeMap::new();
    for request in requests {
        let status = &request.status;
        if status.phase.is_open() {
            // Only policy force follows digests: for all others a version is its tag. Pushes without a known digest
            // cannot be distinguished. Requests by a person may coexist with others, and an applied request is no
            // longer a proposal.
            let forced = request.spec.policy.follows_digest();
            let offered = status.phase != Phase::RollingOut && request.spec.trigger != Trigger::Manual;
            if offered && (!forced || request.spec.new_digest.is_some()) {
                let digest = request.spec.new_digest.as_deref().filter(|_| forced);
                open.entry((request.spec.container.as_deref(), &request.spec.new_image, digest)).or_default().push(&request.name);
            }
        } else {
            if status.reason.is_none() || status.message.is_none() {
                all.push(format!("{} is {} without a reason", request.name, status.phase));
            }
            if status.finished_at.is_none() {
                all.push(format!("{} is {} without a time", request.name, status.phase));
            }
        }
        if matches!(status.phase, Phase::RollingOut | Phase::Completed | Phase::RolledBack) && status.times_applied == 0 {
            all.push(format!("{} is {} but was never applied", request.name, status.phase));
        }
    }
    all.extend(
        open.iter()
            .filter(|(_, names)| names.len() > 1)
            .map(|((container, image, _), names)| format!("{names:?} are all open for {container:?} and {image}")),
    );
    all
}
