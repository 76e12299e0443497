use std::time::Duration;

use rstest::rstest;

use super::pod::{ContainerView, Evidence, PodSnapshot, PodView};
use super::*;

const BEGUN: i64 = 1_000_000;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(BEGUN + second).unwrap()
}

fn limits() -> RolloutLimits {
    RolloutLimits { timeout: Duration::from_mins(5), retries: 3, settle: Duration::from_secs(30) }
}

fn count(wanted: u32, updated: u32, available: u32) -> ReplicaProgress {
    let remaining = wanted.saturating_sub(updated) + wanted.saturating_sub(available);
    ReplicaProgress { wanted, updated, available, remaining, new_available: 0, stage: None }
}

fn exceeded(message: &str) -> RolloutProblem {
    RolloutProblem::Failing(Failure { reason: Reason::ProgressDeadlineExceeded, message: message.to_owned() })
}

fn pod(container: ContainerView) -> PodView {
    PodView {
        name: "web-1".to_owned(),
        uid: "u".to_owned(),
        owned: true,
        new: true,
        deleting: false,
        unschedulable: None,
        lost_node: None,
        containers: vec![ContainerView { name: "web".to_owned(), ..container }],
    }
}

fn waits(reason: &str) -> ContainerView {
    ContainerView { waiting: Some((reason.to_owned(), "words of the kubelet".to_owned())), ..ContainerView::default() }
}

fn runs(ready: bool, restarts: u32) -> ContainerView {
    ContainerView { running: true, ready, restarts, ..ContainerView::default() }
}

/// A watch and a clock.
struct Story {
    watch: RolloutState,
    seen_since: Timestamp,
    clock_stepped: Option<Timestamp>,
    limits: RolloutLimits,
}

impl Story {
    fn new() -> Self {
        Self { watch: RolloutState::new(2, at(0)), seen_since: at(-600), clock_stepped: None, limits: limits() }
    }

    /// Creates a watch whose rollout is stuck at that point.
    fn stuck() -> Self {
        let mut story = Self::new();
        story.watch.wanted = 2;
        story.watch.remaining = 2;
        story
    }

    fn judge(&self, second: i64, rollout_status: &RolloutStatus, pods: Option<Vec<PodView>>) -> Verdict {
        let snapshot = PodSnapshot::new(at(second), 2, pods, None);
        judge(&RolloutObservation {
            watch: &self.watch,
            rollout_status,
            snapshot: Some(&snapshot),
            container: "web",
            others: &[],
            limits: self.limits,
            now: at(second),
            seen_since: self.seen_since,
            clock_stepped: self.clock_stepped,
        })
    }

    /// Judges, and stores the state as the reconciler does.
    fn settle(&mut self, second: i64, rollout_status: &RolloutStatus, pods: &[PodView]) -> Verdict {
        for _ in 0..5 {
            match self.judge(second, rollout_status, Some(pods.to_vec())) {
                Verdict::Continue(memory, _) if *memory != self.watch => self.watch = *memory,
                verdict => return verdict,
            }
        }
        panic!("no rest: {:?}", self.watch);
    }
}

#[rstest]
#[case::not_seen(DeploymentView { observed_generation: 1, replicas: 2, total: 2, updated: 2, available: 2, ..Default::default() }, RolloutStatus::Unseen)]
#[case::done(DeploymentView { observed_generation: 2, replicas: 2, total: 2, updated: 2, available: 2, ..Default::default() }, RolloutStatus::Complete(ReplicaProgress { wanted: 2, updated: 2, available: 2, remaining: 0, new_available: 2, stage: None }))]
#[case::none_wanted(DeploymentView { observed_generation: 2, ..Default::default() }, RolloutStatus::Complete(ReplicaProgress::default()))]
#[case::old_ones_left(DeploymentView { observed_generation: 2, replicas: 2, total: 3, updated: 2, available: 3, ..Default::default() }, RolloutStatus::Moving(ReplicaProgress { wanted: 2, updated: 2, available: 3, remaining: 1, new_available: 2, stage: None }, None))]
#[case::not_available(DeploymentView { observed_generation: 2, replicas: 2, total: 2, updated: 2, available: 1, ..Default::default() }, RolloutStatus::Moving(ReplicaProgress { wanted: 2, updated: 2, available: 1, remaining: 1, new_available: 1, stage: None }, None))]
#[case::paused(DeploymentView { observed_generation: 2, replicas: 2, paused: true, total: 2, available: 2, ..Default::default() }, RolloutStatus::Held(Reason::RolloutPaused))]
fn deployments(#[case] view: DeploymentView, #[case] rollout_status: RolloutStatus) {
    assert_eq!(View::Deployment(view).rollout_status(2), rollout_status);
}

