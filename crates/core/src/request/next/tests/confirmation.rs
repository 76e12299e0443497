//! Headwind applies exactly what was approved, because it confirms the digest before.

use super::*;
use crate::evidence::Answer;
use crate::gate::Waiting;
use crate::request::confirmation::{Confirmation, Confirmations};
use crate::testing::digest;

fn approved() -> Request {
    let mut asked = request("r", "app:1.0.0", "app:1.1.0");
    asked.spec.require_approval = true;
    asked.spec.new_digest = Some(digest('a').to_string());
    asked.status = Status { phase: Phase::Approved, approved_by: Some("ann".to_owned()), ..Status::default() };
    asked
}

fn live() -> Workload {
    workload("app:1.0.0", &[("headwind.sh/require-approval", "true")])
}

/// Returns the step with this answer, given that many seconds ago.
fn step_with(asked: &Request, answer: Option<(Answer, i64)>) -> Step {
    let mut known = Confirmations::default();
    if let Some((answer, ago)) = answer {
        known.add("r", Confirmation { answer, at: at(NOW - ago) });
    }
    step(&live(), asked, &known)
}

fn step(live: &Workload, asked: &Request, known: &Confirmations) -> Step {
    next(&Observed {
        limits: &Limits::default(),
        presence: Presence::Present { workload: live, live: true },
        defaults: &Annotations::new(),
        requests: &[asked],
        now: at(NOW),
        history_limit: 2,
        snapshot: None,
        seen_since: at(0),
        clock_stepped: None,
        confirmations: Some(known),
    })
}

fn there(letter: char) -> Answer {
    Answer::exists(Some(digest(letter)))
}

#[test]
fn the_approved_digest_is_confirmed_first() {
    let asked = approved();
    let Step::Confirm(confirm) = step_with(&asked, None) else { panic!("not asked") };
    assert_eq!((confirm.request.as_str(), confirm.tag.as_str()), ("r", "1.1.0"));
    assert!(matches!(step_with(&asked, Some((there('a'), 1))), Step::Apply(_)));
    assert!(matches!(step_with(&asked, Some((there('a'), 31))), Step::Confirm(_)), "an old answer does not count");
}

#[test]
fn a_tag_that_moved_asks_again() {
    assert_eq!(written(step_with(&approved(), Some((there('b'), 1)))), (Phase::Superseded, Reason::DigestChanged));
}

#[rstest::rstest]
#[case::down(Answer::Unavailable)]
#[case::gone(Answer::Missing)]
#[case::without_digest(Answer::exists(None))]
fn without_an_answer_it_waits(#[case] answer: Answer) {
    let mut asked = approved();
    let Step::Write(write) = step_with(&asked, Some((answer, 1))) else { panic!("not recorded") };
    let waiting = write.status.waiting.clone().unwrap();
    assert_eq!((write.status.phase, waiting.reason, waiting.until), (Phase::Approved, Reason::DigestNotConfirmed, Some(at(NOW + 30))));
    asked.status = write.status;
    assert_eq!(step_with(&asked, None), Step::Requeue(Some(at(NOW + 30))), "until then it is not asked again");
    asked.status.waiting.as_mut().unwrap().until = Some(at(NOW));
    assert!(matches!(step_with(&asked, None), Step::Confirm(_)));
    assert!(matches!(step_with(&asked, Some((there('a'), 1))), Step::Apply(_)));
}

/// An update that the policy approves costs no query, and neither does an update without a digest to compare.
#[test]
fn only_what_a_person_saw_is_confirmed() {
    let mut unknown = approved();
    unknown.spec.new_digest = None;
    assert!(matches!(step_with(&unknown, None), Step::Apply(_)));
    let mut direct = approved();
    direct.spec.require_approval = false;
    direct.status = Status::default();
    let mut free = live();
    free.annotations.insert(key::REQUIRE_APPROVAL.to_owned(), "false".to_owned());
    assert!(matches!(step(&free, &direct, &Confirmations::default()), Step::Apply(_)));
}

/// The platforms were read for that digest. Without a wait, that was just now.
#[test]
fn required_platforms_are_confirmed_after_a_wait() {
    let mut asked = approved();
    asked.spec.require_approval = false;
    asked.status = Status::default();
    let workload = |platforms| workload("app:1.0.0", &[("headwind.sh/require-approval", "false"), ("headwind.sh/platforms", platforms)]);
    let nothing = Confirmations::default();
    assert!(matches!(step(&workload("linux/arm64"), &asked, &nothing), Step::Apply(_)));
    asked.status.waiting = Some(Waiting { reason: Reason::UpdateWindow, message: String::new(), until: Some(at(NOW)) });
    assert!(matches!(step(&workload("any"), &asked, &nothing), Step::Apply(_)));
    assert!(matches!(step(&workload("linux/arm64"), &asked, &nothing), Step::Confirm(_)));
    let mut moved = Confirmations::default();
    moved.add("r", Confirmation { answer: there('b'), at: at(NOW - 1) });
    assert_eq!(written(step(&workload("linux/arm64"), &asked, &moved)), (Phase::Superseded, Reason::DigestChanged));
}
