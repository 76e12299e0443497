//! The failure budget: after too many failed updates within an hour, Headwind applies none that the policy approved,
//! until a person resumes them.

use std::time::Duration;

use jiff::Timestamp;

use super::{ApprovedBy, Facts, Waiting};
use crate::reason::Reason;
use crate::settings::Settings;

/// The time in which failures count.
const WITHIN: Duration = Duration::from_hours(1);

/// Returns when the budget was used up: the time of the failure that was one too many. `failures` are the times of failed
/// updates in ascending order, one for each update, `resumed` is when a person last resumed updates.
///
/// Only failures of the last hour count, so a budget that is set for the first time does not look back. A pause lasts
/// longer than that: the caller keeps the time until a person resumes updates.
pub fn paused_since<I>(failures: I, limit: u32, resumed: Option<Timestamp>, now: Timestamp) -> Option<Timestamp>
where
    I: IntoIterator<Item = Timestamp, IntoIter: DoubleEndedIterator>,
{
    let limit = usize::try_from(limit).unwrap_or(usize::MAX).max(1);
    let hour_ago = now.checked_sub(WITHIN).unwrap_or(Timestamp::MIN);
    let counts = |at: &Timestamp| *at > hour_ago && resumed.is_none_or(|resumed| *at > resumed);
    let newest_first: Vec<Timestamp> = failures.into_iter().rev().take_while(counts).collect();
    newest_first.len().checked_sub(limit).and_then(|excess| newest_first.get(excess).copied())
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
    #[case::too_few(3, &[0, 10], None, 10, None)]
    #[case::within_the_hour(3, &[0, 10, 3599], None, 3599, Some(3599))]
    #[case::over_more_than_an_hour(3, &[0, 10, 3600], None, 3600, None)]
    #[case::an_hour_that_slides(3, &[0, 3000, 3600, 4000], None, 4000, Some(4000))]
    #[case::the_first_excess(2, &[0, 10, 20, 30], None, 30, Some(10))]
    #[case::several_in_one_second(3, &[7, 7, 7], None, 7, Some(7))]
    #[case::one_is_enough(1, &[7], None, 7, Some(7))]
    #[case::zero_counts_as_one(0, &[7], None, 7, Some(7))]
    #[case::resumed(2, &[0, 10], Some(10), 20, None)]
    #[case::resumed_before(2, &[0, 10], Some(0), 20, None)]
    #[case::failed_again(2, &[0, 10, 20, 30], Some(10), 30, Some(30))]
    #[case::within_the_last_hour(2, &[0, 10], None, 3599, Some(10))]
    #[case::before_the_last_hour(2, &[0, 10], None, 3600, None)]
    #[case::nothing(2, &[], None, 0, None)]
    fn when_the_budget_is_used_up(
        #[case] limit: u32,
        #[case] failures: &[i64],
        #[case] resumed: Option<i64>,
        #[case] now: i64,
        #[case] since: Option<i64>,
    ) {
        let failures: Vec<Timestamp> = failures.iter().map(|second| at(*second)).collect();
        assert_eq!(paused_since(failures, limit, resumed.map(at), at(now)), since.map(at));
    }
}
