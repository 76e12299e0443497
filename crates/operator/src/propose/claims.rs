//! The waiting claims, merged by subject.
//!
//! A push only marks its (origin, tag): a newer claim replaces an older one, and one claim holds one place until it is
//! processed. A worker takes the claims of one origin one after the other, and the origins in turn, so a slow origin
//! delays only itself. A claim that first needs a look-up in the registry waits in a [`Lane`] of its host, outside the
//! workers. A host that does not answer delays only its own lanes.
//!
//! ```text
//! offer ──> origin: claim, claim, … ──next──> worker ──worked──┬─> done
//!              ^ newer arrival                                 └─> lane: look-up, … ──next_look_up──> looked_up ──> done
//!              └────────────────────────────────────────────────────────^──────── again ──────────────────┘
//! ```
//!
//! This module has no clock and no I/O: `now` is the time since the process started.

use std::collections::hash_map::Entry as Slot;
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::ops::Bound::{Excluded, Unbounded};
use std::sync::Arc;
use std::time::Duration;

use headwind_core::artifact::Origin;
use headwind_core::backoff::Backoff;
use headwind_core::claim::Claim;
use headwind_registry::Fingerprint;
use jiff::Timestamp;

/// Maximum number of waiting claims. At some 500 bytes each they use 5 MiB.
const PLACES: usize = 10_000;
/// Maximum number of waiting claims about one origin.
const ORIGIN_PLACES: usize = 1_000;
/// Number of concurrent look-ups in one lane.
const LANE_WIDTH: usize = 4;
/// Back-off of a lane whose host does not answer.
const LANE_BACKOFF: Backoff = Backoff::new(Duration::from_secs(2), Duration::from_mins(5));
/// Back-off of the look-ups of one claim.
const BACKOFF: Backoff = Backoff::new(Duration::from_secs(5), Duration::from_mins(10));
/// Maximum number of waiting claims of an origin that are checked for the same workload as another claim.
const COMPANIONS: usize = 4;
/// Time for which the look-up of a claim is retried.
pub(super) const PATIENCE: Duration = Duration::from_hours(1);

/// A received claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Arrived {
    /// The claim.
    pub(crate) claim: Claim,
    /// When it arrived.
    pub(crate) at: Timestamp,
    /// True if its sender was authenticated.
    pub(crate) proven: bool,
}

/// The subject of a claim.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    origin: Origin,
    chart: Option<String>,
    tag: Option<String>,
}

impl Key {
    pub(super) fn of(claim: &Claim) -> Self {
        Self { origin: claim.origin.clone(), chart: claim.chart.clone(), tag: claim.tag.clone() }
    }
}

/// A route to a host that can be slow or fail as a whole: the host itself, or, for chart sources with their own proxy
/// or CA, the host as reached by the sources of one namespace.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub(super) struct Lane {
    pub(super) host: String,
    pub(super) namespace: Option<String>,
}

/// The reasons why claims were not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Full {
    /// There are not enough free places for all of them now.
    #[error("too many claims are waiting")]
    Now,
    /// One call has more claims about one repository than can ever be accepted.
    #[error("more than {ORIGIN_PLACES} tags of one repository in one call")]
    Ever,
}

/// A claim for a worker.
#[derive(Debug, Clone)]
pub(super) struct Work {
    pub(super) key: Arc<Key>,
    pub(super) arrived: Arc<Arrived>,
}

/// A look-up for a claim.
#[derive(Debug, Clone)]
pub(super) struct LookUp {
    pub(super) key: Arc<Key>,
    pub(super) arrived: Arc<Arrived>,
    pub(super) lane: Lane,
    /// The results of earlier attempts.
    pub(super) settled: HashSet<Fingerprint>,
    /// The number of earlier attempts.
    pub(super) tries: u32,
    /// The lane's host does not answer, and the claim does not depend on it: send no query.
    pub(super) skip: bool,
}

/// The result of a look-up.
#[derive(Debug)]
pub(super) enum LookedUp {
    /// Every query has an answer.
    Answered,
    /// Some query has no answer yet.
    Again {
        /// The queries with an answer.
        settled: HashSet<Fingerprint>,
    },
}

/// The state of the host after a look-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Host {
    /// It answered.
    Answers,
    /// It did not answer; the wait is what it asked for, if any.
    Down(Option<Duration>),
    /// It was not queried.
    NotAsked,
}

/// The state of a claim after a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum After {
    /// It is processed, and its place is free.
    Done,
    /// It still waits, or a newer one has replaced it.
    Waits,
    /// It could not be confirmed in time. Its place is free, or other lanes continue with it.
    Dropped {
        /// True if its place is free.
        done: bool,
    },
}

