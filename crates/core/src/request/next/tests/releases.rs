//! The life of a request for a release's chart.

use rstest::rstest;

use super::*;
use crate::decide::{Decision, Evaluation, decide};
use crate::policy::{Candidate, Occasion};
use crate::request::Apply;
use crate::request::confirmation::published;
use crate::rollout::HelmReleaseView;
use crate::rollout::flux::{Condition, ConditionType, Snapshot};
use crate::settings::PREFIX;
use crate::testing::{prior_of, trusted};
use crate::workload::release::samples::{GENERATIONS, alone, helm, oci, referring, templated};
use crate::workload::release::{CHART, resolve};
use crate::workload::source::{OciRef, Release, Source};

const DIRECT: [(&str, &str); 4] = [("policy", "minor"), ("require-approval", "false"), ("settle-time", "0"), ("auto-rollback", "true")];

/// Returns the workload of a `podinfo` release with these annotations.
fn release_of(release: Release, annotations: &[(&str, &str)]) -> Workload {
    let annotations: Vec<(&str, &str)> = DIRECT.iter().chain(annotations).copied().collect();
    let source = if release.chart.is_some() { helm("https://charts.example") } else { oci(OciRef::Tag("1.0.0".to_owned())) };
    resolve(&alone(release, &annotations), Some(&source), 1)
}

/// Returns a release at that version.
fn live(version: &str, annotations: &[(&str, &str)]) -> Workload {
    release_of(templated("podinfo", version), annotations)
}

/// Returns a request to move the chart between those versions.
fn asked(name: &str, from: &str, to: &str) -> Request {
    let image = request(name, &format!("podinfo:{from}"), &format!("podinfo:{to}"));
    Request { spec: Spec { kind: ArtifactKind::Chart, container: Some(CHART.to_owned()), ..image.spec.clone() }, ..image }
}

/// Returns an applied request.
fn finished(name: &str, from: &str, to: &str, phase: Phase) -> Request {
    Request { status: applied(name, "", "", phase, 60).status, ..asked(name, from, to) }
}

/// Returns the release after the patch, with Headwind's annotations.
fn patched(before: &Workload, apply: &Apply) -> Workload {
    let mut after = before.clone();
    after.containers[0].image.clone_from(&apply.changes[0].to);
    after.generation += 1;
    for (key, value) in [
        (key::LAST_UPDATE, apply.last_update.to_string()),
        (key::LAST_REQUEST, apply.last_request.clone()),
        (key::UPDATE_HISTORY, apply.history.clone()),
    ] {
        after.annotations.insert(key.to_owned(), value);
    }
    after
}

/// Sets helm-controller's status after it has attempted the wanted version.
fn attempted(workload: &mut Workload, failures: u32, runs: &str, conditions: &[(ConditionType, bool, &str)]) {
    let generation = workload.generation;
    let wanted = workload.containers[0].image.trim_start_matches("podinfo:").to_owned();
    let said = |(kind, status, reason): &(ConditionType, bool, &str)| Condition {
        kind: *kind,
        status: Some(*status),
        reason: (*reason).to_owned(),
        message: format!("words of {reason}"),
        observed_generation: generation,
    };
    workload.rollout = View::HelmRelease(Box::new(HelmReleaseView {
        generation,
        wanted: wanted.clone(),
        observed_generation: generation,
        attempted_generation: generation,
        attempted_revision: wanted,
        failures,
        newest: Some(Snapshot { version: runs.to_owned(), status: "deployed".to_owned(), oci_digest: None }),
        conditions: conditions.iter().map(said).collect(),
        ..HelmReleaseView::default()
    }));
}

fn applies(workload: &Workload, requests: &[Request]) -> Apply {
    match step(Some(workload), requests) {
        Step::Apply(apply) => apply,
        other => panic!("not due: {other:?}"),
    }
}

fn writes_at(presence: Presence<'_>, requests: &[Request]) -> Status {
    match seen(presence, requests) {
        Step::Write(write) => write.status,
        other => panic!("nothing is written: {other:?}"),
    }
}

