//! Checks of open requests: the policy's verdict is not repeated.

use super::*;
use crate::request::action::{Action, act};

fn glob(tag: &str) -> Request {
    let mut one = request("r", "app:1.2.0", &format!("app:{tag}"));
    one.spec.policy = Policy::Glob;
    one.spec.require_approval = true;
    one
}

#[rstest::rstest]
// Natural order over a list of mixed tags selected it. Alone, it is lower than others of its scheme.
#[case::pre_release("1.3.0-rc.1", "app:1.2.0", "1.*", None)]
#[case::moving_tag("1.3", "app:1.2.0", "1.*", None)]
#[case::pattern_changed("1.3.0", "app:1.2.0", "2.*", Some("1.3.0 does not match the pattern 2.*"))]
fn a_glob_verdict_stays(#[case] tag: &str, #[case] current: &str, #[case] pattern: &str, #[case] why: Option<&str>) {
    let live =
        workload(current, &[("headwind.sh/policy", "glob"), ("headwind.sh/pattern", pattern), ("headwind.sh/require-approval", "true")]);
    match (step(Some(&live), &[glob(tag)]), why) {
        (Step::Requeue(Some(_)), None) => {}
        (Step::Write(write), Some(why)) => {
            assert_eq!((write.status.reason, write.status.message.as_deref()), (Some(Reason::PolicyChanged), Some(why)));
        }
        (step, _) => panic!("{step:?}"),
    }
}

#[test]
fn a_changed_policy_moves_nothing_down() {
    let live =
        workload("app:1.2.0", &[("headwind.sh/policy", "glob"), ("headwind.sh/pattern", "1.*"), ("headwind.sh/require-approval", "true")]);
    let mut down = glob("1.1.0");
    down.spec.policy = Policy::Force;
    assert_eq!(written(step(Some(&live), &[down])), (Phase::Superseded, Reason::PolicyChanged));
    let mut up = glob("1.3.0");
    up.spec.policy = Policy::Minor;
    assert!(matches!(step(Some(&live), &[up]), Step::Requeue(Some(_))));
}

#[test]
fn a_scan_that_sees_the_announced_digest_ends_nothing() {
    let digest = format!("sha256:{}", "d".repeat(64));
    let mut live =
        workload("app:main", &[("headwind.sh/policy", "force"), ("headwind.sh/require-approval", "true"), ("headwind.sh/pattern", "ma*")]);
    let mut asked = request("r", "app:main", "app:main");
    asked.spec.policy = Policy::Force;
    asked.spec.require_approval = true;
    asked.spec.new_digest = Some(digest.clone());
    live.containers[0].first_seen = Some(digest.clone());
    assert!(matches!(step(Some(&live), std::slice::from_ref(&asked)), Step::Requeue(Some(_))), "the pods were made before");
    live.containers[0].restarted_for = Some(format!("app:main@{digest}"));
    assert_eq!(written(step(Some(&live), &[asked])), (Phase::Superseded, Reason::PolicyChanged), "Headwind restarted it for the digest");
}

#[test]
fn a_note_about_another_tag_says_nothing() {
    let digest = format!("sha256:{}", "d".repeat(64));
    let known = |note: &str| {
        let container = Container { restarted_for: Some(note.to_owned()), ..Container::new("web", "app:v2") };
        container.known_digest(&container.artifact().unwrap()).map(|digest| digest.to_string())
    };
    assert_eq!(known(&format!("app:v2@{digest}")), Some(digest.clone()));
    assert_eq!(known(&format!("app:main@{digest}")), None);
    assert_eq!(known(&digest), None);
}

/// An approval by policy does not expire, and a person may still reject the update.
#[test]
fn what_the_policy_approved_does_not_expire() {
    let updated = at(NOW - 100).to_string();
    let live = workload("app:1.0.0", &[(key::LAST_UPDATE, &updated), ("headwind.sh/min-update-interval", "3d")]);
    let mut asked = Request { created: at(NOW - 2 * 86_400), ..request("r", "app:1.0.0", "app:1.1.0") };
    let Step::Write(write) = step(Some(&live), std::slice::from_ref(&asked)) else { panic!("does not wait") };
    assert_eq!(write.status.phase, Phase::Pending);
    asked.status = write.status;
    let rejected = act(&asked, Action::Reject, "ann", None, at(NOW)).unwrap();
    assert_eq!((rejected.phase, rejected.rejected_by.as_deref()), (Phase::Rejected, Some("ann")));
    // The workload requires approval now: the request waits for it, and for nothing else.
    let asks = workload("app:1.0.0", &[("headwind.sh/require-approval", "true")]);
    let Step::Write(write) = step(Some(&asks), std::slice::from_ref(&asked)) else { panic!("still waits for the interval") };
    assert_eq!((write.status.phase, write.status.waiting.as_ref()), (Phase::Pending, None));
    asked.status = write.status;
    assert_eq!(step(Some(&asks), std::slice::from_ref(&asked)), Step::Requeue(None));
    assert_eq!(act(&asked, Action::Approve, "ann", None, at(NOW)).unwrap().phase, Phase::Approved);
}

#[rstest::rstest]
#[case::in_time(Some(NOW - 86_401), 0, false)]
#[case::late(Some(NOW - 86_399), 0, true)]
#[case::no_time(None, 0, true)]
#[case::reopened(Some(NOW - 60), 1, false)]
fn approved_after_it_expired(#[case] approved_at: Option<i64>, #[case] reopened: i64, #[case] expires: bool) {
    let live = workload("app:1.0.0", &[("headwind.sh/require-approval", "true")]);
    let mut asked = Request { created: at(NOW - 2 * 86_400), ..request("r", "app:1.0.0", "app:1.1.0") };
    asked.spec.require_approval = true;
    asked.spec.expires_at = Some(at(NOW - 86_400));
    asked.status = Status {
        phase: Phase::Approved,
        approved_by: Some("ann".to_owned()),
        approved_at: approved_at.map(at),
        reopened_at: (reopened > 0).then(|| at(NOW - 90)),
        ..Status::default()
    };
    match step(Some(&live), &[asked]) {
        Step::Apply(_) if !expires => {}
        Step::Write(write) if expires => assert_eq!((write.status.phase, write.status.reason), (Phase::Expired, Some(Reason::PastExpiry))),
        step => panic!("{step:?}"),
    }
}

/// An approval with plain `kubectl` has no time: the time of the first observation is kept while the request waits.
#[test]
fn an_approval_in_time_stays_one() {
    let updated = at(NOW - 100).to_string();
    let live = workload("app:1.0.0", &[(key::LAST_UPDATE, &updated), ("headwind.sh/require-approval", "true")]);
    let mut asked = request("r", "app:1.0.0", "app:1.1.0");
    asked.spec.require_approval = true;
    asked.status = Status { phase: Phase::Approved, approved_by: Some("ann".to_owned()), ..Status::default() };
    let Step::Write(write) = step(Some(&live), &[asked]) else { panic!("does not wait") };
    assert_eq!((write.status.approved_at, write.status.waiting.is_some()), (Some(at(NOW)), true));
}
