use jiff::Timestamp;
use proptest::prelude::*;
use rstest::rstest;

use super::super::pod::PodSnapshot;
use super::super::{RolloutLimits, RolloutObservation, RolloutState, Verdict, View, judge};
use super::*;

const DIGEST: &str = "sha256:92a4fa0b73a2fa7f5cc079ceaed650cc2e47b150002bf055f7510054b77ec8ae";
const OTHER: &str = "sha256:2490b250eba27c07843b8d432f91a28766368e3395d4fc8563a3494ae09b7ebf";

fn condition(kind: ConditionType, status: Option<bool>, reason: &str) -> Condition {
    let message = if reason == "Progressing" { "Running 'upgrade' action".to_owned() } else { format!("words of {reason}") };
    Condition { kind, status, reason: reason.to_owned(), message, observed_generation: 2 }
}

fn ready(status: bool, reason: &str) -> Condition {
    condition(ConditionType::Ready, Some(status), reason)
}

fn on(kind: ConditionType, reason: &str) -> Condition {
    condition(kind, Some(true), reason)
}

/// Flux checks for changes.
fn prerequisites() -> Condition {
    Condition { message: "Fulfilling prerequisites".to_owned(), ..on(ConditionType::Reconciling, "Progressing") }
}

fn released(reason: &str) -> Condition {
    condition(ConditionType::Released, Some(false), reason)
}

fn history(version: &str, status: &str) -> Snapshot {
    Snapshot { version: version.to_owned(), status: status.to_owned(), oci_digest: None }
}

/// A release that was patched to 0.2.0, and what was attempted so far.
fn attempted(conditions: Vec<Condition>) -> HelmReleaseView {
    HelmReleaseView {
        generation: 2,
        wanted: "0.2.0".to_owned(),
        timeout: Duration::from_mins(5),
        observed_generation: 1,
        attempted_generation: 2,
        attempted_revision: "0.2.0".to_owned(),
        newest: Some(history("0.1.0", "deployed")),
        conditions,
        ..HelmReleaseView::default()
    }
}

/// A release whose attempt failed that many times.
fn failing(failures: u32, conditions: Vec<Condition>) -> HelmReleaseView {
    HelmReleaseView { failures, ..attempted(conditions) }
}

fn done() -> HelmReleaseView {
    HelmReleaseView {
        observed_generation: 2,
        newest: Some(history("0.2.0", "deployed")),
        ..attempted(vec![ready(true, "UpgradeSucceeded")])
    }
}

/// A release with the chart of an `OCIRepository` that has fetched it.
fn of_source(revision: &str) -> HelmReleaseView {
    let source = Source { generation: 7, revision: Some(revision.to_owned()), ready: None };
    HelmReleaseView { source: Some(source), ..done() }
}

fn remediation(retries: i32) -> Remediation {
    Remediation { retries, ..Remediation::default() }
}

/// The status in short: kind, reason, remaining steps.
fn short(view: &HelmReleaseView) -> (&'static str, Option<Reason>, u32) {
    match view.rollout_status() {
        RolloutStatus::Unseen => ("unseen", None, 0),
        RolloutStatus::Held(reason) => ("held", Some(reason), 0),
        RolloutStatus::Complete(count) => ("complete", None, count.remaining),
        RolloutStatus::Failed(failure) => ("failed", Some(failure.reason), 0),
        RolloutStatus::NoRollout => ("no rollout", None, 0),
        RolloutStatus::Moving(count, None) => ("moving", None, count.remaining),
        RolloutStatus::Moving(count, Some(RolloutProblem::Failing(failure))) => ("failing", Some(failure.reason), count.remaining),
        RolloutStatus::Moving(count, Some(RolloutProblem::AtTimeout(failure))) => ("at time-out", Some(failure.reason), count.remaining),
        RolloutStatus::Moving(count, Some(RolloutProblem::Blameless(_))) => ("blameless", None, count.remaining),
        RolloutStatus::Moving(count, Some(RolloutProblem::Waits(reason))) => ("waits", Some(reason), count.remaining),
    }
}