fn writes(workload: &Workload, requests: &[Request]) -> Status {
    match step(Some(workload), requests) {
        Step::Write(write) => write.status,
        other => panic!("nothing is written: {other:?}"),
    }
}

/// Returns why that version is not proposed for the release, if it is not.
fn refused(workload: &Workload, version: &str, requests: &[Request]) -> Option<Reason> {
    let candidates = [Candidate::new(version, None)];
    let defaults = Annotations::new();
    let container = &workload.containers[0];
    let site = Evaluation {
        workload,
        defaults: &defaults,
        container,
        candidates: &candidates,
        occasion: Occasion::Event,
        trigger: Trigger::Webhook,
        nodes: None,
    };
    match decide(&site, &trusted(), &prior_of(requests)) {
        Decision::Propose(_) => None,
        Decision::Ask(question) => panic!("a chart has no digest: {question:?}"),
        Decision::Refuse(refusal) => Some(refusal.reason),
    }
}

#[test]
fn from_one_version_to_the_next() {
    let before = live("1.0.0", &[]);
    let mut one = asked("r", "1.0.0", "1.1.0");
    let apply = applies(&before, std::slice::from_ref(&one));
    let [change] = apply.changes.as_slice() else { panic!("{:?}", apply.changes) };
    assert_eq!((change.container.as_str(), change.from.as_str(), change.to.as_str()), (CHART, "podinfo:1.0.0", "podinfo:1.1.0"));
    assert_eq!((change.kind, change.restart_for.as_deref(), apply.last_request.as_str()), (ChangeKind::Update, None, "r"));
    let mut after = patched(&before, &apply);
    one.status = writes(&after, std::slice::from_ref(&one));
    assert_eq!((one.status.phase, one.status.rollout.as_ref().map(|watch| watch.generation)), (Phase::RollingOut, Some(4)));
    assert_eq!(step(Some(&after), std::slice::from_ref(&one)), Step::Requeue(None), "Flux has not seen it");
    attempted(&mut after, 0, "1.1.0", &[(ConditionType::Ready, true, "UpgradeSucceeded")]);
    one.status = writes(&after, std::slice::from_ref(&one));
    assert_eq!((one.status.phase, one.status.reason), (Phase::Completed, Some(Reason::RolloutComplete)));
    assert_eq!(violations_of(std::slice::from_ref(&one)), Vec::<String>::new());
    // The old version is restored outside Headwind: Headwind does not apply its own again.
    after.containers[0].image = "podinfo:1.0.0".to_owned();
    assert_eq!(step(Some(&after), std::slice::from_ref(&one)), Step::Requeue(None));
    assert_eq!(refused(&after, "1.1.0", std::slice::from_ref(&one)), Some(Reason::RevertedExternally));
    assert_eq!(refused(&after, "1.2.0", &[one]), None, "a newer one passes");
}

/// With `chartRef`, the source's annotations and both generations show what was applied.
#[test]
fn the_tag_of_an_oci_repository() {
    let before = release_of(referring(), &[]);
    let one = asked("r", "1.0.0", "1.1.0");
    let apply = applies(&before, std::slice::from_ref(&one));
    let annotations = Annotations::from([(key::LAST_REQUEST.to_owned(), apply.last_request)]);
    let source = Source { annotations, generation: GENERATIONS.1 + 1, ..oci(OciRef::Tag("1.1.0".to_owned())) };
    let after = resolve(&alone(referring(), &DIRECT), Some(&source), 1);
    let status = writes(&after, &[one]);
    assert_eq!(status.rollout.map(|watch| watch.generation), Some(GENERATIONS.0 + GENERATIONS.1 + 1));
    // The release's own annotation from an earlier time is ignored.
    let other = release_of(referring(), &[("last-request", "q")]);
    assert!(matches!(step(Some(&other), &[asked("q", "1.0.0", "1.1.0")]), Step::Apply(_)));
}