#[rstest]
#[case::done(0, false, 3, 3, true, Some(0), None)]
#[case::revision_not_moved(0, false, 3, 3, false, None, None)]
#[case::partition_reached(2, false, 3, 1, false, Some(0), None)]
#[case::partition_above_all(5, false, 3, 0, false, Some(0), None)]
#[case::partition_missed(1, false, 3, 1, false, None, None)]
#[case::one_not_ready(0, false, 2, 3, true, None, None)]
#[case::on_delete_waits(0, true, 3, 1, false, None, Some(Reason::OnDelete))]
#[case::on_delete_goes_on(0, true, 2, 1, false, None, None)]
#[case::on_delete_done(0, true, 3, 3, false, Some(0), None)]
fn stateful_sets(
    #[case] partition: u32,
    #[case] on_delete: bool,
    #[case] ready: u32,
    #[case] updated: u32,
    #[case] one_revision: bool,
    #[case] done: Option<u32>,
    #[case] held: Option<Reason>,
) {
    let view = StatefulSetView {
        replicas: 3,
        partition,
        start: 0,
        parallel: false,
        on_delete,
        observed_generation: 2,
        total: 3,
        ready,
        available: ready,
        updated,
        one_revision,
    };
    match View::StatefulSet(view.clone()).rollout_status(2) {
        RolloutStatus::Complete(count) => assert_eq!(done, Some(count.remaining)),
        RolloutStatus::Held(reason) => assert_eq!(held, Some(reason)),
        RolloutStatus::Moving(_, _) => assert_eq!((done, held), (None, None)),
        RolloutStatus::Unseen | RolloutStatus::Failed(_) | RolloutStatus::NoRollout => panic!("it was seen"),
    }
    assert_eq!(View::StatefulSet(view).rollout_status(3), RolloutStatus::Unseen);
}

#[test]
fn which_pods_a_stateful_set_replaces() {
    let view = StatefulSetView { replicas: 3, partition: 1, start: 5, ..StatefulSetView::default() };
    assert_eq!(["web-6", "a-web-7", "web-5", "web"].map(|pod| view.to_replace(pod)), [Some(6), Some(7), None, None]);
    assert_eq!(StatefulSetView { on_delete: true, ..view }.to_replace("web-6"), None);
}

#[rstest]
#[case::done(false, 3, 3, "complete")]
#[case::a_node_is_down(false, 3, 2, "moving")]
#[case::on_delete(true, 1, 3, "held")]
#[case::on_delete_goes_on(true, 1, 2, "moving")]
fn daemon_sets(#[case] on_delete: bool, #[case] updated: u32, #[case] available: u32, #[case] expected: &str) {
    let view = DaemonSetView { on_delete, observed_generation: 2, desired: 3, updated, available };
    let rollout_status = match View::DaemonSet(view).rollout_status(2) {
        RolloutStatus::Complete(_) => "complete",
        RolloutStatus::Held(_) => "held",
        RolloutStatus::Moving(_, _) => "moving",
        RolloutStatus::Unseen | RolloutStatus::Failed(_) | RolloutStatus::NoRollout => "unseen",
    };
    assert_eq!(rollout_status, expected);
}

#[rstest]
#[case("CrashLoopBackOff", Reason::CrashLoopBackOff)]
#[case("ImagePullBackOff", Reason::ImagePullBackOff)]
#[case("ErrImagePull", Reason::ErrImagePull)]
#[case("InvalidImageName", Reason::InvalidImageName)]
#[case("CreateContainerConfigError", Reason::CreateContainerConfigError)]
#[case("CreateContainerError", Reason::CreateContainerError)]
#[case("RunContainerError", Reason::RunContainerError)]
fn bad_states_three_times_in_a_row(#[case] state: &str, #[case] reason: Reason) {
    let mut story = Story::new();
    let stuck = RolloutStatus::Moving(count(2, 1, 1), None);
    let pods = [pod(waits(state))];
    for second in [0, 6, 12, 18] {
        assert!(matches!(story.settle(second, &stuck, &pods), Verdict::Continue(_, Some(_))), "{second}: {:?}", story.watch);
    }
    let Verdict::Failed(failure) = story.settle(24, &stuck, &pods) else { panic!("{:?}", story.watch) };
    assert_eq!(failure.reason, reason);
    assert!(failure.message.contains("web-1") && failure.message.contains("words of the kubelet"), "{}", failure.message);
}

