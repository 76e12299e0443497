//! The schedule of scans: a heap of due times for each lane.
//!
//! Pure: the time since the process started is an argument, and randomness comes from a seed. The poller calls
//! [`Schedule::next`], does what it says and reports with [`Schedule::done`].
//!
//! ```text
//! set ─> waiting ──next──> running ──done──> waiting (an interval later)
//!           ^                  └──failed──> waiting (at the end of its lane), or the whole lane waits
//! ```
//!
//! A lane is one route to one host (the caller defines it). An owner is a namespace whose workloads need the scan.
//!
//! Invariants: one key never runs twice at once. A lane never exceeds its limit of running scans. One lane never delays
//! another. No owner has more than a quarter of the slots. A lane whose host fails is tried with one scan until the
//! host answers again.

mod lane;
mod slots;

use std::cmp::Reverse;
use std::collections::{HashMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher as _};
use std::sync::Arc;
use std::time::Duration;

use headwind_core::backoff::Backoff;

use self::lane::Lane;
use self::slots::{Claim, Slots};

/// First scans are spread over this time, or over the interval if that is shorter.
const SPREAD: Duration = Duration::from_mins(1);
/// The random part of an interval, so that scans that started together do not stay together.
const JITTER: f64 = 0.1;
/// Maximum pause of a key whose scans are rejected, if its interval is not longer.
const KEY_PAUSE: Duration = Duration::from_hours(1);

/// The next action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Next<K> {
    /// Scan this key now; it is late by this time.
    Scan(K, Duration),
    /// Nothing is due before that time.
    Wait(Duration),
    /// Nothing is due until a scan ends or a key is set.
    Idle,
}

/// The result of a scan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The host answered.
    Answered,
    /// The host failed; the wait is what it asked for, if any.
    HostFailed(Option<Duration>),
    /// The host answered with an error.
    Refused,
}

/// The requirements for scanning a key.
#[derive(Debug, Clone)]
pub(crate) struct Wish<L> {
    /// The route to its host. It never changes for a key.
    pub lane: L,
    /// Maximum number of concurrent scans of the lane; at least 1.
    pub at_once: usize,
    /// The interval.
    pub interval: Duration,
    /// The namespaces that need it.
    pub owners: Arc<[Arc<str>]>,
}

/// The due times. `K` identifies a scan, `L` a lane.
#[derive(Debug)]
pub(crate) struct Schedule<K, L> {
    seed: u64,
    serial: u64,
    entries: HashMap<K, Entry<L>>,
    lanes: HashMap<Arc<L>, Lane<K>>,
    slots: Slots,
    /// Due keys that wait for a slot of their owners, in this order.
    parked: HashMap<Arc<str>, VecDeque<(u64, K)>>,
}

#[derive(Debug)]
struct Entry<L> {
    lane: Arc<L>,
    interval: Duration,
    owners: Arc<[Arc<str>]>,
    due: Duration,
    /// The serial number of the valid heap entry. Older ones are skipped.
    serial: u64,
    refusals: u32,
    /// The owner that is charged while it runs.
    running: Option<Arc<str>>,
    /// Removed while it ran.
    removed: bool,
}

impl<L> Entry<L> {
    fn is_running(&self) -> bool {
        self.running.is_some()
    }
}

impl<K: Clone + Eq + Hash + Ord, L: Clone + Eq + Hash> Schedule<K, L> {
    /// Creates an empty schedule for that many concurrent scans.
    pub(crate) fn new(seed: u64, slots: usize) -> Self {
        Self { seed, serial: 0, entries: HashMap::new(), lanes: HashMap::new(), slots: Slots::new(slots.max(1)), parked: HashMap::new() }
    }

    /// Returns the number of keys.
    pub(crate) fn len(&self) -> usize {
        self.entries.values().filter(|entry| !entry.removed).count()
    }

