use jiff::Timestamp;
use rstest::rstest;

use crate::gate::Limits;
use crate::policy::Policy;
use crate::reason::Reason;
use crate::request::{Observed, Phase, Presence, Request, Spec, Status, Step, next};
use crate::rollout::pod::{ContainerView, PodSnapshot, PodView, RefusedEviction};
use crate::rollout::{Failure, RolloutState, StatefulSetView, View};
use crate::settings::{Annotations, key};
use crate::testing;
use crate::trigger::Trigger;
use crate::workload::history::History;
use crate::workload::{Container, Kind, Workload};

const NOW: i64 = 1_000_000;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

/// A StatefulSet of three in the middle of an ordered rollout to `db:2.0.0`.
fn workload(annotations: &[(&str, &str)]) -> Workload {
    let view = StatefulSetView { replicas: 3, total: 3, ready: 1, available: 1, updated: 1, observed_generation: 2, ..Default::default() };
    let defaults = testing::annotations(&[("policy", "all"), ("require-approval", "false"), ("last-request", "r")]);
    let own = annotations.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    Workload {
        uid: "uid".to_owned(),
        generation: 2,
        annotations: defaults.into_iter().chain(own).collect(),
        rollout: View::StatefulSet(view),
        ..Workload::new(testing::key(Kind::StatefulSet, "db"), vec![Container::new("db", "db:2.0.0")])
    }
}

fn view(workload: &mut Workload) -> &mut StatefulSetView {
    let View::StatefulSet(view) = &mut workload.rollout else { panic!("it is no StatefulSet's") };
    view
}

/// Returns the request for `db:2.0.0`, whose rollout has been watched for a minute.
fn rolling(watch: RolloutState) -> Request {
    let base = testing::request("r", "db:1.0.0", "db:2.0.0", at(NOW - 100));
    Request {
        target_uid: "uid".to_owned(),
        spec: Spec { container: Some("db".to_owned()), policy: Policy::All, ..base.spec },
        status: Status {
            phase: Phase::RollingOut,
            times_applied: 1,
            applied_at: Some(at(NOW - 60)),
            rollout: Some(watch),
            ..Status::default()
        },
        ..base
    }
}

fn watch() -> RolloutState {
    RolloutState { wanted: 3, remaining: 4, ..RolloutState::new(2, at(NOW - 60)) }
}

/// Returns the state of the watch after `db:1.0.0` was restored.
fn back() -> RolloutState {
    let cause = Failure { reason: Reason::CrashLoopBackOff, message: "pod db-2: it crashes".to_owned() };
    RolloutState { returned_to: Some("db:1.0.0".to_owned()), cause: Some(cause), ..watch() }
}

fn runs(ready: bool) -> ContainerView {
    ContainerView { name: "db".to_owned(), running: true, ready, ..ContainerView::default() }
}

fn waits(reason: &str) -> ContainerView {
    ContainerView { name: "db".to_owned(), waiting: Some((reason.to_owned(), String::new())), ..ContainerView::default() }
}

fn pod(name: &str, new: bool, container: ContainerView) -> PodView {
    PodView {
        name: name.to_owned(),
        uid: format!("uid of {name}"),
        owned: true,
        new,
        deleting: false,
        unschedulable: None,
        lost_node: None,
        containers: vec![container],
    }
}

/// Runs that many checks, five seconds apart, and returns the step after every status write.
fn after_looks(workload: &Workload, request: &mut Request, pods: &[PodView], looks: i64) -> Step {
    let mut snapshot: Option<PodSnapshot> = None;
    let mut last = Step::Requeue(None);
    for n in 0..looks {
        let now = at(NOW + 5 * n);
        snapshot = Some(PodSnapshot::new(now, 2, Some(pods.to_vec()), snapshot.as_ref()));
        last = settled(workload, request, snapshot.as_ref(), now);
    }
    last
}

fn settled(workload: &Workload, request: &mut Request, snapshot: Option<&PodSnapshot>, now: Timestamp) -> Step {
    for _ in 0..10 {
        let observed = Observed {
            limits: &Limits::default(),
            presence: Presence::Present { workload, live: true },
            defaults: &Annotations::new(),
            requests: &[&request.clone()],
            now,
            history_limit: 10,
            snapshot,
            seen_since: at(0),
            clock_stepped: None,
            confirmations: None,
        };
        match next(&observed) {
            Step::Write(write) if write.status.phase == Phase::RollingOut => request.status = write.status,
            step => return step,
        }
    }
    panic!("no rest: {:?}", request.status);
}

