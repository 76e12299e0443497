use jiff::Timestamp;
use rstest::rstest;

use super::*;
use crate::gate::Waiting;
use crate::reason::Reasoned;
use crate::request::Spec;
use crate::request::action::{Action, act};
use crate::rollout::{Failure, RolloutState};
use crate::testing;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn request(status: Status) -> Request {
    let base = testing::request("r", "a:1", "a:2", at(1000));
    Request { spec: Spec { require_approval: true, ..base.spec }, status, ..base }
}

fn of(phase: Phase, reason: Option<Reason>) -> Request {
    request(Status { phase, reason, ..Status::default() })
}

fn between(before: &Request, after: &Request) -> Transition {
    transition(Some(before), after).unwrap()
}

#[test]
fn a_new_request_is_proposed() {
    let new = transition(None, &request(Status::default())).unwrap();
    assert_eq!((new.approval, new.reason, new.from), (Some(ApprovalChange::Proposed), Some(Reason::Proposed), None));
    let mut by_policy = request(Status::default());
    by_policy.spec.require_approval = false;
    assert_eq!(transition(None, &by_policy).unwrap().approval, Some(ApprovalChange::ProposedAndApproved));
}

/// An approval or rejection made with plain `kubectl` has no reason; the transition has one.
#[rstest]
#[case::approved(Phase::Approved, ApprovalChange::Approved, Reason::ApprovedByPerson)]
#[case::rejected(Phase::Rejected, ApprovalChange::Rejected, Reason::RejectedByPerson)]
fn a_person_decides_with_kubectl(#[case] to: Phase, #[case] approval: ApprovalChange, #[case] reason: Reason) {
    let made = between(&of(Phase::Pending, None), &of(to, None));
    assert_eq!((made.approval, made.reason, made.message.as_str()), (Some(approval), Some(reason), reason.sentence()));
    assert_eq!(made.weight, Weight::Normal);
}

#[test]
fn every_action_of_a_person_is_a_transition_with_its_own_id() {
    let pending = request(Status::default());
    let by = |request: &Request, action, second| super::tests::request(act(request, action, "ann", Some("ok"), at(second)).unwrap());
    let rejected = by(&pending, Action::Reject, 1001);
    let reopened = by(&rejected, Action::Reopen, 1002);
    let approved = by(&reopened, Action::Approve, 1003);
    let again = by(&by(&reopened, Action::Reject, 1004), Action::Reopen, 1005);
    let steps = [(&pending, &rejected), (&rejected, &reopened), (&reopened, &approved)].map(|(before, after)| between(before, after));
    assert_eq!(
        steps.clone().map(|step| step.approval),
        [Some(ApprovalChange::Rejected), Some(ApprovalChange::Reopened), Some(ApprovalChange::Approved)]
    );
    assert_eq!(steps[0].message, "rejected by ann: ok");
    let mut ids: Vec<String> = steps.into_iter().map(|step| step.id).collect();
    ids.push(between(&rejected, &again).id);
    let count = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), count, "{ids:?}");
}

#[test]
fn the_id_does_not_depend_on_what_was_seen_before() {
    let done = of(Phase::Completed, Some(Reason::RolloutComplete));
    let whole = between(&of(Phase::RollingOut, Some(Reason::Applied)), &done);
    assert_eq!(transition(None, &done).unwrap().id, whole.id);
    for (phase, approval) in [(Phase::Approved, ApprovalChange::Approved), (Phase::Rejected, ApprovalChange::Rejected)] {
        let after = of(phase, None);
        let late = transition(None, &after).unwrap();
        assert_eq!((late.approval, late.id), (Some(approval), between(&of(Phase::Pending, None), &after).id));
    }
}

#[test]
fn an_applied_change_is_reported_once() {
    let applied = |times| request(Status { phase: Phase::RollingOut, times_applied: times, ..Status::default() });
    assert_eq!(between(&request(Status::default()), &applied(1)).applied, Some(ChangeKind::Update));
    assert_eq!(transition(Some(&applied(1)), &applied(1)), None);
    let mut back = applied(1);
    back.status.rolled_back_from = Some("a:3".to_owned());
    assert_eq!(between(&of(Phase::Approved, None), &back).applied, Some(ChangeKind::ManualRollback));
    let mut returned = applied(1);
    returned.status.reason = Some(Reason::RollingBack);
    returned.status.rollout = Some(RolloutState { returned_to: Some("a:1".to_owned()), ..RolloutState::new(3, at(2000)) });
    let made = between(&applied(1), &returned);
    assert_eq!((made.applied, made.weight), (Some(ChangeKind::AutomaticRollback), Weight::Warning));
}

