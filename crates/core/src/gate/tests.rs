//! Tables of the gate, with the time as an argument.

use std::time::Duration;

use rstest::rstest;

use super::*;
use crate::reason::Reasoned;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn settings(interval: u64) -> Settings {
    Settings { min_update_interval: Duration::from_secs(interval), ..Settings::default() }
}

/// Returns what the gate waits for, and until which second.
fn answer(interval: u64, facts: &Facts<'_>, now: i64) -> Option<(Reason, Option<i64>)> {
    let gate = check(&settings(interval), facts, at(now));
    assert_eq!(gate.is_open(), gate.waiting().is_none());
    gate.waiting().map(|waiting| (waiting.reason, waiting.until.map(Timestamp::as_second)))
}

#[rstest]
#[case::never_updated(None, 300, 1000, None)]
#[case::just_updated(Some(1000), 300, 1000, Some(1300))]
#[case::one_second_short(Some(1000), 300, 1299, Some(1300))]
#[case::to_the_second(Some(1000), 300, 1300, None)]
#[case::no_interval(Some(1000), 0, 1000, None)]
#[case::clock_a_little_behind(Some(1010), 300, 1000, Some(1310))]
#[case::clock_far_behind(Some(9000), 300, 1000, None)]
fn interval_table(#[case] last: Option<i64>, #[case] interval: u64, #[case] now: i64, #[case] until: Option<i64>) {
    let facts = Facts { last_update: last.map(at), ..Facts::default() };
    assert_eq!(answer(interval, &facts, now), until.map(|until| (Reason::MinUpdateInterval, Some(until))));
    assert_eq!(answer(interval, &Facts { by_person: true, ..facts }, now), None, "a person does not wait for it");
}

#[rstest]
#[case::just_denied(Reason::ApplyDenied, Some(1010), 1000, true)]
#[case::one_second_short(Reason::ApplyDenied, Some(1010), 1009, true)]
#[case::over(Reason::ApplyDenied, Some(1010), 1010, false)]
#[case::never_ends(Reason::ApplyDenied, None, 1000, false)]
#[case::another_wait(Reason::MinUpdateInterval, Some(1010), 1000, false)]
fn the_pause_after_a_denial(#[case] reason: Reason, #[case] until: Option<i64>, #[case] now: i64, #[case] waits: bool) {
    let stored = Waiting { reason, message: "not signed".to_owned(), until: until.map(at) };
    let facts = Facts { denial: Some(&stored), ..Facts::default() };
    let expected = if waits { Gate::Wait(stored.clone()) } else { Gate::Open };
    assert_eq!(check(&settings(300), &facts, at(now)), expected);
    assert_eq!(check(&settings(300), &Facts { by_person: true, ..facts }, at(now)), expected, "a person waits for it too");
    assert_eq!(check_rollback(Some(&stored), at(now)), expected, "and so does a rollback");
}

#[test]
fn a_rollback_waits_for_nothing_else() {
    assert_eq!(check_rollback(None, at(1000)), Gate::Open);
}

#[rstest]
#[case::complete(None, 1000, None)]
#[case::missing(Some(999), 1000, Some(1001))]
#[case::long_enough(Some(998), 1000, None)]
#[case::a_clock_a_little_ahead(Some(1002), 1000, Some(1004))]
#[case::a_clock_far_ahead(Some(1003), 1000, None)]
fn siblings_are_waited_for(#[case] since: Option<i64>, #[case] now: i64, #[case] until: Option<i64>) {
    let facts = Facts { incomplete_since: since.map(at), ..Facts::default() };
    assert_eq!(answer(0, &facts, now), until.map(|until| (Reason::AwaitingSiblings, Some(until))));
    let gate = check(&settings(0), &facts, at(now));
    assert!(gate.waiting().is_none_or(|waiting| !waiting.is_recorded()), "it is too short to be written");
}

/// One reason that is shown: the one that ends last.
#[rstest]
#[case::the_interval_ends_later(Some(900), 1100, false, Some((Reason::MinUpdateInterval, Some(1200))))]
#[case::the_denial_ends_later(Some(900), 1300, false, Some((Reason::ApplyDenied, Some(1300))))]
#[case::no_known_end(Some(900), 1300, true, Some((Reason::Suspended, None)))]
#[case::the_denial_alone(None, 1100, false, Some((Reason::ApplyDenied, Some(1100))))]
#[case::nothing(None, 900, false, None)]
fn of_several_the_last(
    #[case] last: Option<i64>,
    #[case] denied_until: i64,
    #[case] suspended: bool,
    #[case] expected: Option<(Reason, Option<i64>)>,
) {
    let stored = Waiting::new(Reason::ApplyDenied, Some(at(denied_until)));
    let held = suspended.then(|| Reasoned::new(Reason::Suspended, "the release is suspended"));
    let facts = Facts { last_update: last.map(at), held, denial: Some(&stored), ..Facts::default() };
    assert_eq!(answer(300, &facts, 1000), expected);
}

#[test]
fn a_wait_without_a_time_and_one_with_a_time() {
    let suspended = Waiting { reason: Reason::Suspended, message: "the release is suspended".to_owned(), until: None };
    assert_eq!(suspended.to_string(), "the release is suspended");
    let timed = Waiting { until: Some(at(0)), ..suspended.clone() };
    assert_eq!(timed.to_string(), "until 1970-01-01T00:00:00Z: the release is suspended");
    assert!(!timed.is_same(&suspended), "another time is news");
    let said_otherwise = Waiting { message: "HelmRepository n/s is suspended".to_owned(), ..suspended.clone() };
    assert!(said_otherwise.is_same(&suspended), "other words are not");
}
