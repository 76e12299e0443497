//! Tables of the gate, with the time as an argument.

use std::time::Duration;

use rstest::rstest;

use super::*;
use crate::reason::Reasoned;
use crate::window::Schedule;

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
    assert_eq!(answer(interval, &Facts { approved_by: ApprovedBy::Requester, ..facts }, now), None, "a person does not wait for it");
}

#[rstest]
#[case::just_denied(Reason::ApplyDenied, Some(1010), 1000, true)]
#[case::one_second_short(Reason::ApplyDenied, Some(1010), 1009, true)]
#[case::over(Reason::ApplyDenied, Some(1010), 1010, false)]
#[case::never_ends(Reason::ApplyDenied, None, 1000, false)]
#[case::the_longest(Reason::ApplyDenied, Some(1600), 1000, true)]
#[case::a_clock_that_was_ahead(Reason::ApplyDenied, Some(1000 + 86_400), 1000, false)]
#[case::another_wait(Reason::MinUpdateInterval, Some(1010), 1000, false)]
fn the_pause_after_a_denial(#[case] reason: Reason, #[case] until: Option<i64>, #[case] now: i64, #[case] waits: bool) {
    let stored = Waiting { reason, message: "not signed".to_owned(), until: until.map(at) };
    let facts = Facts { denial: Some(&stored), ..Facts::default() };
    let expected = if waits { Gate::Wait(stored.clone()) } else { Gate::Open };
    assert_eq!(check(&settings(300), &facts, at(now)), expected);
    assert_eq!(
        check(&settings(300), &Facts { approved_by: ApprovedBy::Requester, ..facts }, at(now)),
        expected,
        "a person waits for it too"
    );
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

/// A version is applied when it is old enough, unless a person skips the wait.
#[rstest]
#[case::just_seen(600, 1000, 1000, Some(1600))]
#[case::one_second_short(600, 1000, 1599, Some(1600))]
#[case::to_the_second(600, 1000, 1600, None)]
#[case::no_cool_down(0, 1000, 1000, None)]
#[case::no_cool_down_and_a_clock_ahead(0, 1060, 1000, None)]
#[case::a_clock_far_ahead(600, 9000, 1000, Some(9600))]
fn the_age_of_a_version(#[case] cool_down: u64, #[case] seen: i64, #[case] now: i64, #[case] until: Option<i64>) {
    let settings = Settings { cool_down: Duration::from_secs(cool_down), ..Settings::default() };
    let facts = Facts { first_seen: Some(at(seen)), ..Facts::default() };
    let gate = |facts: &Facts<'_>| waits(&settings, facts, now);
    assert_eq!(gate(&facts), until.map(|until| (Reason::CoolDown, Some(until))));
    assert_eq!(gate(&Facts { skips_cool_down: true, ..facts.clone() }), None);
    assert_eq!(gate(&Facts { approved_by: ApprovedBy::Requester, ..facts }), None, "a person asked for this version");
    assert_eq!(gate(&Facts::default()), None, "nothing is proposed yet");
}

fn waits(settings: &Settings, facts: &Facts<'_>, now: i64) -> Option<(Reason, Option<i64>)> {
    check(settings, facts, at(now)).waiting().map(|waiting| (waiting.reason, waiting.until.map(Timestamp::as_second)))
}

fn in_windows(allow: &str) -> Settings {
    let schedule = Schedule { allow: Some(allow.parse().unwrap()), deny: None };
    Settings { schedule, min_update_interval: Duration::from_mins(5), ..Settings::default() }
}

/// The windows open at 01:00, 3600 seconds after the epoch.
#[test]
fn time_windows() {
    let settings = in_windows("01:00-02:00");
    let facts = Facts::default();
    assert_eq!(waits(&settings, &facts, 3599), Some((Reason::UpdateWindow, Some(3600))));
    assert_eq!(waits(&settings, &facts, 3600), None);
    assert_eq!(waits(&settings, &facts, 7200), Some((Reason::UpdateWindow, Some(90_000))));
    assert_eq!(
        waits(&settings, &Facts { approved_by: ApprovedBy::Requester, ..Facts::default() }, 0),
        Some((Reason::UpdateWindow, Some(3600)))
    );
    assert_eq!(waits(&settings, &Facts { is_rollback: true, ..Facts::default() }, 0), None, "a rollback never waits");
    let message = check(&settings, &facts, at(0)).waiting().unwrap().to_string();
    assert!(message.starts_with("until 1970-01-01T01:00:00Z: outside the time windows") && message.contains("01:00-02:00"), "{message}");
}

/// A window that closes before another wait ends is the answer, with the time at which it opens again.
#[rstest]
#[case::the_window_is_open_then(3600, Some((Reason::MinUpdateInterval, Some(3900))))]
#[case::the_window_has_closed_then(7000, Some((Reason::UpdateWindow, Some(90_000))))]
#[case::it_opens_later(3000, Some((Reason::UpdateWindow, Some(3600))))]
fn a_window_that_closes_meanwhile(#[case] last: i64, #[case] expected: Option<(Reason, Option<i64>)>) {
    let facts = Facts { last_update: Some(at(last)), ..Facts::default() };
    assert_eq!(waits(&in_windows("01:00-02:00"), &facts, last), expected);
}

fn frozen_until(until: Option<i64>) -> Limits {
    Limits { freeze: Some(Freeze { until: until.map(at), reason: Some("holidays".to_owned()) }), ..Limits::default() }
}

#[rstest]
#[case::until_later(Some(2000), 1000, Some((Reason::Frozen, Some(2000))))]
#[case::over(Some(2000), 2000, None)]
#[case::without_end(None, 1000, Some((Reason::Frozen, None)))]
fn a_freeze_of_everything(#[case] until: Option<i64>, #[case] now: i64, #[case] expected: Option<(Reason, Option<i64>)>) {
    let limits = frozen_until(until);
    let facts = Facts { limits: Some(&limits), ..Facts::default() };
    assert_eq!(waits(&settings(0), &facts, now), expected);
    assert_eq!(waits(&settings(0), &Facts { approved_by: ApprovedBy::Requester, ..facts.clone() }, now), expected);
    assert_eq!(waits(&settings(0), &Facts { is_rollback: true, ..facts.clone() }, now), None, "a rollback never waits");
    if let Gate::Wait(waiting) = check(&settings(0), &facts, at(now)) {
        assert!(waiting.message.ends_with("by the ConfigMap headwind: holidays"), "{waiting}");
    }
}

#[test]
fn a_freeze_by_an_annotation() {
    let frozen = Settings { frozen: Some(crate::settings::Place::Namespace), ..Settings::default() };
    let limits = frozen_until(Some(2000));
    let facts = Facts { limits: Some(&limits), ..Facts::default() };
    assert_eq!(waits(&frozen, &facts, 1000), Some((Reason::Frozen, None)), "it ends last");
    assert_eq!(waits(&frozen, &Facts { is_rollback: true, ..facts }, 1000), None);
}

#[test]
fn a_used_up_failure_budget() {
    let limits = Limits { paused_since: Some(at(900)), ..Limits::default() };
    let facts = Facts { limits: Some(&limits), approved_by: ApprovedBy::Policy, ..Facts::default() };
    assert_eq!(waits(&settings(0), &facts, 1000), Some((Reason::FailureBudget, None)));
    assert_eq!(waits(&settings(0), &Facts { approved_by: ApprovedBy::Person, ..facts }, 1000), None, "a person approved it");
}

fn in_the_queue<'a>(limits: &'a Limits, turn: &Turn) -> Facts<'a> {
    Facts { limits: Some(limits), turn: Some(turn.clone()), ..Facts::default() }
}

/// Only an update that could start now takes part in the queue.
#[test]
fn too_many_rollouts() {
    let key = |name: &str| crate::testing::key(crate::workload::Kind::Deployment, name);
    let turn = Turn { since: at(1), workload: key("me") };
    let mut limits =
        Limits { rollouts: Rollouts { limit: Some(1), running: [key("other")].into(), ..Rollouts::default() }, ..Limits::default() };
    let turn = &turn;
    assert_eq!(waits(&settings(0), &in_the_queue(&limits, turn), 1000), Some((Reason::TooManyRollouts, None)));
    assert_eq!(waits(&in_windows("01:00-02:00"), &in_the_queue(&limits, turn), 0), Some((Reason::UpdateWindow, Some(3600))));
    assert_eq!(waits(&settings(0), &Facts { is_rollback: true, ..in_the_queue(&limits, turn) }, 1000), None, "a rollback never waits");
    limits.rollouts.running.clear();
    assert_eq!(waits(&settings(0), &in_the_queue(&limits, turn), 1000), None);
}
