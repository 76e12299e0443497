//! Requests of a workload that another controller owns (`headwind.sh/gitops`).

use super::*;
use crate::rollout::pod::PodSnapshot;
use crate::workload::owner::{Manager, Owner};

fn owned(image: &str, gitops: &str, more: &[(&str, &str)]) -> Workload {
    let settings: Vec<(&str, &str)> = [(key::GITOPS, gitops), (key::SETTLE_TIME, "0")].into_iter().chain(more.iter().copied()).collect();
    let owner = Owner { manager: Manager::Flux, name: "Kustomization flux-system/apps".into() };
    Workload { owner: Some(Box::new(owner)), ..workload(image, &settings) }
}

#[test]
fn a_refused_one_ends() {
    let asked = request("r", "app:1.0.0", "app:1.1.0");
    for gitops in ["auto", "refuse"] {
        let ended = written(step(Some(&owned("app:1.0.0", gitops, &[])), std::slice::from_ref(&asked)));
        assert_eq!(ended, (Phase::Superseded, Reason::OwnedByFlux), "{gitops}");
    }
    assert!(matches!(step(Some(&owned("app:1.0.0", "patch", &[])), std::slice::from_ref(&asked)), Step::Apply(_)));
    let mut by_helm = owned("app:1.0.0", "auto", &[]);
    by_helm.owner = Some(Box::new(Owner { manager: Manager::Helm, name: "release n/t".into() }));
    assert!(matches!(step(Some(&by_helm), &[asked]), Step::Apply(_)), "a later upgrade keeps the image");
}

/// Nothing is patched; the request completes once the owner has rolled the version out.
#[rstest::rstest]
#[case::by_policy(Phase::Pending, false, "app:1.1.0")]
#[case::by_a_person(Phase::Approved, true, "app:1.1.0")]
#[case::approved_in_git(Phase::Pending, true, "app:1.1.0")]
#[case::pinned_in_git(Phase::Approved, true, "app:1.1.0@sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")]
fn the_owner_applies_a_proposed_one(#[case] phase: Phase, #[case] require_approval: bool, #[case] rolled_out: &str) {
    let annotation = [("headwind.sh/require-approval", if require_approval { "true" } else { "false" })];
    let mut asked = request("r", "app:1.0.0", "app:1.1.0");
    asked.spec.require_approval = require_approval;
    asked.status.phase = phase;
    asked.status.approved_by = (phase == Phase::Approved).then(|| "ann".to_owned());
    let approved = phase == Phase::Approved || !require_approval;
    let live = owned("app:1.0.0", "propose", &annotation);
    match step(Some(&live), std::slice::from_ref(&asked)) {
        Step::Write(write) if approved => {
            assert_eq!((write.status.phase, write.status.waiting.as_ref().map(|wait| wait.reason)), (phase, Some(Reason::OwnedByFlux)));
            asked.status = write.status;
            assert_eq!(step(Some(&live), std::slice::from_ref(&asked)), Step::Requeue(None), "nobody knows when");
        }
        Step::Requeue(Some(_)) if !approved => {}
        other => panic!("{other:?}"),
    }
    let mut live = owned(rolled_out, "propose", &annotation);
    let Step::Write(write) = step(Some(&live), std::slice::from_ref(&asked)) else { panic!("not seen") };
    assert_eq!((write.status.phase, write.status.reason), (Phase::RollingOut, Some(Reason::RolledOutByOwner)));
    assert_eq!(write.status.waiting, None);
    assert_eq!(write.status.approved_by, asked.status.approved_by);
    asked.status = write.status;
    live.rollout = complete(1);
    let Step::Write(write) = step(Some(&live), std::slice::from_ref(&asked)) else { panic!("not completed") };
    assert_eq!((write.status.phase, write.status.reason), (Phase::Completed, Some(Reason::RolloutComplete)));
    asked.status = write.status;
    assert_eq!(violations_of(&[asked]), Vec::<String>::new());
}

/// An image without a tag must have the proposed digest. If both digests are known, they must be equal with a tag, too.
#[rstest::rstest]
#[case::another_digest_alone(Some('a'), "app@DIGEST", false)]
#[case::the_digest_alone(Some('b'), "app@DIGEST", true)]
#[case::a_digest_alone_and_none_known(None, "app@DIGEST", false)]
#[case::the_tag_with_another_digest(Some('a'), "app:1.1.0@DIGEST", false)]
#[case::the_tag_with_the_digest(Some('b'), "app:1.1.0@DIGEST", true)]
#[case::the_tag_with_a_digest(None, "app:1.1.0@DIGEST", true)]
#[case::the_tag(Some('a'), "app:1.1.0", true)]
#[case::a_mirror(None, "mirror.example/app:1.1.0", true)]
fn which_image_of_the_owner_completes_it(#[case] proposed: Option<char>, #[case] there: &str, #[case] completes: bool) {
    let there = there.replace("DIGEST", testing::digest('b').as_str());
    let mut asked = request("r", "app:1.0.0", "app:1.1.0");
    asked.spec.new_digest = proposed.map(|letter| testing::digest(letter).to_string());
    let ended = written(step(Some(&owned(&there, "propose", &[])), &[asked]));
    let expected = if completes { (Phase::RollingOut, Reason::RolledOutByOwner) } else { (Phase::Superseded, Reason::ImageChanged) };
    assert_eq!(ended, expected);
}

#[test]
fn another_version_from_the_owner_supersedes_it() {
    let live = owned("app:1.0.5", "propose", &[]);
    assert_eq!(written(step(Some(&live), &[request("r", "app:1.0.0", "app:1.1.0")])), (Phase::Superseded, Reason::ImageChanged));
}

/// A failed rollout of the owner's is recorded, not rolled back: the owner would undo the rollback.
#[test]
fn a_failed_rollout_is_left_to_the_owner() {
    let mut live = owned("app:1.1.0", "propose", &[(key::AUTO_ROLLBACK, "true")]);
    live.rollout = View::Deployment(DeploymentView {
        replicas: 1,
        observed_generation: 3,
        total: 2,
        updated: 1,
        deadline_exceeded: Some("too late".into()),
        ..DeploymentView::default()
    });
    let mut asked = request("r", "app:1.0.0", "app:1.1.0");
    asked.status = Status {
        phase: Phase::RollingOut,
        times_applied: 1,
        rollout: Some(RolloutState { failed_checks: 5, ..RolloutState::new(3, at(NOW - 1000)) }),
        ..Status::default()
    };
    for second in (0..900).step_by(10) {
        let now = at(NOW + second);
        let snapshot = PodSnapshot::new(now, 3, Some(Vec::new()), None);
        let step = next(&Observed {
            limits: &Limits::default(),
            presence: Presence::Present { workload: &live, live: true },
            defaults: &Annotations::new(),
            requests: &[&asked],
            now,
            history_limit: 2,
            snapshot: Some(&snapshot),
            seen_since: at(0),
            clock_stepped: None,
            confirmations: None,
        });
        match step {
            Step::Write(write) => asked.status = write.status,
            Step::Requeue(_) | Step::InspectPods => {}
            other => panic!("{other:?}"),
        }
        if asked.status.phase == Phase::Failed {
            return;
        }
    }
    panic!("{:?}", asked.status);
}
