//! The facts about requests that the limits on updates need, kept up to date with each change of a request.

use std::collections::{BTreeMap, BTreeSet};

use headwind_core::gate::Turn;
use headwind_core::reason::Reason;
use headwind_core::request::{Phase, Request};
use headwind_core::trigger::Trigger;
use headwind_core::workload::WorkloadKey;
use jiff::Timestamp;

use super::Name;

/// The rollouts in progress, the updates that wait, and the failed updates.
#[derive(Debug, Default)]
pub(crate) struct KnownRollouts {
    running: BTreeMap<Name, WorkloadKey>,
    waiting: BTreeMap<Name, Waits>,
    /// The requests that wait, oldest first.
    turns: BTreeSet<(Turn, Name)>,
    failures: BTreeMap<Name, Timestamp>,
}

/// An approved update that waits.
#[derive(Debug)]
struct Waits {
    turn: Turn,
    /// True if it waits for the end of another rollout.
    in_queue: bool,
    /// True if it waits for the end of a freeze.
    is_frozen: bool,
    until: Option<Timestamp>,
}

impl KnownRollouts {
    /// Takes in a new version of a request.
    pub(super) fn apply(&mut self, name: &Name, workload: &WorkloadKey, request: &Request) {
        let status = &request.status;
        match status.phase {
            Phase::RollingOut => drop(self.running.insert(name.clone(), workload.clone())),
            Phase::Pending | Phase::Approved => {
                if let Some(waiting) = &status.waiting {
                    let turn = Turn { since: status.approved_at.unwrap_or(request.created), workload: workload.clone() };
                    let waits = Waits {
                        turn,
                        in_queue: waiting.reason == Reason::TooManyRollouts,
                        is_frozen: waiting.reason == Reason::Frozen,
                        until: waiting.until,
                    };
                    self.turns.insert((waits.turn.clone(), name.clone()));
                    self.waiting.insert(name.clone(), waits);
                }
            }
            // A rollback that fails is not a failed update, and neither is an update that was never applied.
            Phase::Failed | Phase::RolledBack if status.times_applied > 0 && request.spec.trigger != Trigger::Manual => {
                self.failures.extend(status.finished_at.map(|at| (name.clone(), at)));
            }
            Phase::Failed | Phase::RolledBack | Phase::Completed | Phase::Rejected | Phase::Expired | Phase::Superseded => {}
        }
    }

    /// Forgets a request.
    pub(super) fn remove(&mut self, name: &Name) {
        self.running.remove(name);
        if let Some(waits) = self.waiting.remove(name) {
            self.turns.remove(&(waits.turn, name.clone()));
        }
        self.failures.remove(name);
    }

    /// Returns the workloads that are rolled out.
    pub(crate) fn running(&self) -> impl Iterator<Item = &WorkloadKey> {
        self.running.values()
    }

    /// Returns the updates that wait for the end of a rollout, or whose other wait is over, oldest first. `is_thawed` tells
    /// whether nothing freezes a workload now.
    pub(crate) fn queue<'a>(&'a self, now: Timestamp, is_thawed: impl Fn(&WorkloadKey) -> bool + 'a) -> impl Iterator<Item = &'a Turn> {
        let is_over = move |turn: &Turn, waits: &Waits| {
            waits.until.is_some_and(|until| until <= now) || (waits.is_frozen && is_thawed(&turn.workload))
        };
        let in_queue = move |turn: &Turn, name: &Name| self.waiting.get(name).is_some_and(|waits| waits.in_queue || is_over(turn, waits));
        self.turns.iter().filter(move |(turn, name)| in_queue(turn, name)).map(|(turn, _)| turn)
    }

    /// Returns when updates failed, in ascending order.
    pub(crate) fn failures(&self) -> BTreeSet<Timestamp> {
        self.failures.values().copied().collect()
    }
}
