//! The reconciler: *observe → next → perform*, repeated until there is nothing to do.
//!
//! Runs on the leader only, one pass at a time for a workload. It has no rules of its own:
//! `headwind_core::request::next` decides what to do, and [`crate::act::apply`] writes the change.
//!
//! If a write meets a newer object (409, or a patch whose tests fail), the reconciler reads that object and decides
//! again. If a write gets no response, it decides again from the current state.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use headwind_core::backoff::Backoff;
use headwind_core::explain;
use headwind_core::gate::Limits;
use headwind_core::reason::{Reason, Reasoned};
use headwind_core::request::refusal::{Refusal, refused};
use headwind_core::request::{Apply, Observed, Phase, PodName, Presence, Request, StatusWrite, Step, next};
use headwind_core::rollout::pod::{PodSnapshot, RefusedEviction};
use headwind_core::settings::{Annotations, Settings};
use headwind_core::workload::{Container, Workload, WorkloadKey};
use headwind_k8s::update_request::UpdateRequest;
use jiff::Timestamp;
use kube::ResourceExt as _;

use crate::act::apply::Outcome;
use crate::act::live::LiveWorkload;
use crate::act::reads::{PAUSE, Reads};
use crate::act::reconciler::{Observation, Reconciler};
use crate::clock::now;
use crate::cluster::object::ObjectVersion;
use crate::cluster::{Class, Eviction, Failure};
use crate::observe::requests::{Finished, Held};
use crate::report::metrics::ClassLabel;

/// Maximum number of steps of one pass, and of steps for one request. No valid sequence needs more, so a bug cannot
/// cause an endless loop.
const STEPS: usize = 200;
const STEPS_OF_ONE: usize = 8;
/// Maximum computing time of one pass. Then the workload goes to the end of the queue.
const SLICE: Duration = Duration::from_millis(200);
/// The backoff after consecutive failures.
const BACKOFF: Backoff = Backoff::new(Duration::from_millis(500), Duration::from_mins(1));

/// The number of steps of one pass.
#[derive(Default)]
struct StepCount {
    taken: usize,
    /// The largest number of requests of the workload during the pass. Pruning lowers the number.
    requests: usize,
    /// The time spent on computing, without calls.
    computed: Duration,
}

impl StepCount {
    /// Counts one more step. Returns false at the limit.
    fn take(&mut self, requests: usize) -> bool {
        self.requests = self.requests.max(requests);
        let allowed = self.taken < STEPS + STEPS_OF_ONE * self.requests;
        self.taken += usize::from(allowed);
        allowed
    }

    /// Returns true if the pass should let others continue. Anyone who may create requests can make a step expensive.
    fn is_long(&self) -> bool {
        self.computed >= SLICE
    }
}

impl Reconciler {
    /// Runs one pass over a workload. Returns when to reconcile it again without an event.
    pub(crate) async fn pass(&self, key: WorkloadKey) -> Option<Duration> {
        if !(self.state.leadership.leads() && self.state.readiness.synced()) {
            // A new leader, and one whose caches became complete, reconciles every workload.
            return None;
        }
        let started = Instant::now();
        // The many events of a rollout must not repeat a failing pass immediately.
        let not_before = self.failures.lock().get(&key).map(|(_, until)| *until);
        if let Some(wait) = not_before.and_then(|until| until.checked_duration_since(started)).filter(|wait| !wait.is_zero()) {
            return Some(wait);
        }
        // The last pass ended before the result of its patch was known, or another leader patched the workload.
        if self.state.limits.is_starting(&key) {
            self.free_slot(&key).await;
        }
        let ended = self.steps(&key).await;
        match &ended {
            // The requests show what was applied.
            Ok(_) => self.state.limits.started(&key),
            // Without an answer, the patch may still be on its way.
            Err(failure) if failure.class == Class::NoAnswer => {}
            // The workload must not keep its slot until the retry.
            Err(_) if self.state.limits.is_starting(&key) => self.free_slot(&key).await,
            Err(_) => {}
        }
        self.metrics.reconcile_duration.observe(started.elapsed().as_secs_f64());
        match ended {
            Ok(wait) => {
                self.failures.lock().remove(&key);
                wait
            }
            Err(failure) => Some(self.failed(&key, &failure)),
        }
    }

