//! Requests that were reopened with plain kubectl, and decided about before Headwind recorded that.

use super::*;
use crate::request::Approval;

/// A request that several people must approve, as the API server has it after these fields were written.
fn asked(status: Status) -> (Workload, Request) {
    let live = workload("app:1.0.0", &[("headwind.sh/require-approval", "true"), ("headwind.sh/approvals", "2")]);
    let mut asked = request("r", "app:1.0.0", "app:1.1.0");
    asked.spec.require_approval = true;
    asked.spec.approvals = 2;
    asked.status = status;
    (live, asked)
}

fn approval(by: &str) -> Approval {
    Approval { by: by.to_owned(), at: Some(at(NOW - 100)) }
}

/// Returns the status after Headwind has written everything that it has to.
fn at_rest(live: &Workload, asked: &mut Request) -> Status {
    for _ in 0..5 {
        match step(Some(live), std::slice::from_ref(asked)) {
            Step::Write(write) => asked.status = write.status,
            Step::Requeue(_) => return asked.status.clone(),
            other => panic!("{other:?}"),
        }
    }
    panic!("{:?}", asked.status)
}

/// Ann approved, eve rejected, somebody reopened: only bob's approval came after that.
#[rstest::rstest]
#[case::recorded(Some(at(NOW - 50)))]
#[case::not_even_the_rejection_is_recorded(None)]
fn earlier_approvals_do_not_count(#[case] finished_at: Option<Timestamp>) {
    let (live, mut asked) = asked(Status {
        phase: Phase::Approved,
        approvals: vec![approval("ann")],
        approved_by: Some("bob".to_owned()),
        rejected_by: Some("eve".to_owned()),
        finished_at,
        ..Status::default()
    });
    assert!(!asked.is_counted(), "it is not reported as approved");
    let status = at_rest(&live, &mut asked);
    let names: Vec<&str> = status.approvals.iter().map(|approval| approval.by.as_str()).collect();
    assert_eq!((status.phase, names, status.dissenters.as_slice()), (Phase::Pending, vec!["bob"], ["eve".to_owned()].as_slice()));
    assert_eq!(status.reopened_at, Some(at(NOW)));
}

#[test]
fn the_person_who_rejected_it_does_not_count() {
    for phase in [Phase::Approved, Phase::Pending] {
        let (live, mut asked) = asked(Status {
            phase,
            approved_by: (phase == Phase::Approved).then(|| "eve".to_owned()),
            rejected_by: Some("eve".to_owned()),
            ..Status::default()
        });
        let status = at_rest(&live, &mut asked);
        assert_eq!((status.phase, status.approvals.len(), status.dissenters), (Phase::Pending, 0, vec!["eve".to_owned()]));
    }
}

/// If one approval is enough, the same person may reopen and approve an update in one second, although it expired long ago.
#[test]
fn one_person_reopens_and_approves() {
    let live = workload("app:1.0.0", &[("headwind.sh/require-approval", "true")]);
    let mut asked = request("r", "app:1.0.0", "app:1.1.0");
    asked.spec.require_approval = true;
    asked.spec.expires_at = Some(at(NOW - 1000));
    asked.status =
        Status { phase: Phase::Approved, approved_by: Some("ann".to_owned()), finished_at: Some(at(NOW - 900)), ..Status::default() };
    let Step::Write(write) = step(Some(&live), std::slice::from_ref(&asked)) else { panic!("not recorded") };
    asked.status = write.status;
    assert_eq!((asked.status.phase, asked.status.reopened_at, asked.status.finished_at), (Phase::Approved, Some(at(NOW)), None));
    assert!(asked.is_counted());
    assert!(matches!(step(Some(&live), &[asked]), Step::Apply(_)));
}

#[test]
fn nobody_decides_before_it_is_recorded() {
    use crate::request::action::{Action, act};
    let (_, asked) = asked(Status { rejected_by: Some("eve".to_owned()), ..Status::default() });
    for action in [Action::Approve, Action::Reject] {
        let refused = act(&asked, action, "eve", None, at(NOW)).unwrap_err();
        assert!(refused.to_string().contains("has not recorded that yet; try again"), "{refused}");
    }
}
