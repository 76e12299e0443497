//! The rollout of a Flux HelmRelease: there are no pods to check, helm-controller's conditions are the evidence.
//!
//! Created by `headwind_k8s::kinds::helm_release` from the release's status (and, with `chartRef`, from its
//! `OCIRepository`'s), judged here. Two things are ignored: a condition of another attempt (Flux records the result of
//! an attempt with the generation at its end), and a failure that Flux is still remediating.
//!
//! ```text
//! not fetched (chartRef) ─> not attempted ─> attempted ─> ready ─> done        remaining: 4 3 2 1 0
//! ```

use std::time::Duration;

use super::flux::{Condition, ConditionType, Remediation, Snapshot, Source, digest_suffix, same_version};
use super::{Failure, ReplicaProgress, RolloutProblem, RolloutStatus};
use crate::reason::Reason;

/// The time that Flux needs for each attempt in addition to its actions' own timeouts: to notice it, and to wait before
/// a retry.
const PAUSE: Duration = Duration::from_secs(30);

/// The fields of a HelmRelease and of its source that are read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HelmReleaseView {
    /// The release's own `metadata.generation`. That of the workload may differ.
    pub generation: i64,
    /// The wanted version: `spec.chart.spec.version`, or with `chartRef` the `OCIRepository`'s tag.
    pub wanted: String,
    /// True if the release or its source is suspended.
    pub suspended: bool,
    /// Maximum time before Flux knows an existing version: the interval of a classic repository.
    pub source_interval: Duration,
    /// The longest timeout of its Helm actions (`spec.timeout` and its overrides).
    pub timeout: Duration,
    /// True if Flux runs the chart's tests (`spec.test.enable`).
    pub tested: bool,
    /// Flux's handling of a failed install.
    pub install: Remediation,
    /// Flux's handling of a failed upgrade.
    pub upgrade: Remediation,
    /// `status.observedGeneration`.
    pub observed_generation: i64,
    /// `status.lastAttemptedGeneration`.
    pub attempted_generation: i64,
    /// `status.lastAttemptedRevision`.
    pub attempted_revision: String,
    /// `status.lastAttemptedRevisionDigest`, only set for an `OCIRepository`'s chart.
    pub attempted_digest: Option<String>,
    /// True if `status.lastAttemptedReleaseAction` is `install`.
    pub installs: bool,
    /// `status.failures`: all failures since chart or values last changed.
    pub failures: u32,
    /// `status.installFailures` and `status.upgradeFailures`: the failures with a release to remediate.
    pub remediable_failures: u32,
    /// The conditions that are read.
    pub conditions: Vec<Condition>,
    /// `status.history[0]`.
    pub newest: Option<Snapshot>,
    /// The `OCIRepository` that `spec.chartRef` names.
    pub source: Option<Source>,
}

impl HelmReleaseView {
    pub(super) fn rollout_status(&self) -> RolloutStatus {
        let attempted = self.is_attempted();
        if attempted && self.is_done() {
            return RolloutStatus::Complete(count(0, "the release is ready"));
        }
        if self.suspended {
            return RolloutStatus::Held(Reason::Suspended);
        }
        if attempted {
            if let Some(failure) = self.failed_for_good() {
                return RolloutStatus::Failed(failure);
            }
            let ready = self.now(ConditionType::Ready).is_some_and(|ready| ready.status == Some(true));
            let count = if ready { count(1, "Flux is finishing the release") } else { count(2, "Flux is reconciling the release") };
            return RolloutStatus::Moving(count, self.problem());
        }
        match &self.source {
            Some(source) if !source.has_fetched(&self.wanted) => match source.answer() {
                None => RolloutStatus::Unseen,
                Some(ready) => RolloutStatus::Moving(count(4, "the chart is not fetched yet"), not_fetched(ready)),
            },
            _ if self.is_seen() && !self.is_acting() => {
                RolloutStatus::Moving(count(3, "Flux has not started the release yet"), self.hindrance())
            }
            _ => RolloutStatus::Unseen,
        }
    }

    /// Returns how long a started attempt may take: each try, Flux's remediation, the tests, and the pauses in between.
    /// An attempt that Flux repeats without a limit gets the time of one.
    pub(super) fn least_timeout(&self) -> Duration {
        if !self.is_attempted() {
            return if self.source_interval.is_zero() { Duration::ZERO } else { self.source_interval.saturating_add(PAUSE) };
        }
        let plan = self.plan();
        let actions = 1 + u32::from(self.tested) + u32::from(plan.remediates());
        let attempts = plan.attempts().unwrap_or(1);
        self.timeout.saturating_mul(actions).saturating_add(PAUSE).saturating_mul(attempts)
    }

    /// Returns true if the status is about an attempt with the wanted version.
    fn is_attempted(&self) -> bool {
        self.attempted_generation == self.generation
            && match &self.source {
                None => same_version(&self.wanted, &self.attempted_revision),
                // The release's generation does not change with the tag: the digest decides.
                Some(source) => {
                    let attempted = self.attempted_digest.as_deref().unwrap_or(&self.attempted_revision);
                    source.fetched(&self.wanted).is_some_and(|digest| is_digest(attempted, digest))
                }
            }
    }

    fn is_done(&self) -> bool {
        let ready = self.now(ConditionType::Ready).is_some_and(|ready| ready.status == Some(true));
        ready && self.observed_generation == self.generation && !self.is_acting() && self.runs_wanted()
    }

    /// Returns true if Helm's newest release is deployed and has the wanted version.
    fn runs_wanted(&self) -> bool {
        self.newest.as_ref().is_some_and(|newest| {
            newest.status == "deployed"
                && match self.source.as_ref().and_then(|source| source.fetched(&self.wanted)) {
                    Some(digest) => is_digest(newest.oci_digest.as_deref().unwrap_or(&newest.version), digest),
                    None => newest.version == self.attempted_revision,
                }
        })
    }