#[test]
fn a_check_counts_once_in_a_period_whoever_makes_it() {
    let mut story = Story::stuck();
    let stuck = RolloutStatus::Moving(count(2, 1, 1), None);
    story.settle(0, &stuck, &[]);
    for second in 6..10 {
        // Passes occur at every change; a new leader takes over in between.
        story.settle(second, &stuck, &[pod(waits("ErrImagePull"))]);
    }
    assert_eq!(story.watch.failed_checks, 1);
}

#[test]
fn creating_and_waiting_for_room_are_no_evidence() {
    let mut story = Story::new();
    let stuck = RolloutStatus::Moving(count(2, 1, 1), Some(exceeded("exceeded its progress deadline")));
    let mut roomless = pod(waits("ContainerCreating"));
    roomless.unschedulable = Some("0/3 nodes are available".to_owned());
    let mut deleted = pod(waits("CrashLoopBackOff"));
    deleted.deleting = true;
    let mut old = pod(waits("CrashLoopBackOff"));
    old.new = false;
    let pods = [roomless, deleted, old];
    for second in (0..300).step_by(6) {
        story.settle(second, &stuck, &pods);
        assert_eq!(story.watch.failed_checks, 0, "{second}");
    }
    let Verdict::TimedOut(message) = story.settle(306, &stuck, &pods) else { panic!("{:?}", story.watch) };
    assert!(message.contains("0/3 nodes"), "{message}");
    // The same without another problem.
    let Verdict::Continue(memory, _) = Story::stuck().judge(306, &stuck, Some(vec![pod(runs(false, 0))])) else { panic!("no evidence") };
    assert!(memory.failure.is_some());
}

#[test]
fn the_deadline_of_the_deployment_counts() {
    let mut story = Story::new();
    let stuck = RolloutStatus::Moving(count(2, 1, 1), Some(exceeded("ReplicaSet \"web\" has timed out progressing.")));
    let verdicts: Vec<Verdict> = [0, 6, 12, 18, 24].into_iter().map(|second| story.settle(second, &stuck, &[])).collect();
    assert!(matches!(&verdicts[4], Verdict::Failed(failure) if failure.reason == Reason::ProgressDeadlineExceeded), "{verdicts:?}");
}

#[test]
fn a_slow_rollout_is_never_rolled_back() {
    let mut story = Story::new();
    for done in 0..50 {
        // A pod every four minutes; the timeout is five.
        for second in (0..240).step_by(7) {
            let now = i64::from(done) * 240 + second;
            let verdict = story.settle(now, &RolloutStatus::Moving(count(50, done, 49), None), &[pod(runs(false, 0))]);
            assert!(matches!(verdict, Verdict::Continue(_, _)), "{now}: {verdict:?}");
        }
    }
    let stuck = RolloutStatus::Moving(count(50, 49, 49), None);
    let end = 49 * 240;
    story.settle(end, &stuck, &[pod(runs(false, 0))]);
    assert!(
        matches!(story.settle(end + 310, &stuck, &[pod(runs(false, 0))]), Verdict::Failed(failure) if failure.reason == Reason::PodsNotReady)
    );
}

#[test]
fn done_is_what_has_stayed_done() {
    let mut story = Story::new();
    let done = RolloutStatus::Complete(count(2, 2, 2));
    assert!(matches!(story.settle(10, &done, &[pod(runs(true, 0))]), Verdict::Continue(_, Some(again)) if again == at(40)));
    assert!(matches!(story.settle(39, &done, &[pod(runs(true, 0))]), Verdict::Continue(_, _)));
    assert_eq!(story.settle(40, &done, &[pod(runs(true, 0))]), Verdict::Healthy);
    // A pod that restarted meanwhile starts again, and an unavailable one as well.
    assert!(matches!(story.settle(40, &done, &[pod(runs(true, 1))]), Verdict::Continue(_, _)));
    assert_eq!(story.watch.available_since, Some(at(40)));
    story.settle(50, &RolloutStatus::Moving(count(2, 2, 1), None), &[pod(runs(true, 1))]);
    assert_eq!(story.watch.available_since, None);
    story.settle(55, &done, &[pod(runs(true, 1))]);
    story.settle(70, &done, &[pod(runs(true, 1))]);
    assert_eq!(story.settle(85, &done, &[pod(runs(true, 1))]), Verdict::Healthy, "restarts before are forgiven");
    story.limits.settle = Duration::ZERO;
    assert_eq!(story.settle(10, &done, &[]), Verdict::Healthy, "the controller's word is enough");
}

