//! The judgement itself: remember, look, or a verdict.
//!
//! A *check* is a look at the new pods and at what the status complains of, at most one in a
//! [`RolloutLimits::period`], and only while the rollout does not get on by itself. A check that finds
//! evidence counts as failed; progress, or a whole period in which all was available, sets the count
//! back; anything between does neither. The time-out counts from the last progress, and not before
//! this process has watched for a while: after an outage the controllers need their time as well. A step
//! of the clock gives every rollout its whole time again: what was written down before says nothing of
//! how long it took.
//!
//! Progress is a pod that gets on. A changed number of replicas is none: an autoscaler must not keep a
//! broken version from failing. The pods that it adds count when they serve and are new.

use std::time::Duration;

use jiff::Timestamp;

use super::pod::{Evidence, PodSnapshot};
use super::{Failure, ReplicaProgress, RolloutProblem, RolloutState, RolloutStatus, whole_second};
use crate::reason::Reason;

/// The longest time between two checks.
const PERIOD: Duration = Duration::from_secs(5);
/// How long this process has to have watched before a time-out counts.
const GRACE: Duration = Duration::from_secs(30);
/// How far what was written down may lie ahead of the clock: the clocks of two replicas differ.
const AHEAD: Duration = Duration::from_secs(30);

/// The limits of a rollout, from the annotations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RolloutLimits {
    /// How long it may go without progress.
    pub timeout: Duration,
    /// How many checks in a row have to fail.
    pub retries: u32,
    /// How long all has to stay available without a restart.
    pub settle: Duration,
}

impl RolloutLimits {
    /// With a time-out of at least that.
    #[must_use]
    pub fn at_least(self, least: Duration) -> Self {
        Self { timeout: self.timeout.max(least), ..self }
    }

    /// The least time between two checks that count: 5 s, less where the time-out is short.
    pub fn period(&self) -> Duration {
        (self.timeout / 10).clamp(Duration::from_secs(1), PERIOD)
    }
}

/// All that a judgement sees.
#[derive(Debug, Clone, Copy)]
pub struct RolloutObservation<'a> {
    /// What is remembered.
    pub watch: &'a RolloutState,
    /// Where the rollout stands.
    pub rollout_status: &'a RolloutStatus,
    /// The newest look at the pods, if there was one.
    pub snapshot: Option<&'a PodSnapshot>,
    /// The container whose change is watched.
    pub container: &'a str,
    /// The containers that changed with it.
    pub others: &'a [&'a str],
    /// The workload's settings.
    pub limits: RolloutLimits,
    /// The time.
    pub now: Timestamp,
    /// Since when this process sees the cluster without a gap.
    pub seen_since: Timestamp,
    /// When this process last saw its clock step, by the clock as it is since.
    pub clock_stepped: Option<Timestamp>,
}

/// What a judgement says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Go on watching: remember this (where it differs), and look again then, or on the next change.
    Continue(Box<RolloutState>, Option<Timestamp>),
    /// Look at the pods first.
    InspectPods,
    /// The new pods serve, and have for the settle time.
    Healthy,
    /// The new version does not run.
    Failed(Failure),
    /// It got no further in time, and nothing says that the new version is to blame.
    TimedOut(String),
}

/// Judges a rollout.
pub fn judge(observation: &RolloutObservation<'_>) -> Verdict {
    let not_ahead = observation.watch.not_ahead_of(observation.now, AHEAD);
    let observation = &RolloutObservation { watch: &not_ahead, ..*observation };
    let RolloutObservation { watch, limits, .. } = *observation;
    if let Some(failure) = watch.failure.as_ref().filter(|_| watch.failed_checks >= limits.retries) {
        return Verdict::Failed(failure.clone());
    }
    match observation.rollout_status {
        RolloutStatus::Unseen => remember(RolloutState { available_since: None, ..watch.clone() }, None),
        RolloutStatus::Held(_) => remember(RolloutState { available_since: None, held: true, ..watch.clone() }, None),
        RolloutStatus::Moving(count, problem) => observation.moving(*count, problem.as_ref()),
        RolloutStatus::Complete(count) => observation.complete(*count),
        RolloutStatus::NoRollout => Verdict::Healthy,
        // Written down before anything is done about it, as a failed check is.
        RolloutStatus::Failed(failure) => remember(
            RolloutState {
                available_since: None,
                held: false,
                failed_checks: limits.retries,
                failure: Some(failure.clone()),
                ..watch.clone()
            },
            None,
        ),
    }
}

