mod confirmation;
mod invalid_settings;
mod many;
mod owner;
mod prune;
mod releases;
mod reopened;
mod slots;
mod together;
mod validity;

use jiff::Timestamp;

use super::*;
use crate::artifact::{Artifact, ArtifactKind};
use crate::gate::{Limits, Waiting};
use crate::policy::Policy;
use crate::request::{ChangeKind, Identity, Spec, violations_of};
use crate::rollout::{DeploymentView, Failure, View};
use crate::settings::{Annotations, key};
use crate::testing;
use crate::workload::history::History;
use crate::workload::{Container, Kind, Workload, WorkloadKey};

const NOW: i64 = 1_000_000;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn workload(image: &str, annotations: &[(&str, &str)]) -> Workload {
    let own = annotations.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    let base = testing::deployment(image, &[("policy", "minor"), ("require-approval", "false")]);
    Workload { uid: "uid".to_owned(), generation: 3, annotations: base.annotations.clone().into_iter().chain(own).collect(), ..base }
}

/// Returns the status of a Deployment whose rollout is complete.
fn complete(replicas: u32) -> View {
    View::Deployment(DeploymentView {
        replicas,
        observed_generation: 3,
        total: replicas,
        updated: replicas,
        available: replicas,
        ..DeploymentView::default()
    })
}

fn request(name: &str, from: &str, to: &str) -> Request {
    Request { target_uid: "uid".to_owned(), ..testing::request(name, from, to, at(NOW - 10)) }
}

/// Returns the step for a workload that was read live, or that the API server reports as gone.
fn step(workload: Option<&Workload>, requests: &[Request]) -> Step {
    seen(workload.map_or(Presence::Gone, |workload| Presence::Present { workload, live: true }), requests)
}

fn seen(presence: Presence<'_>, requests: &[Request]) -> Step {
    seen_with(&Limits::default(), presence, requests)
}

fn seen_with(limits: &Limits, presence: Presence<'_>, requests: &[Request]) -> Step {
    let requests: Vec<&Request> = requests.iter().collect();
    next(&observed(limits, presence, &Annotations::new(), &requests))
}

/// Returns what is observed now, without pods.
fn observed<'a>(limits: &'a Limits, presence: Presence<'a>, defaults: &'a Annotations, requests: &'a [&'a Request]) -> Observed<'a> {
    Observed {
        limits,
        presence,
        defaults,
        requests,
        now: at(NOW),
        history_limit: 2,
        snapshot: None,
        seen_since: at(0),
        clock_stepped: None,
        confirmations: None,
    }
}

