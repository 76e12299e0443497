//! Changes of requests as numbered hints, for every open stream of this process.
//!
//! A hint says that an object changed, not how. An object has at most one hint a second: later changes are merged. The
//! last 1,024 hints are kept, so that a browser that lost its connection learns what it missed.

use std::collections::{HashMap, VecDeque};
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use headwind_operator::{Handle, RequestChange};
use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;

use crate::stream::Places;

/// Number of hints that are kept.
const KEPT: usize = 1024;
/// Maximum number of hints that a slow stream may lag behind.
const BACKLOG: usize = 1024;
/// Minimum time between two hints about one object.
const QUIET: Duration = Duration::from_secs(1);
/// Interval for checking whether merged changes are due.
const TICK: Duration = Duration::from_millis(100);

/// A change that pages must know of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Hint {
    /// A request changed.
    Changed(Arc<RequestChange>),
    /// Some changes were missed.
    Resync,
}

/// A hint with its number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Numbered {
    pub(super) number: u64,
    pub(super) hint: Hint,
}

/// The hints that a client missed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Missed {
    /// These hints.
    Hints(Vec<Numbered>),
    /// Nobody knows.
    Unknown,
}

/// The hints of this process.
#[derive(Debug)]
pub(super) struct Hub {
    /// Distinguishes the numbers of this process from those of another one.
    start: i64,
    ring: Mutex<Ring>,
    sender: broadcast::Sender<Numbered>,
    /// Bounds the open streams.
    pub(super) streams: Arc<Places>,
    /// Ends the open streams.
    pub(super) stop: CancellationToken,
}

#[derive(Debug, Default)]
struct Ring {
    last: u64,
    kept: VecDeque<Numbered>,
}

/// Merges changes of the same object.
#[derive(Debug, Default)]
struct Merger {
    sent: HashMap<(String, String), Instant>,
    waiting: HashMap<(String, String), RequestChange>,
}

impl Merger {
    /// Returns the change if it is due, else keeps it.
    fn take(&mut self, change: RequestChange, now: Instant) -> Option<RequestChange> {
        let key = (change.namespace.clone(), change.name.clone());
        if self.sent.get(&key).is_some_and(|sent| now.duration_since(*sent) < QUIET) {
            let is_new = self.waiting.get(&key).is_some_and(|waiting| waiting.is_new);
            self.waiting.insert(key, RequestChange { is_new: change.is_new || is_new, ..change });
            return None;
        }
        self.sent.insert(key, now);
        Some(change)
    }

    /// Returns the changes that waited and are due.
    fn due(&mut self, now: Instant) -> Vec<RequestChange> {
        self.sent.retain(|_, sent| now.duration_since(*sent) < QUIET);
        let due: Vec<_> = self.waiting.keys().filter(|key| !self.sent.contains_key(*key)).cloned().collect();
        let changes: Vec<RequestChange> = due.iter().filter_map(|key| self.waiting.remove(key)).collect();
        self.sent.extend(due.into_iter().map(|key| (key, now)));
        changes
    }
}

impl Hub {
    pub(super) fn new(stop: CancellationToken) -> Self {
        Self {
            start: Timestamp::now().as_millisecond(),
            ring: Mutex::default(),
            sender: broadcast::Sender::new(BACKLOG),
            streams: Arc::default(),
            stop,
        }
    }