    /// Stops counting the workload as one that is rolled out, unless it carries an update that no request shows yet.
    /// Without an answer of the API server it still counts.
    async fn free_slot(&self, key: &WorkloadKey) {
        if self.read_live(key).await.is_ok() && !self.state.is_applied(key) {
            self.state.limits.started(key);
        }
    }

    async fn steps(&self, key: &WorkloadKey) -> Result<Option<Duration>, Failure> {
        let mut reads = Reads::default();
        let mut steps = StepCount::default();
        let mut history_limit = self.history_limit;
        loop {
            let begun = Instant::now();
            let observation = self.observe(key, &reads);
            if !steps.take(observation.requests.len()) {
                break;
            }
            let now = now();
            let requests: Vec<&Request> = observation.requests.iter().collect();
            let snapshot = self.snapshots.lock().get(key).cloned();
            let confirmations = self.confirmer.as_ref().map(|confirmer| confirmer.answers(key));
            let decide = |limits: &Limits| {
                next(&Observed {
                    limits,
                    presence: presence(&observation, reads.live),
                    defaults: &observation.defaults,
                    requests: &requests,
                    now,
                    history_limit,
                    snapshot: snapshot.as_deref(),
                    seen_since: self.state.observed_since.since(),
                    clock_stepped: self.state.clock.stepped(now),
                    confirmations: confirmations.as_ref(),
                })
            };
            let step = self.decide(key, now, decide);
            steps.computed += begun.elapsed();
            // The next pass continues from what is stored. It does not see what only this pass has read.
            let is_stored =
                matches!(&step, Step::Delete { .. }) || matches!(&step, Step::Write(write) if observation.object(&write.request).is_some());
            if !self.state.leadership.leads() {
                return Ok(None);
            }
            match step {
                Step::Requeue(until) => {
                    self.early_reads.forget(&key.namespace, requests.iter().map(|request| request.name.as_str()));
                    if !requests.iter().any(|request| request.status.phase == Phase::RollingOut) {
                        self.snapshots.lock().remove(key);
                    }
                    let wait = until.map(|until| span(now, until));
                    let Some(confirmer) = &self.confirmer else { return Ok(wait) };
                    let proposed = confirmer.propose(key, observation.workload.as_deref(), &requests, now);
                    confirmer.forget(key);
                    return Ok(if proposed { wait } else { wait.into_iter().chain([BACKOFF.max]).min() });
                }
                // The answer starts the next pass.
                Step::Confirm(confirm) => {
                    if let Some((confirmer, workload)) = self.confirmer.as_ref().zip(observation.workload.as_ref()) {
                        confirmer.start(workload, confirm);
                    }
                    return Ok(None);
                }
                Step::Read => reads.take(self.read_live(key).await?),
                Step::InspectPods => self.snapshot(key).await?,
                Step::Evict(pod) => self.evict(key, &observation, &pod).await?,
                Step::Write(write) if is_stored => self.write(&observation, &write, now).await?,
                // Only a completely read object may be written: read it, and decide again.
                Step::Write(write) => {
                    let read = self.read_request(&key.namespace, &write.request).await?;
                    reads.finished.extend(read.map(|object| (write.request, Arc::new(object))));
                }
                Step::Delete { request } => match self.delete(key, &request).await {
                    // The workload must not be slow because its record is long.
                    Err(failure) if matches!(failure.class, Class::Forbidden | Class::Invalid) => {
                        tracing::warn!(request.namespace = key.namespace, request.name = request, error = %failure, "finished requests are kept: the API server refuses to delete them");
                        history_limit = usize::MAX;
                    }
                    deleted => deleted?,
                },
                Step::Apply(apply) if self.read_untested(key, &observation, &apply, &mut reads).await? => {}
                Step::Apply(apply) => match self.apply(key, &observation, &apply).await? {
                    Outcome::Moved if reads.moved() => {
                        tracing::info!(workload.kind = %key.kind, workload.namespace = key.namespace, workload.name = key.name, "the workload changes faster than it can be patched; trying again in a moment");
                        return Ok(Some(PAUSE));
                    }
                    Outcome::Applied | Outcome::Moved => {}
                    Outcome::Refused(refusal) => self.refuse(&observation, &apply, &refusal, now).await?,
                },
            }
            // While the update of the workload is being applied, the end of the pass would free its slot too early.
            if is_stored && steps.is_long() && !self.state.limits.is_starting(key) {
                return Ok(Some(Duration::ZERO));
            }
            tokio::task::yield_now().await;
        }
        tracing::error!(workload.kind = %key.kind, workload.namespace = key.namespace, workload.name = key.name, "stopped after {} steps in one pass; this is a bug in Headwind", steps.taken);
        Ok(Some(BACKOFF.max))
    }

