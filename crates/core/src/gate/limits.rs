//! The limits on the updates of all workloads together.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::freeze::Freeze;
use super::rollouts::Rollouts;
use crate::config::{InEffect, Problem, Store, Values, limit};

/// The number in effect for an entry that is not valid, if this process has seen no valid value.
const CAREFUL: u32 = 1;
/// How far the clock of the person who resumes updates may be ahead.
const AHEAD: SignedDuration = SignedDuration::from_mins(1);

/// The limits that the ConfigMap `headwind` sets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConfiguredLimits {
    /// The freeze.
    pub freeze: Option<Freeze>,
    /// Maximum number of rollouts at the same time.
    pub rollouts: Option<u32>,
    /// Maximum number of rollouts at the same time in one namespace.
    pub rollouts_per_namespace: Option<u32>,
    /// Number of failed updates within an hour after which updates are paused.
    pub pause_after_failures: Option<u32>,
    /// When a person last resumed updates.
    pub resumed_at: Option<Timestamp>,
}

/// The limits at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Limits {
    /// The freeze of everything.
    pub freeze: Option<Freeze>,
    /// Since when updates that the policy approved are paused.
    pub paused_since: Option<Timestamp>,
    /// The rollouts.
    pub rollouts: Rollouts,
}

impl ConfiguredLimits {
    /// The limits until the ConfigMap is read for the first time: it may contain a freeze, so everything is frozen.
    pub fn unread() -> Self {
        let reason = "Headwind has not been able to read the ConfigMap headwind; see the log".to_owned();
        Self { freeze: Some(Freeze { until: None, reason: Some(reason) }), ..Self::default() }
    }

    /// Returns true if the number of rollouts is limited.
    pub fn limit_rollouts(&self) -> bool {
        self.rollouts.is_some() || self.rollouts_per_namespace.is_some()
    }