#[derive(Debug)]
struct Entry {
    arrived: Arc<Arrived>,
    since: Duration,
    /// It waits in its origin's queue.
    queued: bool,
    look_ups: HashMap<Lane, Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    /// Its position in the lane; none while it runs.
    due: Option<Due>,
    tries: u32,
    settled: HashSet<Fingerprint>,
    optional: bool,
}

#[derive(Debug, Default)]
struct OriginQueue {
    waiting: VecDeque<Arc<Key>>,
    busy: bool,
    places: usize,
}

/// The earliest time of a look-up, and a number that makes it unique.
type Due = (Duration, u64);
/// The look-ups that wait in a lane.
type LookUps = BTreeMap<Due, Arc<Key>>;

#[derive(Debug, Default)]
struct LaneQueue {
    needed: LookUps,
    optional: LookUps,
    running: usize,
    failures: u32,
    not_before: Duration,
}

impl LaneQueue {
    /// Returns true if another look-up may run. A host that did not answer gets one look-up at a time.
    fn has_room(&self) -> bool {
        self.running < if self.failures == 0 { LANE_WIDTH } else { 1 }
    }

    fn is_down(&self, now: Duration) -> bool {
        now < self.not_before
    }

    fn of(&mut self, optional: bool) -> &mut LookUps {
        if optional { &mut self.optional } else { &mut self.needed }
    }

    /// Removes and returns the first look-up that may run now. While the host is down, that is an optional one, which
    /// continues without the host.
    fn take(&mut self, now: Duration) -> Option<Arc<Key>> {
        let down = self.is_down(now);
        if !down && !self.has_room() {
            return None;
        }
        let queue = if down || is_due(&self.optional, now) { &mut self.optional } else { &mut self.needed };
        if is_due(queue, now) { queue.pop_first().map(|(_, key)| key) } else { None }
    }

    /// Returns when [`LaneQueue::take`] returns something.
    fn wake(&self, now: Duration) -> Option<Duration> {
        let first = |queue: &LookUps| queue.first_key_value().map(|((due, _), _)| *due);
        if self.is_down(now) {
            let needed = first(&self.needed).map(|due| due.max(self.not_before));
            return needed.into_iter().chain(first(&self.optional)).min();
        }
        if self.has_room() { first(&self.needed).into_iter().chain(first(&self.optional)).min() } else { None }
    }

    fn is_empty(&self) -> bool {
        self.needed.is_empty() && self.optional.is_empty() && self.running == 0
    }
}

fn is_due(queue: &LookUps, now: Duration) -> bool {
    queue.first_key_value().is_some_and(|((due, _), _)| *due <= now)
}

/// The waiting claims.
#[derive(Debug, Default)]
pub(super) struct Claims {
    entries: HashMap<Arc<Key>, Entry>,
    origins: HashMap<Origin, OriginQueue>,
    /// The origins with work for a worker, in turn.
    turns: VecDeque<Origin>,
    /// The number of places that the claims of each host hold.
    hosts: HashMap<String, usize>,
    lanes: BTreeMap<Lane, LaneQueue>,
    /// The lane of the latest look-up. The next lane has the next turn.
    latest: Option<Lane>,
    order: u64,
}

impl Claims {
    /// Accepts all of the claims or none. Returns how many replaced an older one, which is then done.
    ///
    /// A host may hold at most as many places as remain free, so that no number of hosts uses up all of them.
    pub(super) fn offer(&mut self, claims: Vec<Arrived>, now: Duration) -> Result<usize, Full> {
        let mut fresh: HashMap<&Origin, HashSet<Key>> = HashMap::new();
        for arrived in &claims {
            let key = Key::of(&arrived.claim);
            if !self.entries.contains_key(&key) {
                fresh.entry(&arrived.claim.origin).or_default().insert(key);
            }
        }
        let mut hosts: HashMap<&str, usize> = HashMap::new();
        for (origin, keys) in &fresh {
            if keys.len() > ORIGIN_PLACES {
                return Err(Full::Ever);
            }
            if self.origins.get(*origin).map_or(0, |queue| queue.places) + keys.len() > ORIGIN_PLACES {
                return Err(Full::Now);
            }
            *hosts.entry(origin.host()).or_default() += keys.len();
        }
        let taken = self.entries.len() + hosts.values().sum::<usize>();
        let fits =
            |(host, places): (&&str, &usize)| self.hosts.get(*host).copied().unwrap_or_default() + places <= PLACES.saturating_sub(taken);
        if !hosts.iter().all(fits) {
            return Err(Full::Now);
        }
        Ok(claims.into_iter().map(|arrived| usize::from(self.put(arrived, now))).sum())
    }