#[rstest]
#[case("1.2.0", "1.2.0", true)]
#[case("v1.2.0", "1.2.0", true)]
#[case("1.2.0", "v1.2.0", true)]
#[case("1.2.0", "1.2.1", false)]
#[case("1.2.0", "1.2.0-rc.1", false)]
#[case::the_charts_own_metadata("1.0.0", "1.0.0+abc", true)]
#[case("1.0.0+abc", "1.0.0+abc", true)]
#[case("1.0.0+abc", "1.0.0", false)]
#[case("1.0.0+abc", "1.0.0+def", false)]
#[case::no_version("stable", "stable", true)]
#[case("stable", "1.0.0", false)]
fn versions_as_flux_writes_them(#[case] wanted: &str, #[case] revision: &str, #[case] same: bool) {
    assert_eq!(same_version(wanted, revision), same);
}

#[rstest]
#[case::done(done(), ("complete", None, 0))]
#[case::looked_at_again(HelmReleaseView { conditions: vec![
    prerequisites(),
    ready(true, "UpgradeSucceeded"),
], ..done() }, ("complete", None, 0))]
#[case::suspended_when_done(HelmReleaseView { suspended: true, ..done() }, ("complete", None, 0))]
#[case::not_all_written(HelmReleaseView { conditions: vec![on(ConditionType::Reconciling, "Progressing"), ready(true, "UpgradeSucceeded")], ..done() }, ("moving", None, 1))]
#[case::retries(HelmReleaseView { conditions: vec![on(ConditionType::Reconciling, "ProgressingWithRetry"), ready(true, "UpgradeSucceeded")], ..done() }, ("moving", None, 1))]
#[case::generation_not_observed(HelmReleaseView { observed_generation: 1, ..done() }, ("moving", None, 1))]
#[case::not_in_the_history(HelmReleaseView { newest: Some(history("0.1.0", "deployed")), ..done() }, ("moving", None, 1))]
#[case::not_deployed(HelmReleaseView { newest: Some(history("0.2.0", "pending-upgrade")), ..done() }, ("moving", None, 1))]
#[case::no_history(HelmReleaseView { newest: None, ..done() }, ("moving", None, 1))]
#[case::ready_of_before(HelmReleaseView { generation: 3, attempted_generation: 3, observed_generation: 3, ..done() }, ("moving", None, 2))]
#[case::another_version(HelmReleaseView { wanted: "0.3.0".to_owned(), ..done() }, ("moving", None, 3))]
#[case::nobody_looked(HelmReleaseView { generation: 3, ..done() }, ("unseen", None, 0))]
#[case::suspended(HelmReleaseView { suspended: true, generation: 3, observed_generation: 3, ..done() }, ("held", Some(Reason::Suspended), 0))]
fn when_it_is_done(#[case] view: HelmReleaseView, #[case] expected: (&'static str, Option<Reason>, u32)) {
    assert_eq!(short(&view), expected);
}

#[rstest]
#[case::by_digest("0.2.0", Some(DIGEST), "0.2.0+92a4fa0b73a2", true)]
#[case::by_the_digits_alone("0.2.0", None, "0.2.0+92a4fa0b73a2", true)]
#[case::another_digest("0.2.0", Some(OTHER), "0.2.0+2490b250eba2", false)]
#[case::other_digits("0.2.0", None, "0.2.0+2490b250eba2", false)]
#[case::the_charts_own_metadata("0.2.0", None, "0.2.0+abc", false)]
#[case::no_digits("0.2.0", None, "0.2.0", false)]
#[case::without_digest_tracking("0.2.0", Some(DIGEST), "0.2.0", true)]
#[case::underscore_for_plus("0.2.0_abc", Some(DIGEST), "0.2.0+92a4fa0b73a2", true)]
#[case::a_tag_that_is_no_version("stable", Some(DIGEST), "0.2.0+92a4fa0b73a2", true)]
fn with_a_chart_ref_the_digest_decides(#[case] tag: &str, #[case] digest: Option<&str>, #[case] revision: &str, #[case] mine: bool) {
    let view = HelmReleaseView {
        wanted: tag.to_owned(),
        attempted_digest: digest.map(str::to_owned),
        attempted_revision: revision.to_owned(),
        newest: Some(Snapshot { version: revision.to_owned(), status: "deployed".to_owned(), oci_digest: digest.map(str::to_owned) }),
        ..of_source(&format!("{tag}@{DIGEST}"))
    };
    assert_eq!(short(&view).0, if mine { "complete" } else { "unseen" });
    let older =
        Some(Snapshot { version: "0.1.0+2490b250eba2".to_owned(), status: "deployed".to_owned(), oci_digest: Some(OTHER.to_owned()) });
    assert_eq!(short(&HelmReleaseView { newest: older, ..view }), if mine { ("moving", None, 1) } else { ("unseen", None, 0) });
}

