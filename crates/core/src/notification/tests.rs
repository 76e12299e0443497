use NotificationEvent::{
    RollbackCompleted, RollbackFailed, RollbackTriggered, UpdateApproved, UpdateCompleted, UpdateDetected, UpdateFailed, UpdateRejected,
    UpdateRequestCreated,
};

use super::*;
use crate::request::Spec;
use crate::request::action::{Action, act};
use crate::rollout::RolloutState;
use crate::testing;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn request(require_approval: bool, trigger: Trigger, status: Status) -> Request {
    let base = testing::request("r", "a:1", "a:2", at(1000));
    Request { spec: Spec { require_approval, trigger, ..base.spec }, status, ..base }
}

fn events(all: &[Notice]) -> Vec<NotificationEvent> {
    all.iter().map(|notice| notice.event).collect()
}

/// Returns the events of each step of a life.
fn life(steps: &[Request]) -> Vec<Vec<NotificationEvent>> {
    let befores = std::iter::once(None).chain(steps.iter().map(Some));
    befores.zip(steps).map(|(before, after)| events(&new_notices(before, after))).collect()
}

fn status(phase: Phase, reason: Option<Reason>) -> Status {
    Status { phase, reason, finished_at: (!phase.is_open()).then(|| at(1010)), ..Status::default() }
}

#[test]
fn an_update_that_a_person_approves() {
    let approved = Status { approved_by: Some("ann".into()), approved_at: Some(at(1001)), ..status(Phase::Approved, None) };
    let rolling = Status { phase: Phase::RollingOut, times_applied: 1, ..approved.clone() };
    let done = Status { phase: Phase::Completed, finished_at: Some(at(1009)), ..rolling.clone() };
    let steps = [Status::default(), approved, rolling, done].map(|status| request(true, Trigger::Webhook, status));
    assert_eq!(life(&steps), [vec![UpdateRequestCreated], vec![UpdateApproved], vec![], vec![UpdateCompleted]]);
    // A leader that saw nothing derives the same.
    let whole: Vec<NotificationEvent> = life(&steps).concat();
    assert_eq!(events(&notices(&steps[3])), whole);
    assert_eq!(notices(&steps[3]).iter().map(|notice| notice.at.unwrap()).collect::<Vec<_>>(), [at(1000), at(1001), at(1009)]);
}

#[test]
fn an_update_that_the_policy_approves_is_detected() {
    let done = status(Phase::Completed, Some(Reason::RolloutComplete));
    let steps = [Status::default(), done].map(|status| request(false, Trigger::Polling, status));
    assert_eq!(life(&steps), [vec![UpdateDetected], vec![UpdateCompleted]]);
}

#[test]
fn an_approval_with_kubectl_has_no_time() {
    let bare = request(true, Trigger::Webhook, status(Phase::Approved, None));
    let approval = new_notices(Some(&request(true, Trigger::Webhook, Status::default())), &bare);
    assert_eq!((events(&approval), approval[0].at), (vec![UpdateApproved], None));
}

/// The next leader repeats what happened since the oldest notification that waits.
#[test]
fn an_approval_is_not_before_the_request() {
    let early = Status { approved_by: Some("ann".into()), approved_at: Some(at(1)), ..status(Phase::Approved, None) };
    let all = notices(&request(true, Trigger::Webhook, early));
    assert_eq!(all.iter().map(|notice| notice.at).collect::<Vec<_>>(), [Some(at(1000)), Some(at(1000))]);
}

#[test]
fn a_failed_update_and_its_rollback() {
    let base = request(false, Trigger::Webhook, Status::default());
    let failed = request(false, Trigger::Webhook, status(Phase::Failed, Some(Reason::RolloutTimedOut)));
    assert_eq!(events(&new_notices(Some(&base), &failed)), [UpdateFailed]);
    let watch = RolloutState { returned_to: Some("a:1".into()), ..RolloutState::new(1, at(1005)) };
    let returned = |phase, reason| request(false, Trigger::Webhook, Status { rollout: Some(watch.clone()), ..status(phase, Some(reason)) });
    let rolling = returned(Phase::RollingOut, Reason::RollingBack);
    assert_eq!(events(&new_notices(Some(&base), &rolling)), [RollbackTriggered]);
    let back = returned(Phase::RolledBack, Reason::RollbackComplete);
    assert_eq!(events(&new_notices(Some(&rolling), &back)), [RollbackCompleted]);
    let stuck = returned(Phase::RolledBack, Reason::RollbackFailed);
    assert_eq!(events(&new_notices(Some(&rolling), &stuck)), [RollbackFailed]);
}

#[test]
fn a_rollback_that_a_person_requests_is_one_start_and_one_end() {
    let approved = Status { approved_by: Some("ann".into()), approved_at: Some(at(1000)), ..status(Phase::Approved, None) };
    let rolling = Status { phase: Phase::RollingOut, rolled_back_from: Some("a:2".into()), applied_at: Some(at(1002)), ..approved.clone() };
    let done = Status { phase: Phase::Completed, ..rolling.clone() };
    let steps = [Status::default(), approved, rolling, done].map(|status| request(true, Trigger::Manual, status));
    assert_eq!(life(&steps), [vec![], vec![], vec![RollbackTriggered], vec![RollbackCompleted]]);
    // The update that the person rolled back past has no notification.
    let past = request(false, Trigger::Webhook, status(Phase::RolledBack, Some(Reason::RolledBack)));
    let completed = request(false, Trigger::Webhook, status(Phase::Completed, None));
    assert_eq!(new_notices(Some(&completed), &past), []);
}

#[test]
fn a_reopened_request_is_a_new_life() {
    let pending = request(true, Trigger::Webhook, Status::default());
    let by = |request: &Request, action, second| {
        let status = act(request, action, "ann", Some("no"), at(second)).unwrap();
        Request { status, ..request.clone() }
    };
    let rejected = by(&pending, Action::Reject, 1001);
    let reopened = by(&rejected, Action::Reopen, 1002);
    let again = by(&reopened, Action::Reject, 1003);
    let steps = [pending, rejected, reopened, again];
    assert_eq!(life(&steps), [vec![UpdateRequestCreated], vec![UpdateRejected], vec![UpdateRequestCreated], vec![UpdateRejected]]);
    let mut ids: Vec<String> = steps.iter().flat_map(notices).map(|notice| notice.id).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 4, "{ids:?}");
}

#[test]
fn the_end_after_a_finished_phase_is_one_notice() {
    // Of a finished request only a part is stored: the approval is not.
    let superseded = request(true, Trigger::Webhook, status(Phase::Superseded, None));
    let approval = Status { approved_by: Some("ann".into()), approved_at: Some(at(1001)), ..status(Phase::Completed, None) };
    assert_eq!(events(&new_notices(Some(&superseded), &request(true, Trigger::Webhook, approval))), [UpdateCompleted]);
}

#[test]
fn names_are_read_back() {
    for event in NotificationEvent::ALL {
        assert_eq!(event.as_str().parse(), Ok(*event));
    }
    assert!("update_lost".parse::<NotificationEvent>().is_err());
}
