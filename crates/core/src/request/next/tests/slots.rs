//! The place of a workload in the queue for a rollout.

use super::*;
use crate::gate::{Rollouts, Turn};

fn limits(next: &[(i64, &str)]) -> Limits {
    let turn = |(since, name): &(i64, &str)| Turn { since: at(NOW + since), workload: testing::key(Kind::Deployment, name) };
    let rollouts = Rollouts { limit: Some(1), next: next.iter().map(turn).collect(), ..Rollouts::default() };
    Limits { rollouts, ..Limits::default() }
}

fn step_with(limits: &Limits, live: &Workload, all: &[Request]) -> Step {
    seen_with(limits, Presence::Present { workload: live, live: true }, all)
}

fn approved(name: &str, container: &str, since: i64) -> Request {
    let mut asked = request(name, &format!("{container}:1.0.0"), &format!("{container}:1.1.0"));
    asked.spec.container = Some(container.to_owned());
    asked.spec.require_approval = true;
    asked.status =
        Status { phase: Phase::Approved, approved_by: Some("ann".to_owned()), approved_at: Some(at(NOW + since)), ..Status::default() };
    asked
}

/// One patch, one rollout: the update that was approved after that of another workload goes with the one before it.
#[test]
fn the_containers_of_a_workload_share_its_place() {
    let live = Workload {
        containers: vec![Container::new("web", "web:1.0.0"), Container::new("side", "side:1.0.0")],
        ..workload("web:1.0.0", &[])
    };
    let limits = limits(&[(-30, "t"), (-20, "other")]);
    let all = [approved("w", "web", -30), approved("s", "side", -10)];
    let Step::Apply(apply) = step_with(&limits, &live, &all) else { panic!("{:?}", step_with(&limits, &live, &all)) };
    assert_eq!(apply.changes.len(), 2, "{apply:?}");
    let late = [approved("w", "web", -10), approved("s", "side", -5)];
    assert!(matches!(step_with(&limits, &live, &late), Step::Write(_)), "the other one is before both");
    let mut denied = approved("w", "web", -30);
    denied.status.waiting = Some(Waiting { reason: Reason::ApplyDenied, message: String::new(), until: Some(at(NOW + 60)) });
    let all = [denied, approved("s", "side", -10)];
    assert!(matches!(step_with(&limits, &live, &all), Step::Write(_)), "an update that waits for something else gives no place");
}

/// `kubectl` writes no time. The creation of the request is no reason to pass others.
#[test]
fn an_approval_without_a_time_is_the_newest() {
    let live = workload("web:1.0.0", &[]);
    let mut asked = approved("w", "web", 0);
    asked.status.approved_at = None;
    asked.created = at(NOW - 100);
    let limits = limits(&[(-50, "other")]);
    let Step::Write(write) = step_with(&limits, &live, &[asked]) else { panic!("it passes the other one") };
    let waiting = write.status.waiting.map(|waiting| waiting.reason);
    assert_eq!((waiting, write.status.approved_at), (Some(Reason::TooManyRollouts), Some(at(NOW))));
}
