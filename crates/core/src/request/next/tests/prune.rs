//! Finished requests that are deleted, and those that still block a version.

use super::*;

fn finished(name: &str, tag: &str, phase: Phase, ended: i64) -> Request {
    let mut request = request(name, "app:1.0.0", &format!("app:{tag}"));
    let times_applied = u32::from(!matches!(phase, Phase::Rejected | Phase::Expired));
    let (reason, finished_at) = (Some(Reason::Applied), Some(at(NOW - ended)));
    request.status = Status { phase, reason, message: Some(String::new()), finished_at, times_applied, ..Status::default() };
    request
}

/// Returns the remaining names when nothing more is deleted.
fn left(live: &Workload, mut all: Vec<Request>) -> Vec<String> {
    while let Step::Delete { request } = step(Some(live), &all) {
        all.retain(|one| one.name != request);
    }
    all.into_iter().map(|one| one.name).collect()
}

#[rstest::rstest]
#[case::tracked(workload("app:1.3.0", &[]))]
#[case::paused(workload("app:1.3.0", &[("headwind.sh/policy", "none")]))]
#[case::narrower(workload("app:1.3.0", &[("headwind.sh/policy", "patch")]))]
#[case::bad_pattern(workload("app:1.3.0", &[("headwind.sh/pattern", "[")]))]
#[case::another_pattern(workload("app:1.3.0", &[("headwind.sh/policy", "glob"), ("headwind.sh/pattern", "2.*")]))]
#[case::renamed(Workload { containers: vec![Container::new("renamed", "app:1.3.0")], ..workload("", &[]) })]
fn settings_of_today_forget_no_verdict(#[case] live: Workload) {
    let mut all: Vec<Request> = (0..5).map(|i| finished(&format!("no-{i}"), &format!("1.{}.0", 9 - i), Phase::Rejected, 900 + i)).collect();
    all.push(finished("back", "1.4.0", Phase::RolledBack, 800));
    all.extend((0..6).map(|i| finished(&format!("done-{i}"), "1.3.0", Phase::Completed, 100 + i)));
    let left = left(&live, all);
    for name in ["no-0", "no-1", "no-2", "no-3", "no-4", "back", "done-0", "done-1"] {
        assert!(left.iter().any(|one| one == name), "{name} is gone: {left:?}");
    }
    if live.container("web").is_some() {
        assert_eq!(left.len(), 8, "{left:?}");
    }
}

#[test]
fn a_digest_blocks_when_it_was_rejected_or_rolled_back() {
    let live = workload("app:main", &[("headwind.sh/policy", "force")]);
    let digest = |i: i64| format!("sha256:{i:064x}");
    let pushed = |i: i64, phase: Phase| {
        let mut one = finished(&format!("{phase}-{i}"), "main", phase, 100 + i);
        one.spec.current_image = "app:main".to_owned();
        one.spec.policy = Policy::Force;
        one.spec.new_digest = Some(digest(i));
        one
    };
    let mut all: Vec<Request> = (0..40).map(|i| pushed(i, Phase::Completed)).collect();
    all.push(pushed(50, Phase::Rejected));
    all.push(pushed(51, Phase::RolledBack));
    all.push(pushed(52, Phase::Failed));
    all.push(pushed(53, Phase::Expired));
    assert_eq!(left(&live, all), ["Completed-0", "Completed-1", "Rejected-50", "RolledBack-51"]);
}

#[test]
fn fifty_at_most_and_verdicts_outlive_what_expired() {
    let live = workload("app:1.0.0", &[]);
    let mut all: Vec<Request> =
        (0..90).map(|i| finished(&format!("old-{i}"), &format!("1.{}.0", i + 1), Phase::Expired, 100 + i)).collect();
    all.push(finished("no", "1.99.0", Phase::Rejected, 9000));
    let left = left(&live, all);
    assert_eq!(left.len(), 50);
    assert!(left.contains(&"no".to_owned()) && left.contains(&"old-48".to_owned()) && !left.contains(&"old-49".to_owned()), "{left:?}");
    let rejected = (0..90).map(|i| finished(&format!("no-{i}"), &format!("1.{}.0", i + 1), Phase::Rejected, 100 + i)).collect();
    assert_eq!(self::left(&live, rejected).len(), 50);
}

#[rstest::rstest]
#[case::above("build-10", "build-9", true)]
#[case::below("build-8", "build-9", false)]
#[case::stands("build-9", "build-9", false)]
#[case::another_scheme("main", "1.2.0", true)]
fn tags_that_are_no_versions(#[case] tag: &str, #[case] current: &str, #[case] stays: bool) {
    let live = workload(&format!("app:{current}"), &[("headwind.sh/policy", "glob"), ("headwind.sh/pattern", "*")]);
    let all = vec![
        finished("old", tag, Phase::Rejected, 900),
        finished("a", current, Phase::Completed, 100),
        finished("b", current, Phase::Completed, 90),
    ];
    assert_eq!(left(&live, all).contains(&"old".to_owned()), stays);
}

/// Pods of the rollout of one container may fail because of another one. Its request says so until that rollout ends.
#[test]
fn a_failure_in_place_is_kept_while_another_container_is_watched() {
    let mut live = workload("app:1.2.0", &[("headwind.sh/policy", "force")]);
    live.containers.push(Container::new("side", "app:1.0.2"));
    let mut failed = finished("failed", "1.0.2", Phase::Failed, 900);
    (failed.spec.container, failed.spec.policy) = (Some("side".to_owned()), Policy::Force);
    let mut watched = finished("watched", "1.2.0", Phase::RollingOut, 0);
    (watched.status.finished_at, watched.status.rollout) = (None, Some(RolloutState::new(1, at(NOW))));
    let done: Vec<Request> = (0..5).map(|i| finished(&format!("done-{i}"), "1.2.0", Phase::Completed, 100 + i)).collect();
    let (defaults, limits) = (Annotations::new(), Limits::default());
    let deleted = |watched: Option<&Request>| {
        let requests: Vec<&Request> = done.iter().chain([&failed]).chain(watched).collect();
        let present = Presence::Present { workload: &live, live: true };
        Context::new(&live, &observed(&limits, present, &defaults, &requests)).prune()
    };
    let delete = |name: &str| Some(Step::Delete { request: name.to_owned() });
    assert_eq!(deleted(None), delete("failed"));
    assert_eq!(deleted(Some(&watched)), delete("done-4"));
}