#[test]
fn with_a_chart_ref_the_repository_speaks_first() {
    let answer = |status, generation| Some(Condition { observed_generation: generation, ..ready(status, "OCIArtifactPullFailed") });
    let of = |ready: Option<Condition>, conditions: Vec<Condition>| {
        let mut view = HelmReleaseView { conditions, ..of_source(&format!("0.1.0@{OTHER}")) };
        view.source.as_mut().unwrap().ready = ready;
        view
    };
    assert_eq!(short(&of(answer(false, 6), vec![])), ("unseen", None, 0), "an answer to an older tag");
    assert_eq!(short(&of(answer(false, 7), vec![])), ("at time-out", Some(Reason::SourceNotReady), 4));
    assert_eq!(short(&of(answer(true, 7), vec![])), ("moving", None, 4), "ready with another tag: it is about to fetch");
    assert_eq!(short(&HelmReleaseView { suspended: true, ..of(answer(false, 7), vec![]) }), ("held", Some(Reason::Suspended), 0));
    // The source has the chart, the release does not.
    let reconciling = prerequisites();
    let fetched = |conditions| HelmReleaseView { conditions, ..of_source(&format!("0.2.0@{DIGEST}")) };
    assert_eq!(short(&fetched(vec![ready(true, "UpgradeSucceeded")])), ("unseen", None, 0));
    assert_eq!(short(&fetched(vec![on(ConditionType::Reconciling, "Progressing")])), ("unseen", None, 0), "at work on another");
    assert_eq!(short(&fetched(vec![reconciling.clone()])), ("moving", None, 3));
    assert_eq!(short(&fetched(vec![reconciling.clone(), ready(false, "SourceNotReady")])).0, "blameless", "of before it had");
    assert_eq!(short(&fetched(vec![reconciling, ready(false, "ChartMutateError")])), ("at time-out", Some(Reason::ArtifactFailed), 3));
}