impl RolloutObservation<'_> {
    /// The look, if it is no older than a period.
    fn fresh(&self) -> Option<&PodSnapshot> {
        let period = self.limits.period();
        self.snapshot.filter(|snapshot| after(snapshot.at, period) > self.now && snapshot.at <= after(self.now, period))
    }

    fn evidence(&self, snapshot: &PodSnapshot) -> Evidence {
        snapshot.pods.as_deref().map(|pods| Evidence::of(pods, self.container, self.others)).unwrap_or_default()
    }

    /// When the next check may count.
    fn check_due(&self, memory: &RolloutState) -> Timestamp {
        after(memory.checked_at.unwrap_or(memory.started_at).max(memory.progressed_at), self.limits.period())
    }

    fn times_out(&self, memory: &RolloutState) -> Timestamp {
        let limits = self.limits.timeout;
        let seen = after(self.seen_since, limits.min(GRACE));
        after(memory.progressed_at, limits).max(seen).max(self.since_step(limits))
    }

    /// That long after the clock last stepped.
    fn since_step(&self, span: Duration) -> Timestamp {
        self.clock_stepped.map_or(Timestamp::MIN, |stepped| after(stepped, span))
    }

    /// The memory with what the rollout got on by.
    fn progress(&self, count: ReplicaProgress) -> (RolloutState, bool) {
        let watch = self.watch;
        let uncounted = watch.wanted == 0 && watch.remaining == 0;
        let remaining = if uncounted { count.remaining } else { count.remaining.min(watch.remaining) };
        let scaled = count.wanted != watch.wanted;
        let fell = count.remaining < watch.remaining && !scaled;
        let progressed = watch.held || uncounted || fell || count.new_available > watch.new_available;
        let mut memory = RolloutState {
            held: false,
            wanted: count.wanted,
            remaining,
            new_available: count.new_available.max(watch.new_available),
            ..watch.clone()
        };
        if progressed {
            memory.progressed_at = whole_second(self.now);
        }
        (memory, progressed)
    }

    fn moving(&self, count: ReplicaProgress, problem: Option<&RolloutProblem>) -> Verdict {
        let Self { watch, limits, now, .. } = *self;
        let (mut memory, progressed) = self.progress(count);
        memory.available_since = None;
        if progressed {
            memory.failed_checks = 0;
            memory.failure = None;
            // A rollout of many pods gets on many times a second: that is not written each time.
            let written = after(watch.progressed_at, limits.period());
            let only_progress = watch.available_since.is_none() && watch.failure.is_none() && !watch.held;
            let memory = if only_progress && now < written { watch.clone() } else { memory };
            return remember(memory, Some(written.max(after(now, Duration::from_secs(1)))));
        }
        let (check_due, times_out) = (self.check_due(&memory), self.times_out(&memory));
        if now < check_due && now < times_out {
            return remember(memory, Some(check_due.min(times_out)));
        }
        let Some(snapshot) = self.fresh() else { return Verdict::InspectPods };
        let evidence = self.evidence(snapshot);
        let found = found(&memory, &evidence).or_else(|| failing(problem, &evidence));
        if snapshot.at >= check_due {
            count_check(&mut memory, snapshot, &evidence, found.as_ref());
        }
        if now >= times_out {
            let cause = memory.failure.clone().or(found).or_else(|| lasting(problem)).or_else(|| evidence.unready.clone());
            match (cause, problem) {
                (Some(cause), _) => {
                    memory.failed_checks = limits.retries;
                    memory.failure = Some(cause);
                }
                // Its time begins when that person has acted.
                (None, Some(RolloutProblem::Waits(_))) => memory.progressed_at = whole_second(now),
                (None, _) => {
                    let seen = [evidence.no_room, evidence.lost_node, blameless(problem)];
                    let seen: String = seen.into_iter().flatten().flat_map(|words| ["; ".to_owned(), words]).collect();
                    let blind = if snapshot.pods.is_none() { "; Headwind may not list its pods" } else { "" };
                    return Verdict::TimedOut(format!("no progress for {} s: {count}{seen}{blind}", limits.timeout.as_secs()));
                }
            }
        }
        remember(memory, Some(after(snapshot.at, limits.period())))
    }

    fn complete(&self, count: ReplicaProgress) -> Verdict {
        let Self { limits, now, .. } = *self;
        if limits.settle.is_zero() {
            return Verdict::Healthy;
        }
        let (mut memory, _) = self.progress(count);
        let Some(since) = memory.available_since else {
            let Some(snapshot) = self.fresh() else { return Verdict::InspectPods };
            let evidence = self.evidence(snapshot);
            if snapshot.at >= self.check_due(&memory) {
                let found = found(&memory, &evidence);
                count_check(&mut memory, snapshot, &evidence, found.as_ref());
            }
            memory.restarts = evidence.restarts;
            memory.available_since = Some(whole_second(now));
            return remember(memory, Some(after(now, limits.period())));
        };
        let settled = after(since, limits.settle).max(self.since_step(limits.settle));
        let check_due = self.check_due(&memory);
        // Who was seen failing is looked at while it settles, others at the end alone.
        let due = if memory.failure.is_some() { settled.min(check_due) } else { settled };
        if now < due {
            return remember(memory, Some(due));
        }
        let Some(snapshot) = self.fresh().filter(|snapshot| snapshot.at >= due) else { return Verdict::InspectPods };
        let evidence = self.evidence(snapshot);
        match found(&memory, &evidence) {
            Some(failure) => {
                if snapshot.at >= check_due {
                    count_check(&mut memory, snapshot, &evidence, Some(&failure));
                }
                memory.restarts = evidence.restarts;
                memory.available_since = Some(whole_second(now));
                memory.failure.get_or_insert(failure);
                if now >= self.times_out(&memory) {
                    memory.failed_checks = limits.retries;
                }
                remember(memory, Some(after(now, limits.period())))
            }
            None if now >= settled => Verdict::Healthy,
            None => {
                if snapshot.at >= after(since, limits.period()) {
                    memory.failed_checks = 0;
                    memory.checked_at = Some(whole_second(snapshot.at));
                }
                remember(memory, Some(after(snapshot.at, limits.period()).min(settled)))
            }
        }
    }
}