#[test]
fn a_person_is_asked_and_a_no_stands() {
    let workload = live("1.0.0", &[("require-approval", "true")]);
    let mut one = asked("r", "1.0.0", "1.1.0");
    one.spec.require_approval = true;
    assert!(matches!(step(Some(&workload), std::slice::from_ref(&one)), Step::Requeue(Some(_))), "it waits until it expires");
    one.status.phase = Phase::Approved;
    assert_eq!(applies(&workload, std::slice::from_ref(&one)).changes[0].to, "podinfo:1.1.0");
    let rejected = finished("r", "1.0.0", "1.1.0", Phase::Rejected);
    let rejected = Request { status: Status { times_applied: 0, applied_at: None, ..rejected.status }, ..rejected };
    assert_eq!(step(Some(&workload), std::slice::from_ref(&rejected)), Step::Requeue(None));
    assert_eq!(refused(&workload, "1.1.0", std::slice::from_ref(&rejected)), Some(Reason::Rejected));
    assert_eq!(refused(&workload, "1.1.1", &[rejected]), None);
}

#[test]
fn the_interval_holds_it_back_and_a_better_one_takes_its_place() {
    let updated = at(NOW - 100).to_string();
    let workload = live("1.0.0", &[("last-update", &updated)]);
    let older = asked("a", "1.0.0", "1.1.0");
    let waiting = Some(Waiting::new(Reason::MinUpdateInterval, Some(at(NOW + 200))));
    assert_eq!(writes(&workload, std::slice::from_ref(&older)).waiting, waiting);
    let newer = asked("b", "1.0.0", "1.2.0");
    let Step::Write(write) = step(Some(&workload), &[newer, older]) else { panic!("both stand") };
    let status = (write.status.phase, write.status.reason);
    assert_eq!((write.request.as_str(), status), ("a", (Phase::Superseded, Some(Reason::NewerVersion))));
}

/// Releases that are no longer updated: approved requests wait for temporary reasons, and end for permanent ones.
#[rstest]
#[case::suspended(Release { suspended: true, ..templated("podinfo", "1.0.0") }, None)]
#[case::a_range(templated("podinfo", "1.x"), Some(Reason::VersionRange))]
#[case::denied(Release { denied: Some("no".to_owned()), ..templated("podinfo", "1.0.0") }, Some(Reason::AccessDenied))]
#[case::moved_by_another_hand(templated("podinfo", "1.0.1"), Some(Reason::ImageChanged))]
#[case::another_chart(templated("redis", "1.0.0"), Some(Reason::ImageChanged))]
fn no_longer_updated(#[case] release: Release, #[case] ends: Option<Reason>, #[values(Phase::Pending, Phase::Approved)] phase: Phase) {
    let workload = release_of(release, &[]);
    let mut one = asked("r", "1.0.0", "1.1.0");
    one.status.phase = phase;
    let status = writes(&workload, std::slice::from_ref(&one));
    if let Some(reason) = ends {
        assert_eq!((status.phase, status.reason), (Phase::Superseded, Some(reason)));
        return;
    }
    let waiting = Waiting { reason: Reason::Suspended, message: "the release is suspended".to_owned(), until: None };
    assert_eq!((status.phase, status.waiting.as_ref()), (phase, Some(&waiting)));
    assert_eq!((status.reason, status.message.as_deref()), (one.status.reason, None), "nothing else says it");
    one.status = status;
    assert_eq!(step(Some(&workload), std::slice::from_ref(&one)), Step::Requeue(None), "said once");
    assert_eq!(applies(&live("1.0.0", &[]), &[one]).last_request, "r", "it continues when the release is resumed");
}