    /// Returns true if the claim replaced another one.
    fn put(&mut self, arrived: Arrived, now: Duration) -> bool {
        let key = Arc::new(Key::of(&arrived.claim));
        let (key, replaced) = match self.entries.entry(key) {
            Slot::Vacant(slot) => {
                let key = Arc::clone(slot.key());
                slot.insert(Entry { arrived: Arc::new(arrived), since: now, queued: false, look_ups: HashMap::new() });
                self.origins.entry(key.origin.clone()).or_default().places += 1;
                *self.hosts.entry(key.origin.host().to_owned()).or_default() += 1;
                (key, false)
            }
            Slot::Occupied(mut slot) => {
                let key = Arc::clone(slot.key());
                let entry = slot.get_mut();
                entry.arrived = Arc::new(arrived);
                entry.since = now;
                for (lane, waiting) in entry.look_ups.drain() {
                    leave(&mut self.lanes, &lane, &waiting);
                }
                (key, true)
            }
        };
        self.queue(&key);
        replaced
    }

    fn queue(&mut self, key: &Arc<Key>) {
        let Some(entry) = self.entries.get_mut(key).filter(|entry| !entry.queued) else { return };
        entry.queued = true;
        let queue = self.origins.entry(key.origin.clone()).or_default();
        queue.waiting.push_back(Arc::clone(key));
        if !queue.busy && queue.waiting.len() == 1 {
            self.turns.push_back(key.origin.clone());
        }
    }

    /// Returns the next claim for a worker. Its origin has no other one until [`Claims::worked`].
    pub(super) fn next(&mut self) -> Option<Work> {
        let origin = self.turns.pop_front()?;
        let queue = self.origins.get_mut(&origin)?;
        let key = queue.waiting.pop_front()?;
        let entry = self.entries.get_mut(&key)?;
        queue.busy = true;
        entry.queued = false;
        Some(Work { key, arrived: Arc::clone(&entry.arrived) })
    }

    /// Returns the first claims about the origin that wait for a worker.
    pub(super) fn queued(&self, origin: &Origin) -> Vec<Arc<Arrived>> {
        let waiting = self.origins.get(origin).into_iter().flat_map(|queue| &queue.waiting).take(COMPANIONS);
        waiting.filter_map(|key| self.entries.get(key)).map(|entry| Arc::clone(&entry.arrived)).collect()
    }

    /// Ends the work on the claim, except for the look-ups in these lanes. A look-up is optional if the claim does not
    /// depend on it.
    pub(super) fn worked(&mut self, work: &Work, look_ups: impl IntoIterator<Item = (Lane, bool)>, now: Duration) -> After {
        if let Some(queue) = self.origins.get_mut(&work.key.origin) {
            queue.busy = false;
            if !queue.waiting.is_empty() {
                self.turns.push_back(work.key.origin.clone());
            }
        }
        let Some(entry) = self.entries.get_mut(&work.key).filter(|entry| Arc::ptr_eq(&entry.arrived, &work.arrived)) else {
            return After::Waits;
        };
        for (lane, optional) in look_ups {
            self.order += 1;
            let due = (now, self.order);
            entry.look_ups.insert(lane.clone(), Waiting { due: Some(due), optional, ..Waiting::default() });
            self.lanes.entry(lane).or_default().of(optional).insert(due, Arc::clone(&work.key));
        }
        if self.remove_if_done(&work.key) { After::Done } else { After::Waits }
    }

    /// Returns the next look-up. The lanes take turns.
    pub(super) fn next_look_up(&mut self, now: Duration) -> Option<LookUp> {
        let lane = {
            let is_ready = |(_, queue): &(&Lane, &LaneQueue)| queue.wake(now).is_some_and(|due| due <= now);
            let after = self.lanes.range((self.latest.clone().map_or(Unbounded, Excluded), Unbounded));
            after.chain(&self.lanes).find(is_ready).map(|(lane, _)| lane.clone())?
        };
        let queue = self.lanes.get_mut(&lane)?;
        let skip = queue.is_down(now);
        let key = queue.take(now)?;
        let entry = self.entries.get_mut(&key)?;
        let waiting = entry.look_ups.get_mut(&lane)?;
        waiting.due = None;
        queue.running += usize::from(!skip);
        let (arrived, settled, tries) = (Arc::clone(&entry.arrived), waiting.settled.clone(), waiting.tries);
        self.latest = Some(lane.clone());
        Some(LookUp { key, arrived, lane, settled, tries, skip })
    }