    /// Decides with the limits of the moment. If rollouts are limited, decisions to start one are made one after another,
    /// and each counts for the next one at once. Other decisions, which may take long, do not wait for each other.
    fn decide(&self, key: &WorkloadKey, now: Timestamp, next: impl Fn(&Limits) -> Step) -> Step {
        if !self.state.limits.are_limited() {
            return next(&self.state.limits_with(&BTreeSet::new(), now));
        }
        let starting = self.state.limits.starting().clone();
        let step = next(&self.state.limits_with(&starting, now));
        if !matches!(step, Step::Apply(_)) {
            return step;
        }
        let mut starting = self.state.limits.starting();
        let step = next(&self.state.limits_with(&starting, now));
        if matches!(step, Step::Apply(_)) {
            starting.insert(key.clone());
        }
        step
    }

    /// Takes a snapshot of the workload's pods. The snapshot says if Headwind may not list pods. Without a response
    /// there is no snapshot.
    async fn snapshot(&self, key: &WorkloadKey) -> Result<(), Failure> {
        let Some(workload) = self.read_workload(key).await? else { return Ok(()) };
        let pods = match self.cluster.pods(&workload).await {
            Ok(pods) => Some(pods),
            Err(failure) if failure.class == Class::Forbidden => {
                self.events.warn(&workload, Reason::PodsForbidden, "pods", &format!("{}: {failure}", Reason::PodsForbidden.sentence()));
                None
            }
            Err(failure) => return Err(failure),
        };
        self.metrics.health_checks.inc();
        let mut snapshots = self.snapshots.lock();
        let snapshot = PodSnapshot::new(now(), workload.generation, pods, snapshots.get(key).map(|before| &**before));
        snapshots.insert(key.clone(), Arc::new(snapshot));
        Ok(())
    }

    /// Evicts a pod of an older version that blocks the rollout. A refusal is stored in the snapshot: the rollout is
    /// still watched, and its message contains the refusal.
    async fn evict(&self, key: &WorkloadKey, observation: &Observation, pod: &PodName) -> Result<(), Failure> {
        let Some(workload) = &observation.workload else { return Ok(()) };
        match self.cluster.evict(&key.namespace, pod).await? {
            Eviction::Done => {
                self.snapshots.lock().remove(key);
                let note = format!("{}: {}", pod.name, Reason::PodUnblocked.sentence());
                tracing::info!(workload.kind = %key.kind, workload.namespace = key.namespace, workload.name = key.name, pod.name = pod.name, "{note}");
                self.events.normal(workload, Reason::PodUnblocked, &note);
            }
            Eviction::Refused { why, again } => {
                self.events.warn(workload, Reason::PodStuck, &pod.uid, &format!("{}: {}: {why}", pod.name, Reason::PodStuck.sentence()));
                let again = now().checked_add(again).unwrap_or(Timestamp::MAX);
                if let Some(snapshot) = self.snapshots.lock().get_mut(key) {
                    Arc::make_mut(snapshot).refused = Some(RefusedEviction { uid: pod.uid.clone(), why, again });
                }
            }
        }
        Ok(())
    }