    /// Returns true if a Helm action runs, or its result is not completely recorded. Flux's periodic check for changes
    /// is not an action.
    fn is_acting(&self) -> bool {
        self.find(ConditionType::Reconciling)
            .is_some_and(|one| one.status == Some(true) && (one.reason != "Progressing" || one.message.starts_with("Running")))
    }

    /// Returns true if helm-controller has observed the newest spec. It has not while it works on an earlier attempt.
    fn is_seen(&self) -> bool {
        if self.source.is_some() {
            // The generation is unchanged: only the conditions show what is in progress.
            let on = |kind| self.find(kind).is_some_and(|one| one.status == Some(true));
            return on(ConditionType::Reconciling) || on(ConditionType::Stalled);
        }
        self.conditions.iter().any(|one| one.observed_generation == self.generation)
    }

    /// Returns the failure if Flux has given up, or has restored the old version and will not retry.
    fn failed_for_good(&self) -> Option<Failure> {
        let cause = self.cause()?;
        let on = |kind| self.now(kind).filter(|one| one.status == Some(true));
        let remediated = on(ConditionType::Remediated);
        let plan = self.plan();
        let old_again = self.newest.as_ref().is_some_and(|newest| newest.status == "deployed") && !self.runs_wanted();
        let remediated_for_good = remediated.is_some() && plan.is_exhausted(self.remediable_failures) && old_again;
        if on(ConditionType::Stalled).is_none() && !remediated_for_good {
            return None;
        }
        Some(match remediated {
            Some(done) => Failure { reason: Reason::Remediated, message: format!("{}; {}", cause.message, done.message) },
            None => cause,
        })
    }

    /// Returns why the attempt in progress, or its last try, failed.
    fn cause(&self) -> Option<Failure> {
        if self.failures == 0 {
            // A failure that Flux has not counted belongs to another attempt.
            return None;
        }
        let no = |kind| self.now(kind).filter(|one| one.status == Some(false));
        let released = no(ConditionType::Released).and_then(|one| match &*one.reason {
            "UpgradeFailed" => Some((Reason::UpgradeFailed, one)),
            "InstallFailed" => Some((Reason::InstallFailed, one)),
            _ => None,
        });
        let tested = || no(ConditionType::TestSuccess).map(|one| (Reason::TestFailed, one));
        let (reason, condition) = released.or_else(tested)?;
        Some(Failure { reason, message: condition.message.clone() })
    }

    fn problem(&self) -> Option<RolloutProblem> {
        let Some(failure) = self.cause() else { return self.hindrance() };
        let plan = self.plan();
        let remediates = plan.retry_on_failure || (self.remediable_failures > 0 && plan.remediates());
        // Between two tries, Ready contains the failure. During a try its result is not known.
        let failing =
            self.now(ConditionType::Ready).is_some_and(|ready| ready.status == Some(false) && ready.reason == failure.reason.code());
        Some(if failing && !remediates { RolloutProblem::Failing(failure) } else { RolloutProblem::AtTimeout(failure) })
    }

    /// Returns what prevents an action of Flux. Only the chart can be the new version's fault.
    fn hindrance(&self) -> Option<RolloutProblem> {
        let ready = self.now(ConditionType::Ready).filter(|ready| ready.status == Some(false))?;
        let message = ready.message.clone();
        match &*ready.reason {
            // An attempted version had its chart.
            "SourceNotReady" | "ArtifactFailed" | "ChartMutateError" if self.is_attempted() => Some(RolloutProblem::Blameless(message)),
            "SourceNotReady" if self.source.is_none() => {
                Some(RolloutProblem::AtTimeout(Failure { reason: Reason::SourceNotReady, message }))
            }
            "ArtifactFailed" | "ChartMutateError" => Some(RolloutProblem::AtTimeout(Failure { reason: Reason::ArtifactFailed, message })),
            // Left over from another attempt.
            "UpgradeFailed" | "InstallFailed" | "TestFailed" | "RollbackSucceeded" | "RollbackFailed" | "UninstallSucceeded"
            | "UninstallFailed" => None,
            _ => Some(RolloutProblem::Blameless(message)),
        }
    }

    /// Returns the configuration for a failure of its last action.
    fn plan(&self) -> Remediation {
        if self.installs { self.install } else { self.upgrade }
    }

    fn find(&self, kind: ConditionType) -> Option<&Condition> {
        self.conditions.iter().find(|one| one.kind == kind)
    }

    /// Returns the condition, if it is of the newest generation.
    fn now(&self, kind: ConditionType) -> Option<&Condition> {
        self.find(kind).filter(|one| one.observed_generation == self.generation)
    }
}

fn count(remaining: u32, stage: &'static str) -> ReplicaProgress {
    ReplicaProgress {
        wanted: 1,
        updated: u32::from(remaining <= 2),
        available: u32::from(remaining == 0),
        remaining,
        new_available: 0,
        stage: Some(stage),
    }
}

fn not_fetched(ready: &Condition) -> Option<RolloutProblem> {
    let message = ready.message.clone();
    (ready.status == Some(false)).then_some(RolloutProblem::AtTimeout(Failure { reason: Reason::SourceNotReady, message }))
}

/// Returns true if `text`, a complete digest or a revision that ends with the beginning of one, matches the digest.
fn is_digest(text: &str, digest: &str) -> bool {
    text == digest || digest_suffix(digest).is_some_and(|suffix| text.rsplit_once('+').is_some_and(|(_, build)| build == suffix))
}

#[cfg(test)]
mod tests;
