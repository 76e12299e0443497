//! Asking registries for news: the loop around the schedule.
//!
//! A scan is one origin (a registry's repository, a Helm repository) with one way to be asked (the same
//! credentials in the same order); it feeds every workload that uses them. The plan of scans is made of
//! the index, and made anew when something in it changes and once a minute, since secrets change
//! unseen. On the leader only; what a scan finds goes the same way as what a webhook tells.
//!
//! ```text
//! index ──plan──> schedule ○ ──due──> scan ─┬─ versions ─> each workload's own policy ─┬─> record
//!   └ pull secrets ──> access               └─ digests  ─> those that follow a tag    ─┘
//! ```
//!
//! A vanished tag, an empty or half-read list and an error are no news. A digest that is seen
//! behind a tag for the first time is noted on the workload, not rolled out: nobody knows that it
//! is newer than what runs.

mod plan;
mod scan;

use std::collections::{HashMap, HashSet};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, OptionFuture};
use headwind_core::artifact::Origin;
use headwind_core::target::TargetKey;
use headwind_source::schedule::{Next, Outcome, Schedule};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use self::plan::{Discovered, Plan, Planned};
use crate::asking::{Asking, Listed};
use crate::propose::Recording;

/// How often the loop looks whether something changed.
const TICK: Duration = Duration::from_millis(500);
/// How often the plan is made anew although nothing in the index changed.
const REPLAN: Duration = Duration::from_mins(1);
/// Scans under way at once, over all hosts.
const AT_ONCE: usize = 256;

/// An origin, and what it is asked with.
type Key = (Origin, [u8; 32]);

/// The poller.
pub(crate) struct Poller {
    pub(crate) recording: Recording,
    pub(crate) asking: Arc<Asking>,
    /// How often a workload is polled that says nothing else; none where nothing is polled.
    pub(crate) interval: Option<Duration>,
    /// Whether releases are looked up when they are new or changed.
    pub(crate) discovery: bool,
    /// What spreads the scans.
    pub(crate) seed: u64,
}

/// What came of a scan.
struct Scanned {
    outcome: Outcome,
    listed: Option<Listed>,
    /// The credentials are others than the plan knows.
    moved: bool,
    /// Those that no request could be made for although one was due.
    missed: HashSet<TargetKey>,
}

impl Poller {
    /// Polls for as long as this process leads, until `stop`.
    pub(crate) async fn run(self, stop: CancellationToken) -> Result<(), Infallible> {
        let poller = Arc::new(self);
        let state = Arc::clone(&poller.recording.state);
        let mut round = Round::new(poller.seed);
        state.readiness.until_synced().await;
        while !stop.is_cancelled() {
            let now = state.leadership.now();
            if !state.leadership.leads() {
                if !round.schedule.is_empty() {
                    round = Round::new(poller.seed);
                }
                stop.run_until_cancelled(tokio::time::sleep(TICK)).await;
                continue;
            }
            let revision = state.index.read().revision();
            if round.planning.is_none() && (round.revision != Some(revision) || now >= round.replan_at) {
                round.planning = Some((revision, Arc::clone(&poller).plan(Arc::clone(&round.discovered)).boxed()));
            }
            let wait = round.start_due(&poller, now);
            tokio::select! {
                () = stop.cancelled() => break,
                () = tokio::time::sleep(wait) => {}
                Some((revision, plan)) = OptionFuture::from(round.planning.as_mut().map(|(revision, plan)| plan.map(|plan| (*revision, plan)))) => {
                    round.planning = None;
                    round.adopt(&poller, plan, revision, state.leadership.now());
                }
                Some(ended) = round.scans.join_next_with_id(), if !round.scans.is_empty() => round.ended(&poller, ended, state.leadership.now()),
            }
        }
        round.scans.shutdown().await;
        Ok(())
    }
}

