//! The slots of scans that run, shared by the owners of the scans.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::Arc;

/// The part of all slots that one owner may take: a quarter.
const SHARE: usize = 4;
/// The owners whose last turn is remembered.
const REMEMBERED: usize = 10_000;

/// How urgent an owner's wish for a slot is: the one with the most room comes first, then the one whose last turn is
/// longest ago.
pub(super) type Claim = (usize, Reverse<u64>);

/// The slots, and who has taken them.
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

    /// How many slots the owner may still take.
    pub(super) fn room(&self, owner: &str) -> usize {
        (self.all / SHARE).max(1).saturating_sub(self.by_owner.get(owner).copied().unwrap_or_default())
    }

    /// The one of the owners whose claim is the best; `None` where none of them has any room.
    ///
    /// A scan that several share is charged to the one that has taken least: nobody can use up another's slots by
    /// sharing its scans.
    pub(super) fn best<'a>(&self, owners: &'a [Arc<str>]) -> Option<(&'a Arc<str>, Claim)> {
        let mut best: Option<(&Arc<str>, Claim)> = None;
        for owner in owners {
            let turn = self.turns.get(owner).copied().unwrap_or_default();
            let claim = (self.room(owner), Reverse(turn));
            if best.is_none_or(|(_, most)| claim > most) {
                best = Some((owner, claim));
            }
            // Nobody's is better.
            if turn == 0 && !self.by_owner.contains_key(owner) {
                break;
            }
        }
        best.filter(|(_, (room, _))| *room > 0)
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