    fn observe(&self, key: &WorkloadKey, reads: &Reads) -> Observation {
        let (workload, defaults, odd) = {
            let index = self.state.index.read();
            (index.workload(key), index.defaults(&key.namespace), index.odd(key).cloned())
        };
        let defaults = reads.defaults.clone().unwrap_or(defaults);
        if let Some(workload) = &workload {
            self.warn_about_faults(workload, &defaults);
        }
        if let Some(odd) = &odd {
            self.events.undecodable(key, odd);
        }
        let requests = self.state.requests.read();
        let open: Vec<Arc<UpdateRequest>> = requests.open_of(key).to_vec();
        let mut objects = open.clone();
        let read = |record: &Finished| {
            let whole = reads.finished.get(&record.name()).filter(|object| ObjectVersion::of(object) == record.version());
            objects.extend(whole.cloned());
            whole.map_or_else(|| record.read(), |object| object.read())
        };
        let finished: Vec<Request> = requests.finished_of(key).iter().map(read).collect();
        // Open requests are large: they are read without the lock.
        drop(requests);
        let requests = open.iter().map(|object| object.read()).chain(finished).collect();
        Observation { workload, odd: odd.is_some(), defaults, objects, requests }
    }

    /// Reports faults in the workload's annotations, once for the same faults.
    fn warn_about_faults(&self, workload: &Workload, defaults: &Annotations) {
        let faults: BTreeSet<String> = workload
            .containers
            .iter()
            .filter_map(|container| Settings::resolve(defaults, &workload.annotations, &container.name).err())
            .flatten()
            .map(|fault| fault.to_string())
            .collect();
        if !faults.is_empty() {
            let all = faults.into_iter().collect::<Vec<_>>().join("; ");
            self.events.warn(
                workload,
                Reason::InvalidAnnotation,
                &all,
                &format!("{all}; Headwind uses policy none for the containers that this concerns until the value is corrected"),
            );
        }
        let channels: BTreeSet<String> = workload
            .containers
            .iter()
            .filter_map(|container| Settings::notify_fault(defaults, &workload.annotations, &container.name))
            .map(|fault| fault.to_string())
            .collect();
        if !channels.is_empty() {
            let all = channels.into_iter().collect::<Vec<_>>().join("; ");
            let note = format!("{all}; Headwind sends notifications to the known channels, or to all if it knows none, and updates go on");
            self.events.warn(workload, Reason::InvalidAnnotation, &all, &note);
        }
        if self.state.readiness.synced() {
            self.warn_about_skipped(workload, defaults);
        }
        for unknown in headwind_core::workload::unknown(&workload.annotations, workload) {
            self.events.warn(workload, unknown.reason, &unknown.keys, &unknown.message);
        }
    }

    /// Reports why a release, or a workload with an owner, gets no updates although its policy asks for them. Reports each
    /// reason once. A suspended release is not reported: a person suspended it.
    fn warn_about_skipped(&self, workload: &Workload, defaults: &Annotations) {
        for container in &workload.containers {
            let Ok(settings) = Settings::resolve(defaults, &workload.annotations, &container.name) else { continue };
            let skipped = container.skip_reason(&settings).or_else(|| owned(workload, defaults, container));
            if let Some(Reasoned { reason, message }) = skipped.filter(|skipped| skipped.reason != Reason::Suspended) {
                self.events.warn(workload, reason, &message, &format!("no updates: {message}"));
            }
        }
    }

    async fn write(&self, observation: &Observation, write: &StatusWrite, now: Timestamp) -> Result<(), Failure> {
        let Some(object) = observation.object(&write.request) else { return Ok(()) };
        match self.cluster.replace_status(&object.with_status(&write.status, now)).await {
            Ok(written) => {
                self.state.record(written);
                Ok(())
            }
            // A 404 may also mean that the kind is not served now.
            Err(failure) if matches!(failure.class, Class::Conflict | Class::NotFound) => {
                self.read_request(&object.namespace().unwrap_or_default(), &write.request).await.map(|_| ())
            }
            Err(failure) => Err(failure),
        }
    }

    async fn refuse(&self, observation: &Observation, apply: &Apply, refusal: &Refusal, now: Timestamp) -> Result<(), Failure> {
        for change in &apply.changes {
            let Some(object) = observation.object(&change.request) else { continue };
            let write = refused(&object.read(), change.kind, refusal, apply.changes.len() == 1, now);
            self.write(observation, &write, now).await?;
        }
        Ok(())
    }