fn evicted(step: Step) -> Option<String> {
    match step {
        Step::Evict(pod) => Some(pod.name),
        Step::Requeue(_) => None,
        other => panic!("{other:?}"),
    }
}

#[rstest]
#[case::electing_a_leader(watch(), runs(false), None)]
#[case::being_created(watch(), waits("ContainerCreating"), None)]
#[case::not_pulled(watch(), waits("ImagePullBackOff"), Some("db-0"))]
#[case::crashing(watch(), waits("CrashLoopBackOff"), Some("db-0"))]
#[case::left_and_not_ready(back(), runs(false), Some("db-0"))]
#[case::left_and_being_created(back(), waits("ContainerCreating"), None)]
#[case::left_and_crashing(back(), waits("CrashLoopBackOff"), Some("db-0"))]
#[case::left_and_well(back(), runs(true), None)]
fn a_pod_is_evicted_as_the_last_resort(#[case] watch: RolloutState, #[case] old: ContainerView, #[case] expected: Option<&str>) {
    let mut workload = workload(&[]);
    if watch.returned_to.is_some() {
        "db:1.0.0".clone_into(&mut workload.containers[0].image);
        workload.annotations.insert(key::LAST_REQUEST.to_owned(), "r@1.back".to_owned());
    }
    let pods = [pod("db-2", true, runs(true)), pod("db-1", false, old.clone()), pod("db-0", false, old)];
    for looks in 1..3 {
        assert_eq!(evicted(after_looks(&workload, &mut rolling(watch.clone()), &pods, looks)), None, "after {looks} looks");
    }
    assert_eq!(evicted(after_looks(&workload, &mut rolling(watch.clone()), &pods, 3)).as_deref(), expected);
    assert_eq!(evicted(after_looks(&workload, &mut rolling(watch), &pods, 30)).as_deref(), expected, "it does not matter for how long");
}

#[test]
fn only_the_pod_that_is_waited_for_is_evicted() {
    let crashes = || waits("CrashLoopBackOff");
    let request = || rolling(watch());
    let old = [pod("db-2", true, runs(true)), pod("db-1", false, crashes()), pod("db-0", false, runs(true))];
    assert_eq!(evicted(after_looks(&workload(&[]), &mut request(), &old, 3)).as_deref(), Some("db-1"));
    let mut parallel = workload(&[]);
    view(&mut parallel).parallel = true;
    assert_eq!(evicted(after_looks(&parallel, &mut request(), &old, 9)), None, "nothing waits for it");
    let mut partition = workload(&[]);
    view(&mut partition).partition = 2;
    assert_eq!(evicted(after_looks(&partition, &mut request(), &old, 9)), None, "it would come back as it is");
    // A new pod with a lower ordinal comes first.
    let new = [pod("db-0", true, runs(false)), pod("db-1", false, crashes())];
    assert_eq!(evicted(after_looks(&workload(&[]), &mut request(), &new, 9)), None);
    let mut another = old.clone();
    another[1].owned = false;
    assert_eq!(evicted(after_looks(&workload(&[]), &mut request(), &another, 9)), None, "it is not the set's own");
}

#[test]
fn a_snapshot_of_a_well_pod_resets_the_count() {
    let bad = [pod("db-0", false, waits("CrashLoopBackOff"))];
    let snapshot = |n: i64, pods: &[PodView], before: Option<&PodSnapshot>| PodSnapshot::new(at(NOW + n), 2, Some(pods.to_vec()), before);
    let two = snapshot(5, &bad, Some(&snapshot(0, &bad, None)));
    assert_eq!(two.unwell.values().copied().collect::<Vec<_>>(), [2]);
    let well = snapshot(10, &[pod("db-0", false, runs(true))], Some(&two));
    assert_eq!(snapshot(15, &bad, Some(&well)).unwell.values().copied().collect::<Vec<_>>(), [1]);
    let elsewhere = PodSnapshot::new(at(NOW + 10), 3, Some(bad.to_vec()), Some(&two));
    assert_eq!(elsewhere.unwell.values().copied().collect::<Vec<_>>(), [1], "another generation, another judgement");
}

