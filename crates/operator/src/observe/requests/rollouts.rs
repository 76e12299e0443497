//! The facts about requests that the limits on updates need, kept up to date with each change of a request.

use std::collections::{BTreeMap, BTreeSet};

use headwind_core::gate::{ApprovedBy, Facts, Limits, Turn, Waiting};
use headwind_core::request::{Phase, Request};
use headwind_core::trigger::Trigger;
use headwind_core::workload::WorkloadKey;
use jiff::Timestamp;

use super::Name;
use crate::observe::index::Resolved;

/// The rollouts in progress, the updates that wait, and the failed updates.
#[derive(Debug, Default)]
pub(crate) struct KnownRollouts {
    running: BTreeMap<Name, Running>,
    /// The place of each request that waits.
    turns: BTreeMap<Name, Turn>,
    /// The requests that wait, oldest first.
    waiting: BTreeMap<(Turn, Name), Waits>,
    failures: BTreeMap<Name, Timestamp>,
    /// The failed updates in the order of their end.
    failed: BTreeSet<(Timestamp, Name)>,
}

/// A rollout in progress.
#[derive(Debug)]
struct Running {
    workload: WorkloadKey,
    /// When it leaves its slot to others, although it is not finished.
    leaves_slot_at: Option<Timestamp>,
}

/// What an approved update waits for, and what the gates need to know of its request.
#[derive(Debug)]
pub(crate) struct Waits {
    waiting: Waiting,
    container: Option<String>,
    approved_by: ApprovedBy,
    first_seen: Timestamp,
    skips_cool_down: bool,
}

impl Waits {
    /// Returns true if it waits for the end of a rollout only, as the workload and the limits are now.
    pub(crate) fn is_in_queue(&self, resolved: &Resolved, limits: &Limits, now: Timestamp) -> bool {
        let Some(name) = &self.container else { return false };
        let Some((container, settings)) = resolved.containers().find(|(container, _)| container.name == *name) else { return false };
        let facts = Facts {
            approved_by: self.approved_by,
            first_seen: Some(self.first_seen),
            skips_cool_down: self.skips_cool_down,
            denial: Some(&self.waiting),
            ..Facts::of(&resolved.workload, container, limits)
        };
        self.waiting.is_in_queue(settings, &facts, now)
    }
}

impl KnownRollouts {
    /// Takes in a new version of a request.
    pub(super) fn apply(&mut self, name: &Name, workload: &WorkloadKey, request: &Request) {
        let status = &request.status;
        match status.phase {
            Phase::RollingOut => {
                let running = Running { workload: workload.clone(), leaves_slot_at: request.leaves_slot_at() };
                self.running.insert(name.clone(), running);
            }
            Phase::Pending | Phase::Approved => {
                if let Some(waiting) = &status.waiting {
                    let turn = Turn { since: status.approved_at.unwrap_or(request.created), workload: workload.clone() };
                    let waits = Waits {
                        waiting: waiting.clone(),
                        container: request.spec.container.clone(),
                        approved_by: request.approved_by(),
                        first_seen: request.created,
                        skips_cool_down: status.skip_cool_down,
                    };
                    self.turns.insert(name.clone(), turn.clone());
                    self.waiting.insert((turn, name.clone()), waits);
                }
            }
            // A rollback that fails is not a failed update, and neither is an update that was never applied.
            Phase::Failed | Phase::RolledBack
                if status.is_failed_update() && status.times_applied > 0 && request.spec.trigger != Trigger::Manual =>
            {
                if let Some(at) = status.finished_at {
                    self.failures.insert(name.clone(), at);
                    self.failed.insert((at, name.clone()));
                }
            }
            Phase::Failed | Phase::RolledBack | Phase::Completed | Phase::Rejected | Phase::Expired | Phase::Superseded => {}
        }
    }

    /// Returns true if the request waits.
    pub(super) fn waits(&self, name: &Name) -> bool {
        self.turns.contains_key(name)
    }

    /// Sets since when a request waits for its turn.
    pub(super) fn place(&mut self, name: &Name, since: Timestamp) {
        let Some(turn) = self.turns.get_mut(name).filter(|turn| turn.since != since) else { return };
        let moved = Turn { since, ..turn.clone() };
        let before = std::mem::replace(turn, moved);
        if let Some(waits) = self.waiting.remove(&(before, name.clone())) {
            self.waiting.insert((turn.clone(), name.clone()), waits);
        }
    }

    /// Forgets a request.
    pub(super) fn remove(&mut self, name: &Name) {
        self.running.remove(name);
        if let Some(turn) = self.turns.remove(name) {
            self.waiting.remove(&(turn, name.clone()));
        }
        if let Some(at) = self.failures.remove(name) {
            self.failed.remove(&(at, name.clone()));
        }
    }

    /// Returns the workloads that are rolled out, apart from rollouts that wait for a person for a long time.
    pub(crate) fn running(&self, now: Timestamp) -> impl Iterator<Item = &WorkloadKey> {
        self.running.values().filter(move |running| running.leaves_slot_at.is_none_or(|at| at > now)).map(|running| &running.workload)
    }

    /// Returns the updates that wait, oldest first.
    pub(crate) fn waiting(&self) -> impl Iterator<Item = (&Turn, &Waits)> {
        self.waiting.iter().map(|((turn, _), waits)| (turn, waits))
    }

    /// Returns when updates failed, in ascending order: one time for each of them, because many end within one second.
    pub(crate) fn failures(&self) -> impl DoubleEndedIterator<Item = Timestamp> {
        self.failed.iter().map(|(at, _)| *at)
    }
}
