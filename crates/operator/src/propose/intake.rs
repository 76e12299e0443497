//! The bounded intake of claims, and its workers.
//!
//! A claim about an unused repository ends in the caller's own task, after one look-up in the index. Any other claim
//! takes a place among the [`Claims`](super::claims::Claims). One loop starts the due tasks: claims for workers,
//! look-ups in registries, and retries of unrecorded updates.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use headwind_core::claim::Claim;
use jiff::Timestamp;
use tokio::task::{Id, JoinSet};
use tokio_util::sync::CancellationToken;

use super::Inbox;
use super::claims::{After, Arrived, Full, Host, LookUp, LookedUp, Work};
use super::proposer::Proposer;
use super::unrecorded::Retry;
use super::verifier::{self, LookUps, Verifier};
use crate::observe::state::State;
use crate::report::metrics::Metrics;

/// Maximum number of concurrent claims, each of another origin.
const WORKERS: usize = 64;
/// Maximum number of concurrent look-ups, over all hosts.
const LOOK_UPS: usize = 256;
/// Maximum number of concurrent retries, each in another namespace.
const RETRIES: usize = 16;
/// Interval for removing claims that wait too long.
const SWEEP: Duration = Duration::from_secs(30);

/// The result of offering the claims of one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Offered {
    /// Claims about repositories that a workload uses. They are processed now.
    pub taken: usize,
    /// Claims about repositories that no workload uses.
    pub unused: usize,
}

/// The intake.
#[derive(Clone)]
pub(crate) struct Intake {
    pub(crate) inbox: Arc<Inbox>,
    pub(crate) state: Arc<State>,
    pub(crate) metrics: Metrics,
}

impl Intake {
    /// Accepts all of the claims or none.
    pub(crate) fn offer(&self, claims: Vec<Claim>, proven: bool) -> Result<Offered, Full> {
        let all = claims.len();
        // Before the caches are complete, no repository is known to be unused.
        let used: Vec<Claim> = if self.state.readiness.synced() {
            let index = self.state.index.read();
            claims.into_iter().filter(|claim| index.is_used(&claim.origin)).collect()
        } else {
            claims
        };
        let offered = Offered { taken: used.len(), unused: all - used.len() };
        // Nothing is queued for unused repositories: registries push there all day, and the workers need not wake up.
        let merged = if used.is_empty() { 0 } else { self.queue(used, proven)? };
        self.metrics.webhook_events.inc_by(all as u64);
        self.metrics.webhook_events_processed.inc_by((offered.unused + merged) as u64);
        Ok(offered)
    }

    /// Queues the claims, and wakes the workers. Returns the number of claims that were merged with earlier ones.
    fn queue(&self, claims: Vec<Claim>, proven: bool) -> Result<usize, Full> {
        let at = Timestamp::now();
        let arrived = claims.into_iter().map(|claim| Arrived { claim, at, proven }).collect();
        let merged = self.inbox.claims.lock().offer(arrived, self.state.leadership.now())?;
        self.inbox.changed.notify_one();
        Ok(merged)
    }

    /// Waits until every claim is recorded, except those that wait for a registry, or that the API server rejects.
    pub(crate) async fn drained(&self) {
        loop {
            let done = self.inbox.done.notified();
            if self.inbox.claims.lock().is_idle() && self.inbox.unrecorded.lock().is_idle() {
                return;
            }
            done.await;
        }
    }
}

/// The job of a task.
#[derive(Debug, Clone)]
enum Job {
    Work(Work),
    LookUp(LookUp),
    Retry(Retry),
    /// Report a claim that was not confirmed.
    GiveUp(LookUp),
}

/// The result of a job, if it matters.
#[derive(Debug, Default)]
enum Found {
    #[default]
    Nothing,
    LookUps(Vec<(super::claims::Lane, bool)>),
    LookedUp(LookedUp, Host),
}

/// The workers.
pub(crate) struct Workers {
    pub(crate) intake: Intake,
    pub(crate) proposer: Proposer,
    pub(crate) verifier: Verifier,
}

/// The running tasks, and the number of each kind.
#[derive(Default)]
struct Running {
    tasks: JoinSet<Found>,
    jobs: HashMap<Id, Job>,
    works: usize,
    look_ups: usize,
    retries: usize,
}

impl Running {
    fn count(&mut self, job: &Job) -> &mut usize {
        match job {
            Job::Work(_) => &mut self.works,
            Job::LookUp(_) | Job::GiveUp(_) => &mut self.look_ups,
            Job::Retry(_) => &mut self.retries,
        }
    }
}

impl Workers {
    /// Runs until `stop`.
    pub(crate) async fn run(self, stop: CancellationToken) -> Result<(), Infallible> {
        let state = Arc::clone(&self.intake.state);
        let workers = Arc::new(self);
        stop.run_until_cancelled(async {
            state.readiness.until_synced().await;
            let mut running = Running::default();
            let mut sweep = tokio::time::interval(SWEEP);
            loop {
                let wait = workers.start_due(&mut running, state.leadership.now());
                tokio::select! {
                    () = workers.intake.inbox.changed.notified() => {}
                    () = tokio::time::sleep(wait) => {}
                    _ = sweep.tick() => workers.sweep(&mut running, state.leadership.now()),
                    Some(ended) = running.tasks.join_next_with_id() => workers.ended(&mut running, ended, state.leadership.now()),
                }
            }
        })
        .await;
        Ok(())
    }