#[test]
fn a_container_that_crashes_between_two_good_seconds_has_failed() {
    let mut story = Story::new();
    let (done, broken) = (RolloutStatus::Complete(count(1, 1, 1)), RolloutStatus::Moving(count(1, 1, 0), None));
    let mut restarts = 0;
    for second in 0..60 {
        let (rollout_status, container) = if second % 4 == 0 {
            (&done, runs(true, restarts))
        } else {
            restarts += u32::from(second % 4 == 1);
            (&broken, ContainerView { restarts, ..waits("CrashLoopBackOff") })
        };
        if let Verdict::Failed(failure) = story.settle(second, rollout_status, &[pod(container)]) {
            assert_eq!(failure.reason, Reason::CrashLoopBackOff);
            return;
        }
    }
    panic!("it settled, or the failure was not noticed: {:?}", story.watch);
}

#[test]
fn one_that_crashes_now_and_then_fails_at_the_time_out() {
    let mut story = Story::new();
    let done = RolloutStatus::Complete(count(1, 1, 1));
    for second in 0..600 {
        match story.settle(second, &done, &[pod(runs(true, u32::try_from(second / 25).unwrap()))]) {
            Verdict::Healthy => panic!("healthy after {second} s"),
            Verdict::Failed(failure) => {
                assert!(second >= 300 && failure.reason == Reason::Restarting, "{second} {failure:?}");
                return;
            }
            _ => {}
        }
    }
    panic!("watched without end");
}

#[test]
fn an_outage_is_no_time_out() {
    let mut story = Story::stuck();
    let stuck = RolloutStatus::Moving(count(2, 1, 1), None);
    story.settle(0, &stuck, &[]);
    // Nothing was observed for ten minutes: the controllers had no API server either.
    story.seen_since = at(590);
    assert!(matches!(story.settle(600, &stuck, &[pod(runs(false, 0))]), Verdict::Continue(_, _)));
    assert!(matches!(story.settle(621, &stuck, &[pod(runs(false, 0))]), Verdict::Failed(_)));
}

#[test]
fn who_may_not_list_pods_believes_the_status() {
    let story = Story::stuck();
    let exceeded = RolloutStatus::Moving(count(2, 1, 1), Some(exceeded("exceeded")));
    assert!(matches!(story.judge(10, &exceeded, None), Verdict::Continue(memory, _) if memory.failed_checks == 1));
    let stuck = RolloutStatus::Moving(count(2, 1, 1), None);
    assert!(matches!(story.judge(400, &stuck, None), Verdict::TimedOut(message) if message.contains("may not list")));
}

#[test]
fn who_holds_it_holds_the_clock() {
    let mut story = Story::new();
    story.settle(5, &RolloutStatus::Held(Reason::RolloutPaused), &[]);
    assert!(matches!(story.settle(10_000, &RolloutStatus::Held(Reason::RolloutPaused), &[]), Verdict::Continue(_, None)));
    let stuck = RolloutStatus::Moving(count(2, 1, 1), None);
    assert!(matches!(story.settle(10_000, &stuck, &[pod(runs(false, 0))]), Verdict::Continue(_, _)), "resumed");
    assert!(matches!(story.settle(10_301, &stuck, &[pod(runs(false, 0))]), Verdict::Failed(_)));
}

#[test]
fn each_answers_for_itself() {
    let named = |name: &str, container: ContainerView| ContainerView { name: name.to_owned(), ..container };
    let of = |new: bool, a: ContainerView, b: ContainerView| PodView {
        new,
        containers: vec![named("a", a), named("b", b)],
        ..pod(runs(true, 0))
    };
    let bad = [of(true, runs(true, 0), waits("CrashLoopBackOff"))];
    assert!(Evidence::of(&bad, "a", &["b"]).failure.is_none(), "b has a request of its own");
    assert!(Evidence::of(&bad, "a", &[]).failure.is_some(), "b was not changed: it counts for all");
    assert!(Evidence::of(&bad, "b", &["a"]).failure.is_some());
    let before = [of(true, runs(true, 0), waits("CrashLoopBackOff")), of(false, runs(true, 0), waits("CrashLoopBackOff"))];
    assert!(Evidence::of(&before, "a", &[]).failure.is_none(), "b was bad in the old pods already");
    let oom = ContainerView { ended: Some(("OOMKilled".to_owned(), 137, String::new())), restarts: 2, ..waits("CrashLoopBackOff") };
    let evidence = Evidence::of(&[pod(oom)], "web", &[]);
    assert_eq!((evidence.failure.unwrap().reason, evidence.restarts), (Reason::OOMKilled, 2));
}