#[rstest]
#[case::no_remediation(failing(1, vec![ready(false, "UpgradeFailed"), released("UpgradeFailed")]), ("failing", Some(Reason::UpgradeFailed), 2))]
#[case::tried_again_just_now(failing(1, vec![condition(ConditionType::Ready, None, "Progressing"), released("UpgradeFailed")]), ("at time-out", Some(Reason::UpgradeFailed), 2))]
#[case::checks_canceled(failing(1, vec![ready(false, "HealthCheckCanceled"), released("UpgradeFailed")]), ("at time-out", Some(Reason::UpgradeFailed), 2))]
#[case::of_another_attempt(failing(0, vec![ready(false, "UpgradeFailed"), released("UpgradeFailed")]), ("moving", None, 2))]
#[case::retries_left(HelmReleaseView { upgrade: remediation(3), remediable_failures: 1, ..failing(1, vec![ready(false, "UpgradeFailed"), released("UpgradeFailed")]) }, ("at time-out", Some(Reason::UpgradeFailed), 2))]
#[case::nothing_to_remediate(HelmReleaseView { upgrade: remediation(3), ..failing(4, vec![ready(false, "UpgradeFailed"), released("UpgradeFailed")]) }, ("failing", Some(Reason::UpgradeFailed), 2))]
#[case::retries_for_ever(HelmReleaseView { upgrade: remediation(-1), remediable_failures: 99, ..failing(99, vec![ready(false, "UpgradeFailed"), released("UpgradeFailed")]) }, ("at time-out", Some(Reason::UpgradeFailed), 2))]
#[case::retry_on_failure(HelmReleaseView { upgrade: Remediation { retry_on_failure: true, ..remediation(0) }, ..failing(2, vec![ready(false, "UpgradeFailed"), released("UpgradeFailed")]) }, ("at time-out", Some(Reason::UpgradeFailed), 2))]
#[case::the_plan_of_an_install(HelmReleaseView { installs: true, install: remediation(3), remediable_failures: 1, ..failing(1, vec![ready(false, "InstallFailed"), released("InstallFailed")]) }, ("at time-out", Some(Reason::InstallFailed), 2))]
#[case::unlocked(failing(0, vec![ready(false, "PendingRelease"), released("PendingRelease")]), ("blameless", None, 2))]
#[case::tests(failing(1, vec![ready(false, "TestFailed"), condition(ConditionType::TestSuccess, Some(false), "TestFailed")]), ("failing", Some(Reason::TestFailed), 2))]
#[case::tests_for_good(failing(1, vec![on(ConditionType::Stalled, "RetriesExceeded"), ready(false, "TestFailed"), condition(ConditionType::TestSuccess, Some(false), "TestFailed")]), ("failed", Some(Reason::TestFailed), 0))]
#[case::nothing_to_go_back_to(failing(1, vec![on(ConditionType::Stalled, "MissingRollbackTarget"), ready(false, "UpgradeFailed"), released("UpgradeFailed")]), ("failed", Some(Reason::UpgradeFailed), 0))]
#[case::stalled_for_another_cause(attempted(vec![on(ConditionType::Stalled, "AccessDenied"), ready(false, "AccessDenied")]), ("blameless", None, 2))]
#[case::remediated(HelmReleaseView { upgrade: remediation(1), remediable_failures: 2, ..failing(2, vec![ready(false, "RollbackSucceeded"), released("UpgradeFailed"), on(ConditionType::Remediated, "RollbackSucceeded")]) }, ("failed", Some(Reason::Remediated), 0))]
#[case::remediated_and_retried(HelmReleaseView { upgrade: remediation(2), remediable_failures: 2, ..failing(2, vec![ready(false, "RollbackSucceeded"), released("UpgradeFailed"), on(ConditionType::Remediated, "RollbackSucceeded")]) }, ("at time-out", Some(Reason::UpgradeFailed), 2))]
#[case::removed_to_be_installed_again(HelmReleaseView { upgrade: remediation(1), remediable_failures: 2, newest: Some(history("0.2.0", "uninstalled")), ..failing(2, vec![ready(false, "UninstallSucceeded"), released("UpgradeFailed"), on(ConditionType::Remediated, "UninstallSucceeded")]) }, ("at time-out", Some(Reason::UpgradeFailed), 2))]
#[case::not_remediated(HelmReleaseView { upgrade: remediation(1), remediable_failures: 2, ..failing(2, vec![ready(false, "RollbackFailed"), released("UpgradeFailed"), condition(ConditionType::Remediated, Some(false), "RollbackFailed")]) }, ("at time-out", Some(Reason::UpgradeFailed), 2))]
#[case::dependencies(HelmReleaseView { attempted_generation: 1, ..attempted(vec![ready(false, "DependencyNotReady")]) }, ("blameless", None, 3))]
#[case::source(HelmReleaseView { attempted_generation: 1, ..attempted(vec![ready(false, "SourceNotReady")]) }, ("at time-out", Some(Reason::SourceNotReady), 3))]
#[case::chart(HelmReleaseView { attempted_generation: 1, ..attempted(vec![ready(false, "ArtifactFailed")]) }, ("at time-out", Some(Reason::ArtifactFailed), 3))]
#[case::source_after_the_attempt(attempted(vec![ready(false, "SourceNotReady")]), ("blameless", None, 2))]
#[case::busy_with_the_old_attempt(HelmReleaseView { attempted_generation: 1, ..attempted(vec![on(ConditionType::Reconciling, "Progressing"), ready(false, "UpgradeFailed")]) }, ("unseen", None, 0))]
#[case::result_of_the_old_attempt(HelmReleaseView { attempted_generation: 1, failures: 1, ..attempted(vec![on(ConditionType::Stalled, "RetriesExceeded"), ready(false, "UpgradeFailed"), released("UpgradeFailed")]) }, ("moving", None, 3))]
fn what_it_suffers_from(#[case] view: HelmReleaseView, #[case] expected: (&'static str, Option<Reason>, u32)) {
    assert_eq!(short(&view), expected);
}

