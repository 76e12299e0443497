//! The queue for a rollout: the updates that would start now if there were no limit on rollouts.
//!
//! The request contains what the update waited for when Headwind last looked at it. When a freeze or a pause ends, many
//! waits end at once. Their updates are in the queue from that moment, so that the oldest approved one starts first, and
//! not the first one that Headwind looks at.

use jiff::Timestamp;

use super::{Facts, GATES, Waiting};
use crate::reason::Reason;
use crate::settings::Settings;

impl Waiting {
    /// Returns true if the update waits for the end of a rollout only. `settings` and `facts` are those of now; there are
    /// no settings if an annotation is invalid.
    pub fn is_in_queue(&self, settings: Option<&Settings>, facts: &Facts<'_>, now: Timestamp) -> bool {
        let is_over = self.until.is_some_and(|until| until <= now);
        if self.reason == Reason::TooManyRollouts || is_over {
            return true;
        }
        // A wait with a known end lasts until then. Only a freeze can be lifted before.
        if self.until.is_some() && self.reason != Reason::Frozen {
            return false;
        }
        // The gates that concern many workloads, and are cheap, are the last ones.
        settings
            .is_some_and(|settings| settings.schedule.is_open(now) && !GATES.iter().rev().any(|gate| gate(settings, facts, now).is_some()))
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::gate::{ApprovedBy, Freeze, Limits};

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn limits(freeze: bool, paused: bool) -> Limits {
        Limits { freeze: freeze.then(Freeze::default), paused_since: paused.then(|| at(1)), ..Limits::default() }
    }

    #[rstest]
    #[case::it_waits_for_a_slot(Reason::TooManyRollouts, None, limits(false, false), true)]
    #[case::the_window_is_open(Reason::UpdateWindow, Some(100), limits(false, false), true)]
    #[case::the_window_is_closed(Reason::UpdateWindow, Some(101), limits(false, false), false)]
    #[case::frozen(Reason::Frozen, None, limits(true, false), false)]
    #[case::thawed(Reason::Frozen, None, limits(false, false), true)]
    #[case::thawed_before_its_time(Reason::Frozen, Some(999), limits(false, false), true)]
    #[case::paused(Reason::FailureBudget, None, limits(false, true), false)]
    #[case::resumed(Reason::FailureBudget, None, limits(false, false), true)]
    #[case::resumed_and_frozen(Reason::FailureBudget, None, limits(true, false), false)]
    #[case::the_release_is_no_longer_suspended(Reason::Suspended, None, limits(false, false), true)]
    fn who_is_in_the_queue(#[case] reason: Reason, #[case] until: Option<i64>, #[case] limits: Limits, #[case] expected: bool) {
        let facts = Facts { approved_by: ApprovedBy::Policy, limits: Some(&limits), ..Facts::default() };
        let waiting = Waiting::new(reason, until.map(at));
        assert_eq!(waiting.is_in_queue(Some(&Settings::default()), &facts, at(100)), expected);
    }

    #[test]
    fn what_the_workload_says_now_counts() {
        let limits = Limits::default();
        let facts = Facts { limits: Some(&limits), ..Facts::default() };
        let was_frozen = Waiting::new(Reason::Frozen, None);
        let frozen = Settings { frozen: Some(crate::settings::Place::Workload), ..Settings::default() };
        assert!(!was_frozen.is_in_queue(Some(&frozen), &facts, at(100)));
        assert!(!was_frozen.is_in_queue(None, &facts, at(100)), "an annotation is invalid");
        let suspended = Facts { held: Some(Reason::Suspended.into()), ..facts };
        assert!(!Waiting::new(Reason::Suspended, None).is_in_queue(Some(&Settings::default()), &suspended, at(100)));
    }
}