#[test]
fn in_a_row_means_in_a_row() {
    let mut story = Story::stuck();
    let bad = [pod(waits("ErrImagePull"))];
    let stuck = |remaining: u32| {
        RolloutStatus::Moving(ReplicaProgress { wanted: 2, updated: 1, available: 1, remaining, new_available: 0, stage: None }, None)
    };
    story.settle(6, &stuck(2), &bad);
    story.settle(12, &stuck(2), &bad);
    assert_eq!(story.watch.failed_checks, 2);
    story.settle(20, &stuck(1), &bad);
    story.settle(26, &stuck(1), &bad);
    assert_eq!(story.watch.failed_checks, 1, "it got on meanwhile");
}

#[test]
fn a_look_of_before_the_check_was_due_does_not_count() {
    let mut story = Story::stuck();
    story.watch.checked_at = Some(at(10));
    let snapshot = PodSnapshot::new(at(12), 2, Some(vec![pod(waits("ErrImagePull"))]), None);
    let rollout_status = RolloutStatus::Moving(count(2, 1, 1), None);
    let observation = RolloutObservation {
        watch: &story.watch,
        rollout_status: &rollout_status,
        snapshot: Some(&snapshot),
        container: "web",
        others: &[],
        limits: story.limits,
        now: at(15),
        seen_since: story.seen_since,
        clock_stepped: None,
    };
    assert!(matches!(judge(&observation), Verdict::Continue(memory, _) if memory.failed_checks == 0));
}

#[test]
fn who_restarted_before_all_was_available_has_settled_all_the_same() {
    let mut story = Story::new();
    let done = RolloutStatus::Complete(count(2, 2, 2));
    story.settle(3, &done, &[pod(runs(true, 2))]);
    assert_eq!(story.settle(33, &done, &[pod(runs(true, 2))]), Verdict::Healthy);
}

#[test]
fn a_changed_number_of_replicas_is_no_progress() {
    // The version does not run, and an autoscaler changes the replicas before each check.
    let mut story = Story::stuck();
    let bad = [pod(waits("CrashLoopBackOff"))];
    let scaled = |wanted: u32| {
        RolloutStatus::Moving(
            ReplicaProgress { wanted, updated: 1, available: wanted, remaining: wanted, new_available: 0, stage: None },
            None,
        )
    };
    let verdicts: Vec<Verdict> = (0..5).map(|n| story.settle(6 * i64::from(n), &scaled(4 + 2 * (n % 2)), &bad)).collect();
    assert!(matches!(&verdicts[4], Verdict::Failed(failure) if failure.reason == Reason::CrashLoopBackOff), "{:?}", story.watch);
    // It does not extend the timeout of a stuck rollout either.
    let mut stuck = Story::stuck();
    for second in (0..300).step_by(10) {
        stuck.settle(second, &scaled(4 + 2 * u32::try_from(second / 10 % 2).unwrap()), &[pod(runs(false, 0))]);
    }
    assert!(matches!(stuck.settle(310, &scaled(4), &[pod(runs(false, 0))]), Verdict::Failed(_)), "{:?}", stuck.watch);
}

#[test]
fn scaling_is_no_failure() {
    // From 4 pods to 50 during the rollout: each new available pod is progress, for hours.
    let mut story = Story::new();
    story.settle(0, &RolloutStatus::Moving(count(4, 1, 4), None), &[pod(runs(false, 0))]);
    for ready in 1..50 {
        let now = i64::from(ready) * 240;
        let rollout_status = ReplicaProgress {
            wanted: 50,
            updated: ready + 1,
            available: ready,
            remaining: 2 * (50 - ready),
            new_available: ready,
            stage: None,
        };
        let verdict = story.settle(now, &RolloutStatus::Moving(rollout_status, None), &[pod(runs(false, 0))]);
        assert!(matches!(verdict, Verdict::Continue(_, _)), "{now}: {verdict:?}");
    }
}