#[test]
fn a_failed_check_is_no_move_and_is_reported_each_time_it_counts() {
    let checked = |failed_checks| {
        let failure = Some(Failure { reason: Reason::CrashLoopBackOff, message: "web: exit 1".to_owned() });
        let watch = RolloutState { failed_checks, failure, ..RolloutState::new(3, at(2000)) };
        request(Status { phase: Phase::RollingOut, times_applied: 1, rollout: Some(watch), ..Status::default() })
    };
    let made = between(&checked(1), &checked(2));
    assert_eq!((made.weight, made.failed_check), (Weight::Detail, Some(Reasoned::new(Reason::CrashLoopBackOff, "web: exit 1"))));
    assert_ne!(made.id, between(&checked(2), &checked(3)).id);
    assert_eq!(transition(Some(&checked(2)), &checked(2)), None);
    assert_eq!(transition(Some(&checked(2)), &checked(0)), None);
}

#[rstest]
#[case::failed(Phase::Failed, Reason::ApplyFailed, true, false, true)]
#[case::rolled_back(Phase::RolledBack, Reason::CrashLoopBackOff, true, false, true)]
#[case::over(Phase::RolledBack, Reason::RolledBack, false, false, true)]
#[case::rollback_failed(Phase::Failed, Reason::RollbackFailed, true, true, true)]
#[case::well(Phase::RolledBack, Reason::RollbackComplete, true, false, false)]
#[case::completed(Phase::Completed, Reason::RolloutComplete, false, false, false)]
fn how_a_rollout_ends(#[case] to: Phase, #[case] reason: Reason, #[case] failed: bool, #[case] rollback: bool, #[case] warning: bool) {
    let made = between(&of(Phase::RollingOut, Some(Reason::Applied)), &of(to, Some(reason)));
    assert_eq!((made.update_failed, made.rollback_failed, made.weight == Weight::Warning), (failed, rollback, warning));
}

#[test]
fn waiting_is_reported_with_its_end() {
    let waits = |second| {
        let waiting = Some(Waiting::new(Reason::MinUpdateInterval, Some(at(second))));
        request(Status { phase: Phase::Approved, waiting, ..Status::default() })
    };
    let made = between(&of(Phase::Approved, None), &waits(3000));
    assert!(made.waits_for_interval && made.message.contains("1970-01-01T00:50:00Z"), "{made:?}");
    assert_eq!(transition(Some(&waits(3000)), &waits(3000)), None);
    assert_ne!(between(&waits(3000), &waits(4000)).id, made.id);
}

#[test]
fn a_wait_without_a_known_end_is_reported_once() {
    let waiting = Waiting { reason: Reason::Suspended, message: "the release is suspended".to_owned(), until: None };
    let waits = request(Status { phase: Phase::Approved, waiting: Some(waiting.clone()), ..Status::default() });
    let made = between(&of(Phase::Approved, None), &waits);
    assert_eq!((made.reason, made.message.as_str()), (Some(Reason::Suspended), "waits: the release is suspended"));
    let said_otherwise = Waiting { message: "its source is suspended".to_owned(), ..waiting };
    let other = Request { status: Status { waiting: Some(said_otherwise), ..waits.status.clone() }, ..waits.clone() };
    assert_eq!(transition(Some(&waits), &other), None, "other words are not news");
    assert_eq!(transition(Some(&waits), &of(Phase::Approved, None)), None, "the end of a wait is reported by what follows");
}

/// Only a part of a finished request's status is stored: editing its labels is no transition.
#[test]
fn a_finished_request_that_is_edited_did_not_move() {
    let watch = RolloutState {
        failed_checks: 3,
        failure: Some(Failure { reason: Reason::CrashLoopBackOff, message: "x".to_owned() }),
        ..RolloutState::new(3, at(2000))
    };
    let kept = of(Phase::Failed, Some(Reason::CrashLoopBackOff));
    let mut whole = kept.clone();
    whole.status = Status { rollout: Some(watch), reopened_at: Some(at(1500)), message: Some("x".to_owned()), ..whole.status };
    assert_eq!(transition(Some(&kept), &whole), None);
}