/// Until its source exists again, the running version of a release by `chartRef` is unknown, so nothing is judged.
#[rstest]
fn a_source_that_comes_back(
    #[values(Phase::Pending, Phase::Approved, Phase::RollingOut)] phase: Phase,
    #[values(true, false)] by_reference: bool,
) {
    let release = || if by_reference { referring() } else { templated("podinfo", "1.0.0") };
    let gone = resolve(&alone(Release { running: Some("1.0.0+abc".to_owned()), ..release() }, &DIRECT), None, 0);
    let mut one = asked("r", "1.0.0", "1.1.0");
    one.status.phase = phase;
    assert_eq!(gone.is_unseen(), by_reference);
    if by_reference || phase != Phase::RollingOut {
        one.status.rollout = (phase == Phase::RollingOut).then(|| RolloutState::new(8, at(NOW)));
        one.status = writes(&gone, std::slice::from_ref(&one));
        let waits = one.status.waiting.as_ref().map(|waiting| waiting.reason);
        let reason = if phase == Phase::RollingOut { one.status.reason } else { waits };
        assert_eq!((one.status.phase, reason), (phase, Some(Reason::SourceMissing)));
        assert!(matches!(step(Some(&gone), std::slice::from_ref(&one)), Step::Requeue(_)), "said once");
    }
    if phase != Phase::RollingOut {
        assert_eq!(applies(&release_of(release(), &[]), &[one]).last_request, "r");
    }
}

#[test]
fn a_tag_that_another_release_follows_by_now() {
    let tag = oci(OciRef::Tag("1.0.0".to_owned()));
    let shared = resolve(&alone(referring(), &DIRECT), Some(&tag), 2);
    let mut one = asked("r", "1.0.0", "1.1.0");
    one.status = writes(&shared, std::slice::from_ref(&one));
    let waits = one.status.waiting.as_ref().map(|waiting| waiting.reason);
    assert_eq!((one.status.phase, waits), (Phase::Pending, Some(Reason::SourceShared)));
    let annotations = [(format!("{PREFIX}shared-source"), "true".to_owned())].into();
    let allowed = resolve(&alone(referring(), &DIRECT), Some(&Source { annotations, ..tag }), 2);
    assert_eq!(applies(&allowed, &[one]).last_request, "r");
}

/// Requests for the wrong kind of artifact.
#[rstest]
#[case::an_image_of_a_release(live("1.0.0", &[]), request("r", "podinfo:1.0.0", "podinfo:1.1.0"), CHART, "container with an image")]
#[case::a_chart_of_a_deployment(workload("podinfo:1.0.0", &[]), asked("r", "1.0.0", "1.1.0"), "web", "chart of a release")]
fn of_the_wrong_kind(#[case] workload: Workload, #[case] one: Request, #[case] container: &str, #[case] words: &str) {
    let one = Request { spec: Spec { container: Some(container.to_owned()), ..one.spec }, ..one };
    let status = writes(&workload, &[one]);
    assert_eq!((status.phase, status.reason), (Phase::Failed, Some(Reason::InvalidRequest)));
    assert!(status.message.as_deref().is_some_and(|message| message.contains(words)), "{:?}", status.message);
}

#[test]
fn a_person_goes_back() {
    let mut history = History::default();
    history.record(CHART, "podinfo:1.0.0", "podinfo:1.1.0", at(NOW - 60), "left", None);
    let (updated, history) = (at(NOW - 60).to_string(), history.to_annotation());
    let before = live("1.1.0", &[("update-history", &history), ("last-request", "left"), ("last-update", &updated)]);
    let left = finished("left", "1.0.0", "1.1.0", Phase::Completed);
    let mut back = asked("back", "1.1.0", "1.0.0");
    back.spec.trigger = Trigger::Manual;
    back.status = Status { phase: Phase::Approved, approved_by: Some("ann".to_owned()), ..Status::default() };
    let apply = applies(&before, &[left.clone(), back.clone()]);
    assert_eq!((apply.changes[0].kind, apply.changes[0].to.as_str()), (ChangeKind::ManualRollback, "podinfo:1.0.0"));
    assert_eq!(apply.last_request, "left@1.over,back");
    let after = patched(&before, &apply);
    back.status = writes(&after, &[left.clone(), back.clone()]);
    assert_eq!(back.status.rolled_back_from.as_deref(), Some("podinfo:1.1.0"));
    let rolled_back_past = writes(&after, &[left, back.clone()]);
    assert_eq!((rolled_back_past.phase, rolled_back_past.reason), (Phase::RolledBack, Some(Reason::RolledBack)));
    assert_eq!(refused(&after, "1.1.0", std::slice::from_ref(&back)), Some(Reason::RolledBack), "it is not offered again");
    assert_eq!(refused(&after, "1.1.1", &[back]), None);
}