    async fn delete(&self, key: &WorkloadKey, request: &str) -> Result<(), Failure> {
        let held = self.state.requests.read().get(&key.namespace, request).map(Held::version);
        let Some(version) = held else { return Ok(()) };
        match self.cluster.delete_request(&key.namespace, request, &version).await {
            Ok(()) => {
                self.forget(&key.namespace, request);
                Ok(())
            }
            Err(failure) if failure.class == Class::Conflict => self.read_request(&key.namespace, request).await.map(|_| ()),
            Err(failure) => Err(failure),
        }
    }

    /// Reads the request into the store and returns it.
    async fn read_request(&self, namespace: &str, name: &str) -> Result<Option<UpdateRequest>, Failure> {
        let read = self.cluster.request(namespace, name).await?;
        match &read {
            Some(fresh) => {
                self.state.record(fresh.clone());
            }
            None => self.forget(namespace, name),
        }
        Ok(read)
    }

    fn forget(&self, namespace: &str, name: &str) {
        self.state.requests.write().remove(&(namespace.to_owned(), name.to_owned()));
    }

    fn failed(&self, key: &WorkloadKey, failure: &Failure) -> Duration {
        self.metrics.reconcile_errors.get_or_create(&ClassLabel { class: failure.class.as_str() }).inc();
        let mut failures = self.failures.lock();
        let tries = failures.get(key).map_or(1, |(tries, _)| tries.saturating_add(1));
        let wait = failure.retry_after.unwrap_or_else(|| BACKOFF.pause(tries - 1));
        failures.insert(key.clone(), (tries, Instant::now() + wait));
        drop(failures);
        tracing::warn!(
            workload.kind = %key.kind, workload.namespace = key.namespace, workload.name = key.name,
            error = %failure, class = failure.class.as_str(), tries, wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX), "failed to reconcile the workload; retrying"
        );
        wait
    }
}

/// Returns why the container gets no updates, if the owner of its workload is the reason.
fn owned(workload: &Workload, defaults: &Annotations, container: &Container) -> Option<Reasoned> {
    let owner = workload.owner.as_deref()?;
    explain::out(defaults, workload, container).filter(|out| out.reason == owner.manager.reason())
}

fn span(now: Timestamp, until: Timestamp) -> Duration {
    Duration::try_from(until.duration_since(now)).unwrap_or(Duration::ZERO)
}

/// Returns the presence of the workload, from the cache and from a live read in this pass.
fn presence(observation: &Observation, live: Option<LiveWorkload>) -> Presence<'_> {
    match (&observation.workload, live) {
        (Some(workload), read) => Presence::Present { workload, live: read == Some(LiveWorkload::Present) },
        (None, _) if observation.odd => Presence::Unreadable,
        (None, Some(LiveWorkload::Gone)) => Presence::Gone,
        (None, Some(LiveWorkload::Unreadable)) => Presence::Unreadable,
        (None, Some(LiveWorkload::Present) | None) => Presence::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The core needs at most two steps for each request and two more (`a_hundred_requests_take_at_most_two_steps_each`).
    #[rstest::rstest]
    #[case::none(0)]
    #[case::in_the_field(119)]
    #[case::many(1000)]
    fn a_valid_sequence_does_not_reach_the_limit_of_steps(#[case] requests: usize) {
        let mut steps = StepCount::default();
        // Each request ends, then all are pruned.
        for left in std::iter::repeat_n(requests, requests + 2).chain((0..requests).rev()) {
            assert!(steps.take(left), "step {} with {left} of {requests} requests left", steps.taken);
        }
    }

    /// Thousands of requests of one workload must not keep a place among the running passes.
    #[test]
    fn a_pass_that_computes_for_long_lets_others_continue() {
        let mut steps = StepCount { computed: SLICE / 2, ..StepCount::default() };
        assert!(!steps.is_long());
        steps.computed += SLICE / 2;
        assert!(steps.is_long());
    }

    #[test]
    fn a_pass_has_an_end() {
        let mut steps = StepCount::default();
        assert!((0..10_000).any(|_| !steps.take(3)));
    }
}
