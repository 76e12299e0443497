//! Several containers of one workload: siblings, denials, intervals, and images that admission replaces.

use super::*;
use crate::request::context::Context;
use crate::request::refusal::{Refusal, refused};
use crate::request::rollout::answered_for;

/// Returns a workload with the containers `web` and `side`.
fn two(annotations: &[(&str, &str)]) -> Workload {
    let mut live = workload("app:1.0.0", annotations);
    live.containers.push(Container { index: 1, ..Container::new("side", "side:1.0.0") });
    live
}

fn side(name: &str, from: &str, to: &str) -> Request {
    let one = request(name, from, to);
    Request { spec: Spec { container: Some("side".to_owned()), ..one.spec.clone() }, ..one }
}

fn names(step: &Step) -> Vec<&str> {
    match step {
        Step::Apply(apply) => apply.changes.iter().map(|change| change.request.as_str()).collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn siblings_are_waited_for() {
    let live = two(&[]);
    let web = |created: i64| Request { created: at(created), siblings: vec!["s".to_owned()], ..request("w", "app:1.0.0", "app:1.1.0") };
    assert_eq!(step(Some(&live), &[web(NOW - 1)]), Step::Requeue(Some(at(NOW + 1))));
    assert_eq!(names(&step(Some(&live), &[web(NOW - 1), side("s", "side:1.0.0", "side:1.1.0")])), ["s", "w"]);
    let refused = Request { status: Status { phase: Phase::Superseded, ..Status::default() }, ..side("s", "side:0.9.0", "side:1.1.0") };
    let refused =
        Request { status: Status { reason: Some(Reason::NewerVersion), finished_at: Some(at(NOW)), ..refused.status }, ..refused };
    assert_eq!(names(&step(Some(&live), &[web(NOW - 1), refused])), ["w"], "one that is there and goes nowhere holds back nothing");
    assert_eq!(names(&step(Some(&live), &[web(NOW - 2)])), ["w"], "not for longer than two seconds");
    assert_eq!(names(&step(Some(&live), &[web(NOW + 60)])), ["w"], "nor for a clock that is far ahead");
}

/// Returns the waiting messages after the API server refused the patch with `refusal`.
fn deny(live: &Workload, all: &mut [Request], refusal: &Refusal, now: i64) -> Vec<String> {
    let Step::Apply(apply) = step_at(live, all, now) else { panic!("{:?}", step_at(live, all, now)) };
    for change in &apply.changes {
        let one = all.iter_mut().find(|one| one.name == change.request).unwrap();
        one.status = refused(one, change.kind, refusal, apply.changes.len() == 1, at(now)).status;
    }
    apply.changes.into_iter().map(|change| change.request).collect()
}

fn step_at(live: &Workload, all: &[Request], now: i64) -> Step {
    let requests: Vec<&Request> = all.iter().collect();
    let defaults = Annotations::new();
    next(&Observed {
        limits: &Limits::default(),
        presence: Presence::Present { workload: live, live: true },
        defaults: &defaults,
        requests: &requests,
        now: at(now),
        history_limit: 2,
        snapshot: None,
        seen_since: at(0),
        clock_stepped: None,
        confirmations: None,
    })
}

#[test]
fn a_denied_change_is_tried_again_and_holds_back_no_other() {
    let live = two(&[]);
    let mut all = [request("w", "app:1.0.0", "app:1.1.0"), side("s", "side:1.0.0", "side:1.1.0")];
    let denial = Refusal::Denied("admission webhook \"x\" denied the request: not signed".to_owned());
    assert_eq!(deny(&live, &mut all, &denial, NOW), ["s", "w"]);
    let status = &all[0].status;
    let waiting = status.waiting.clone().unwrap();
    assert_eq!((status.phase, waiting.reason, status.times_denied), (Phase::Pending, Reason::ApplyDenied, 1));
    assert!(waiting.message.ends_with("denied the request: not signed"), "{waiting:?}");
    assert_eq!((waiting.until, status.reason, status.message.as_ref()), (Some(at(NOW + 10)), None, None), "nothing else says it");
    assert_eq!(step_at(&live, &all, NOW), Step::Requeue(Some(at(NOW + 10))));
    assert_eq!(deny(&live, &mut all, &denial, NOW + 10), ["s", "w"]);
    assert_eq!(deny(&live, &mut all, &denial, NOW + 30), ["s", "w"]);
    // From now on each one is tried in its own patch.
    let first = deny(&live, &mut all, &denial, NOW + 70);
    let second = step_at(&live, &all, NOW + 70);
    assert_eq!((first.len(), names(&second).len()), (1, 1));
    assert_ne!(first[0], names(&second)[0]);
    // Its backoff grows up to ten minutes.
    for _ in 0..20 {
        all[0].status = refused(&all[0], ChangeKind::Update, &denial, true, at(NOW)).status;
    }
    assert_eq!(all[0].status.waiting.as_ref().and_then(|waiting| waiting.until), Some(at(NOW + 600)));
    // A new request does not wait for it.
    let fresh = side("fresh", "side:1.0.0", "side:1.2.0");
    assert_eq!(names(&step_at(&live, &[all[0].clone(), fresh], NOW)), ["fresh"]);
    // A person may reject a waiting request.
    assert!(crate::request::action::act(&all[0], crate::request::action::Action::Reject, "ann", None, at(NOW)).is_ok());
}

#[test]
fn an_invalid_object_fails_for_good_and_alone() {
    let live = two(&[]);
    let mut all = [request("w", "app:1.0.0", "app:1.1.0"), side("s", "side:1.0.0", "side:1.1.0")];
    let invalid = Refusal::Invalid("spec.template.spec.containers[0].image: Invalid value".to_owned());
    assert_eq!(deny(&live, &mut all, &invalid, NOW).len(), 2);
    assert!(all.iter().all(|one| one.status.phase == Phase::Pending), "either of the two may be the cause");
    let first = deny(&live, &mut all, &invalid, NOW);
    assert_eq!(first.len(), 1);
    let failed = all.iter().find(|one| one.name == first[0]).unwrap();
    assert_eq!((failed.status.phase, failed.status.reason), (Phase::Failed, Some(Reason::ApplyFailed)));
    assert_eq!(names(&step_at(&live, &all, NOW)).len(), 1, "the other one is tried");
}

#[test]
fn a_container_with_a_long_interval_is_not_starved() {
    let mut history = History::default();
    history.record("web", "app:0.9.0", "app:1.0.0", at(NOW - 60), "before", None);
    history.record("side", "side:0.9.0", "side:1.0.0", at(NOW - 3000), "before-2", None);
    let (history, updated) = (history.to_annotation(), at(NOW - 60).to_string());
    let intervals = [("headwind.sh/min-update-interval", "0"), ("headwind.sh/min-update-interval.side", "1h")];
    let mut live = two(&[intervals[0], intervals[1], (key::LAST_UPDATE, &updated), (key::UPDATE_HISTORY, &history)]);
    let all = [request("w", "app:1.0.0", "app:1.1.0"), side("s", "side:1.0.0", "side:1.1.0")];
    assert_eq!(names(&step(Some(&live), &all)), ["w"], "its own last update is not an hour ago");
    live.annotations.insert("headwind.sh/min-update-interval.side".to_owned(), "50m".to_owned());
    assert_eq!(names(&step(Some(&live), &all)), ["s", "w"], "the pods are replaced anyway");
    assert!(matches!(step(Some(&live), &all[1..]), Step::Write(_)), "alone it waits for the workload's interval");
    let mut back = request("b", "app:1.0.0", "app:0.9.0");
    back.spec.trigger = Trigger::Manual;
    back.status = Status { phase: Phase::Approved, approved_by: Some("ann".to_owned()), ..Status::default() };
    assert_eq!(names(&step(Some(&live), &[back, all[1].clone()])), ["b"], "a rollback takes no update with it");
}

/// The patch of an update tests the version of the object, which changes during a rollout.
#[test]
fn a_rollback_by_a_person_shares_no_patch_with_an_update() {
    let mut history = History::default();
    history.record("web", "app:0.9.0", "app:1.0.0", at(NOW - 60), "before", None);
    let live = two(&[("headwind.sh/min-update-interval", "0"), (key::UPDATE_HISTORY, &history.to_annotation())]);
    let mut back = request("b", "app:1.0.0", "app:0.9.0");
    back.spec.trigger = Trigger::Manual;
    back.status = Status { phase: Phase::Approved, approved_by: Some("ann".to_owned()), ..Status::default() };
    let update = side("s", "side:1.0.0", "side:1.1.0");
    assert_eq!(names(&step(Some(&live), &[back, update.clone()])), ["b"]);
    assert_eq!(names(&step(Some(&live), &[update])), ["s"], "it is due");
}

/// Headwind reads an unknown request that the workload names before it judges the pods. A deleted request does not
/// count.
#[rstest::rstest]
#[case::not_known("gone,w", true)]
#[case::fences("gone@1.past,more@2.over,w", false)]
#[case::known("w", false)]
fn evidence_of_others(#[case] marks: &str, #[case] reads: bool) {
    let workload = two(&[(key::LAST_REQUEST, marks)]);
    let mut known = request("w", "app:0.9.0", "app:1.0.0");
    known.status = Status { phase: Phase::RollingOut, times_applied: 1, rollout: Some(RolloutState::new(1, at(NOW))), ..Status::default() };
    let (defaults, requests) = (Annotations::new(), [&known]);
    let limits = Limits::default();
    let observed = |live: bool| observed(&limits, Presence::Present { workload: &workload, live }, &defaults, &requests);
    assert_eq!(next(&observed(false)) == Step::Read, reads);
    assert_ne!(next(&observed(true)), Step::Read);
    assert!(answered_for(&Context::new(&workload, &observed(true)), "web").is_empty());
}

/// If an admission webhook replaced an image in the patch, Headwind watches that image, rolls back from it and updates
/// it next.
#[test]
fn an_image_that_admission_replaced_is_followed() {
    let pinned = format!("app:1.1.0@sha256:{}", "d".repeat(64));
    let mut live =
        workload("app:1.0.0", &[("headwind.sh/min-update-interval", "0"), (key::AUTO_ROLLBACK, "true"), (key::SETTLE_TIME, "0")]);
    let mut asked = request("r", "app:1.0.0", "app:1.1.0");
    let Step::Apply(apply) = step(Some(&live), std::slice::from_ref(&asked)) else { panic!("not due") };
    live.annotations.insert(key::LAST_REQUEST.to_owned(), apply.last_request);
    live.annotations.insert(key::UPDATE_HISTORY.to_owned(), apply.history);
    live.containers[0].image.clone_from(&pinned);
    let Step::Write(write) = step(Some(&live), std::slice::from_ref(&asked)) else { panic!("not written down") };
    assert_eq!((write.status.phase, write.status.applied_image.as_ref()), (Phase::RollingOut, Some(&pinned)));
    asked.status = write.status;
    assert_eq!(step(Some(&live), std::slice::from_ref(&asked)), Step::Requeue(None), "it is watched");
    // It fails: the previous image is restored.
    let mut failing = asked.clone();
    let failure = Failure { reason: Reason::CrashLoopBackOff, message: "pod p".to_owned() };
    failing.status.rollout = Some(RolloutState { failed_checks: 3, failure: Some(failure), ..RolloutState::new(3, at(NOW - 60)) });
    live.rollout = complete(1);
    let Step::Apply(apply) = step(Some(&live), &[failing]) else { panic!("not rolled back") };
    assert_eq!((apply.changes[0].from.as_str(), apply.changes[0].to.as_str()), (pinned.as_str(), "app:1.0.0"));
    // It is healthy: the next update starts from it, and the history contains it.
    let Step::Write(write) = step(Some(&live), std::slice::from_ref(&asked)) else { panic!("not completed") };
    assert_eq!(write.status.phase, Phase::Completed);
    asked.status = write.status;
    let newer = request("n", &pinned, "app:1.2.0");
    let Step::Apply(apply) = step(Some(&live), &[asked, newer]) else { panic!("not due") };
    let history: Vec<String> = History::parse(Some(&apply.history)).0.of("web").map(|entry| entry.image.clone()).collect();
    assert_eq!(history, ["app:1.2.0".to_owned(), pinned, "app:1.0.0".to_owned()]);
}

#[rstest::rstest]
#[case::pinned("app:1.1.0", "app:1.1.0@sha256:D", true)]
#[case::digest_alone("app:1.1.0", "app@sha256:D", true)]
#[case::mirror("app:1.1.0", "mirror.example/hub/library/app:1.1.0", true)]
#[case::mirror_of_a_pinned_one("app:1.1.0@sha256:D", "mirror.example/app:1.1.0@sha256:D", true)]
#[case::reverted("app:1.1.0", "app:1.0.0", false)]
#[case::another_digest("app:1.1.0@sha256:D", "app:1.1.0@sha256:E", false)]
#[case::digest_of_another("app:1.1.0", "other@sha256:D", false)]
fn is_the_same_version(#[case] asked: &str, #[case] there: &str, #[case] same: bool) {
    let full = |image: &str| image.replace('D', &"d".repeat(64)).replace('E', &"e".repeat(64));
    let live = workload(&full(there), &[(key::LAST_REQUEST, "r")]);
    let Step::Write(write) = step(Some(&live), &[request("r", "app:0.9.0", &full(asked))]) else { panic!("not written down") };
    assert_eq!(write.status.applied_image.is_some(), same);
}