#[test]
fn who_was_taken_back_says_why_and_whereto() {
    let conditions =
        vec![on(ConditionType::Stalled, "RetriesExceeded"), released("UpgradeFailed"), on(ConditionType::Remediated, "RollbackSucceeded")];
    let RolloutStatus::Failed(failure) = failing(1, conditions).rollout_status() else { panic!("it has not failed") };
    assert_eq!(failure.message, "words of UpgradeFailed; words of RollbackSucceeded");
}

#[rstest]
#[case::not_begun(HelmReleaseView { attempted_generation: 1, upgrade: remediation(4), ..attempted(vec![]) }, 0)]
#[case::one_try(attempted(vec![]), 330)]
#[case::with_tests(HelmReleaseView { tested: true, ..attempted(vec![]) }, 630)]
#[case::four_tries(HelmReleaseView { upgrade: remediation(3), ..attempted(vec![]) }, 4 * 630)]
#[case::last_one_taken_back(HelmReleaseView { upgrade: Remediation { last_failure: Some(true), ..remediation(0) }, ..attempted(vec![]) }, 630)]
#[case::for_ever(HelmReleaseView { upgrade: remediation(-1), ..attempted(vec![]) }, 630)]
#[case::of_an_install(HelmReleaseView { installs: true, upgrade: remediation(9), ..attempted(vec![]) }, 330)]
#[case::index_not_read_yet(HelmReleaseView { attempted_generation: 1, source_interval: Duration::from_hours(1), ..attempted(vec![]) }, 3630)]
#[case::endless(HelmReleaseView { timeout: Duration::MAX, upgrade: remediation(i32::MAX), ..attempted(vec![]) }, u64::MAX)]
fn how_long_it_may_take(#[case] view: HelmReleaseView, #[case] seconds: u64) {
    assert_eq!(view.least_timeout().as_secs(), seconds);
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_000_000 + second).unwrap()
}

const SETTLE: i64 = 30;

/// Judges the view at that second, and stores the state.
fn settle(watch: &mut RolloutState, view: &HelmReleaseView, second: i64) -> Option<Verdict> {
    let limits = RolloutLimits { timeout: Duration::from_mins(1), retries: 3, settle: Duration::from_secs(SETTLE.unsigned_abs()) };
    let snapshot = PodSnapshot::new(at(second), 2, Some(Vec::new()), None);
    let view = View::HelmRelease(Box::new(view.clone()));
    for _ in 0..5 {
        let verdict = judge(&RolloutObservation {
            watch,
            rollout_status: &view.rollout_status(2),
            snapshot: Some(&snapshot),
            container: "",
            others: &[],
            limits: limits.at_least(view.least_timeout()),
            now: at(second),
            seen_since: at(-600),
            clock_stepped: None,
        });
        match verdict {
            Verdict::Continue(memory, _) if *memory == *watch => return None,
            Verdict::Continue(memory, _) => *watch = *memory,
            verdict => return Some(verdict),
        }
    }
    panic!("no rest: {watch:?}");
}

#[test]
fn who_gives_up_has_failed_at_once_and_it_is_remembered_why() {
    let stalled = failing(1, vec![on(ConditionType::Stalled, "RetriesExceeded"), released("UpgradeFailed")]);
    let mut watch = RolloutState::new(2, at(0));
    assert!(matches!(settle(&mut watch, &stalled, 1), Some(Verdict::Failed(failure)) if failure.reason == Reason::UpgradeFailed));
    assert_eq!(watch.failure.map(|failure| failure.message).as_deref(), Some("words of UpgradeFailed"));
}

