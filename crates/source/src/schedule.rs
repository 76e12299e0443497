//! When to ask which registry: a heap a host of what is due, and nothing else.
//!
//! Pure: time comes in as the time since the process began, chance from a seed. The operator's
//! poll loop asks [`Schedule::next`], does what it says and reports by [`Schedule::done`].
//!
//! ```text
//! set ─> waiting ──next──> running ──done──> waiting (an interval later)
//!           ^                  └──failed──> waiting (later), or the whole host waits
//! ```
//!
//! Invariants: one key is never asked twice at once; a host never has more running than it takes;
//! what one host does never delays another. A host that fails is tried with one request until it
//! answers again.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher as _};
use std::sync::Arc;
use std::time::Duration;

/// First scans are spread over this time, or over the interval where that is shorter.
const SPREAD: Duration = Duration::from_mins(1);
/// How much of an interval is left to chance, so that what began together does not stay together.
const JITTER: f64 = 0.1;
/// The first and the longest pause of a host that fails without saying for how long.
const HOST_PAUSE: (Duration, Duration) = (Duration::from_secs(5), Duration::from_mins(5));
/// The longest pause of one key that is refused, where its interval is not longer.
const KEY_PAUSE: Duration = Duration::from_hours(1);

/// What to do now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next<K> {
    /// Ask for this now; it is that late.
    Scan(K, Duration),
    /// Nothing before that time.
    Wait(Duration),
    /// Nothing until something changes.
    Idle,
}

/// How a scan ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// With an answer.
    Answered,
    /// The host did not serve; it asks to be left alone for so long, where it says so.
    HostFailed(Option<Duration>),
    /// The host answered, but not what was asked.
    Refused,
}

/// What is due when.
#[derive(Debug)]
pub struct Schedule<K> {
    seed: u64,
    serial: u64,
    entries: HashMap<K, Entry>,
    hosts: HashMap<Arc<str>, Lane<K>>,
}

#[derive(Debug)]
struct Entry {
    host: Arc<str>,
    interval: Duration,
    due: Duration,
    /// Which of the heap's mentions counts; older ones are passed over.
    serial: u64,
    refusals: u32,
    running: bool,
    /// Taken away while it ran.
    removed: bool,
}

#[derive(Debug)]
struct Lane<K> {
    heap: BinaryHeap<Reverse<(Duration, u64, K)>>,
    running: usize,
    at_once: usize,
    not_before: Duration,
    failures: u32,
}