/// A crashing container is ready for a moment after each restart. A snapshot of that moment does not reset the count.
#[test]
fn a_pod_that_restarts_repeatedly_is_unwell() {
    let flapping = |restarts, ready: bool| {
        let state = if ready { runs(true) } else { waits("CrashLoopBackOff") };
        vec![pod("db-0", false, ContainerView { restarts, ..state })]
    };
    let mut last: Option<PodSnapshot> = None;
    let mut count = |pods: Vec<PodView>| {
        let when = at(last.as_ref().map_or(NOW, |last| last.at.as_second() + 2));
        let snapshot = PodSnapshot::new(when, 2, Some(pods), last.as_ref());
        let count = snapshot.unwell.values().next().copied();
        last = Some(snapshot);
        count
    };
    assert_eq!(count(flapping(0, true)), None);
    assert_eq!(count(flapping(1, false)), Some(1));
    assert_eq!(count(flapping(1, true)), Some(1), "ready for a moment: neither counted nor reset");
    assert_eq!(count(flapping(2, true)), Some(2), "it restarted between two snapshots");
    assert_eq!(count(flapping(3, false)), Some(3));
    assert_eq!(count(flapping(3, true)), Some(3));
    assert_eq!(count(flapping(3, true)), None, "it stayed ready");
}

#[test]
fn a_refused_eviction_is_waited_for_and_said() {
    let mut workload = workload(&[]);
    "db:1.0.0".clone_into(&mut workload.containers[0].image);
    workload.annotations.insert(key::LAST_REQUEST.to_owned(), "r@1.back".to_owned());
    let pods = [pod("db-2", false, waits("CrashLoopBackOff"))];
    let mut request = rolling(back());
    assert_eq!(evicted(after_looks(&workload, &mut request, &pods, 3)).as_deref(), Some("db-2"));
    let refused = RefusedEviction { uid: "uid of db-2".to_owned(), why: "the budget says no".to_owned(), again: at(NOW + 20) };
    let snapshot = |second: i64| PodSnapshot {
        unwell: [("uid of db-2".to_owned(), 4)].into(),
        refused: Some(refused.clone()),
        ..PodSnapshot::new(at(NOW + second), 2, Some(pods.to_vec()), None)
    };
    assert_eq!(evicted(settled(&workload, &mut request, Some(&snapshot(15)), at(NOW + 15))), None, "it waits");
    let message = request.status.message.clone().unwrap();
    assert!(message.contains("db-2") && message.contains("the budget says no") && message.contains("it crashes"), "{message}");
    assert_eq!(evicted(settled(&workload, &mut request, Some(&snapshot(20)), at(NOW + 20))).as_deref(), Some("db-2"), "and is tried again");
    let Step::Write(write) = settled(&workload, &mut request, Some(&snapshot(250)), at(NOW + 250)) else { panic!("not timed out") };
    let message = write.status.message.unwrap();
    assert_eq!((write.status.phase, write.status.reason), (Phase::RolledBack, Some(Reason::RollbackFailed)));
    assert!(message.contains("db-2") && message.contains("the budget says no") && !message.contains("does not run"), "{message}");
}

#[test]
fn what_went_back_well_says_so_and_why() {
    let mut workload = workload(&[(key::SETTLE_TIME, "0")]);
    "db:1.0.0".clone_into(&mut workload.containers[0].image);
    workload.annotations.insert(key::LAST_REQUEST.to_owned(), "r@1.back".to_owned());
    *view(&mut workload) = StatefulSetView {
        replicas: 3,
        total: 3,
        ready: 3,
        available: 3,
        updated: 3,
        one_revision: true,
        observed_generation: 2,
        ..Default::default()
    };
    let Step::Write(write) = settled(&workload, &mut rolling(back()), None, at(NOW)) else { panic!("not done") };
    assert_eq!((write.status.phase, write.status.reason), (Phase::RolledBack, Some(Reason::RollbackComplete)));
    let message = write.status.message.unwrap();
    assert!(message.contains("db:1.0.0") && message.contains("CrashLoopBackOff: pod db-2: it crashes"), "{message}");
}

#[test]
fn on_delete_is_waited_for_on_the_way_back_too() {
    let mut workload = workload(&[]);
    "db:1.0.0".clone_into(&mut workload.containers[0].image);
    workload.annotations.insert(key::LAST_REQUEST.to_owned(), "r@1.back".to_owned());
    *view(&mut workload) = StatefulSetView {
        replicas: 3,
        total: 3,
        ready: 2,
        available: 2,
        updated: 2,
        on_delete: true,
        observed_generation: 2,
        ..Default::default()
    };
    let pods = [pod("db-2", false, waits("CrashLoopBackOff")), pod("db-1", true, runs(true)), pod("db-0", true, runs(true))];
    let mut request = rolling(back());
    assert_eq!(evicted(after_looks(&workload, &mut request, &pods, 200)), None, "only a person may delete it");
    let message = request.status.message.clone().unwrap();
    assert!(message.contains(Reason::OnDelete.sentence()), "{message}");
}

