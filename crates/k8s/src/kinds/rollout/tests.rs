use std::time::Duration;

use headwind_core::rollout::pod::PodSnapshot;
use headwind_core::rollout::{RolloutLimits, RolloutObservation, RolloutState, RolloutStatus, Verdict, judge};
use jiff::Timestamp;
use rstest::rstest;
use serde_json::{Value, json};

use super::*;
use crate::kinds::facts;
use headwind_core::reason::Reasoned;

/// A change in a recorded stream.
#[derive(Debug, Deserialize)]
struct Recorded {
    at: f64,
    generation: i64,
    status: Status,
}

fn recorded(text: &str) -> Vec<Recorded> {
    serde_json::from_str(text).unwrap()
}

fn rollout_status(recorded: &Recorded) -> RolloutStatus {
    View::ArgoRollout(recorded.status.view(2)).rollout_status(recorded.generation)
}

/// Judges a stream once a second without the pods, for an hour. Returns the verdict and its second.
fn verdict(stream: &[Recorded]) -> Option<(Verdict, i64)> {
    let at = |second: i64| Timestamp::from_second(1_000_000 + second).unwrap();
    let mut watch = RolloutState::new(stream[0].generation, at(0));
    let mut snapshot: Option<PodSnapshot> = None;
    let mut pending = stream.iter().peekable();
    let mut now = &stream[0];
    let limits = RolloutLimits { timeout: Duration::from_mins(5), retries: 3, settle: Duration::from_secs(30) };
    for second in 0..3600 {
        // Every status is judged, however short it lasts.
        let mut seen = Vec::new();
        while let Some(next) = pending.next_if(|next| Duration::from_secs_f64(next.at).as_secs() <= u64::try_from(second).unwrap()) {
            seen.push(next);
            now = next;
        }
        if seen.is_empty() {
            seen.push(now);
        }
        for status in seen {
            for _ in 0..3 {
                let observation = RolloutObservation {
                    watch: &watch,
                    rollout_status: &rollout_status(status),
                    snapshot: snapshot.as_ref(),
                    container: "web",
                    others: &[],
                    limits,
                    now: at(second),
                    seen_since: at(-1000),
                    clock_stepped: None,
                };
                match judge(&observation) {
                    Verdict::InspectPods => snapshot = Some(PodSnapshot::new(at(second), status.generation, Some(Vec::new()), None)),
                    Verdict::Continue(memory, _) if *memory == watch => break,
                    Verdict::Continue(memory, _) => watch = *memory,
                    ended => return Some((ended, second)),
                }
            }
        }
    }
    None
}

#[test]
fn a_good_version_is_healthy_after_the_settle_time() {
    let stream = recorded(include_str!("recorded/good.json"));
    assert_eq!(rollout_status(&stream[0]), RolloutStatus::Unseen, "the phase is still that of the change before");
    let (verdict, second) = verdict(&stream).unwrap();
    assert_eq!(verdict, Verdict::Healthy);
    assert!((30..40).contains(&second), "{second}");
}

#[rstest]
#[case::crash(include_str!("recorded/crash.json"), Reason::ProgressDeadlineExceeded)]
#[case::aborted_by_a_person(include_str!("recorded/aborted.json"), Reason::RolloutAborted)]
fn degraded_for_good_is_a_failure(#[case] stream: &str, #[case] reason: Reason) {
    let (verdict, second) = verdict(&recorded(stream)).unwrap();
    let Verdict::Failed(failure) = verdict else { panic!("{verdict:?}") };
    assert_eq!(failure.reason, reason);
    assert!(second < 60, "{second}");
}

/// The scale-down of old pods ends the phase after 20 ms: one check fails, and the timeout decides.
#[test]
fn degraded_for_a_moment_is_no_failure_yet() {
    let stream = recorded(include_str!("recorded/blue-green-crash.json"));
    let (verdict, second) = verdict(&stream).unwrap();
    assert!(matches!(&verdict, Verdict::Failed(failure) if failure.reason == Reason::ProgressDeadlineExceeded), "{verdict:?}");
    assert!(second >= 300, "{second}");
}

#[test]
fn flapping_pods_are_never_healthy() {
    let stream = recorded(include_str!("recorded/flap.json"));
    assert!(stream.iter().any(|status| matches!(rollout_status(status), RolloutStatus::Complete(_))), "the controller says so");
    let ended = verdict(&stream).unwrap();
    assert!(matches!(ended, (Verdict::TimedOut(_), 300..)), "{ended:?}");
}

#[test]
fn paused_waits_for_a_person_without_a_limit() {
    let stream = recorded(include_str!("recorded/paused.json"));
    assert_eq!(rollout_status(stream.last().unwrap()), RolloutStatus::Held(Reason::RolloutPaused));
    assert_eq!(verdict(&stream), None);
}

#[test]
fn an_invalid_spec_is_not_the_fault_of_the_version() {
    let ended = verdict(&recorded(include_str!("recorded/invalid-spec.json"))).unwrap();
    assert!(matches!(&ended.0, Verdict::TimedOut(message) if message.contains("InvalidSpec")), "{ended:?}");
}

#[test]
fn a_template_elsewhere_is_left_alone_with_a_reason() {
    let object: Value = serde_json::from_str(include_str!("recorded/workload-ref.json")).unwrap();
    let workload = serde_json::from_value::<SlimRollout>(object).unwrap().read().unwrap();
    let [container] = &*workload.containers else { panic!("{:?}", workload.containers) };
    let Reasoned { reason, message } = container.out_of_reach.as_deref().unwrap();
    assert_eq!(*reason, Reason::TemplateElsewhere);
    assert!(message.contains("from Deployment "), "{message}");
}

#[test]
fn the_newest_pods_are_those_of_the_current_hash() {
    let object = json!({
        "metadata": {"name": "web", "namespace": "n", "generation": 2},
        "spec": {"selector": {"matchLabels": {"app": "web"}}, "template": {"spec": {"containers": [{"name": "web", "image": "app:1.0"}]}}},
        "status": {"observedGeneration": "2", "currentPodHash": "698d5fd8dd"},
    });
    let workload = serde_json::from_value::<SlimRollout>(object).unwrap().read().unwrap();
    assert_eq!((&*workload.selector, &*workload.revision), ("app=web", "698d5fd8dd"));
    assert_eq!(facts(Kind::Rollout).revision.label(), Some("rollouts-pod-template-hash"));
    assert!(matches!(&workload.rollout, View::ArgoRollout(view) if view.replicas == 1 && view.observed_generation == 2));
}
