//! When an approved update may go out.
//!
//! A gate never drops an update: it says *wait until T, because R*. Called by
//! [`crate::request::next`] before an apply; later windows, freezes and caps join here.

use std::time::Duration;

use jiff::Timestamp;

use crate::reason::Reason;
use crate::rollout::whole_second;

/// What the gate says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gate {
    /// Nothing stands in the way.
    Open,
    /// Not before `until`.
    Wait {
        /// When to look again; the gate opens then unless something else has happened.
        until: Timestamp,
        /// What the update waits for.
        reason: Reason,
    },
}

/// Minimum time between two updates of one workload (`headwind.sh/min-update-interval`).
///
/// A `last_update` further ahead than one whole interval can only come from a broken clock or a
/// foreign hand, and must not shut the gate for years: it is not believed.
pub fn interval(last_update: Option<Timestamp>, least: Duration, now: Timestamp) -> Gate {
    let Some(updated) = last_update else { return Gate::Open };
    // An interval past the end of representable time never ends.
    let until = updated.checked_add(least).unwrap_or(Timestamp::MAX);
    let latest_believable = now.checked_add(least).unwrap_or(Timestamp::MAX);
    if until <= now || updated > latest_believable {
        Gate::Open
    } else {
        Gate::Wait { until: whole_second(until), reason: Reason::MinUpdateInterval }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[rstest::rstest]
    #[case::never_updated(None, 300, 1000, None)]
    #[case::just_updated(Some(1000), 300, 1000, Some(1300))]
    #[case::one_second_short(Some(1000), 300, 1299, Some(1300))]
    #[case::to_the_second(Some(1000), 300, 1300, None)]
    #[case::no_interval(Some(1000), 0, 1000, None)]
    #[case::clock_a_little_behind(Some(1010), 300, 1000, Some(1310))]
    #[case::clock_far_behind(Some(9000), 300, 1000, None)]
    fn interval_table(#[case] last: Option<i64>, #[case] least: u64, #[case] now: i64, #[case] until: Option<i64>) {
        let expected = until.map_or(Gate::Open, |until| Gate::Wait { until: at(until), reason: Reason::MinUpdateInterval });
        assert_eq!(interval(last.map(at), Duration::from_secs(least), at(now)), expected);
    }
}