/// Flux has given up: Headwind restores the previous version, and the request contains the cause.
#[test]
fn a_failed_release_is_rolled_back() {
    let mut history = History::default();
    history.record(CHART, "podinfo:1.0.0", "podinfo:1.1.0", at(NOW - 60), "bad", None);
    let mut failed = live("1.1.0", &[("update-history", &history.to_annotation()), ("last-request", "bad")]);
    let mut bad = finished("bad", "1.0.0", "1.1.0", Phase::RollingOut);
    bad.status.finished_at = None;
    bad.status.rollout = Some(RolloutState::new(failed.generation, at(NOW - 60)));
    let given_up = [(ConditionType::Stalled, true, "RetriesExceeded"), (ConditionType::Released, false, "UpgradeFailed")];
    attempted(&mut failed, 1, "1.1.0", &given_up);
    bad.status = writes(&failed, std::slice::from_ref(&bad));
    assert_eq!((bad.status.phase, bad.status.rollout.as_ref().unwrap().failure.is_some()), (Phase::RollingOut, true), "seen");
    let seen = bad.clone();
    let apply = applies(&failed, std::slice::from_ref(&bad));
    let change = &apply.changes[0];
    assert_eq!((change.kind, change.from.as_str(), change.to.as_str()), (ChangeKind::AutomaticRollback, "podinfo:1.1.0", "podinfo:1.0.0"));
    assert_eq!(apply.last_request, "bad@1.back");
    let mut after = patched(&failed, &apply);
    bad.status = writes(&after, std::slice::from_ref(&bad));
    assert_eq!(bad.status.rollout.as_ref().unwrap().returned_to.as_deref(), Some("podinfo:1.0.0"));
    attempted(&mut after, 0, "1.0.0", &[(ConditionType::Ready, true, "UpgradeSucceeded")]);
    bad.status = writes(&after, std::slice::from_ref(&bad));
    assert_eq!((bad.status.phase, bad.status.reason), (Phase::RolledBack, Some(Reason::RollbackComplete)));
    assert!(bad.status.message.as_deref().is_some_and(|message| message.contains("words of UpgradeFailed")), "{:?}", bad.status.message);
    assert_eq!(refused(&after, "1.1.0", std::slice::from_ref(&bad)), Some(Reason::RolledBack));
    assert_eq!(violations_of(&[bad]), Vec::<String>::new());
    // Automatic rollback is disabled: the version stays.
    failed.annotations.insert(key::AUTO_ROLLBACK.to_owned(), "false".to_owned());
    let status = writes(&failed, &[seen]);
    assert_eq!((status.phase, status.reason), (Phase::Failed, Some(Reason::UpgradeFailed)));
}

#[test]
fn suspended_while_it_rolls_out() {
    let mut rolling = finished("r", "1.0.0", "1.1.0", Phase::RollingOut);
    rolling.status.finished_at = None;
    rolling.status.rollout = Some(RolloutState::new(3, at(NOW - 3600)));
    let workload = release_of(Release { suspended: true, ..templated("podinfo", "1.1.0") }, &[("last-request", "r")]);
    rolling.status = writes(&workload, std::slice::from_ref(&rolling));
    assert_eq!((rolling.status.phase, rolling.status.reason), (Phase::RollingOut, Some(Reason::Suspended)), "its timeout pauses");
    assert!(matches!(step(Some(&workload), &[rolling]), Step::Requeue(_)));
}

