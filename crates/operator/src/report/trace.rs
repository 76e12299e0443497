//! Traces: a span for each step in the life of an update, sent by OTLP over HTTP.
//!
//! ```text
//! update                      arrival ─────────────────────────────────────> end       (leader)
//!   decide, record            arrival ─> created                                       (the replica that recorded it)
//!   approval, apply, rollout            created ─> approved ─> applied ─> end          (leader)
//!   action                      call of a person ─> its result                         (the replica that was called)
//!   notify                                               each delivery                 (leader)
//! ```
//!
//! All IDs follow from the UID of the request. So every replica and every later leader adds to the same trace, nothing is
//! stored, and nobody can forge the context of a trace. If tracing is off, nothing is computed. The sampler decides by the
//! ID of the trace.

mod export;
mod otlp;
mod sampler;
mod settings;
mod steps;
mod variable;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use headwind_core::request::Request;
use headwind_core::workload::WorkloadKey;
use headwind_k8s::update_request::UpdateRequest;
use jiff::Timestamp;
use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc;

use super::entry::ReportEntry;
pub(crate) use export::Exporter;
use sampler::Sampler;
pub use settings::Settings;
pub(crate) use steps::Acted;
pub use variable::BadVariable;

/// Maximum number of updates whose last step is remembered. The oldest is forgotten first.
const REMEMBERED: usize = 4096;

/// A finished span.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Span {
    /// The UID of the request, from which the IDs follow.
    pub(crate) uid: String,
    /// `update` is the root; every other span is its child.
    pub(crate) name: &'static str,
    /// Distinguishes the span from others of the same name in its trace.
    pub(crate) key: String,
    pub(crate) start: Timestamp,
    pub(crate) end: Timestamp,
    pub(crate) attributes: Vec<(&'static str, String)>,
    /// The problem, if it failed.
    pub(crate) error: Option<String>,
}

/// The name of the root span.
pub(crate) const ROOT: &str = "update";

/// Returns the ID of the trace of the request with that UID, in hexadecimal digits.
pub(crate) fn trace_id(uid: &str) -> String {
    digits(&["trace", uid], 32)
}

/// Returns the ID of a span of that trace.
fn span_id(uid: &str, name: &str, key: &str) -> String {
    // A trace has one root, so its key has no meaning.
    digits(&["span", uid, name, if name == ROOT { "" } else { key }], 16)
}

fn digits(parts: &[&str], length: usize) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.as_bytes());
        hash.update(b"\n");
    }
    let mut digits = hex::encode(hash.finalize());
    digits.truncate(length);
    digits
}

/// Collects spans. Cheap to clone, never blocks. If the queue is full, spans are dropped.
#[derive(Clone, Default)]
pub(crate) struct Traces(Option<Arc<Inner>>);

struct Inner {
    queue: mpsc::Sender<Span>,
    sampler: Sampler,
    seen: Mutex<Seen>,
}

/// When this process saw the last step of an update, to the millisecond. The times in a status have whole seconds.
#[derive(Default)]
struct Seen {
    at: HashMap<String, Timestamp>,
    order: VecDeque<String>,
}

impl Seen {
    fn replace(&mut self, uid: &str, now: Timestamp, ended: bool) -> Option<Timestamp> {
        if ended {
            self.order.retain(|known| known != uid);
            return self.at.remove(uid);
        }
        let before = self.at.insert(uid.to_owned(), now);
        if before.is_none() {
            self.order.push_back(uid.to_owned());
            if self.order.len() > REMEMBERED
                && let Some(oldest) = self.order.pop_front()
            {
                self.at.remove(&oldest);
            }
        }
        before
    }
}

impl Traces {
    /// Creates the collector and the exporter. Without settings, nothing is collected.
    pub(crate) fn new(settings: Option<Settings>, instance: &str) -> (Self, Exporter) {
        let Some(settings) = settings else { return (Self::default(), Exporter::off()) };
        let (queue, spans) = mpsc::channel(settings.queue);
        let traces = Self(Some(Arc::new(Inner { queue, sampler: settings.sampler, seen: Mutex::default() })));
        (traces, Exporter::new(settings, instance, spans))
    }

    /// Returns the ID of the trace of a request for log lines; `None` if tracing is off or the trace is not sampled.
    pub(crate) fn id(&self, uid: &str) -> Option<String> {
        let inner = self.0.as_ref()?;
        let id = trace_id(uid);
        inner.sampler.samples(&id).then_some(id)
    }

