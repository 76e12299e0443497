//! The invariants that hold after every step.
//!
//! Called by unit, property, simulation and end-to-end tests alike: each hands in what it saw of
//! the cluster, and gets every sentence that is not true of it.

use std::collections::BTreeMap;

use super::{Phase, Request};
use crate::policy::Policy;
use crate::trigger::Trigger;

/// A write that changed a container's image, in the order in which the API server took them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// The mark of the request that did it ([`Request::mark`]).
    pub mark: String,
    /// The container.
    pub container: String,
    /// The image before.
    pub from: String,
    /// The image after.
    pub to: String,
    /// Whether the request was approved by then, by policy or by a person.
    pub approved: bool,
}

/// A phase that was stored, in the order in which the API server took them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moved {
    /// The request's name.
    pub request: String,
    /// The phase before.
    pub from: Phase,
    /// The phase after.
    pub to: Phase,
}

/// Container, image and, where it counts, digest.
type Version<'a> = (Option<&'a str>, &'a str, Option<&'a str>);

/// Every sentence that does not hold of the requests of one target.
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
            // Only policy force follows digests: for the others a version is its tag. Pushes whose
            // digest nobody told cannot be told apart. What a person asks for is another matter, and
            // what is applied is no offer any more.
            let forced = request.spec.policy == Policy::Force;
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
