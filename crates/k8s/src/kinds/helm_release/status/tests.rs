//! Recordings of the real controllers (source-controller 1.9.0, helm-controller 1.6.0), judged status by status, with
//! the seconds between them.

use headwind_core::reason::Reason;
use headwind_core::rollout::pod::PodSnapshot;
use headwind_core::rollout::{Failure, RolloutLimits, RolloutObservation, RolloutState, RolloutStatus, Verdict, View, judge};
use jiff::{SignedDuration, Timestamp};
use rstest::rstest;
use serde_json::{Value, json};

use super::*;

/// A recorded release.
#[derive(Debug, Clone, Deserialize)]
struct Release {
    metadata: Metadata,
    #[serde(default)]
    spec: Spec,
    #[serde(default)]
    status: Status,
}

#[derive(Debug, Clone, Deserialize)]
struct Metadata {
    generation: i64,
}

#[derive(Debug, Clone, Default, Deserialize)]
struct Spec {
    #[serde(default)]
    chart: Value,
    #[serde(flatten)]
    rollout: RolloutSpec,
}

#[derive(Debug, Clone, Deserialize)]
struct Event {
    t: f64,
    object: Release,
}

/// Parses a recording's lines.
fn events(lines: &str) -> Vec<Event> {
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

macro_rules! recorded {
    ($name:literal) => {
        events(include_str!(concat!("../recorded/", $name, ".jsonl")))
    };
}

fn web(tag: &str, digest: &str) -> Source {
    Source { generation: 2, revision: Some(format!("{tag}@sha256:{digest}")), ready: None }
}

/// The digest of `web` 0.2.0 in the recordings.
const DIGEST: &str = "92a4fa0b73a2fa7f5cc079ceaed650cc2e47b150002bf055f7510054b77ec8ae";

impl Release {
    fn view(&self) -> HelmReleaseView {
        let chart_ref = self.spec.chart.is_null().then(|| web("0.2.0", DIGEST));
        let version = self.spec.chart.pointer("/spec/version").and_then(Value::as_str).unwrap_or("0.2.0");
        HelmReleaseView { source: chart_ref, ..view(self.metadata.generation, version, &self.spec.rollout, &self.status) }
    }
}

fn at(second: f64) -> Timestamp {
    Timestamp::from_second(1_000_000).unwrap() + SignedDuration::from_secs_f64(second)
}

/// A watch over one release, which judges like the reconciler: on each change, and by the clock.
struct Replay {
    watch: RolloutState,
    limits: RolloutLimits,
    clock: f64,
}

impl Replay {
    fn new(generation: i64, begin: f64) -> Self {
        let limits = RolloutLimits { timeout: Duration::from_mins(5), retries: 3, settle: Duration::from_secs(30) };
        Self { watch: RolloutState::new(generation, at(begin)), limits, clock: begin }
    }

    /// Judges the status at that second, and stores the state.
    fn judge(&mut self, view: &HelmReleaseView, second: f64) -> Option<Verdict> {
        let view = View::HelmRelease(Box::new(view.clone()));
        let snapshot = PodSnapshot::new(at(second), self.watch.generation, Some(Vec::new()), None);
        self.clock = second;
        for _ in 0..5 {
            let verdict = judge(&RolloutObservation {
                watch: &self.watch,
                rollout_status: &view.rollout_status(self.watch.generation),
                snapshot: Some(&snapshot),
                container: "",
                others: &[],
                limits: self.limits.at_least(view.least_timeout()),
                now: at(second),
                seen_since: at(-600.0),
                clock_stepped: None,
            });
            match verdict {
                Verdict::Continue(memory, _) if *memory == self.watch => return None,
                Verdict::Continue(memory, _) => self.watch = *memory,
                Verdict::InspectPods => panic!("there are no pods"),
                verdict => return Some(verdict),
            }
        }
        panic!("no rest: {:?}", self.watch);
    }

    /// Judges until that second without a change.
    fn wait(&mut self, view: &HelmReleaseView, until: f64) -> Option<Verdict> {
        while self.clock + 1.0 < until {
            let verdict = self.judge(view, self.clock + 1.0);
            if verdict.is_some() {
                return verdict;
            }
        }
        None
    }
}

/// Returns the verdict after the last change of a recording, and its second.
fn replay(events: &[Event]) -> (Option<Verdict>, f64) {
    let generation = events.last().unwrap().object.metadata.generation;
    let mut seen = events.iter().filter(|event| event.object.metadata.generation == generation).peekable();
    let mut replay = Replay::new(generation, seen.peek().unwrap().t);
    while let Some(event) = seen.next() {
        let view = event.object.view();
        let until = seen.peek().map_or(event.t + 2_000.0, |next| next.t);
        let verdict = replay.judge(&view, event.t).or_else(|| replay.wait(&view, until));
        if verdict.is_some() {
            return (verdict, replay.clock);
        }
    }
    (None, replay.clock)
}

#[rstest]
#[case::http(recorded!("upgrade-ok"), 5.3)]
#[case::oci(recorded!("oci-upgrade"), 5.3)]
#[case::chart_ref(recorded!("chartref-upgrade"), 5.3)]
#[case::controller_killed(recorded!("killed"), 6.6)]
#[case::changed_in_mid_attempt(recorded!("inflight"), 15.6)]
#[case::resumed(recorded!("resumed"), 5.5)]
#[case::published_late(recorded!("missing-appears"), 66.0)]
#[case::a_failed_install_fixed(recorded!("install-unready-fixed"), 5.3)]
#[case::put_back(recorded!("unready-back"), 6.0)]
#[case::put_back_from_a_broken_template(recorded!("badtemplate-back"), 0.6)]
#[case::put_back_from_a_missing_version(recorded!("missing-back"), 30.5)]
#[case::put_back_after_remediation(recorded!("unready-rollback-back"), 0.1)]
fn what_comes_up_is_healthy(#[case] events: Vec<Event>, #[case] ready: f64) {
    let (verdict, second) = replay(&events);
    assert_eq!(verdict, Some(Verdict::Healthy));
    assert!((ready + 29.9..ready + 32.5).contains(&second), "it has to stay ready for half a minute: {second}");
}

#[rstest]
#[case::pods_not_ready(recorded!("unready"), Reason::UpgradeFailed, "timeout waiting for: [Deployment/default/c status: 'InProgress']", 13.6, 13.7)]
#[case::refused_by_the_api(recorded!("apirefuse"), Reason::UpgradeFailed, ".spec.replicas: expected numeric (int or float), got string", 5.8, 6.0)]
#[case::template(recorded!("badtemplate"), Reason::UpgradeFailed, "execution error at (demo/templates/bad.yaml:1:3): broken on purpose", 15.0, 35.0)]
#[case::template_with_remediation(recorded!("badtemplate-last"), Reason::UpgradeFailed, "broken on purpose", 10.0, 35.0)]
#[case::missing(recorded!("missing"), Reason::SourceNotReady, "no 'demo' chart with version matching '9.9.9' found", 300.0, 308.0)]
#[case::missing_in_oci(recorded!("oci-missing"), Reason::SourceNotReady, "HelmChart 'default/default-o1' is not ready", 300.0, 308.0)]
#[case::taken_back_at_the_second_time(recorded!("unready-rollback"), Reason::Remediated, "Deployment/default/e status: 'InProgress']; Helm rollback to previous release default/e.v3 with chart demo@0.1.0 succeeded", 38.0, 38.1)]
#[case::taken_back_at_once(recorded!("unready-last"), Reason::Remediated, "default/i.v1 with chart demo@0.1.0 succeeded", 13.9, 14.0)]
#[case::installed_in_vain(recorded!("install-unready"), Reason::InstallFailed, "Helm install failed for release default/in", 9.9, 10.0)]
#[case::uninstalled(recorded!("install-remediation"), Reason::Remediated, "Helm uninstall remediation", 25.0, 25.1)]
#[case::retried_for_ever(recorded!("unready-retryonfailure"), Reason::UpgradeFailed, "Deployment/default/j status: 'InProgress'", 300.0, 308.0)]
fn what_does_not_come_up_fails_with_the_words_of_flux(
    #[case] events: Vec<Event>,
    #[case] code: Reason,
    #[case] words: &str,
    #[case] earliest: f64,
    #[case] latest: f64,
) {
    let (verdict, second) = replay(&events);
    let Some(Verdict::Failed(Failure { reason, message })) = verdict else { panic!("{verdict:?} in second {second}") };
    assert_eq!(reason, code);
    assert!(message.contains(words), "{message}");
    assert!((earliest..latest).contains(&second), "{second}");
}

#[test]
fn a_failure_that_is_forced_to_be_tried_again_is_under_way_until_it_fails_again() {
    let events = recorded!("forced");
    let standings: Vec<bool> =
        events.iter().map(|event| matches!(rollout_status(&event.object.view()), RolloutStatus::Failed(_))).collect();
    assert_eq!(standings, [true, false, false, false, false, false, true, true]);
}

fn rollout_status(view: &HelmReleaseView) -> RolloutStatus {
    View::HelmRelease(Box::new(view.clone())).rollout_status(view.generation)
}

#[test]
fn who_is_suspended_waits_however_long_it_takes() {
    let mut replay = Replay::new(3, 0.0);
    for event in recorded!("suspended") {
        let view = event.object.view();
        assert_eq!(rollout_status(&view), RolloutStatus::Held(Reason::Suspended));
        assert_eq!(replay.judge(&view, event.t).or_else(|| replay.wait(&view, event.t + 10_000.0)), None);
    }
    for event in recorded!("resumed") {
        assert_eq!(replay.judge(&event.object.view(), 20_010.0 + event.t), None, "{}", event.t);
    }
    let last = recorded!("resumed").pop().unwrap().object.view();
    assert_eq!(replay.wait(&last, 20_100.0), Some(Verdict::Healthy));
}

#[test]
fn a_silent_controller_is_no_failure() {
    let first = recorded!("upgrade-ok").remove(0).object.view();
    assert_eq!(rollout_status(&first), RolloutStatus::Unseen);
    assert_eq!(Replay::new(2, 0.0).wait(&first, 10_000.0), None);
    // A recording that stops in the middle ends without a cause.
    let attempted = recorded!("upgrade-ok").remove(4).object.view();
    let verdict = Replay::new(2, 0.0).wait(&attempted, 10_000.0);
    assert!(matches!(&verdict, Some(Verdict::TimedOut(words)) if words.contains("Flux is reconciling the release")), "{verdict:?}");
}

#[test]
fn each_step_is_progress_and_a_retry_is_none() {
    let remaining = |events: Vec<Event>| {
        let mut steps: Vec<u32> = events
            .iter()
            .filter_map(|event| match rollout_status(&event.object.view()) {
                RolloutStatus::Moving(count, _) | RolloutStatus::Complete(count) => Some(count.remaining),
                _ => None,
            })
            .collect();
        steps.dedup();
        steps
    };
    assert_eq!(remaining(recorded!("upgrade-ok")), [3, 2, 1, 0]);
    assert_eq!(remaining(recorded!("badtemplate")), [3, 2]);
    assert_eq!(remaining(recorded!("unready-rollback")), [3, 2]);
}

#[test]
fn a_tag_that_is_not_there_shows_on_the_repository_alone() {
    let missing: Value = serde_json::from_str(include_str!("../recorded/ocirepository-missing-tag.json")).unwrap();
    let status: SourceStatus = serde_json::from_value(missing["status"].clone()).unwrap();
    let installed = recorded!("chartref-upgrade").pop().unwrap().object;
    let of = |status: &SourceStatus| {
        let alone = view(installed.metadata.generation, "9.9.9", &installed.spec.rollout, &installed.status);
        HelmReleaseView { source: Some(source(3, status)), ..alone }
    };
    let mut replay = Replay::new(4, 0.0);
    let Some(Verdict::Failed(failure)) = replay.wait(&of(&status), 1_000.0) else { panic!("{:?}", replay.watch) };
    assert_eq!(failure.reason, Reason::SourceNotReady);
    assert!(failure.message.contains("MANIFEST_UNKNOWN"), "{}", failure.message);
    assert!((300.0..308.0).contains(&replay.clock), "{}", replay.clock);
    // Before source-controller has observed the new tag, its old condition does not count.
    let unseen = SourceStatus { conditions: Vec::new(), ..status };
    assert_eq!(rollout_status(&of(&unseen)), RolloutStatus::Unseen);
}

#[rstest]
#[case("5m0s", Some(300))]
#[case("15s", Some(15))]
#[case("1h30m", Some(5400))]
#[case("1.5h", Some(5400))]
#[case("500ms", Some(0))]
#[case("-5m", None)]
#[case("99999999999999999999h", None)]
#[case("soon", None)]
#[case("", None)]
fn durations_of_go(#[case] text: &str, #[case] seconds: Option<u64>) {
    assert_eq!(duration(text).map(|duration| duration.as_secs()), seconds);
}

#[test]
fn the_longest_time_out_counts() {
    let of = |spec: Value| {
        let spec: RolloutSpec = serde_json::from_value(spec).unwrap();
        view(1, "", &spec, &Status::default()).timeout.as_secs()
    };
    assert_eq!(of(json!({})), 300);
    assert_eq!(of(json!({"timeout": "20s", "upgrade": {"timeout": "1m"}, "test": {"timeout": "2m"}, "rollback": {"timeout": "no"}})), 120);
}

#[test]
fn what_is_odd_is_as_if_it_were_not_there() {
    let spec: RolloutSpec = serde_json::from_value(json!({
        "suspend": "yes", "timeout": 5, "install": null, "test": {"enable": true}, "interval": {},
        "upgrade": {"remediation": {"retries": "many", "remediateLastFailure": true}, "strategy": []},
    }))
    .unwrap();
    let status: Status = serde_json::from_value(json!({
        "observedGeneration": "x", "lastAttemptedGeneration": 4, "lastAttemptedRevision": null, "failures": -1, "upgradeFailures": 2,
        "history": [{"chartVersion": "1.0.0", "status": 7, "ociDigest": ""}],
        "conditions": [3, {"type": "Ready", "status": "True", "observedGeneration": null}, {"type": "Drifted"}, {"type": "Stalled", "status": "False"}],
    }))
    .unwrap();
    let view = view(5, "", &spec, &status);
    assert_eq!((view.suspended, view.tested, view.timeout.as_secs()), (false, true, 300));
    assert_eq!(view.upgrade, Remediation { last_failure: Some(true), ..Remediation::default() });
    assert_eq!((view.observed_generation, view.attempted_generation, view.failures, view.remediable_failures), (0, 4, 0, 2));
    assert_eq!(view.newest, Some(Snapshot { version: "1.0.0".to_owned(), ..Snapshot::default() }));
    let kinds: Vec<_> = view.conditions.iter().map(|one| (one.kind, one.status)).collect();
    assert_eq!(kinds, [(ConditionType::Ready, Some(true)), (ConditionType::Stalled, Some(false))]);
    let nothing: Result<Status, _> = serde_json::from_value(json!({"conditions": "none", "history": null}));
    assert_eq!(nothing.unwrap(), Status::default());
}

#[test]
fn long_messages_are_cut() {
    let long = "é".repeat(MESSAGE + 1);
    assert_eq!(cut(&long).chars().count(), MESSAGE + 1);
    assert!(cut(&long).ends_with('…'));
    assert_eq!(cut(" short\n"), "short");
}
