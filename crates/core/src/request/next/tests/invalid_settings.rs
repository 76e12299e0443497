//! Requests of people while an annotation has an invalid value.

use super::*;
use crate::workload::owner::{Manager, Owner};

/// A request of a person that is approved.
fn manual(to: &str) -> Request {
    let mut asked = request("r", "app:1.1.0", to);
    asked.spec.trigger = Trigger::Manual;
    asked.status = Status { phase: Phase::Approved, approved_by: Some("ann".to_owned()), ..Status::default() };
    asked
}

/// The value may have been meant to hold it back, and the valid ones hold it back too.
#[rstest::rstest]
#[case::another_key(("headwind.sh/polling-interval", "5x"))]
#[case::the_freeze_itself(("headwind.sh/freeze", "yes"))]
fn a_manual_update_waits_and_a_rollback_does_not(#[case] invalid: (&str, &str)) {
    let settings = [("headwind.sh/approvals", "2"), ("headwind.sh/update-window", "Mon 00:00-00:01"), invalid];
    let live = workload("app:1.1.0", &settings);
    let mut up = manual("app:1.2.0");
    let Step::Write(write) = step(Some(&live), std::slice::from_ref(&up)) else { panic!("{:?}", step(Some(&live), &[up])) };
    let waiting = write.status.waiting.clone().unwrap();
    assert_eq!((write.status.phase, waiting.reason, waiting.until), (Phase::Approved, Reason::InvalidAnnotation, None));
    assert!(waiting.message.contains(invalid.0), "{}", waiting.message);
    up.status = write.status;
    assert_eq!(step(Some(&live), &[up]), Step::Requeue(None), "until the value is corrected");
    assert!(matches!(step(Some(&live), &[manual("app:1.0.0")]), Step::Apply(_)), "a rollback");
}

/// A person rolls back a workload whose owner lets Headwind change it.
#[test]
fn the_valid_values_count_for_a_rollback() {
    let invalid = ("headwind.sh/polling-interval", "5x");
    let mut live = workload("app:1.1.0", &[(key::GITOPS, "patch"), invalid]);
    live.owner = Some(Box::new(Owner { manager: Manager::Flux, name: "Kustomization flux-system/apps".into() }));
    assert!(matches!(step(Some(&live), &[manual("app:1.0.0")]), Step::Apply(_)));
    live.annotations.insert(key::GITOPS.to_owned(), "auto".to_owned());
    assert_eq!(written(step(Some(&live), &[manual("app:1.0.0")])), (Phase::Superseded, Reason::OwnedByFlux));
}