#[test]
fn who_only_waits_is_not_blamed() {
    let waits = HelmReleaseView { attempted_generation: 1, ..attempted(vec![ready(false, "DependencyNotReady")]) };
    let mut watch = RolloutState::new(2, at(0));
    let verdict = (0..100).find_map(|second| settle(&mut watch, &waits, second));
    let Some(Verdict::TimedOut(words)) = verdict else { panic!("{verdict:?}") };
    assert_eq!(words, "no progress for 60 s: Flux has not started the release yet; words of DependencyNotReady");
}

#[test]
fn what_lasts_until_the_time_is_up_is_the_cause() {
    let source = |reason| HelmReleaseView { attempted_generation: 1, ..attempted(vec![ready(false, reason)]) };
    let mut watch = RolloutState::new(2, at(0));
    let verdict = (0..100).find_map(|second| settle(&mut watch, &source("SourceNotReady"), second));
    assert!(matches!(&verdict, Some(Verdict::Failed(failure)) if failure.message == "words of SourceNotReady"), "{verdict:?}");
    // A temporary failure is dropped.
    let mut watch = RolloutState::new(2, at(0));
    assert_eq!((0..50).find_map(|second| settle(&mut watch, &source("SourceNotReady"), second)), None);
    assert_eq!((50..90).find_map(|second| settle(&mut watch, &done(), second)), Some(Verdict::Healthy));
}

/// Any possible status, likely or not.
fn views() -> impl Strategy<Value = HelmReleaseView> {
    let kinds =
        [ConditionType::Ready, ConditionType::Reconciling, ConditionType::Stalled, ConditionType::Released, ConditionType::Remediated];
    let reasons = ["UpgradeFailed", "UpgradeSucceeded", "SourceNotReady", "Progressing", "RollbackSucceeded", "PendingRelease"];
    let says = (prop::sample::select(kinds.to_vec()), prop::option::of(any::<bool>()), prop::sample::select(reasons.to_vec()), 1..3_i64)
        .prop_map(|(kind, status, reason, observed_generation)| Condition { observed_generation, ..condition(kind, status, reason) });
    let newest = (prop::sample::select(vec!["0.1.0", "0.2.0"]), prop::sample::select(vec!["deployed", "failed"]));
    let numbers = (1..3_i64, 1..3_i64, 0..3_u32, 0..3_u32, -1..3_i32);
    (prop::collection::vec(says, 0..5), newest, numbers, any::<bool>(), prop::sample::select(vec!["0.1.0", "0.2.0"])).prop_map(
        |(conditions, (version, status), (observed, attempt, failures, remediable, retries), suspended, revision)| HelmReleaseView {
            observed_generation: observed,
            attempted_generation: attempt,
            attempted_revision: revision.to_owned(),
            suspended: suspended && failures == 0,
            failures,
            remediable_failures: remediable,
            upgrade: remediation(retries),
            newest: Some(history(version, status)),
            timeout: Duration::from_secs(20),
            ..attempted(conditions)
        },
    )
}

proptest! {
    #[test]
    fn what_is_deployed_and_ready_for_the_settle_time_is_never_failed(
        story in prop::collection::vec((prop_oneof![4 => views(), 1 => Just(done())], 1..60_i64), 0..12),
    ) {
        let mut watch = RolloutState::new(2, at(0));
        let mut good = 0;
        let mut clock = 0;
        for (view, seconds) in story.iter().chain([&(done(), SETTLE + 2)]) {
            let complete = matches!(view.rollout_status(), RolloutStatus::Complete(_));
            for _ in 0..*seconds {
                clock += 1;
                let verdict = settle(&mut watch, view, clock);
                good = if complete { good + 1 } else { 0 };
                prop_assert!(good <= SETTLE + 1, "not healthy after {} good seconds: {:?}", good, watch);
                match verdict {
                    None => {}
                    Some(Verdict::Healthy) => {
                        prop_assert!(good > SETTLE, "healthy after {} good seconds", good);
                        return Ok(());
                    }
                    Some(Verdict::InspectPods) => prop_assert!(false, "there is nothing to look at"),
                    Some(verdict) => {
                        prop_assert!(!complete, "{verdict:?} though it is deployed and ready");
                        return Ok(());
                    }
                }
            }
        }
        prop_assert!(false, "no verdict");
    }
}