/// Returns the image that is restored after a failed rollout with that history.
fn restored(history: &History, all: &[Request]) -> String {
    let text = history.to_annotation();
    let workload = workload(&[(key::AUTO_ROLLBACK, "true"), (key::UPDATE_HISTORY, &text)]);
    let failure = Failure { reason: Reason::CrashLoopBackOff, message: "pod db-2".to_owned() };
    let bad = rolling(RolloutState { failed_checks: 3, failure: Some(failure), ..watch() });
    let requests: Vec<&Request> = all.iter().chain([&bad]).collect();
    let observed = Observed {
        limits: &Limits::default(),
        presence: Presence::Present { workload: &workload, live: true },
        defaults: &Annotations::new(),
        requests: &requests,
        now: at(NOW),
        history_limit: 10,
        snapshot: None,
        seen_since: at(0),
        clock_stepped: None,
        confirmations: None,
    };
    match next(&observed) {
        Step::Apply(apply) => apply.changes[0].to.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_history_alone_vouches_for_no_image() {
    let entry = |image: &str, request: Option<&str>| serde_json::json!({"container": "db", "image": image, "timestamp": "2026-01-01T00:00:00Z", "updateRequestName": request, "approvedBy": null});
    let history = |images: &[(&str, Option<&str>)]| {
        let all: Vec<_> = images.iter().map(|(image, request)| entry(image, *request)).collect();
        History::parse(Some(&serde_json::to_string(&all).unwrap())).0
    };
    let forged = history(&[("db:2.0.0", Some("r")), ("evil/miner:1", None), ("db:0.9.0", None)]);
    assert_eq!(restored(&forged, &[]), "db:0.9.0");
    assert_eq!(restored(&history(&[("db:2.0.0", Some("r")), ("evil/miner:1", None)]), &[]), "db:1.0.0");
    // An applied request confirms an image, a request that was only created does not.
    let mut moved = rolling(watch());
    moved.name = "moved".to_owned();
    moved.spec = Spec { current_image: "old/db:0.8.0".to_owned(), new_image: "old/db:0.9.0".to_owned(), ..moved.spec };
    moved.status =
        Status { phase: Phase::Completed, reason: Some(Reason::RolloutComplete), finished_at: Some(at(NOW - 90)), ..moved.status };
    let of_two = history(&[("db:2.0.0", Some("r")), ("old/db:0.9.0", Some("moved"))]);
    assert_eq!(restored(&of_two, std::slice::from_ref(&moved)), "old/db:0.9.0");
    moved.status = Status { phase: Phase::Completed, times_applied: 0, ..moved.status };
    assert_eq!(restored(&of_two, &[moved]), "db:1.0.0");
}

#[test]
fn nobody_goes_back_to_a_forged_image_by_hand_either() {
    let forged =
        r#"[{"container":"db","image":"evil/miner:1","timestamp":"2026-01-01T00:00:00Z","updateRequestName":null,"approvedBy":null}]"#;
    let workload = workload(&[(key::UPDATE_HISTORY, forged)]);
    let mut asked = rolling(watch());
    asked.name = "back".to_owned();
    asked.spec =
        Spec { current_image: "db:2.0.0".to_owned(), new_image: "evil/miner:1".to_owned(), trigger: Trigger::Manual, ..asked.spec };
    asked.status = Status { phase: Phase::Approved, approved_by: Some("ann".to_owned()), ..Status::default() };
    let step = settled(&workload, &mut asked, None, at(NOW));
    assert!(matches!(&step, Step::Write(write) if write.status.phase == Phase::Superseded), "{step:?}");
}

#[test]
fn nothing_expires_while_the_clock_is_in_doubt() {
    let workload = workload(&[("headwind.sh/require-approval", "true")]);
    let mut asked = rolling(watch());
    asked.spec = Spec { current_image: "db:2.0.0".to_owned(), new_image: "db:3.0.0".to_owned(), require_approval: true, ..asked.spec };
    asked.name = "asks".to_owned();
    asked.status = Status::default();
    let day = 86_400;
    let step = |stepped: Option<i64>, now: i64| {
        next(&Observed {
            limits: &Limits::default(),
            presence: Presence::Present { workload: &workload, live: true },
            defaults: &Annotations::new(),
            requests: &[&asked],
            now: at(now),
            history_limit: 10,
            snapshot: None,
            seen_since: at(0),
            clock_stepped: stepped.map(at),
            confirmations: None,
        })
    };
    assert_eq!(step(Some(NOW + day), NOW + day + 60), Step::Requeue(Some(at(NOW + 2 * day))));
    assert!(matches!(step(Some(NOW + day), NOW + 2 * day), Step::Write(write) if write.status.phase == Phase::Expired));
    assert!(matches!(step(None, NOW + day), Step::Write(write) if write.status.phase == Phase::Expired));
}