/// Returns the phase and reason that the step writes.
fn written(step: Step) -> (Phase, Reason) {
    match step {
        Step::Write(write) => (write.status.phase, write.status.reason.unwrap()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_due_is_applied_and_then_written_down() {
    let mut live = workload("app:1.0.0", &[]);
    let mut asked = request("r", "app:1.0.0", "app:1.1.0");
    let Step::Apply(apply) = step(Some(&live), std::slice::from_ref(&asked)) else { panic!("not due") };
    assert_eq!(
        (apply.changes[0].from.as_str(), apply.changes[0].to.as_str(), apply.last_request.as_str()),
        ("app:1.0.0", "app:1.1.0", "r")
    );
    live.containers[0].image = "app:1.1.0".to_owned();
    live.annotations.insert(key::LAST_REQUEST.to_owned(), apply.last_request);
    let Step::Write(write) = step(Some(&live), std::slice::from_ref(&asked)) else { panic!("not written down") };
    assert_eq!((write.status.phase, write.status.times_applied), (Phase::RollingOut, 1));
    asked.status = write.status;
    assert_eq!(step(Some(&live), std::slice::from_ref(&asked)), Step::Requeue(None), "the controller has not seen it");
    live.rollout = complete(1);
    live.annotations.insert(key::SETTLE_TIME.to_owned(), "0".to_owned());
    let Step::Write(write) = step(Some(&live), std::slice::from_ref(&asked)) else { panic!("not completed") };
    assert_eq!(write.status.phase, Phase::Completed);
    asked.status = write.status;
    assert_eq!(step(Some(&live), std::slice::from_ref(&asked)), Step::Requeue(None));
    assert_eq!(violations_of(&[asked]), Vec::<String>::new());
}

#[test]
fn what_was_applied_is_never_applied_again_wherever_the_image_is() {
    let asked = request("r", "app:1.0.0", "app:1.1.0");
    // The image was reverted outside Headwind between the patch and the status write.
    let marked = workload("app:1.0.0", &[(key::LAST_REQUEST, "other, r")]);
    assert_eq!(written(step(Some(&marked), std::slice::from_ref(&asked))), (Phase::RollingOut, Reason::RolloutProgressing));
    let mut reopened = asked;
    reopened.status = Status { times_applied: 1, reopened_at: Some(at(NOW - 1)), ..Status::default() };
    assert!(
        matches!(step(Some(&marked), &[reopened]), Step::Apply(apply) if apply.last_request == "other@1.past,r@1"),
        "the old mark is not the new one"
    );
}

#[rstest::rstest]
#[case::by_another_hand(workload("app:1.0.5", &[]), Phase::Superseded, Reason::ImageChanged)]
#[case::there_already(workload("app:1.1.0", &[]), Phase::Superseded, Reason::ImageChanged)]
#[case::another_image(workload("other:1.0.0", &[]), Phase::Superseded, Reason::ImageChanged)]
#[case::policy_gone(workload("app:1.0.0", &[("headwind.sh/policy", "none")]), Phase::Superseded, Reason::PolicyChanged)]
#[case::narrower(workload("app:1.0.0", &[("headwind.sh/policy", "patch")]), Phase::Superseded, Reason::PolicyChanged)]
#[case::bad_annotation(workload("app:1.0.0", &[("headwind.sh/policy", "x")]), Phase::Superseded, Reason::PolicyChanged)]
#[case::other_source(workload("app:1.0.0", &[("headwind.sh/event-source", "polling")]), Phase::Superseded, Reason::PolicyChanged)]
#[case::not_tracked(workload("app:1.0.0", &[("headwind.sh/images", "nobody")]), Phase::Superseded, Reason::PolicyChanged)]
#[case::unreadable(workload("APP:1.0.0:", &[]), Phase::Failed, Reason::InvalidImage)]
fn void(#[case] live: Workload, #[case] phase: Phase, #[case] reason: Reason) {
    assert_eq!(written(step(Some(&live), &[request("r", "app:1.0.0", "app:1.1.0")])), (phase, reason));
}

#[test]
fn what_has_no_target_or_no_sense_ends() {
    let asked = request("r", "app:1.0.0", "app:1.1.0");
    assert_eq!(written(step(None, std::slice::from_ref(&asked))), (Phase::Superseded, Reason::TargetGone));
    let mut live = workload("app:1.0.0", &[]);
    let orphan = Request { target_uid: "old".to_owned(), ..asked.clone() };
    assert_eq!(written(step(Some(&live), &[orphan])), (Phase::Superseded, Reason::TargetGone));
    let odd = Request { fault: Some("odd".to_owned()), ..asked.clone() };
    assert_eq!(written(step(Some(&live), &[odd])), (Phase::Failed, Reason::InvalidRequest));
    live.containers[0].name = "renamed".to_owned();
    assert_eq!(written(step(Some(&live), std::slice::from_ref(&asked))), (Phase::Superseded, Reason::ContainerGone));
    live.deleting = true;
    assert_eq!(step(Some(&live), &[asked]), Step::Requeue(None), "left to the garbage collector");
}

#[test]
fn moved_on_by_our_own_hand_is_not_moved() {
    let mut history = History::default();
    history.record("web", "app:1.0.0", "app:1.1.0", at(NOW - 5), "first", None);
    let live = workload("app:1.1.0", &[(key::UPDATE_HISTORY, &history.to_annotation()), ("headwind.sh/min-update-interval", "0")]);
    let Step::Apply(apply) = step(Some(&live), &[request("r", "app:1.0.0", "app:1.2.0")]) else { panic!("lost") };
    assert_eq!(apply.changes[0].from, "app:1.1.0", "from where it is now");
}

#[test]
fn the_better_one_goes_out_and_an_approval_is_not_forgotten() {
    let live = workload("app:1.0.0", &[]);
    let (older, newer) = (request("a", "app:1.0.0", "app:1.1.0"), request("b", "app:1.0.0", "app:1.2.0"));
    let Step::Write(write) = step(Some(&live), &[newer.clone(), older.clone()]) else { panic!("both stand") };
    assert_eq!((write.request.as_str(), write.status.reason), ("a", Some(Reason::NewerVersion)));
    let asks = workload("app:1.0.0", &[("headwind.sh/require-approval", "true")]);
    let mut approved = older;
    approved.status.phase = Phase::Approved;
    assert!(matches!(step(Some(&asks), &[newer, approved]), Step::Apply(apply) if apply.changes[0].request == "a"));
}

#[test]
fn approval_is_asked_for_when_either_says_so() {
    let asked = request("r", "app:1.0.0", "app:1.1.0");
    let asks = workload("app:1.0.0", &[("headwind.sh/require-approval", "true")]);
    assert_eq!(step(Some(&asks), std::slice::from_ref(&asked)), Step::Requeue(None));
    let needs = Request { spec: Spec { require_approval: true, ..asked.spec.clone() }, ..asked.clone() };
    assert!(matches!(step(Some(&workload("app:1.0.0", &[])), &[needs]), Step::Requeue(Some(_))));
    let manual = Request { spec: Spec { trigger: Trigger::Manual, ..asked.spec.clone() }, ..asked.clone() };
    assert!(matches!(step(Some(&workload("app:1.0.0", &[])), &[manual]), Step::Requeue(Some(_))), "a person's request needs a person");
    let late = Request { created: at(NOW - 86_400), ..asked };
    assert_eq!(
        step(Some(&asks), std::slice::from_ref(&late)),
        Step::Requeue(None),
        "it has no expiry, and the workload requires approval now"
    );
    let needed = Request { spec: Spec { require_approval: true, ..late.spec.clone() }, ..late.clone() };
    assert_eq!(written(step(Some(&asks), &[needed])), (Phase::Expired, Reason::PastExpiry));
    assert!(matches!(step(Some(&workload("app:1.0.0", &[])), &[late]), Step::Apply(_)), "what needs no answer does not expire");
}

#[test]
fn the_interval_delays_and_says_until_when() {
    let updated = at(NOW - 100).to_string();
    let live = workload("app:1.0.0", &[(key::LAST_UPDATE, &updated)]);
    let mut asked = request("r", "app:1.0.0", "app:1.1.0");
    let Step::Write(write) = step(Some(&live), std::slice::from_ref(&asked)) else { panic!("does not wait") };
    assert_eq!(write.status.waiting, Some(Waiting::new(Reason::MinUpdateInterval, Some(at(NOW + 200)))));
    asked.status = write.status;
    assert_eq!(step(Some(&live), std::slice::from_ref(&asked)), Step::Requeue(Some(at(NOW + 200))), "said once");
    let broken = workload("app:1.0.0", &[(key::LAST_UPDATE, "yesterday")]);
    assert!(matches!(step(Some(&broken), &[asked]), Step::Apply(_)), "a broken annotation does not shut the gate");
}

#[test]
fn the_oldest_go_and_what_holds_back_a_version_stays() {
    let live = workload("app:1.3.0", &[]);
    let finished = |name: &str, tag: &str, phase: Phase, ended: i64| {
        let mut request = request(name, "app:1.0.0", &format!("app:{tag}"));
        let (reason, finished_at) = (Some(Reason::Applied), Some(at(NOW - ended)));
        request.status = Status { phase, reason, finished_at, times_applied: 1, ..Status::default() };
        request
    };
    let mut all = vec![
        finished("rejected", "1.9.0", Phase::Rejected, 400),
        finished("a", "1.1.0", Phase::Completed, 300),
        finished("b", "1.2.0", Phase::Completed, 200),
        finished("c", "1.3.0", Phase::Completed, 100),
    ];
    assert_eq!(step(Some(&live), &all), Step::Delete { request: "a".to_owned() });
    all.remove(1);
    assert_eq!(step(Some(&live), &all), Step::Requeue(None), "the rejected one still holds 1.9.0 back");
}

#[test]
fn reopened_with_kubectl_alone() {
    let live = workload("app:1.0.0", &[]);
    let mut asked = request("r", "app:1.0.0", "app:1.1.0");
    asked.status = Status { finished_at: Some(at(NOW - 50)), rejected_by: Some("ann".to_owned()), ..Status::default() };
    let Step::Write(write) = step(Some(&live), &[asked]) else { panic!("taken as it is") };
    assert_eq!((write.status.reopened_at, write.status.rejected_by), (Some(at(NOW)), None));
}

#[test]
fn ended_with_kubectl_alone() {
    let live = workload("app:1.0.0", &[]);
    let mut asked = request("r", "app:1.0.0", "app:1.1.0");
    asked.status = Status { phase: Phase::Rejected, rejected_by: Some("ann".to_owned()), ..Status::default() };
    let Step::Write(write) = step(Some(&live), std::slice::from_ref(&asked)) else { panic!("left without a reason") };
    assert_eq!(
        (write.status.phase, write.status.reason, write.status.finished_at),
        (Phase::Rejected, Some(Reason::RejectedByPerson), Some(at(NOW)))
    );
    asked.status = write.status;
    assert_eq!(step(Some(&live), std::slice::from_ref(&asked)), Step::Requeue(None));
    assert_eq!(violations_of(&[asked]), Vec::<String>::new());
}

#[test]
fn reopened_though_it_stands() {
    let live = workload("app:1.1.0", &[(key::LAST_REQUEST, "r")]);
    let mut asked = request("r", "app:1.0.0", "app:1.1.0");
    asked.status = Status { times_applied: 1, reopened_at: Some(at(NOW - 1)), ..Status::default() };
    let Step::Write(write) = step(Some(&live), &[asked]) else { panic!("no status write") };
    assert_eq!((write.status.phase, write.status.times_applied), (Phase::RollingOut, 2), "watched again");
}

/// Returns a request whose change was applied that many seconds ago.
fn applied(name: &str, from: &str, to: &str, phase: Phase, ago: i64) -> Request {
    let mut asked = request(name, from, to);
    let (reason, message, finished_at) = (Some(Reason::RolloutComplete), Some(String::new()), Some(at(NOW - ago)));
    asked.status = Status { phase, reason, message, finished_at, times_applied: 1, applied_at: Some(at(NOW - ago)), ..Status::default() };
    asked
}

#[test]
fn a_broken_history_is_rebuilt_from_the_requests() {
    let live = workload("app:1.2.0", &[(key::UPDATE_HISTORY, "[{\"nonsense\""), ("headwind.sh/min-update-interval", "0")]);
    let all = [
        applied("one", "app:1.0.0", "app:1.1.0", Phase::Completed, 900),
        applied("gone", "app:1.1.0", "app:1.1.5", Phase::RolledBack, 800),
        applied("two", "app:1.1.0", "app:1.2.0", Phase::Completed, 700),
        request("three", "app:1.2.0", "app:1.3.0"),
    ];
    let Step::Apply(apply) = step(Some(&live), &all) else { panic!("not due") };
    let (history, whole) = History::parse(Some(&apply.history));
    let images: Vec<&str> = history.of("web").map(|entry| entry.image.as_str()).collect();
    assert!(whole && images == ["app:1.3.0", "app:1.2.0", "app:1.1.0", "app:1.0.0"], "{images:?}");
}

#[test]
fn a_failed_one_goes_back_to_the_newest_that_was_good() {
    let mut history = History::default();
    for (name, from, to) in [("good", "1.0.0", "1.1.0"), ("passed-over", "1.1.0", "1.2.0"), ("bad", "1.2.0", "1.3.0")] {
        history.record("web", &format!("app:{from}"), &format!("app:{to}"), at(NOW - 60), name, None);
    }
    let annotations =
        [(key::UPDATE_HISTORY, history.to_annotation()), (key::LAST_REQUEST, "bad".to_owned()), (key::AUTO_ROLLBACK, "true".to_owned())];
    let annotations: Vec<(&str, &str)> = annotations.iter().map(|(key, value)| (*key, value.as_str())).collect();
    let mut live = workload("app:1.3.0", &annotations);
    live.rollout = complete(1);
    let mut bad = applied("bad", "app:1.2.0", "app:1.3.0", Phase::RollingOut, 60);
    let failure = Failure { reason: Reason::CrashLoopBackOff, message: "pod p".to_owned() };
    bad.status.rollout = Some(RolloutState { failed_checks: 3, failure: Some(failure), ..RolloutState::new(3, at(NOW - 60)) });
    bad.status.finished_at = None;
    let all = [
        applied("good", "app:1.0.0", "app:1.1.0", Phase::Completed, 300),
        applied("passed-over", "app:1.1.0", "app:1.2.0", Phase::Superseded, 200),
        bad.clone(),
    ];
    let Step::Apply(apply) = step(Some(&live), &all) else { panic!("not rolled back") };
    assert_eq!((apply.changes[0].from.as_str(), apply.changes[0].to.as_str()), ("app:1.3.0", "app:1.1.0"));
    assert_eq!((apply.changes[0].kind, apply.last_request.as_str()), (ChangeKind::AutomaticRollback, "bad@1.back"));
    let kept: Vec<String> = History::parse(Some(&apply.history)).0.of("web").map(|entry| entry.image.clone()).collect();
    assert_eq!(kept, ["app:1.1.0", "app:1.0.0"]);

    // The image was changed outside Headwind: no rollback.
    live.containers[0].image = "app:1.2.9".to_owned();
    assert_eq!(written(step(Some(&live), std::slice::from_ref(&bad))), (Phase::Superseded, Reason::ImageChanged));
    // A stale copy of the workload proves nothing.
    live.generation = 2;
    assert_eq!(step(Some(&live), std::slice::from_ref(&bad)), Step::Requeue(None));
    // Automatic rollback is disabled.
    let mut asked = workload("app:1.3.0", &[(key::UPDATE_HISTORY, &history.to_annotation())]);
    asked.rollout = complete(1);
    assert_eq!(written(step(Some(&asked), std::slice::from_ref(&bad))), (Phase::Failed, Reason::CrashLoopBackOff));
}

#[test]
fn a_restart_is_rolled_back_to_the_digest_that_ran() {
    let before = format!("sha256:{}", "b".repeat(64));
    let mut live = workload("app:latest", &[(key::AUTO_ROLLBACK, "true"), ("headwind.sh/policy", "force")]);
    live.rollout = complete(1);
    let mut bad = applied("bad", "app:latest", "app:latest", Phase::RollingOut, 60);
    let failure = Failure { reason: Reason::CrashLoopBackOff, message: "pod p".to_owned() };
    bad.status.rollout = Some(RolloutState { failed_checks: 3, failure: Some(failure), ..RolloutState::new(3, at(NOW - 60)) });
    assert_eq!(
        written(step(Some(&live), std::slice::from_ref(&bad))),
        (Phase::Failed, Reason::CrashLoopBackOff),
        "the previous image is unknown"
    );
    bad.spec.current_digest = Some(before.clone());
    let Step::Apply(apply) = step(Some(&live), &[bad]) else { panic!("not rolled back") };
    assert_eq!(apply.changes[0].to, format!("app:latest@{before}"));
}

#[test]
fn a_person_goes_back_at_once_and_what_was_left_is_left_behind() {
    let mut history = History::default();
    history.record("web", "app:1.0.0", "app:1.1.0", at(NOW - 60), "left", None);
    let updated = at(NOW - 60).to_string();
    let annotations = [(key::UPDATE_HISTORY, history.to_annotation()), (key::LAST_REQUEST, "left".to_owned()), (key::LAST_UPDATE, updated)];
    let annotations: Vec<(&str, &str)> = annotations.iter().map(|(key, value)| (*key, value.as_str())).collect();
    let mut live = workload("app:1.1.0", &annotations);
    let left = applied("left", "app:1.0.0", "app:1.1.0", Phase::Completed, 60);
    let mut back = request("back", "app:1.1.0", "app:1.0.0");
    back.spec.trigger = Trigger::Manual;
    back.status = Status { phase: Phase::Approved, approved_by: Some("ann".to_owned()), ..Status::default() };
    let Step::Apply(apply) = step(Some(&live), &[left.clone(), back.clone()]) else { panic!("it waits for the interval") };
    assert_eq!((apply.changes[0].kind, apply.last_request.as_str()), (ChangeKind::ManualRollback, "left@1.over,back"));
    live.containers[0].image = "app:1.0.0".to_owned();
    live.annotations.insert(key::LAST_REQUEST.to_owned(), apply.last_request);
    live.annotations.insert(key::UPDATE_HISTORY.to_owned(), apply.history);
    let Step::Write(write) = step(Some(&live), &[left.clone(), back.clone()]) else { panic!("not written down") };
    assert_eq!(
        (write.request.as_str(), write.status.phase, write.status.rolled_back_from.as_deref()),
        ("back", Phase::RollingOut, Some("app:1.1.0"))
    );
    back.status = write.status;
    let Step::Write(write) = step(Some(&live), &[left, back.clone()]) else { panic!("the replaced version is not recorded") };
    assert_eq!((write.request.as_str(), write.status.phase), ("left", Phase::RolledBack));
    // A version that was set outside Headwind is rolled back past as well, although there is no request for it.
    let version = Artifact::parse(ArtifactKind::Image, "app:1.1.0").unwrap();
    assert!(back.prior().quarantines("web", &Identity::new("web", &version, Policy::Minor, None), Policy::Minor));
    let waits = Request { created: at(NOW - 300), ..request("waits", "app:1.0.0", "app:1.1.0") };
    live.rollout = complete(1);
    live.annotations.insert("headwind.sh/settle-time".to_owned(), "0".to_owned());
    assert_eq!(written(step(Some(&live), &[back.clone(), waits.clone()])), (Phase::Superseded, Reason::RolledBack));
    // Another leader proposed it after the patch, before the rollback was recorded.
    let proposed = Request { created: at(NOW + 1), ..waits };
    assert_eq!(written(step(Some(&live), &[back.clone(), proposed.clone()])), (Phase::Superseded, Reason::RolledBack));
    let again = Status { reopened_at: Some(at(NOW + 1)), ..proposed.status.clone() };
    let other = step(Some(&live), &[back, Request { status: again, ..proposed }]);
    assert!(!matches!(&other, Step::Write(write) if write.status.phase == Phase::Superseded), "{other:?}");
}

#[test]
fn rejected_in_the_moment_after_the_patch() {
    let live = workload("app:1.1.0", &[(key::LAST_REQUEST, "r")]);
    let mut asked = request("r", "app:1.0.0", "app:1.1.0");
    asked.status =
        Status { phase: Phase::Rejected, reason: Some(Reason::RejectedByPerson), rejected_by: Some("ann".to_owned()), ..Status::default() };
    let Step::Write(write) = step(Some(&live), &[asked]) else { panic!("the change in place is not watched") };
    assert_eq!((write.status.phase, write.status.rejected_by.as_deref()), (Phase::RollingOut, Some("ann")));
}

/// Another leader, which did not know the refusal yet, applied it.
#[test]
fn applied_after_it_was_refused() {
    let mut asked = request("r", "app:1.0.0", "app:1.1.0");
    asked.status = Status { phase: Phase::Failed, reason: Some(Reason::ApplyFailed), finished_at: Some(at(NOW - 5)), ..Status::default() };
    let pinned = format!("app:1.1.0@sha256:{}", "c".repeat(64));
    let Step::Write(write) = step(Some(&workload(&pinned, &[(key::LAST_REQUEST, "r")])), std::slice::from_ref(&asked)) else {
        panic!("the change in place is not watched")
    };
    assert_eq!((write.status.phase, write.status.applied_image.as_deref()), (Phase::RollingOut, Some(pinned.as_str())));
    assert!(!matches!(step(Some(&workload("app:1.0.0", &[])), &[asked]), Step::Write(_)), "it is not in place");
}

#[test]
fn a_release_is_judged_by_its_conditions_alone() {
    use crate::rollout::HelmReleaseView;
    use crate::rollout::flux::{Condition, ConditionType, Remediation, Snapshot};
    let says = |kind: ConditionType, status: bool, reason: &str| Condition {
        kind,
        status: Some(status),
        reason: reason.to_owned(),
        message: format!("words of {reason}"),
        observed_generation: 3,
    };
    let release = |failures: u32, conditions: Vec<Condition>| {
        View::HelmRelease(Box::new(HelmReleaseView {
            generation: 3,
            wanted: "1.1.0".to_owned(),
            observed_generation: 3,
            attempted_generation: 3,
            attempted_revision: "1.1.0".to_owned(),
            failures,
            newest: Some(Snapshot { version: "1.1.0".to_owned(), status: "deployed".to_owned(), oci_digest: None }),
            conditions,
            ..HelmReleaseView::default()
        }))
    };
    let mut live = workload("app:1.1.0", &[(key::LAST_REQUEST, "r"), (key::SETTLE_TIME, "10s"), (key::AUTO_ROLLBACK, "true")]);
    let mut asked = request("r", "app:1.0.0", "app:1.1.0");
    asked.status =
        Status { phase: Phase::RollingOut, times_applied: 1, rollout: Some(RolloutState::new(3, at(NOW - 60))), ..Status::default() };
    // Healthy, and waiting for the settle time: pods are not inspected.
    live.rollout = release(0, vec![says(ConditionType::Ready, true, "UpgradeSucceeded")]);
    let Step::Write(write) = step(Some(&live), std::slice::from_ref(&asked)) else { panic!("not remembered") };
    assert_eq!(write.status.message.as_deref(), Some("the release is ready; waiting for the end of settle-time"));
    let mut settled = asked.clone();
    settled.status.rollout = write.status.rollout.map(|watch| RolloutState { available_since: Some(at(NOW - 10)), ..watch });
    let Step::Write(write) = step(Some(&live), &[settled]) else { panic!("not completed") };
    assert_eq!((write.status.phase, write.status.reason), (Phase::Completed, Some(Reason::RolloutComplete)));
    assert_eq!(write.status.message.as_deref(), Some("app:1.1.0 is in place, the release is ready, and has been for 10 s"));
    // Several attempts may take longer than the timeout: the release gets the time of all attempts.
    let slow = |retries: i32| {
        let upgrade = Remediation { retries, ..Remediation::default() };
        let view = HelmReleaseView {
            generation: 3,
            wanted: "1.1.0".to_owned(),
            timeout: std::time::Duration::from_mins(3),
            attempted_generation: 3,
            attempted_revision: "1.1.0".to_owned(),
            upgrade,
            ..HelmReleaseView::default()
        };
        View::HelmRelease(Box::new(view))
    };
    let begun = RolloutState { wanted: 1, remaining: 2, ..RolloutState::new(3, at(NOW - 600)) };
    let mut waits = asked.clone();
    waits.status.rollout = Some(begun);
    live.rollout = slow(4);
    assert!(matches!(step(Some(&live), std::slice::from_ref(&waits)), Step::Requeue(Some(_))), "its time is not up");
    live.rollout = slow(0);
    assert_eq!(written(step(Some(&live), &[waits])), (Phase::Failed, Reason::RolloutTimedOut));
    // Flux has given up: record it, roll back, then report the cause.
    let stalled = says(ConditionType::Stalled, true, "RetriesExceeded");
    live.rollout = release(1, vec![stalled, says(ConditionType::Released, false, "UpgradeFailed")]);
    let Step::Write(write) = step(Some(&live), std::slice::from_ref(&asked)) else { panic!("not remembered") };
    asked.status = write.status;
    let Step::Apply(apply) = step(Some(&live), std::slice::from_ref(&asked)) else { panic!("not rolled back") };
    assert_eq!((apply.changes[0].to.as_str(), apply.last_request.as_str()), ("app:1.0.0", "r@1.back"));
    live.containers[0].image = "app:1.0.0".to_owned();
    live.annotations.insert(key::LAST_REQUEST.to_owned(), apply.last_request);
    let Step::Write(write) = step(Some(&live), &[asked]) else { panic!("not written down") };
    let cause = write.status.rollout.and_then(|watch| watch.cause).map(|cause| (cause.reason, cause.message));
    assert_eq!(cause, Some((Reason::UpgradeFailed, "words of UpgradeFailed".to_owned())));
}

/// A cached copy never causes an end or a deletion: the API server is queried first.
#[test]
fn nothing_ends_before_it_was_read_live() {
    let asked = request("r", "app:1.0.0", "app:1.1.0");
    let all = std::slice::from_ref(&asked);
    assert_eq!(seen(Presence::Unknown, all), Step::Read);
    assert_eq!(seen(Presence::Unknown, &[]), Step::Requeue(None), "nothing hangs on it");
    let orphaned = Request { target_uid: "old".to_owned(), ..asked.clone() };
    let expired = Request { spec: Spec { require_approval: true, expires_at: Some(at(NOW)), ..asked.spec.clone() }, ..asked.clone() };
    let finished = |name: &str| {
        let status =
            Status { phase: Phase::Superseded, reason: Some(Reason::NewerVersion), finished_at: Some(at(NOW)), ..Status::default() };
        Request { status, ..request(name, "app:0.8.0", "app:0.9.0") }
    };
    let mut renamed = workload("app:1.0.0", &[]);
    renamed.containers[0].name = "renamed".to_owned();
    for (workload, requests) in [
        (workload("app:1.0.0", &[]), vec![orphaned]),
        (workload("app:1.0.0", &[("headwind.sh/policy", "none")]), vec![asked.clone()]),
        (workload("app:1.0.0", &[]), vec![expired]),
        (workload("app:1.0.0", &[]), vec![asked.clone(), request("s", "app:1.0.0", "app:1.2.0")]),
        (workload("app:2.0.0", &[]), vec![asked.clone()]),
        (renamed, vec![asked.clone()]),
        (workload("app:1.0.0", &[]), vec![finished("a"), finished("b"), finished("c")]),
    ] {
        assert_eq!(seen(Presence::Present { workload: &workload, live: false }, &requests), Step::Read);
        let live = seen(Presence::Present { workload: &workload, live: true }, &requests);
        assert!(matches!(live, Step::Write(_) | Step::Delete { .. }), "{live:?}");
    }
    let going = workload("app:1.0.0", &[]);
    assert!(matches!(seen(Presence::Present { workload: &going, live: false }, all), Step::Apply(_)), "its tests guard the patch");
}

/// An object that does not decode, or whose kind is not served, is not gone.
#[test]
fn what_cannot_be_read_ends_by_the_clock_alone() {
    let direct = request("r", "app:1.0.0", "app:1.1.0");
    assert_eq!(seen(Presence::Unreadable, std::slice::from_ref(&direct)), Step::Requeue(None));
    let spec = |expires_at| Spec { require_approval: true, expires_at: Some(expires_at), ..direct.spec.clone() };
    let waits = Request { spec: spec(at(NOW + 60)), ..direct.clone() };
    assert_eq!(seen(Presence::Unreadable, &[direct.clone(), waits]), Step::Requeue(Some(at(NOW + 60))));
    let late = Request { spec: spec(at(NOW)), ..direct.clone() };
    assert_eq!(written(seen(Presence::Unreadable, &[late])), (Phase::Expired, Reason::PastExpiry));
}

/// A kind without a rollout is not watched, however long the settle time is.
#[test]
fn a_cron_job_is_done_when_it_is_patched() {
    let asked = Request {
        status: Status { phase: Phase::RollingOut, times_applied: 1, ..Status::default() },
        ..request("a", "app:1.0.0", "app:1.1.0")
    };
    let key = WorkloadKey { kind: Kind::CronJob, ..workload("app:1.1.0", &[]).key };
    let job = Workload { key, rollout: View::NoRollout, ..workload("app:1.1.0", &[]) };
    let Step::Write(write) = step(Some(&job), std::slice::from_ref(&asked)) else { panic!("nothing is written") };
    assert_eq!((write.status.phase, write.status.reason), (Phase::Completed, Some(Reason::RolloutComplete)));
    assert_eq!(write.status.message.as_deref(), Some("app:1.1.0 is in place, the next Job uses it"));
}