    /// Returns true if there is no key.
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds or changes a key. A new key is scanned soon. An existing one keeps its time, unless the new interval ends
    /// earlier.
    pub(crate) fn set(&mut self, now: Duration, key: &K, wish: Wish<L>) {
        let Wish { lane, at_once, interval, owners } = wish;
        let name = self.lanes.get_key_value(&lane).map_or_else(|| Arc::new(lane), |(shared, _)| Arc::clone(shared));
        let lane = self.lanes.entry(Arc::clone(&name)).or_insert_with(Lane::new);
        lane.at_once = at_once.max(1);
        if let Some(entry) = self.entries.get_mut(key) {
            entry.removed = false;
            entry.owners = owners;
            let sooner = now + interval < entry.due;
            entry.interval = interval;
            if sooner && !entry.is_running() {
                self.put(key, now + interval);
            }
            return;
        }
        lane.keys += 1;
        let due = now + interval.min(SPREAD).mul_f64(self.chance(key, 0));
        let entry = Entry { lane: name, interval, owners, due, serial: 0, refusals: 0, running: None, removed: false };
        self.entries.insert(key.clone(), entry);
        self.put(key, due);
    }

    /// Removes the key. A running scan may end; it is not repeated.
    pub(crate) fn remove(&mut self, key: &K) {
        match self.entries.get_mut(key) {
            Some(entry) if entry.is_running() => entry.removed = true,
            Some(_) => self.forget(key),
            None => {}
        }
    }

    /// Removes the keys that `keep` rejects, and empty lanes.
    pub(crate) fn retain(&mut self, now: Duration, keep: impl Fn(&K) -> bool) {
        let gone: Vec<K> = self.entries.keys().filter(|key| !keep(key)).cloned().collect();
        for key in &gone {
            self.remove(key);
        }
        self.lanes.retain(|_, lane| !lane.is_idle(now));
        let entries = &self.entries;
        self.parked.retain(|_, waiting| {
            waiting.retain(|(serial, key)| entries.get(key).is_some_and(|entry| entry.serial == *serial && !entry.is_running()));
            !waiting.is_empty()
        });
    }

    fn forget(&mut self, key: &K) {
        if let Some(entry) = self.entries.remove(key)
            && let Some(lane) = self.lanes.get_mut(&entry.lane)
        {
            lane.keys = lane.keys.saturating_sub(1);
        }
    }

    /// Returns the next action.
    pub(crate) fn next(&mut self, now: Duration) -> Next<K> {
        if self.slots.is_full() {
            return Next::Idle;
        }
        loop {
            match self.first(now) {
                First::Now(lane) => return self.start(&lane, now).unwrap_or(Next::Idle),
                // Unused slots go to the keys that wait for them.
                _ if self.unpark_for_free_slots() => {}
                First::Later(start) => return Next::Wait(start),
                First::Never => return Next::Idle,
            }
        }
    }

    /// Returns the lane for the next scan: of the possible ones, the one whose owner has the highest priority.
    fn first(&mut self, now: Duration) -> First<L> {
        let Self { entries, lanes, slots, parked, .. } = self;
        let mut ready: Option<(Claim, Reverse<Duration>, Arc<L>)> = None;
        let mut later: Option<Duration> = None;
        for (name, lane) in lanes.iter_mut().filter(|(_, lane)| lane.has_room()) {
            while let Some((key, _, start)) = lane.first(entries) {
                if start > now {
                    later = Some(later.map_or(start, |earliest| earliest.min(start)));
                    break;
                }
                let Some(entry) = entries.get(key) else { break };
                if let Some((_, claim)) = slots.best(&entry.owners) {
                    if ready.as_ref().is_none_or(|(best, earliest, _)| (claim, Reverse(start)) > (*best, *earliest)) {
                        ready = Some((claim, Reverse(start), Arc::clone(name)));
                    }
                    break;
                }
                let Some((serial, key)) = lane.pop() else { break };
                for owner in &*entry.owners {
                    parked.entry(Arc::clone(owner)).or_default().push_back((serial, key.clone()));
                }
            }
        }
        match (ready, later) {
            (Some((.., lane)), _) => First::Now(lane),
            (None, Some(start)) => First::Later(start),
            (None, None) => First::Never,
        }
    }

