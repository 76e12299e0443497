//! The failure budget: after too many failed updates within an hour, Headwind applies none that the policy approved,
//! until a person resumes them.

use std::time::Duration;

use jiff::Timestamp;

use super::{ApprovedBy, Facts, Waiting};
use crate::reason::Reason;
use crate::settings::Settings;

/// The time in which failures count.
const WITHIN: Duration = Duration::from_hours(1);

/// Returns when the budget was used up: the time of the failure that exceeded it. `failures` are the times of failed
/// and rolled-back updates in ascending order, `resumed` is when a person last resumed updates.
pub fn paused_since(failures: impl IntoIterator<Item = Timestamp>, limit: u32, resumed: Option<Timestamp>) -> Option<Timestamp> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX).max(1);
    let counted: Vec<Timestamp> = failures.into_iter().filter(|at| resumed.is_none_or(|resumed| *at > resumed)).collect();
    counted.windows(limit).find_map(|some| {
        let (first, last) = (some.first()?, some.last()?);
        let is_within = last.duration_since(*first).unsigned_abs() < WITHIN;
        is_within.then_some(*last)
    })
}

/// An update that a person approved does not wait.
pub(super) fn waiting(_: &Settings, facts: &Facts<'_>, _: Timestamp) -> Option<Waiting> {
    let since = facts.limits?.paused_since.filter(|_| facts.approved_by == ApprovedBy::Policy)?;
    let message = format!("{} (since {since})", Reason::FailureBudget.sentence());
    Some(Waiting { reason: Reason::FailureBudget, message, until: None })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[rstest]
    #[case::too_few(3, &[0, 10], None, None)]
    #[case::within_the_hour(3, &[0, 10, 3599], None, Some(3599))]
    #[case::over_more_than_an_hour(3, &[0, 10, 3600], None, None)]
    #[case::an_hour_that_slides(3, &[0, 3000, 3600, 4000], None, Some(4000))]
    #[case::the_first_excess(2, &[0, 10, 20, 30], None, Some(10))]
    #[case::one_is_enough(1, &[7], None, Some(7))]
    #[case::zero_counts_as_one(0, &[7], None, Some(7))]
    #[case::resumed(2, &[0, 10], Some(10), None)]
    #[case::resumed_before(2, &[0, 10], Some(0), None)]
    #[case::failed_again(2, &[0, 10, 20, 30], Some(10), Some(30))]
    #[case::it_lasts(2, &[0, 10, 999_999], None, Some(10))]
    #[case::nothing(2, &[], None, None)]
    fn when_the_budget_is_used_up(#[case] limit: u32, #[case] failures: &[i64], #[case] resumed: Option<i64>, #[case] since: Option<i64>) {
        let failures = failures.iter().map(|second| at(*second));
        assert_eq!(paused_since(failures, limit, resumed.map(at)), since.map(at));
    }
}