    /// Records the result of a look-up.
    pub(super) fn looked_up(&mut self, look_up: &LookUp, result: LookedUp, host: Host, now: Duration) -> After {
        let LookUp { key, lane, arrived, skip, .. } = look_up;
        if let Some(queue) = self.lanes.get_mut(lane) {
            queue.running -= usize::from(!*skip && queue.running > 0);
            match host {
                Host::NotAsked => {}
                Host::Answers => queue.failures = 0,
                Host::Down(wait) => {
                    let pause = wait.unwrap_or_else(|| LANE_BACKOFF.pause(queue.failures));
                    queue.failures = queue.failures.saturating_add(1);
                    queue.not_before = queue.not_before.max(now + pause.min(LANE_BACKOFF.max));
                }
            }
        }
        let Some(entry) = self.entries.get_mut(key).filter(|entry| Arc::ptr_eq(&entry.arrived, arrived)) else {
            self.forget_lane(lane);
            return After::Waits;
        };
        let since = entry.since;
        let Some(waiting) = entry.look_ups.get_mut(lane) else { return After::Waits };
        let dropped = match result {
            LookedUp::Again { settled } if now.saturating_sub(since) < PATIENCE => {
                self.order += 1;
                let due = (now + BACKOFF.pause(waiting.tries), self.order);
                waiting.tries = waiting.tries.saturating_add(1);
                waiting.settled = settled;
                // The result without an answer of the host was already used.
                waiting.optional = false;
                waiting.due = Some(due);
                self.lanes.entry(lane.clone()).or_default().needed.insert(due, Arc::clone(key));
                return After::Waits;
            }
            LookedUp::Again { .. } => true,
            LookedUp::Answered => false,
        };
        if let Some(waiting) = entry.look_ups.remove(lane) {
            leave(&mut self.lanes, lane, &waiting);
        }
        self.forget_lane(lane);
        let done = self.remove_if_done(key);
        match (dropped, done) {
            (true, done) => After::Dropped { done },
            (false, true) => After::Done,
            (false, false) => After::Waits,
        }
    }

    /// Removes the look-ups that wait too long for an answer, whatever the pause of their host. Returns each with the
    /// state of its claim.
    pub(super) fn expire(&mut self, now: Duration) -> Vec<(LookUp, After)> {
        self.lanes.retain(|_, queue| !queue.is_empty() || now < queue.not_before + LANE_BACKOFF.max);
        let mut late = Vec::new();
        for (key, entry) in &self.entries {
            let arrived = &entry.arrived;
            if now.saturating_sub(entry.since) < PATIENCE {
                continue;
            }
            late.extend(entry.look_ups.iter().filter(|(_, waiting)| waiting.due.is_some()).map(|(lane, waiting)| LookUp {
                key: Arc::clone(key),
                arrived: Arc::clone(arrived),
                lane: lane.clone(),
                settled: waiting.settled.clone(),
                tries: waiting.tries,
                skip: true,
            }));
        }
        late.into_iter()
            .map(|look_up| {
                let after = self.looked_up(&look_up, LookedUp::Again { settled: HashSet::new() }, Host::NotAsked, now);
                (look_up, after)
            })
            .collect()
    }

    /// Returns when [`Claims::next_look_up`] returns something, unless the claims change before.
    pub(super) fn wake(&self, now: Duration) -> Option<Duration> {
        self.lanes.values().filter_map(|queue| queue.wake(now)).min()
    }

    /// Returns true if every claim is processed, except those that wait for a registry.
    pub(super) fn is_idle(&self) -> bool {
        self.turns.is_empty()
            && self.origins.values().all(|queue| !queue.busy && queue.waiting.is_empty())
            && self.lanes.values().all(|queue| queue.running == 0)
            && self.entries.values().all(|entry| entry.look_ups.values().all(|waiting| waiting.tries > 0))
    }

    /// Returns the number of waiting claims.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    fn remove_if_done(&mut self, key: &Arc<Key>) -> bool {
        let Some(entry) = self.entries.get(key) else { return false };
        if entry.queued || !entry.look_ups.is_empty() {
            return false;
        }
        self.entries.remove(key);
        if let Some(queue) = self.origins.get_mut(&key.origin) {
            queue.places -= 1;
            if queue.places == 0 {
                self.origins.remove(&key.origin);
            }
        }
        if let Some(places) = self.hosts.get_mut(key.origin.host()) {
            *places -= 1;
            if *places == 0 {
                self.hosts.remove(key.origin.host());
            }
        }
        true
    }

    /// Removes an empty lane, unless its host does not answer.
    fn forget_lane(&mut self, lane: &Lane) {
        if self.lanes.get(lane).is_some_and(|queue| queue.is_empty() && queue.failures == 0) {
            self.lanes.remove(lane);
        }
    }
}

fn leave(lanes: &mut BTreeMap<Lane, LaneQueue>, lane: &Lane, waiting: &Waiting) {
    if let (Some(queue), Some(due)) = (lanes.get_mut(lane), waiting.due) {
        queue.of(waiting.optional).remove(&due);
    }
}

#[cfg(test)]
mod tests;