    fn start(&mut self, lane: &Arc<L>, now: Duration) -> Option<Next<K>> {
        let lane = self.lanes.get_mut(lane)?;
        let (_, key) = lane.pop()?;
        let entry = self.entries.get_mut(&key)?;
        let (owner, _) = self.slots.best(&entry.owners)?;
        let owner = Arc::clone(owner);
        self.slots.take(&owner);
        lane.running += 1;
        entry.running = Some(owner);
        Some(Next::Scan(key, now.saturating_sub(entry.due)))
    }

    /// Moves as many waiting keys back as there are free slots. Returns true if there was one.
    fn unpark_for_free_slots(&mut self) -> bool {
        let free: Vec<(Arc<str>, usize)> =
            self.parked.keys().map(|owner| (Arc::clone(owner), self.slots.free_slots(owner))).filter(|(_, slots)| *slots > 0).collect();
        let mut any = false;
        for (owner, slots) in free {
            for _ in 0..slots {
                any |= self.unpark(&owner);
            }
        }
        any
    }

    /// Moves the first key that waits for a slot of the owner back into its lane.
    fn unpark(&mut self, owner: &str) -> bool {
        let Some(waiting) = self.parked.get_mut(owner) else { return false };
        while let Some((serial, key)) = waiting.pop_front() {
            let Some(entry) = self.entries.get(&key).filter(|entry| entry.serial == serial && !entry.is_running()) else { continue };
            // The entry of another owner for it is no longer valid.
            let (due, lane) = (entry.due, Arc::clone(&entry.lane));
            self.put_at(&key, due, &lane);
            return true;
        }
        self.parked.remove(owner);
        false
    }

    /// Reports the result of the scan of a key.
    pub(crate) fn done(&mut self, now: Duration, key: &K, outcome: Outcome) {
        let Some(entry) = self.entries.get_mut(key) else { return };
        let Some(owner) = entry.running.take() else { return };
        self.slots.give_back(&owner);
        let (due, interval, removed, serial) = (entry.due, entry.interval, entry.removed, entry.serial);
        if let Some(lane) = self.lanes.get_mut(&entry.lane) {
            lane.running = lane.running.saturating_sub(1);
            let next = match outcome {
                Outcome::Answered => {
                    lane.answered();
                    entry.refusals = 0;
                    None
                }
                Outcome::Refused => {
                    lane.answered();
                    entry.refusals = entry.refusals.saturating_add(1);
                    Some(now + Backoff::new(interval, KEY_PAUSE.max(interval)).pause(entry.refusals - 1))
                }
                // It runs again when the lane opens, after all keys that are due by then.
                Outcome::HostFailed(wait) => Some(lane.failed(now, wait)),
            };
            if removed {
                self.forget(key);
            } else {
                let next = next.unwrap_or_else(|| {
                    let interval = interval.mul_f64(1.0 + JITTER * (self.chance(key, serial + 1) - 0.5));
                    // Counted from the due time, so that the duration of scans does not add up.
                    if due + interval > now { due + interval } else { now + interval }
                });
                self.put(key, next);
            }
        }
        self.unpark(&owner);
    }

    fn put(&mut self, key: &K, due: Duration) {
        if let Some(lane) = self.entries.get(key).map(|entry| Arc::clone(&entry.lane)) {
            self.put_at(key, due, &lane);
        }
    }

    fn put_at(&mut self, key: &K, due: Duration, lane: &Arc<L>) {
        self.serial += 1;
        let Some(entry) = self.entries.get_mut(key) else { return };
        entry.due = due;
        entry.serial = self.serial;
        if let Some(lane) = self.lanes.get_mut(lane) {
            lane.push(due, self.serial, key.clone());
        }
    }

    /// Returns a number from 0 to 1 that follows from the seed, the key and the round.
    fn chance(&self, key: &K, round: u64) -> f64 {
        let mut hash = DefaultHasher::new();
        (self.seed, key, round).hash(&mut hash);
        f64::from(u32::try_from(hash.finish() >> 32).unwrap_or_default()) / f64::from(u32::MAX)
    }
}

/// The place of the next scan.
enum First<L> {
    /// In that lane, now.
    Now(Arc<L>),
    /// In no lane before that time.
    Later(Duration),
    Never,
}

#[cfg(test)]
mod tests;
