//! Polling registries: the loop around the schedule.
//!
//! A scan is one origin (a registry's repository, a Helm repository) with one set of credentials. It serves every
//! workload that uses them. The plan of scans is made from the index. It is made again when something in it changes,
//! and once a minute, because changes of secrets are not watched. Only the leader polls. The results of a scan take the
//! same path as those of a webhook.
//!
//! ```text
//! index ──plan──> schedule ○ ──due──> scan ─┬─ versions ─> each workload's own policy ─┬─> record
//!   └ pull secrets ──> access, lane         └─ digests  ─> those that follow a tag    ─┘
//! ```
//!
//! Scans run in a separate thread: however much a registry sends and however many workloads follow it, the lease, the
//! reconciler and the ports stay responsive.
//!
//! The settings may change at any time: the loop makes the plan again and keeps the schedule, so that no scan is lost or
//! repeated.
//!
//! A deleted tag, an empty or incomplete list or an error never triggers an update. A digest that is seen behind a tag
//! for the first time is recorded on the workload, not rolled out: it may not be newer than what runs.

mod filter;
mod followers;
mod look_ups;
mod plan;
mod scan;
mod schedule;
mod seen;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use headwind_core::artifact::Origin;
use headwind_core::reason::Reason;
use headwind_core::workload::{Workload, WorkloadKey};
use headwind_registry::{Fingerprint, Lane};
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use self::look_ups::{LookUps, Subject};
use self::plan::{Plan, Planned};
use self::schedule::{Next, Outcome, Schedule, Wish};
use crate::observe::index::Revision;
use crate::propose::Proposer;
use crate::registries::asking::Asking;

/// Interval for checking whether something changed.
const TICK: Duration = Duration::from_millis(500);
/// Interval for making the plan again without a change in the index.
const REPLAN: Duration = Duration::from_mins(1);
/// Minimum time between two plans.
const REST: Duration = Duration::from_millis(500);
/// Maximum number of concurrent scans, over all hosts.
const SLOTS: usize = 256;

/// An origin, and the fingerprint of the credentials and the transport.
type Key = (Origin, Fingerprint);

/// The settings for polling registries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Polling {
    /// The default interval of a workload. `None` if registries are not polled.
    pub interval: Option<Duration>,
    /// Minimum interval that a workload may request.
    pub min_interval: Duration,
    /// True if the charts of new and changed releases are looked up.
    pub discovery: bool,
}

/// The poller.
pub(crate) struct Poller {
    pub(crate) proposer: Proposer,
    pub(crate) asking: Arc<Asking>,
    /// The current settings.
    pub(crate) settings: watch::Receiver<Polling>,
    /// The seed that spreads the scans.
    pub(crate) seed: u64,
}

/// The result of a scan.
#[derive(Debug)]
struct Scanned {
    outcome: Outcome,
    /// True if the credentials differ from those in the plan.
    moved: bool,
    /// The first workload that the scan did not reach in time.
    next: Option<WorkloadKey>,
}

impl Scanned {
    fn of(outcome: Outcome) -> Self {
        Self { outcome, moved: false, next: None }
    }
}

impl Poller {
    /// Polls while this process leads, until `stop`.
    pub(crate) async fn run(self, stop: CancellationToken) -> Result<(), std::io::Error> {
        let thread = tokio::runtime::Builder::new_multi_thread().worker_threads(1).thread_name("scans").enable_all().build()?;
        let poller = Arc::new(self);
        poller.polls(&thread, &stop).await;
        // Not dropped: a runtime cannot block inside another one.
        thread.shutdown_background();
        Ok(())
    }

    async fn polls(self: &Arc<Self>, thread: &Runtime, stop: &CancellationToken) {
        let poller = self;
        let state = Arc::clone(&poller.proposer.state);
        let mut round = Round::new(poller.seed);
        state.readiness.until_synced().await;
        while !stop.is_cancelled() {
            let now = state.leadership.now();
            round.follow(poller);
            if !state.leadership.leads() {
                if !round.schedule.is_empty() {
                    round = Round::new(poller.seed);
                    poller.proposer.metrics.polling_scans_running.set(0);
                }
                stop.run_until_cancelled(tokio::time::sleep(TICK)).await;
                continue;
            }
            if round.planning.is_empty() && now >= round.rest_until {
                let revision = round.relevant(state.index.read().revision());
                if round.revision != Some(revision) || now >= round.replan_at {
                    let plan = Arc::clone(poller).plan(Arc::clone(&round.look_ups));
                    round.planning.spawn(async move { (revision, plan.await) });
                }
            }
            let wait = round.start_due(poller, thread, now);
            tokio::select! {
                () = stop.cancelled() => break,
                () = tokio::time::sleep(wait) => {}
                Some(ended) = round.planning.join_next(), if !round.planning.is_empty() => round.planned(poller, ended, state.leadership.now()),
                Some(ended) = round.scans.join_next_with_id(), if !round.scans.is_empty() => round.ended(poller, ended, state.leadership.now()),
            }
        }
        round.scans.shutdown().await;
    }

