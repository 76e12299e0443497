use std::sync::Arc;

use headwind_core::request::Phase;
use headwind_core::testing;
use headwind_k8s::update_request::PROPOSED_AT;

use super::super::events::tests::recorded;
use super::super::trace;
use super::*;
use crate::observe::requests::tests::request;

struct Evaluation {
    state: Arc<State>,
    journal: Journal,
    next: Box<dyn FnMut() -> Vec<String>>,
}

impl Evaluation {
    fn new() -> Self {
        Self::with(Traces::default())
    }

    fn with(traces: Traces) -> Self {
        let state = Arc::<State>::default();
        let (events, next) = recorded();
        let metrics = Metrics::new();
        let journal = Journal::new(&state, events, Notifier::off(&state, &metrics), metrics, traces);
        Self { state, journal, next: Box::new(next) }
    }

    /// Returns the reasons of the Events, and the marks, since the last call.
    fn reported(&mut self) -> Vec<String> {
        (self.next)().iter().filter_map(|job| job.split(' ').next().map(str::to_owned)).collect()
    }

    /// Takes over from a leader that reported up to these marks.
    fn inherit(&self, reported: &str) {
        self.journal.inherit(Some(&BTreeMap::from([(REPORTED.to_owned(), reported.to_owned())])));
    }

    /// Simulates a change that the watch delivers.
    fn delivers(&self, name: &str, version: &str, phase: &str) {
        self.state.record(request(name, version, phase));
        self.state.publish(News::Delivered(None, version.parse().unwrap()));
    }
}

#[test]
fn a_leader_reports_each_transition_once_and_notes_how_far_it_came() {
    let mut site = Evaluation::new();
    site.journal.begin();
    site.delivers("a", "5", "Pending");
    site.delivers("a", "6", "Approved");
    // The same version again, from this process's own write and from the watch.
    site.delivers("a", "6", "Approved");
    assert_eq!(site.reported(), ["*=5", "ApprovedByPerson", "*=6", "*=6"], "the proposal is about a workload that is not known");
    assert_eq!(site.journal.0.metrics.encode().unwrap().matches("headwind_updates_approved_total 1").count(), 1);
}

#[test]
fn a_follower_reports_nothing_and_its_subscribers_hear_everything() {
    let mut site = Evaluation::new();
    let mut subscriber = site.journal.subscribe();
    site.delivers("a", "5", "Pending");
    site.delivers("a", "6", "Rejected");
    assert_eq!(site.reported(), Vec::<String>::new());
    let mut annotations = BTreeMap::from([(REPORTED.to_owned(), "*=1".to_owned())]);
    site.journal.note(&mut annotations);
    assert_eq!(annotations[REPORTED], "*=1", "what the leader noted stays");
    assert_eq!(subscriber.try_recv().unwrap().transition.to, Phase::Pending);
    assert_eq!(subscriber.try_recv().unwrap().transition.to, Phase::Rejected);
}

/// The next leader reports exactly what the previous one wrote and did not report.
#[test]
fn a_successor_reports_what_the_last_leader_did_not() {
    let mut site = Evaluation::new();
    site.delivers("a", "5", "Pending");
    site.delivers("a", "6", "Approved");
    site.delivers("a", "7", "Rejected");
    site.inherit("*=5");
    site.journal.begin();
    assert_eq!(site.reported(), ["ApprovedByPerson", "*=7"], "a move from Approved to Rejected has no reason of its own");
    site.journal.begin();
    assert_eq!(site.reported(), Vec::<String>::new());
}

/// A process that starts knows only the latest status of each request.
#[test]
fn a_process_that_starts_reports_the_latest_transition() {
    let first = |mut site: Evaluation| {
        site.state.requests.write().apply(request("old", "5", "Rejected"));
        site.state.requests.write().apply(request("new", "8", "Approved"));
        site.state.publish(News::Delivered(None, 8));
        site.inherit("*=7");
        site.journal.begin();
        (site.next)()
    };
    let [one, two] = [first(Evaluation::new()), first(Evaluation::new())];
    assert_eq!(one.len(), 2, "{one:?}");
    assert_eq!(one, two, "an Event that is written twice has the same name");
    let mut site = Evaluation::new();
    site.state.requests.write().apply(request("new", "8", "Approved"));
    site.journal.begin();
    assert_eq!(site.reported(), Vec::<String>::new(), "a first start reports nothing of what was there before");
}