fn remember(memory: RolloutState, again: Option<Timestamp>) -> Verdict {
    Verdict::Continue(Box::new(memory), again)
}

/// What a check finds: a bad state, or more restarts than the last time.
fn found(memory: &RolloutState, evidence: &Evidence) -> Option<Failure> {
    let grew = evidence.restarts > memory.restarts;
    evidence.failure.clone().or_else(|| evidence.restarting.clone().filter(|_| grew))
}

/// The controller's own verdict; no evidence while the pods only wait for room.
fn failing(problem: Option<&RolloutProblem>, evidence: &Evidence) -> Option<Failure> {
    match problem {
        Some(RolloutProblem::Failing(failure)) if evidence.no_room.is_none() => Some(failure.clone()),
        _ => None,
    }
}

fn lasting(problem: Option<&RolloutProblem>) -> Option<Failure> {
    match problem {
        Some(RolloutProblem::AtTimeout(failure)) => Some(failure.clone()),
        _ => None,
    }
}

fn blameless(problem: Option<&RolloutProblem>) -> Option<String> {
    match problem {
        Some(RolloutProblem::Blameless(words)) => Some(words.clone()),
        _ => None,
    }
}

fn count_check(memory: &mut RolloutState, snapshot: &PodSnapshot, evidence: &Evidence, found: Option<&Failure>) {
    if snapshot.pods.is_some() {
        memory.restarts = evidence.restarts;
    }
    if let Some(failure) = found {
        memory.failed_checks = memory.failed_checks.saturating_add(1);
        memory.checked_at = Some(whole_second(snapshot.at));
        // That it restarts says less than what it was seen to suffer from.
        if failure.reason != Reason::Restarting || memory.failure.is_none() {
            memory.failure = Some(failure.clone());
        }
    }
}

fn after(at: Timestamp, span: Duration) -> Timestamp {
    at.checked_add(span).unwrap_or(Timestamp::MAX)
}