    /// Returns the current settings.
    fn polling(&self) -> Polling {
        *self.settings.borrow()
    }
}

/// The state of the loop while this process leads.
struct Round {
    /// The settings of the plan that is in effect or is being made.
    polling: Option<Polling>,
    schedule: Schedule<Key, Lane>,
    plan: HashMap<Key, Planned>,
    look_ups: Arc<LookUps>,
    /// The workload that the next scan starts with, if the last one did not reach all.
    next: HashMap<Key, WorkloadKey>,
    /// The requested interval of the workloads whose interval was raised, and reported.
    raised: HashMap<WorkloadKey, Duration>,
    scans: JoinSet<Scanned>,
    /// The key, and the releases that the scan looks up.
    running: HashMap<tokio::task::Id, (Key, HashMap<WorkloadKey, Subject>)>,
    revision: Option<u64>,
    replan_at: Duration,
    rest_until: Duration,
    /// The task that makes the next plan, if any. Dropping it stops the task.
    planning: JoinSet<(u64, Plan)>,
}

impl Round {
    fn new(seed: u64) -> Self {
        Self {
            polling: None,
            schedule: Schedule::new(seed, SLOTS),
            plan: HashMap::new(),
            look_ups: Arc::default(),
            next: HashMap::new(),
            raised: HashMap::new(),
            scans: JoinSet::new(),
            running: HashMap::new(),
            revision: None,
            replan_at: Duration::ZERO,
            rest_until: Duration::ZERO,
            planning: JoinSet::new(),
        }
    }

    /// Adopts changed settings: the next plan follows at once, and the schedule is kept.
    fn follow(&mut self, poller: &Poller) {
        let polling = poller.polling();
        if self.polling == Some(polling) {
            return;
        }
        let interval = polling.interval.unwrap_or_default();
        poller.proposer.metrics.polling_interval.set(i64::try_from(interval.as_secs()).unwrap_or(i64::MAX));
        if self.polling.is_some() {
            tracing::info!(
                enabled = polling.interval.is_some(),
                interval_s = interval.as_secs(),
                discovery = polling.discovery,
                "the settings for polling changed"
            );
        }
        self.polling = Some(polling);
        self.revision = None;
        // A plan that is being made has the old settings.
        self.planning = JoinSet::new();
        self.rest_until = Duration::ZERO;
    }

    /// Returns the part of the index's revision that the plan depends on.
    fn relevant(&self, revision: Revision) -> u64 {
        if self.polling.is_some_and(|polling| polling.interval.is_some()) { revision.all } else { revision.releases }
    }

    /// Starts the due scans. Returns the time until the next one.
    fn start_due(&mut self, poller: &Arc<Poller>, thread: &Runtime, now: Duration) -> Duration {
        let wait = loop {
            match self.schedule.next(now) {
                Next::Idle => break TICK,
                Next::Wait(until) => break until.saturating_sub(now).min(TICK),
                Next::Scan(key, late) => {
                    let Some(planned) = self.plan.get(&key).cloned() else {
                        self.schedule.done(now, &key, Outcome::Answered);
                        self.schedule.remove(&key);
                        continue;
                    };
                    poller.proposer.metrics.polling_lateness.observe(late.as_secs_f64());
                    let look_ups = planned.wanted.look_ups.clone();
                    let next = self.next.remove(&key);
                    let scan = Arc::clone(poller).scan(key.clone(), planned.wanted, next);
                    let task = self.scans.spawn_on(scan, thread.handle());
                    self.running.insert(task.id(), (key, look_ups));
                }
            }
        };
        self.count(poller);
        wait
    }