/// The loop's state for as long as this process leads.
struct Round {
    schedule: Schedule<Key>,
    plan: HashMap<Key, Planned>,
    /// What was read, for the next time.
    read: HashMap<Key, Listed>,
    discovered: Arc<Discovered>,
    scans: JoinSet<Scanned>,
    /// The key, and the releases that are looked up by the scan.
    running: HashMap<tokio::task::Id, (Key, Discovered)>,
    revision: Option<u64>,
    replan_at: Duration,
    planning: Option<(u64, BoxFuture<'static, Plan>)>,
}

impl Round {
    fn new(seed: u64) -> Self {
        Self {
            schedule: Schedule::new(seed),
            plan: HashMap::new(),
            read: HashMap::new(),
            discovered: Arc::default(),
            scans: JoinSet::new(),
            running: HashMap::new(),
            revision: None,
            replan_at: Duration::ZERO,
            planning: None,
        }
    }

    /// Starts what is due; answers how long nothing is.
    fn start_due(&mut self, poller: &Arc<Poller>, now: Duration) -> Duration {
        while self.scans.len() < AT_ONCE {
            match self.schedule.next(now) {
                Next::Idle => break,
                Next::Wait(until) => return until.saturating_sub(now).min(TICK),
                Next::Scan(key, late) => {
                    let Some(planned) = self.plan.get(&key).cloned() else {
                        self.schedule.done(now, &key, Outcome::Answered);
                        self.schedule.remove(&key);
                        continue;
                    };
                    poller.recording.metrics.polling_lateness.observe(late.as_secs_f64());
                    let known = self.read.remove(&key);
                    let look_ups = planned.look_ups.clone();
                    let task = self.scans.spawn(Arc::clone(poller).scan(key.clone(), planned, known));
                    self.running.insert(task.id(), (key, look_ups));
                }
            }
        }
        TICK
    }

    fn adopt(&mut self, poller: &Poller, plan: Plan, revision: u64, now: Duration) {
        let Plan { scans, releases } = plan;
        let gone: Vec<Key> = self.schedule.keys().filter(|key| !scans.contains_key(*key)).cloned().collect();
        for key in gone {
            self.schedule.remove(&key);
            self.read.remove(&key);
        }
        for (key, planned) in &scans {
            self.set(poller, key, planned.period(), now);
        }
        Arc::make_mut(&mut self.discovered).retain(|key, _| releases.contains(key));
        self.plan = scans;
        self.revision = Some(revision);
        self.replan_at = now + REPLAN;
    }

    fn ended(&mut self, poller: &Poller, ended: Result<(tokio::task::Id, Scanned), tokio::task::JoinError>, now: Duration) {
        let (id, scanned) = match ended {
            Ok((id, scanned)) => (id, scanned),
            Err(error) => {
                tracing::error!(%error, "a scan ended in a fault of Headwind's own");
                (error.id(), Scanned { outcome: Outcome::Refused, listed: None, moved: false, missed: HashSet::new() })
            }
        };
        let Some((key, mut look_ups)) = self.running.remove(&id) else { return };
        if scanned.moved {
            self.replan_at = now;
        } else if scanned.outcome == Outcome::Answered {
            look_ups.retain(|release, _| !scanned.missed.contains(release));
            self.looked_up(poller, &key, look_ups, now);
        }
        self.schedule.done(now, &key, scanned.outcome);
        if let Some(listed) = scanned.listed.filter(|_| self.plan.contains_key(&key)) {
            self.read.insert(key, listed);
        }
    }

    /// The releases of the scan, which is about to be reported, were looked up. One that nobody polls is not
    /// made again, another from now on at its own interval.
    fn looked_up(&mut self, poller: &Poller, key: &Key, look_ups: Discovered, now: Duration) {
        if look_ups.is_empty() {
            return;
        }
        if let Some(planned) = self.plan.get_mut(key) {
            planned.look_ups.retain(|release, now| look_ups.get(release) != Some(now));
        }
        Arc::make_mut(&mut self.discovered).extend(look_ups);
        match self.plan.get(key) {
            Some(planned) if planned.interval.is_none() && planned.look_ups.is_empty() => {
                self.plan.remove(key);
                self.schedule.remove(key);
            }
            Some(planned) => self.set(poller, key, planned.period(), now),
            None => {}
        }
    }

    fn set(&mut self, poller: &Poller, key: &Key, period: Duration, now: Duration) {
        let host = key.0.host();
        self.schedule.set(now, key, host, poller.asking.client.at_once(host), period);
    }
}