    /// Starts the due jobs. Returns the time until the next one.
    fn start_due(self: &Arc<Self>, running: &mut Running, now: Duration) -> Duration {
        let Inbox { claims, unrecorded, .. } = &*self.intake.inbox;
        while running.works < WORKERS {
            let Some(work) = claims.lock().next() else { break };
            self.start(running, Job::Work(work));
        }
        while running.look_ups < LOOK_UPS {
            let Some(look_up) = claims.lock().next_look_up(now) else { break };
            self.start(running, Job::LookUp(look_up));
        }
        while running.retries < RETRIES {
            let Some(retry) = unrecorded.lock().next(now) else { break };
            self.start(running, Job::Retry(retry));
        }
        // If no task can be started, the end of a task wakes the loop.
        let look_up = if running.look_ups < LOOK_UPS { claims.lock().wake(now) } else { None };
        let retry = if running.retries < RETRIES { unrecorded.lock().wake() } else { None };
        look_up.into_iter().chain(retry).min().map_or(SWEEP, |due| due.saturating_sub(now))
    }

    fn start(self: &Arc<Self>, running: &mut Running, job: Job) {
        *running.count(&job) += 1;
        let workers = Arc::clone(self);
        let task = match job.clone() {
            Job::Work(work) => running.tasks.spawn(async move { workers.work(&work).await }),
            Job::LookUp(look_up) => running.tasks.spawn(async move {
                let (result, host) = Box::pin(workers.verifier.look_up(&workers.proposer, &look_up)).await;
                Found::LookedUp(result, host)
            }),
            Job::Retry(retry) => running.tasks.spawn(async move {
                workers.proposer.retry(&retry).await;
                Found::Nothing
            }),
            Job::GiveUp(look_up) => running.tasks.spawn(async move {
                Box::pin(workers.verifier.give_up(&workers.proposer, &look_up)).await;
                Found::Nothing
            }),
        };
        running.jobs.insert(task.id(), job);
    }

    async fn work(&self, work: &Work) -> Found {
        let mut look_ups = LookUps::new();
        self.proposer.claim(verifier::decided(&self.proposer, &work.arrived, &mut look_ups)).await;
        Found::LookUps(look_ups.into_iter().collect())
    }

    fn ended(self: &Arc<Self>, running: &mut Running, ended: Result<(Id, Found), tokio::task::JoinError>, now: Duration) {
        let (id, found) = ended.unwrap_or_else(|error| {
            tracing::error!(%error, "internal error: an intake task failed");
            (error.id(), Found::Nothing)
        });
        let Some(job) = running.jobs.remove(&id) else { return };
        *running.count(&job) -= 1;
        let Inbox { claims, unrecorded, .. } = &*self.intake.inbox;
        let after = match (&job, found) {
            (Job::Work(work), Found::LookUps(look_ups)) => claims.lock().worked(work, look_ups, now),
            (Job::Work(work), Found::Nothing | Found::LookedUp(..)) => claims.lock().worked(work, [], now),
            (Job::LookUp(look_up), Found::LookedUp(result, host)) => claims.lock().looked_up(look_up, result, host, now),
            (Job::LookUp(look_up), Found::Nothing | Found::LookUps(_)) => {
                claims.lock().looked_up(look_up, LookedUp::Answered, Host::NotAsked, now)
            }
            (Job::Retry(retry), _) => {
                unrecorded.lock().tried(retry);
                After::Waits
            }
            (Job::GiveUp(_), _) => After::Waits,
        };
        if let Job::LookUp(look_up) = job {
            self.follow(running, look_up, after);
        } else {
            self.count(after);
        }
        self.intake.inbox.done.notify_waiters();
    }

    /// Removes claims that wait too long, and unrecorded updates of workloads that are gone.
    fn sweep(self: &Arc<Self>, running: &mut Running, now: Duration) {
        let expired = self.intake.inbox.claims.lock().expire(now);
        for (look_up, after) in expired {
            self.follow(running, look_up, after);
        }
        self.intake.inbox.unrecorded.lock().retain(|(workload, _)| self.intake.state.index.read().workload(workload).is_some());
    }

    /// Reports a claim that was not confirmed.
    fn follow(self: &Arc<Self>, running: &mut Running, look_up: LookUp, after: After) {
        self.count(after);
        if let After::Dropped { .. } = after {
            self.start(running, Job::GiveUp(look_up));
        }
    }

    fn count(&self, after: After) {
        if matches!(after, After::Done | After::Dropped { done: true }) {
            self.intake.metrics.webhook_events_processed.inc();
        }
    }
}
