//! One lane: the due scans over one route to a host, and its failures.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::hash::Hash;
use std::time::Duration;

use headwind_core::backoff::Backoff;

use super::Entry;

/// Back-off of a lane whose host fails without a `Retry-After`.
pub(super) const BACKOFF: Backoff = Backoff::new(Duration::from_secs(5), Duration::from_mins(5));

#[derive(Debug)]
pub(super) struct Lane<K> {
    heap: BinaryHeap<Reverse<(Duration, u64, K)>>,
    /// Number of its keys.
    pub(super) keys: usize,
    pub(super) running: usize,
    pub(super) at_once: usize,
    pub(super) not_before: Duration,
    failures: u32,
}

impl<K: Clone + Eq + Hash + Ord> Lane<K> {
    pub(super) fn new() -> Self {
        Self { heap: BinaryHeap::new(), keys: 0, running: 0, at_once: 1, not_before: Duration::ZERO, failures: 0 }
    }

    pub(super) fn push(&mut self, due: Duration, serial: u64, key: K) {
        self.heap.push(Reverse((due, serial, key)));
    }

    /// Returns true if another scan may run.
    pub(super) fn has_room(&self) -> bool {
        self.running < if self.failures > 0 { 1 } else { self.at_once }
    }

    /// Returns the key that is due first, with its due time and the earliest time it may start.
    pub(super) fn first<L>(&mut self, entries: &HashMap<K, Entry<L>>) -> Option<(&K, Duration, Duration)> {
        while let Some(Reverse((_, serial, key))) = self.heap.peek() {
            if entries.get(key).is_some_and(|entry| entry.serial == *serial && !entry.is_running()) {
                break;
            }
            self.heap.pop();
        }
        self.heap.peek().map(|Reverse((due, _, key))| (key, *due, (*due).max(self.not_before)))
    }

    pub(super) fn pop(&mut self) -> Option<(u64, K)> {
        self.heap.pop().map(|Reverse((_, serial, key))| (serial, key))
    }

    /// Records that the host answered.
    pub(super) fn answered(&mut self) {
        self.failures = 0;
    }

    /// Records that the host failed. Returns when the lane opens again.
    pub(super) fn failed(&mut self, now: Duration, wait: Option<Duration>) -> Duration {
        let backed_off = BACKOFF.pause(self.failures);
        // Scans that ran together fail together: that is one failure.
        if now >= self.not_before {
            self.failures = self.failures.saturating_add(1);
        }
        self.not_before = self.not_before.max(now + wait.unwrap_or(backed_off));
        self.not_before
    }

    /// Returns true if it can be removed without losing information.
    pub(super) fn is_idle(&self, now: Duration) -> bool {
        self.keys == 0 && self.running == 0 && self.not_before <= now
    }
}