/// A recreated `OCIRepository` counts its generations from one. Until it is certain that this is not a stale copy,
/// nothing is judged. Then the watch continues.
#[rstest]
#[case::at_the_new_tag("1.1.0", Phase::RollingOut, Reason::RolloutProgressing)]
#[case::at_the_old_tag("1.0.0", Phase::Superseded, Reason::ImageChanged)]
fn the_object_with_the_tag_is_recreated(#[case] tag: &str, #[case] phase: Phase, #[case] reason: Reason) {
    let recreated = Source { uid: "another".to_owned(), generation: 1, ..oci(OciRef::Tag(tag.to_owned())) };
    let workload = resolve(&alone(referring(), &DIRECT), Some(&recreated), 1);
    let rolling_since = |second: i64| {
        let mut rolling = finished("r", "1.0.0", "1.1.0", Phase::RollingOut);
        rolling.status.finished_at = None;
        rolling.status.rollout = Some(RolloutState::new(GENERATIONS.0 + GENERATIONS.1, at(second)));
        rolling
    };
    assert_eq!(step(Some(&workload), &[rolling_since(NOW - 59)]), Step::Requeue(Some(at(NOW + 1))));
    let status = writes(&workload, &[rolling_since(NOW - 60)]);
    assert_eq!((status.phase, status.reason), (phase, Some(reason)), "{:?}", status.message);
}

/// A release by `chartRef` whose `OCIRepository` is gone: waiting requests record it and expire, rollouts time out.
#[test]
fn a_release_without_its_source_does_not_wait_without_end() {
    let workload = resolve(&alone(referring(), &DIRECT), None, 1);
    let present = |live| Presence::Present { workload: &workload, live };
    let with = |status: Status| Request { status, ..asked("r", "1.0.0", "1.1.0") };
    let approved = with(Status { phase: Phase::Approved, approved_by: Some("ann".to_owned()), ..Status::default() });
    assert_eq!(seen(present(false), std::slice::from_ref(&approved)), Step::Read);
    let status = writes_at(present(true), std::slice::from_ref(&approved));
    assert_eq!((status.phase, status.waiting.as_ref().map(|waiting| waiting.reason)), (Phase::Approved, Some(Reason::SourceMissing)));
    let noted = Request { status, ..approved };
    assert_eq!(seen(present(false), &[noted]), Step::Requeue(None), "said once, and not read again");
    let mut pending = with(Status::default());
    pending.spec.require_approval = true;
    pending.spec.expires_at = Some(at(NOW + 60));
    assert_eq!(seen(present(true), std::slice::from_ref(&pending)), Step::Requeue(Some(at(NOW + 60))));
    pending.spec.expires_at = Some(at(NOW));
    assert_eq!(written(seen(present(true), &[pending])), (Phase::Expired, Reason::PastExpiry));
    let rolling = |since: i64, reason| {
        with(Status {
            phase: Phase::RollingOut,
            reason,
            times_applied: 1,
            rollout: Some(RolloutState::new(8, at(since))),
            ..Status::default()
        })
    };
    assert_eq!(written(seen(present(true), &[rolling(NOW - 10, None)])), (Phase::RollingOut, Reason::SourceMissing));
    let said = Some(Reason::SourceMissing);
    assert_eq!(seen(present(true), &[rolling(NOW - 10, said)]), Step::Requeue(Some(at(NOW + 290))));
    assert_eq!(written(seen(present(true), &[rolling(NOW - 300, said)])), (Phase::Failed, Reason::RolloutTimedOut));
}

/// A webhook of an OCI registry may name the digest of a chart. A classic Helm repository has no digests.
#[test]
fn the_digest_of_a_chart_is_behind_its_tag() {
    let asked = asked("r", "1.0.0", "1.1.0+build.7");
    assert_eq!(published(&live("1.0.0", &[]), &asked), None);
    let (repository, tag) = published(&release_of(referring(), &[]), &asked).unwrap();
    assert_eq!((repository.as_str(), tag.as_str()), ("registry.example/team/podinfo", "1.1.0_build.7"));
}