    /// Publishes the changes of requests until the process stops.
    pub(super) async fn run(self: Arc<Self>, handle: Handle) {
        let mut changes = handle.changes();
        let mut merger = Merger::default();
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = self.stop.cancelled() => return,
                change = changes.recv() => match change {
                    Ok(change) => {
                        if let Some(change) = merger.take(change, Instant::now()) {
                            self.publish(Hint::Changed(Arc::new(change)));
                        }
                    }
                    Err(broadcast::error::RecvError::Lagged(_)) => self.publish(Hint::Resync),
                    Err(broadcast::error::RecvError::Closed) => return,
                },
                _ = tick.tick(), if !merger.sent.is_empty() => {
                    for change in merger.due(Instant::now()) {
                        self.publish(Hint::Changed(Arc::new(change)));
                    }
                }
            }
        }
    }

    fn publish(&self, hint: Hint) {
        let mut ring = self.ring.lock();
        ring.last += 1;
        let numbered = Numbered { number: ring.last, hint };
        if ring.kept.len() >= KEPT {
            ring.kept.pop_front();
        }
        ring.kept.push_back(numbered.clone());
        // Nobody has to listen. Under the lock, so that the order is that of the numbers.
        let _receivers = self.sender.send(numbered);
    }

    /// Returns the position of the newest hint.
    pub(super) fn position(&self) -> String {
        self.at(self.ring.lock().last)
    }

    /// Returns the number of the newest hint.
    pub(super) fn number(&self) -> u64 {
        self.ring.lock().last
    }

    /// Returns a position as text.
    pub(super) fn at(&self, number: u64) -> String {
        format!("{}-{number}", self.start)
    }

    /// Subscribes to the hints from now on, and returns those after a position.
    pub(super) fn listen(&self, after: Option<&str>) -> (broadcast::Receiver<Numbered>, Missed) {
        let ring = self.ring.lock();
        let missed = match after {
            None => Missed::Hints(Vec::new()),
            Some(position) => self.after(&ring, position),
        };
        (self.sender.subscribe(), missed)
    }

    /// Returns the hints after a position.
    pub(super) fn since(&self, position: &str) -> Missed {
        self.after(&self.ring.lock(), position)
    }

    fn after(&self, ring: &Ring, position: &str) -> Missed {
        let parsed = position.split_once('-').and_then(|(start, number)| Some((start.parse::<i64>().ok()?, number.parse::<u64>().ok()?)));
        let Some((_, number)) = parsed.filter(|(start, number)| *start == self.start && *number <= ring.last) else {
            return Missed::Unknown;
        };
        let oldest = ring.kept.front().map_or(ring.last + 1, |kept| kept.number);
        let later: Vec<Numbered> = ring.kept.iter().filter(|kept| kept.number > number).cloned().collect();
        if number + 1 < oldest || later.iter().any(|kept| kept.hint == Hint::Resync) { Missed::Unknown } else { Missed::Hints(later) }
    }
}

/// The identity of a request in pages and events: a hash of its namespace and name, so that any name fits.
pub(super) fn id(namespace: &str, name: &str) -> String {
    let bytes = namespace.bytes().chain([b'/']).chain(name.bytes());
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    let mut text = String::with_capacity(16);
    // Writing into a String does not fail.
    let _ = write!(text, "{hash:016x}");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(name: &str, is_new: bool) -> RequestChange {
        RequestChange { namespace: "n".to_owned(), name: name.to_owned(), is_new }
    }

    #[test]
    fn an_object_has_one_hint_a_second() {
        let (mut merger, start) = (Merger::default(), Instant::now());
        let at = |millis| start + Duration::from_millis(millis);
        assert!(merger.take(change("a", true), at(0)).is_some());
        assert!(merger.take(change("a", false), at(100)).is_none());
        assert!(merger.take(change("b", false), at(100)).is_some(), "another object");
        assert!(merger.take(change("a", false), at(200)).is_none());
        assert!(merger.due(at(900)).is_empty());
        assert_eq!(merger.due(at(1000)), [change("a", false)]);
        assert!(merger.take(change("a", false), at(1500)).is_none(), "a second since the last hint");
        assert_eq!(merger.due(at(2000)).len(), 1);
        assert!(merger.due(at(4000)).is_empty() && merger.sent.is_empty() && merger.waiting.is_empty());
    }

    #[tokio::test]
    async fn who_comes_back_gets_what_is_kept() {
        let hub = Hub::new(CancellationToken::new());
        let begin = hub.position();
        for n in 0..3 {
            hub.publish(Hint::Changed(Arc::new(change(&format!("r{n}"), true))));
        }
        let Missed::Hints(all) = hub.since(&begin) else { panic!("known") };
        assert_eq!(all.iter().map(|one| one.number).collect::<Vec<_>>(), [1, 2, 3]);
        assert_eq!(hub.since(&hub.position()), Missed::Hints(Vec::new()));
        for strange in ["", "x", "1-1", "9999999999999-1", &hub.at(99), &hub.at(u64::MAX)] {
            assert_eq!(hub.since(strange), Missed::Unknown, "{strange}");
        }
        for _ in 0..KEPT {
            hub.publish(Hint::Changed(Arc::new(change("r", false))));
        }
        assert_eq!(hub.since(&begin), Missed::Unknown, "too long ago");
        assert!(matches!(hub.since(&hub.at(3)), Missed::Hints(later) if later.len() == KEPT));
        let before = hub.position();
        hub.publish(Hint::Resync);
        assert_eq!(hub.since(&before), Missed::Unknown);
    }

    #[test]
    fn identities_differ() {
        assert_ne!(id("a", "b-c"), id("a-b", "c"));
        assert_eq!(id("a", "b").len(), 16);
    }
}