/// A change that was stored and is on its way to the journal when this process takes over.
#[test]
fn a_change_under_way_is_reported_once() {
    let mut site = Evaluation::new();
    site.inherit("*=5");
    let change = site.state.requests.write().apply(request("a", "6", "Approved")).unwrap();
    let again = site.state.requests.write().apply(request("b", "7", "Approved")).unwrap();
    site.journal.begin();
    site.state.publish(News::Changed(Box::new(change)));
    assert_eq!(site.reported(), ["ApprovedByPerson", "ApprovedByPerson"]);
    let mut progress = site.journal.0.progress.lock();
    progress.handover.ended = Instant::now().checked_sub(2 * SETTLED);
    progress.handover.tidy();
    assert!(progress.handover.reported.is_empty());
    drop(progress);
    site.state.publish(News::Changed(Box::new(again)));
    assert_eq!(site.reported().len(), 1, "it is a change like any other now");
}

/// The previous leader reported that the change was applied. The next one knows only that the request is complete, and
/// reports the change again: under the same name.
#[test]
fn a_change_that_is_reported_with_another_transition_has_the_same_name() {
    let applied = |versions: &[(&str, &str)]| {
        let mut site = Evaluation::new();
        site.state.index.write().apply(testing::deployment("a:2", &[]));
        site.inherit("*=1");
        for (number, (version, phase)) in versions.iter().enumerate() {
            let mut request = request("a", version, phase);
            request.status.as_mut().unwrap().times_applied = (*phase != "Approved").then_some(1);
            site.state.record(request);
            if number == 0 {
                site.journal.begin();
            }
        }
        let all = (site.next)();
        all.into_iter().filter(|job| job.starts_with("Applied ")).collect::<Vec<_>>()
    };
    let first = applied(&[("5", "Approved"), ("6", "RollingOut"), ("7", "Completed")]);
    assert_eq!(first.len(), 1, "{first:?}");
    assert_eq!(applied(&[("7", "Completed")]), first);
}

#[test]
fn a_follower_remembers_a_bounded_number() {
    let site = Evaluation::new();
    for n in 0..REMEMBERED + 10 {
        site.state.record(request(&format!("r{n}"), "5", "Pending"));
    }
    assert_eq!(site.journal.0.progress.lock().unreported.len(), REMEMBERED);
}

/// The time that a person takes to approve is not a part of it. It begins at the arrival of the event if that is known, else
/// at the creation of the request. The exemplar names the trace of the update.
#[test]
fn the_delay_of_an_update_is_observed_if_it_needs_no_approval() {
    let endpoint = |name: &str| (name == "OTEL_EXPORTER_OTLP_ENDPOINT").then(|| "http://127.0.0.1:4318".to_owned());
    let (traces, _exporter) = Traces::new(trace::Settings::read(endpoint).unwrap(), "me");
    let site = Evaluation::with(traces.clone());
    site.journal.begin();
    for (name, approval, arrived) in [("a", true, None), ("b", false, None), ("c", false, Some("2025-12-31T23:59:58.500Z"))] {
        let applied = |version: &str, phase: &str, times: u32| {
            let mut value = serde_json::to_value(request(name, version, phase)).unwrap();
            value["metadata"]["creationTimestamp"] = "2026-01-01T00:00:00Z".into();
            value["spec"]["requireApproval"] = approval.into();
            if let Some(arrived) = arrived {
                value["metadata"]["annotations"][PROPOSED_AT] = arrived.into();
            }
            if times > 0 {
                value["status"]["appliedAt"] = "2026-01-01T00:00:03Z".into();
                value["status"]["timesApplied"] = times.into();
            }
            serde_json::from_value(value).unwrap()
        };
        site.state.record(applied("5", "Approved", 0));
        site.state.record(applied("6", "RollingOut", 1));
    }
    let text = site.journal.0.metrics.encode().unwrap();
    assert!(text.contains("headwind_updates_applied_total 3"), "{text}");
    assert!(
        text.contains("headwind_update_apply_delay_seconds_count 2") && text.contains("headwind_update_apply_delay_seconds_sum 7.5"),
        "{text}"
    );
    for (name, bucket) in [("b", "{le=\"3.2\"} 1"), ("c", "{le=\"6.4\"} 2")] {
        let trace = traces.id(request(name, "6", "RollingOut").metadata.uid.as_deref().unwrap()).unwrap();
        let delay = if name == "b" { "3.0" } else { "4.5" };
        assert!(text.contains(&format!("_bucket{bucket} # {{trace_id=\"{trace}\"}} {delay} 1767225603")), "{text}");
    }
}