    fn count(&self, poller: &Poller) {
        poller.proposer.metrics.polling_scans_running.set(i64::try_from(self.running.len()).unwrap_or(i64::MAX));
    }

    /// Adopts a new plan. If its task failed, the current plan stays in effect until the next one.
    fn planned(&mut self, poller: &Poller, ended: Result<(u64, Plan), JoinError>, now: Duration) {
        match ended {
            Ok((revision, plan)) => self.adopt(poller, plan, revision, now),
            Err(error) => {
                tracing::error!(%error, "internal error: the plan of scans failed; retrying");
                self.rest_until = now + REPLAN;
            }
        }
    }

    fn adopt(&mut self, poller: &Poller, plan: Plan, revision: u64, now: Duration) {
        let Plan { scans, releases, raised } = plan;
        self.schedule.retain(now, |key| scans.contains_key(key));
        self.next.retain(|key, _| scans.contains_key(key));
        Arc::make_mut(&mut self.look_ups).retain(&releases);
        for (key, planned) in &scans {
            self.set(poller, key, planned, now);
        }
        self.warn_about_raised(poller, &raised);
        self.plan = scans;
        self.revision = Some(revision);
        self.replan_at = now + REPLAN;
        self.rest_until = now + REST;
    }

    /// Reports once that a workload is polled less often than it requests.
    fn warn_about_raised(&mut self, poller: &Poller, raised: &[(Arc<Workload>, Duration)]) {
        for (workload, wish) in raised.iter().filter(|(workload, wish)| self.raised.get(&workload.key) != Some(wish)) {
            let note = format!(
                "polling-interval {} s is below the minimum of {} s (HEADWIND_POLLING_MIN_INTERVAL); the minimum is used",
                wish.as_secs(),
                poller.polling().shortest().as_secs()
            );
            poller.proposer.events.warn(workload, Reason::PollingIntervalRaised, &format!("{} s", wish.as_secs()), &note);
        }
        self.raised = raised.iter().map(|(workload, wish)| (workload.key.clone(), *wish)).collect();
    }

    fn ended(&mut self, poller: &Poller, ended: Result<(tokio::task::Id, Scanned), JoinError>, now: Duration) {
        let (id, scanned) = match ended {
            Ok((id, scanned)) => (id, scanned),
            Err(error) => {
                tracing::error!(%error, "internal error: a scan failed");
                (error.id(), Scanned::of(Outcome::Refused))
            }
        };
        let Some((key, look_ups)) = self.running.remove(&id) else { return };
        self.count(poller);
        if scanned.moved {
            self.replan_at = now;
        } else if scanned.outcome == Outcome::Answered && scanned.next.is_none() {
            self.looked_up(poller, &key, look_ups, now);
        }
        self.schedule.done(now, &key, scanned.outcome);
        if let Some(next) = scanned.next.filter(|_| self.plan.contains_key(&key)) {
            self.next.insert(key, next);
        }
    }

    /// Records the look-ups of a finished scan. A release that is not polled is not looked up again; any other is
    /// scanned at its own interval from now on.
    fn looked_up(&mut self, poller: &Poller, key: &Key, look_ups: HashMap<WorkloadKey, Subject>, now: Duration) {
        if look_ups.is_empty() {
            return;
        }
        let all = Arc::make_mut(&mut self.look_ups);
        for (release, fingerprint) in look_ups {
            if let Some(planned) = self.plan.get_mut(key)
                && planned.wanted.look_ups.get(&release) == Some(&fingerprint)
            {
                planned.wanted.look_ups.remove(&release);
            }
            all.done(release, fingerprint);
        }
        match self.plan.get(key).cloned() {
            Some(planned) if planned.wanted.interval.is_none() && planned.wanted.look_ups.is_empty() => {
                self.plan.remove(key);
                self.schedule.remove(key);
            }
            Some(planned) => self.set(poller, key, &planned, now),
            None => {}
        }
    }

    fn set(&mut self, poller: &Poller, key: &Key, planned: &Planned, now: Duration) {
        let Planned { lane, wanted } = planned;
        let wish = Wish {
            lane: lane.clone(),
            at_once: poller.asking.client.at_once(lane.host()),
            interval: wanted.period(),
            owners: wanted.owners.iter().cloned().collect(),
        };
        self.schedule.set(now, key, wish);
    }
}

#[cfg(test)]
mod tests;