#[test]
fn more_pods_than_are_wanted_are_not_counted() {
    let scaled_down = ReplicaProgress { wanted: 4, updated: 9, available: 9, ..ReplicaProgress::default() };
    assert_eq!(scaled_down.to_string(), "4 of 4 pods are new, 4 available");
}

#[test]
fn a_step_of_the_clock_gives_the_whole_time_again() {
    let stuck = RolloutStatus::Moving(count(2, 1, 1), None);
    let slow = [pod(runs(false, 0))];
    let mut story = Story::stuck();
    story.settle(10, &stuck, &slow);
    // Ten minutes ahead.
    story.clock_stepped = Some(at(620));
    for second in [625, 700, 915] {
        assert!(matches!(story.settle(second, &stuck, &slow), Verdict::Continue(_, _)), "{second}: {:?}", story.watch);
    }
    assert!(matches!(story.settle(925, &stuck, &slow), Verdict::Failed(_)));
    // A step of the clock does not shorten the settle time.
    let mut done = Story::new();
    done.settle(10, &RolloutStatus::Complete(count(2, 2, 2)), &[pod(runs(true, 0))]);
    done.clock_stepped = Some(at(620));
    assert!(matches!(done.settle(630, &RolloutStatus::Complete(count(2, 2, 2)), &[pod(runs(true, 0))]), Verdict::Continue(_, _)));
    assert_eq!(done.settle(650, &RolloutStatus::Complete(count(2, 2, 2)), &[pod(runs(true, 0))]), Verdict::Healthy);
    // One day back: stored timestamps are in the future, and must not be waited for.
    let mut back = Story::stuck();
    back.watch.progressed_at = at(86_400);
    back.clock_stepped = Some(at(0));
    back.settle(1, &stuck, &[pod(waits("ErrImagePull"))]);
    let verdicts: Vec<Verdict> = [7, 13, 19].into_iter().map(|second| back.settle(second, &stuck, &[pod(waits("ErrImagePull"))])).collect();
    assert!(matches!(verdicts[2], Verdict::Failed(_)), "{:?}", back.watch);
}

#[test]
fn who_waits_for_a_person_has_no_time_out_but_may_fail() {
    let waiting = RolloutStatus::Moving(count(3, 1, 2), Some(RolloutProblem::Waits(Reason::OnDelete)));
    let old = PodView { new: false, ..pod(waits("CrashLoopBackOff")) };
    let mut story = Story::new();
    for second in (0..3000).step_by(30) {
        let verdict = story.settle(second, &waiting, std::slice::from_ref(&old));
        assert!(matches!(verdict, Verdict::Continue(_, _)), "{second}: {verdict:?}");
    }
    let new = [pod(waits("CrashLoopBackOff")), old];
    let verdicts: Vec<Verdict> = (0..4).map(|n| story.settle(3000 + 6 * n, &waiting, &new)).collect();
    assert!(matches!(verdicts[3], Verdict::Failed(_)), "{:?}", story.watch);
}

#[test]
fn pods_that_cannot_be_created_are_reported_without_blame() {
    let view = DeploymentView {
        replicas: 2,
        total: 2,
        available: 2,
        deadline_exceeded: Some("it has timed out progressing".into()),
        replica_failure: Some("exceeded quota: pods".into()),
        ..Default::default()
    };
    let mut story = Story::new();
    let rollout_status = View::Deployment(view).rollout_status(0);
    for second in (0..300).step_by(10) {
        story.settle(second, &rollout_status, &[]);
    }
    let Verdict::TimedOut(message) = story.settle(310, &rollout_status, &[]) else { panic!("{:?}", story.watch) };
    assert!(message.contains("0 of 2 pods are new") && message.contains("exceeded quota"), "{message}");
}

#[test]
fn a_node_that_is_lost_is_named() {
    let stuck = RolloutStatus::Moving(count(2, 1, 1), None);
    let lost = PodView { lost_node: Some("node-7".to_owned()), ..pod(runs(true, 0)) };
    let mut story = Story::stuck();
    story.settle(0, &stuck, std::slice::from_ref(&lost));
    let Verdict::TimedOut(message) = story.settle(310, &stuck, &[lost]) else { panic!("{:?}", story.watch) };
    assert!(message.contains("web-1") && message.contains("node-7"), "{message}");
}