    /// Reads the entries of the ConfigMap, and returns those that are not valid. Such a number keeps its last valid value.
    /// If this process has seen none, 1 is in effect: no limit at all would be the opposite of what somebody wants.
    /// A freeze that is not valid freezes everything until it is corrected. `latest` is the latest time at which a person can
    /// have resumed updates: a later one counts as this one.
    pub fn read(values: &Values, before: &Self, latest: Timestamp) -> (Self, Vec<Problem>) {
        let mut problems = BTreeMap::new();
        let mut fault = |name: &'static str, why: String, in_effect: Option<InEffect>| {
            problems.insert(name, Problem { store: Store::ConfigMap, name: name.to_owned(), why, in_effect });
        };
        let entry = |name: &str| values.get(name).map(|value| value.trim()).filter(|value| !value.is_empty());
        let freeze = Freeze::parse(entry(limit::FREEZE).unwrap_or_default()).unwrap_or_else(|why| {
            fault(limit::FREEZE, format!("{why}; updates are frozen until it is corrected"), None);
            Some(Freeze { until: None, reason: Some("the value is not valid".to_owned()) })
        });
        let mut number = |name: &'static str, least: u32, last: Option<u32>| {
            let text = entry(name)?;
            let valid = text.parse::<u32>().ok().filter(|number| *number >= least);
            valid.or_else(|| {
                let why = format!("must be a whole number from {least} to {}", u32::MAX);
                match last {
                    Some(_) => fault(name, why, Some(InEffect::LastValid)),
                    None => fault(name, format!("{why}; {CAREFUL} is in effect until it is corrected"), None),
                }
                last.or(Some(CAREFUL))
            })
        };
        // 0 starts no rollout at all.
        let rollouts = number(limit::ROLLOUTS, 0, before.rollouts);
        let rollouts_per_namespace = number(limit::ROLLOUTS_PER_NAMESPACE, 0, before.rollouts_per_namespace);
        let pause_after_failures = number(limit::PAUSE_AFTER_FAILURES, 1, before.pause_after_failures);
        let resumed_at = entry(limit::RESUMED_AT).and_then(|text| {
            let valid: Option<Timestamp> = text.parse().ok();
            if valid.is_none() {
                let in_effect = if before.resumed_at.is_some() { InEffect::LastValid } else { InEffect::Default };
                fault(limit::RESUMED_AT, "must be a time like 2027-01-02T00:00:00Z".to_owned(), Some(in_effect));
            } else if valid.is_some_and(|at| at.duration_since(latest) > AHEAD) {
                fault(limit::RESUMED_AT, "is in the future; updates are resumed as of now".to_owned(), None);
            }
            // Failures that happen from now on must count.
            valid.map(|at| at.min(latest)).or(before.resumed_at)
        });
        (Self { freeze, rollouts, rollouts_per_namespace, pause_after_failures, resumed_at }, problems.into_values().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: &str = "2026-06-01T12:00:00Z";

    fn read(entries: &[(&str, &str)], before: &ConfiguredLimits) -> (ConfiguredLimits, Vec<String>) {
        let values = entries.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let (limits, problems) = ConfiguredLimits::read(&values, before, NOW.parse().unwrap());
        (limits, problems.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn what_the_config_map_says() {
        let none = ConfiguredLimits::default();
        assert_eq!(read(&[("other", "x"), ("freeze", ""), ("maxConcurrentRollouts", " ")], &none), (none.clone(), Vec::new()));
        let (limits, problems) = read(
            &[
                ("freeze", "until: 2027-01-02T00:00:00Z"),
                ("maxConcurrentRollouts", "5"),
                ("maxConcurrentRolloutsPerNamespace", " 2 "),
                ("pauseAfterFailures", "3"),
                ("resumedAt", "2026-01-01T00:00:00Z"),
            ],
            &none,
        );
        assert_eq!((limits.rollouts, limits.rollouts_per_namespace, limits.pause_after_failures), (Some(5), Some(2), Some(3)));
        assert!(limits.freeze.is_some_and(|freeze| freeze.until.is_some()) && limits.resumed_at.is_some() && problems.is_empty());
    }

    #[test]
    fn everything_is_frozen_until_the_config_map_is_read() {
        let unread = ConfiguredLimits::unread();
        assert!(unread.freeze.as_ref().is_some_and(|freeze| freeze.holds(Timestamp::MAX)));
        assert_eq!(read(&[], &unread), (ConfiguredLimits::default(), Vec::new()), "an empty ConfigMap ends it");
    }

    #[test]
    fn an_invalid_value_keeps_the_last_one_and_an_invalid_freeze_freezes() {
        let before = ConfiguredLimits { rollouts: Some(5), ..ConfiguredLimits::default() };
        let bad = [("freeze", "until: never"), ("maxConcurrentRollouts", "many"), ("pauseAfterFailures", "0"), ("resumedAt", "now")];
        let (limits, problems) = read(&bad, &before);
        assert_eq!((limits.rollouts, limits.pause_after_failures, limits.resumed_at), (Some(5), Some(1), None));
        assert!(limits.freeze.is_some_and(|freeze| freeze.holds(Timestamp::MAX)));
        assert_eq!(problems.len(), 4, "{problems:?}");
        assert!(problems[0].contains("updates are frozen until it is corrected"), "{problems:?}");
        assert!(
            problems[1].ends_with("the last valid value stays in effect") && problems[2].ends_with("1 is in effect until it is corrected"),
            "{problems:?}"
        );
    }

    /// Two replicas and a process that starts later must not lift a limit that somebody set.
    #[test]
    fn an_invalid_limit_never_means_unlimited() {
        let bad = [("maxConcurrentRollouts", "5x"), ("maxConcurrentRolloutsPerNamespace", "-1")];
        let (limits, problems) = read(&bad, &ConfiguredLimits::default());
        assert_eq!((limits.rollouts, limits.rollouts_per_namespace, problems.len()), (Some(1), Some(1), 2));
        let (limits, problems) = read(&[("maxConcurrentRollouts", "0")], &ConfiguredLimits::default());
        assert_eq!((limits.rollouts, problems), (Some(0), Vec::new()), "somebody stops everything");
    }

    #[test]
    fn updates_are_not_resumed_for_the_future() {
        let resumed = |at: &str| {
            let (limits, problems) = read(&[("resumedAt", at)], &ConfiguredLimits::default());
            (limits.resumed_at.unwrap().to_string(), problems.len())
        };
        assert_eq!(resumed("2026-06-01T11:59:00Z"), ("2026-06-01T11:59:00Z".to_owned(), 0));
        assert_eq!(resumed("2026-06-01T12:00:30Z"), (NOW.to_owned(), 0), "a clock that is a little ahead");
        assert_eq!(resumed("2027-01-01T00:00:00Z"), (NOW.to_owned(), 1));
    }
}
