//! The slots of running scans, shared by the owners of the scans.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::Arc;

/// The divisor for the slots that one owner may use: a quarter.
const SHARE: usize = 4;
/// Maximum number of owners whose last turn is remembered.
const REMEMBERED: usize = 10_000;

/// The priority of an owner for a slot: the owner with the most free slots comes first, then the one whose last turn is
/// longest ago.
pub(super) type Claim = (usize, Reverse<u64>);

/// The slots, and their users.
#[derive(Debug)]
pub(super) struct Slots {
    all: usize,
    taken: usize,
    by_owner: HashMap<Arc<str>, usize>,
    turn: u64,
    /// The last turn of each owner.
    turns: HashMap<Arc<str>, u64>,
}

impl Slots {
    pub(super) fn new(all: usize) -> Self {
        Self { all, taken: 0, by_owner: HashMap::new(), turn: 0, turns: HashMap::new() }
    }

    pub(super) fn is_full(&self) -> bool {
        self.taken >= self.all
    }

    /// Returns the number of slots that the owner may still use.
    pub(super) fn free_slots(&self, owner: &str) -> usize {
        (self.all / SHARE).max(1).saturating_sub(self.by_owner.get(owner).copied().unwrap_or_default())
    }

    /// Returns the owner with the highest priority; `None` if none of them has a free slot.
    ///
    /// A shared scan is charged to the owner that uses the fewest slots. So sharing a scan cannot use up the slots of
    /// another owner.
    pub(super) fn best<'a>(&self, owners: &'a [Arc<str>]) -> Option<(&'a Arc<str>, Claim)> {
        let mut best: Option<(&Arc<str>, Claim)> = None;
        for owner in owners {
            let turn = self.turns.get(owner).copied().unwrap_or_default();
            let claim = (self.free_slots(owner), Reverse(turn));
            if best.is_none_or(|(_, most)| claim > most) {
                best = Some((owner, claim));
            }
            // No owner has a higher priority.
            if turn == 0 && !self.by_owner.contains_key(owner) {
                break;
            }
        }
        best.filter(|(_, (free_slots, _))| *free_slots > 0)
    }

    pub(super) fn take(&mut self, owner: &Arc<str>) {
        self.taken += 1;
        self.turn += 1;
        *self.by_owner.entry(Arc::clone(owner)).or_default() += 1;
        if self.turns.len() >= REMEMBERED {
            self.turns.clear();
        }
        self.turns.insert(Arc::clone(owner), self.turn);
    }

    pub(super) fn give_back(&mut self, owner: &str) {
        self.taken = self.taken.saturating_sub(1);
        if let Some(count) = self.by_owner.get_mut(owner) {
            *count -= 1;
            if *count == 0 {
                self.by_owner.remove(owner);
            }
        }
    }
}