impl<K: Clone + Eq + Hash + Ord> Schedule<K> {
    /// An empty one.
    pub fn new(seed: u64) -> Self {
        Self { seed, serial: 0, entries: HashMap::new(), hosts: HashMap::new() }
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.entries.values().filter(|entry| !entry.removed).count()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Every key.
    pub fn keys(&self) -> impl Iterator<Item = &K> {
        self.entries.iter().filter(|(_, entry)| !entry.removed).map(|(key, _)| key)
    }

    /// Has the key asked of the host at this interval. A new one is asked soon; one that is there
    /// keeps its time, unless the new interval ends before it.
    pub fn set(&mut self, now: Duration, key: &K, host: &str, at_once: usize, interval: Duration) {
        let host = match self.hosts.get_key_value(host) {
            Some((shared, _)) => Arc::clone(shared),
            None => Arc::from(host),
        };
        let lane = self.hosts.entry(Arc::clone(&host)).or_insert_with(|| Lane {
            heap: BinaryHeap::new(),
            running: 0,
            at_once,
            not_before: Duration::ZERO,
            failures: 0,
        });
        lane.at_once = at_once.max(1);
        if let Some(entry) = self.entries.get_mut(key) {
            entry.removed = false;
            let sooner = now + interval < entry.due;
            entry.interval = interval;
            if sooner && !entry.running {
                let due = now + interval;
                self.put(key, due);
            }
            return;
        }
        let due = now + interval.min(SPREAD).mul_f64(self.chance(key, 0));
        self.entries.insert(key.clone(), Entry { host, interval, due, serial: 0, refusals: 0, running: false, removed: false });
        self.put(key, due);
    }

    /// Forgets the key. A scan that runs may end; it is not repeated.
    pub fn remove(&mut self, key: &K) {
        match self.entries.get_mut(key) {
            Some(entry) if entry.running => entry.removed = true,
            Some(_) => {
                self.entries.remove(key);
                self.sweep();
            }
            None => {}
        }
    }

    /// What to do now.
    pub fn next(&mut self, now: Duration) -> Next<K> {
        let mut first: Option<(Duration, Duration, Arc<str>)> = None;
        for (host, lane) in &mut self.hosts {
            let at_once = if lane.failures > 0 { 1 } else { lane.at_once };
            if lane.running >= at_once {
                continue;
            }
            while let Some(Reverse((_, serial, key))) = lane.heap.peek() {
                if self.entries.get(key).is_some_and(|entry| entry.serial == *serial && !entry.running) {
                    break;
                }
                lane.heap.pop();
            }
            let Some(Reverse((due, ..))) = lane.heap.peek() else { continue };
            let start = (*due).max(lane.not_before);
            if first.as_ref().is_none_or(|(earliest, ..)| start < *earliest) {
                first = Some((start, *due, Arc::clone(host)));
            }
        }
        let Some((start, due, host)) = first else { return Next::Idle };
        if start > now {
            return Next::Wait(start);
        }
        let Some(lane) = self.hosts.get_mut(&host) else { return Next::Idle };
        let Some(Reverse((_, _, key))) = lane.heap.pop() else { return Next::Idle };
        lane.running += 1;
        if let Some(entry) = self.entries.get_mut(&key) {
            entry.running = true;
        }
        Next::Scan(key, now.saturating_sub(due))
    }

    /// Reports how the scan of a key ended.
    pub fn done(&mut self, now: Duration, key: &K, outcome: Outcome) {
        let Some(entry) = self.entries.get_mut(key) else { return };
        if !entry.running {
            return;
        }
        entry.running = false;
        let Some(lane) = self.hosts.get_mut(&entry.host) else { return };
        lane.running = lane.running.saturating_sub(1);
        let (interval, removed) = (entry.interval, entry.removed);
        let mut pause = None;
        match outcome {
            Outcome::Answered => {
                lane.failures = 0;
                entry.refusals = 0;
            }
            Outcome::Refused => {
                lane.failures = 0;
                entry.refusals = entry.refusals.saturating_add(1);
                pause = Some(doubled(interval, entry.refusals - 1).min(KEY_PAUSE.max(interval)));
            }
            Outcome::HostFailed(wait) => {
                let backed_off = doubled(HOST_PAUSE.0, lane.failures).min(HOST_PAUSE.1);
                // Those that ran together fail together: that is one failure.
                if now >= lane.not_before {
                    lane.failures = lane.failures.saturating_add(1);
                }
                lane.not_before = lane.not_before.max(now + wait.unwrap_or(backed_off));
                // It comes again as soon as the host does.
                pause = Some(Duration::ZERO);
            }
        }
        if removed {
            self.entries.remove(key);
            self.sweep();
            return;
        }
        let due = entry.due;
        let due = if let Some(pause) = pause {
            now + pause
        } else {
            let next = interval.mul_f64(1.0 + JITTER * (self.chance(key, self.serial + 1) - 0.5));
            // From when it was due, so that the time it took does not add up.
            if due + next > now { due + next } else { now + next }
        };
        self.put(key, due);
    }

    fn put(&mut self, key: &K, due: Duration) {
        self.serial += 1;
        let Some(entry) = self.entries.get_mut(key) else { return };
        entry.due = due;
        entry.serial = self.serial;
        if let Some(lane) = self.hosts.get_mut(&entry.host) {
            lane.heap.push(Reverse((due, self.serial, key.clone())));
        }
    }

    /// Hosts that nothing is asked of any more, unless they are to be left alone for a while.
    fn sweep(&mut self) {
        let entries = &self.entries;
        self.hosts.retain(|_, lane| {
            lane.failures > 0 || lane.running > 0 || lane.heap.iter().any(|Reverse((_, _, key))| entries.contains_key(key))
        });
    }

    /// A number from 0 to 1 that follows from the seed, the key and the round.
    fn chance(&self, key: &K, round: u64) -> f64 {
        let mut hash = DefaultHasher::new();
        (self.seed, key, round).hash(&mut hash);
        f64::from(u32::try_from(hash.finish() >> 32).unwrap_or_default()) / f64::from(u32::MAX)
    }
}

fn doubled(time: Duration, times: u32) -> Duration {
    time.saturating_mul(2_u32.saturating_pow(times.min(16)))
}

#[cfg(test)]
mod tests;