    /// Returns the collector if the trace of the request is sampled.
    fn sampled(&self, uid: &str) -> Option<&Inner> {
        self.0.as_deref().filter(|inner| inner.sampler.samples(&trace_id(uid)))
    }

    /// Adds the spans of the decision and of the record, on the replica that recorded the request.
    pub(crate) fn recorded(&self, request: &UpdateRequest, decided: Timestamp) {
        let Some(inner) = self.sampled(request.metadata.uid.as_deref().unwrap_or_default()) else { return };
        let now = Timestamp::now();
        inner.add(steps::recorded(request, decided, now));
    }

    /// Adds the spans of the steps that end with a transition, on the leader.
    pub(crate) fn moved(&self, entry: &ReportEntry) {
        let Some(inner) = self.sampled(&entry.uid) else { return };
        let now = Timestamp::now();
        let ended = !entry.request.status.phase.is_open();
        let since = inner.seen.lock().replace(&entry.uid, now, ended);
        inner.add(steps::moved(entry, since, now));
    }

    /// Returns true if spans are collected.
    pub(crate) fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Adds the span of an action of a person, on the replica that was called.
    pub(crate) fn acted(&self, uid: &str, workload: &WorkloadKey, request: &Request, acted: &Acted<'_>) {
        let Some(inner) = self.sampled(uid) else { return };
        inner.add([steps::acted(uid, workload, request, acted, Timestamp::now())]);
    }

    /// Adds the span of a notification that was delivered or given up.
    pub(crate) fn notified(&self, entry: &ReportEntry, id: &str, channel: &'static str, start: Timestamp, error: Option<&str>) {
        let Some(inner) = self.sampled(&entry.uid) else { return };
        inner.add([steps::notified(entry, id, channel, start, Timestamp::now(), error)]);
    }
}

impl Inner {
    fn add(&self, spans: impl IntoIterator<Item = Span>) {
        for span in spans {
            // A full queue drops it: a collector that is slow delays nothing.
            let _sent = self.queue.try_send(span);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ids_follow_from_the_uid() {
        let (trace, span) = (trace_id("uid-1"), span_id("uid-1", "apply", "1"));
        assert_eq!((trace.len(), span.len()), (32, 16));
        assert!(trace.bytes().chain(span.bytes()).all(|digit| digit.is_ascii_hexdigit()));
        assert_eq!(trace_id("uid-1"), trace);
        assert_ne!(trace_id("uid-2"), trace);
        assert_ne!(span_id("uid-1", "apply", "2"), span);
        assert_eq!(span_id("uid-1", ROOT, "a"), span_id("uid-1", ROOT, "b"));
    }

    #[test]
    fn what_is_seen_is_bounded_and_ends_with_the_update() {
        let mut seen = Seen::default();
        let at = |second| Timestamp::from_second(second).unwrap();
        assert_eq!(seen.replace("a", at(1), false), None);
        assert_eq!(seen.replace("a", at(2), false), Some(at(1)));
        assert_eq!(seen.replace("a", at(3), true), Some(at(2)));
        assert_eq!(seen.replace("a", at(4), true), None);
        for n in 0..=REMEMBERED {
            seen.replace(&n.to_string(), at(5), false);
        }
        assert_eq!((seen.at.len(), seen.order.len(), seen.at.contains_key("0")), (REMEMBERED, REMEMBERED, false));
    }

    #[test]
    fn an_update_that_is_not_sampled_has_no_spans_and_no_id() {
        let half = |name: &str| match name {
            "OTEL_EXPORTER_OTLP_ENDPOINT" => Some("http://127.0.0.1:4318".to_owned()),
            "OTEL_TRACES_SAMPLER" => Some("traceidratio".to_owned()),
            "OTEL_TRACES_SAMPLER_ARG" => Some("0.5".to_owned()),
            _ => None,
        };
        let (traces, _exporter) = Traces::new(Settings::read(half).unwrap(), "me");
        let room = || traces.0.as_ref().unwrap().queue.capacity();
        let before = room();
        let mut sampled = 0;
        for number in 0..20 {
            let entry = super::super::notify::entry_of(&format!("uid-{number}"), 1);
            traces.notified(&entry, "id", "slack", entry.request.created, None);
            sampled += usize::from(traces.id(&entry.uid).is_some());
        }
        assert!((1..20).contains(&sampled), "{sampled}");
        assert_eq!(before - room(), sampled);
    }

    #[test]
    fn nothing_is_collected_when_it_is_off() {
        let (traces, _exporter) = Traces::new(None, "me");
        assert_eq!(traces.id("uid"), None);
    }
}
