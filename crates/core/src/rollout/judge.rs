//! The judgement: remember, check the pods, or return a verdict.
//!
//! A *check* is an inspection of the new pods and of the problems in the status, at most one in a
//! [`RolloutLimits::period`], and only while the rollout makes no progress. A check with evidence counts as failed.
//! Progress, or a whole period in which everything was available, resets the count. Other checks do not change it. The
//! timeout counts from the last progress, and not before this process has watched for a while: after an outage the
//! controllers need their time as well. A step of the clock restarts the timeout of every rollout, because durations
//! from stored timestamps are then unknown.
//!
//! Progress is a pod that changes its state for the better. A changed number of replicas is no progress: an autoscaler
//! must not prevent a broken version from failing. The pods that it adds count when they are available and new.

use std::time::Duration;

use jiff::Timestamp;

use super::pod::{Evidence, PodSnapshot};
use super::{Failure, ReplicaProgress, RolloutProblem, RolloutState, RolloutStatus, whole_second};
use crate::reason::Reason;

/// Maximum time between two checks.
const PERIOD: Duration = Duration::from_secs(5);
/// Minimum time that this process must have watched before a timeout counts.
const GRACE: Duration = Duration::from_secs(30);
/// Maximum time that a stored timestamp may be ahead of the clock: the clocks of two replicas differ.
const AHEAD: Duration = Duration::from_secs(30);

/// The limits of a rollout, from the annotations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RolloutLimits {
    /// Maximum time without progress.
    pub timeout: Duration,
    /// Number of consecutive failed checks before the rollout fails.
    pub retries: u32,
    /// Time that everything must stay available without a restart.
    pub settle: Duration,
}

impl RolloutLimits {
    /// Returns the limits with a timeout of at least `least`.
    #[must_use]
    pub fn at_least(self, least: Duration) -> Self {
        Self { timeout: self.timeout.max(least), ..self }
    }

    /// Returns the minimum time between two checks that count: 5 s, less if the timeout is short.
    pub fn period(&self) -> Duration {
        (self.timeout / 10).clamp(Duration::from_secs(1), PERIOD)
    }
}

/// The input of a judgement.
#[derive(Debug, Clone, Copy)]
pub struct RolloutObservation<'a> {
    /// The state of the watch.
    pub watch: &'a RolloutState,
    /// The status of the rollout.
    pub rollout_status: &'a RolloutStatus,
    /// The newest snapshot of the pods, if there is one.
    pub snapshot: Option<&'a PodSnapshot>,
    /// The container whose change is watched.
    pub container: &'a str,
    /// The containers that changed with it.
    pub others: &'a [&'a str],
    /// The workload's settings.
    pub limits: RolloutLimits,
    /// The current time.
    pub now: Timestamp,
    /// The time since which this process observes the cluster without a gap.
    pub seen_since: Timestamp,
    /// When the clock of this process was last set, as a time of the new clock.
    pub clock_stepped: Option<Timestamp>,
}

/// The verdict of a judgement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Continue: store this state (if it differs), and judge again at that time, or on the next change.
    Continue(Box<RolloutState>, Option<Timestamp>),
    /// Check the pods first.
    InspectPods,
    /// The new pods are available, and have been for the settle time.
    Healthy,
    /// The new version does not run.
    Failed(Failure),
    /// It made no progress in time, and nothing shows that the new version is the cause.
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
        // Stored before any reaction, like a failed check.
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
    /// Returns the check of the pods, if it is not older than a period.
    fn fresh(&self) -> Option<&PodSnapshot> {
        let period = self.limits.period();
        self.snapshot.filter(|snapshot| after(snapshot.at, period) > self.now && snapshot.at <= after(self.now, period))
    }

    fn evidence(&self, snapshot: &PodSnapshot) -> Evidence {
        snapshot.pods.as_deref().map(|pods| Evidence::of(pods, self.container, self.others)).unwrap_or_default()
    }

    /// Returns when the next check may count.
    fn check_due(&self, memory: &RolloutState) -> Timestamp {
        after(memory.checked_at.unwrap_or(memory.started_at).max(memory.progressed_at), self.limits.period())
    }

    fn times_out(&self, memory: &RolloutState) -> Timestamp {
        let limits = self.limits.timeout;
        let seen = after(self.seen_since, limits.min(GRACE));
        after(memory.progressed_at, limits).max(seen).max(self.since_step(limits))
    }

    /// Returns the time after the last step of the clock by `span`.
    fn since_step(&self, span: Duration) -> Timestamp {
        self.clock_stepped.map_or(Timestamp::MIN, |stepped| after(stepped, span))
    }

    /// Returns the state with the progress of the rollout, and true if there was any.
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
            // A rollout of many pods makes progress many times a second: not every time is stored.
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
                // Its timeout begins when that person has acted.
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
        // After a failure, pods are checked while they settle; otherwise only at the end.
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

/// Returns what a check finds: a bad state, or more restarts than last time.
fn found(memory: &RolloutState, evidence: &Evidence) -> Option<Failure> {
    let grew = evidence.restarts > memory.restarts;
    evidence.failure.clone().or_else(|| evidence.restarting.clone().filter(|_| grew))
}

/// Returns the controller's own verdict. It is no evidence while the pods only wait for resources.
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
        // A restart is weaker evidence than the failure that was seen before.
        if failure.reason != Reason::Restarting || memory.failure.is_none() {
            memory.failure = Some(failure.clone());
        }
    }
}

fn after(at: Timestamp, span: Duration) -> Timestamp {
    at.checked_add(span).unwrap_or(Timestamp::MAX)
}
