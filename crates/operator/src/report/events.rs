//! Records Kubernetes Events and log lines, with reasons from one list.
//!
//! Recording never delays or fails an update. Events go through a bounded queue to a separate task. If the queue is
//! full, the Event is dropped and counted; a warning that is reported only once is then reported the next time.
//! Repeated warnings (the same refusal of the same version for the same container) are recorded once. This is done
//! here, because kube's `Recorder` merges Events with one reason into a series that keeps the first message and loses
//! the others.

use std::collections::{HashSet, VecDeque};
use std::convert::Infallible;
use std::hash::{BuildHasher as _, RandomState};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use headwind_core::reason::Reason;
use headwind_core::transition::{Transition, Weight};
use headwind_core::workload::{Workload, WorkloadKey};
use headwind_k8s::name;
use headwind_k8s::update_request::UpdateRequest;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::Resource as _;
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::cluster::object::Undecodable;
use crate::cluster::{Class, ClusterClient};
use crate::observe::state::WatchedNamespace;
use crate::report::entry::ReportEntry;
use crate::report::marks::Marks;
use crate::report::metrics::Metrics;

/// The reporting controller of the Events.
const CONTROLLER: &str = "headwind.sh/headwind";
/// Maximum number of queued Events; at 1 KiB each that is 1 MiB.
const CAPACITY: usize = 1024;
/// Number of concurrent writes.
const AT_ONCE: usize = 4;
/// Maximum length of an object's name in the name of an Event, which has at most 253 characters.
const NAME: usize = 200;
/// Maximum length of a reporting instance (a limit of the API).
const INSTANCE: usize = 128;
/// Maximum length of a note: 1 KiB (a limit of the API).
const NOTE: usize = 1024;
/// The pauses before an Event is written again.
const RETRIES: [Option<Duration>; 3] = [Some(Duration::from_millis(500)), Some(Duration::from_secs(2)), None];
/// Maximum number of remembered one-time warnings. The oldest is dropped first.
const SAID: usize = 50_000;

/// Records Events. Cheap to clone, never blocks.
#[derive(Debug, Clone)]
pub(crate) struct EventRecorder {
    sender: mpsc::Sender<Job>,
    reported: Arc<Mutex<Marks>>,
    instance: Arc<str>,
    metrics: Metrics,
    said: Arc<Mutex<Said>>,
}

/// A job of the writer.
#[derive(Debug)]
enum Job {
    /// Write an Event.
    Event(Box<Event>),
    /// Record that every earlier Event is written.
    Mark(WatchedNamespace, u128),
}

/// Fingerprints of the warnings reported once.
#[derive(Debug, Default)]
struct Said {
    known: HashSet<u64>,
    /// The oldest first.
    order: VecDeque<u64>,
    hasher: RandomState,
}

impl Said {
    /// Adds a warning. Returns `None` if it was already reported, else a mark to remove it by.
    fn note(&mut self, uid: &str, reason: Reason, subject: &str, capacity: usize) -> Option<u64> {
        let mark = self.hasher.hash_one((uid, reason, subject));
        if !self.known.insert(mark) {
            return None;
        }
        self.order.push_back(mark);
        if self.order.len() > capacity
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        Some(mark)
    }

    /// Removes a warning that was not recorded, so that it is reported next time.
    fn forget(&mut self, mark: u64) {
        self.known.remove(&mark);
        // It is among the newest.
        if let Some(place) = self.order.iter().rposition(|known| *known == mark) {
            self.order.remove(place);
        }
    }
}

/// The task that writes the Events.
pub(crate) struct Writer {
    receiver: mpsc::Receiver<Job>,
    reported: Arc<Mutex<Marks>>,
    cluster: ClusterClient,
}

/// Creates the recorder and the writer. `instance` names this replica.
pub(crate) fn recorder(cluster: ClusterClient, instance: &str, metrics: Metrics) -> (EventRecorder, Writer) {
    let (sender, receiver) = mpsc::channel(CAPACITY);
    let reported = Arc::<Mutex<Marks>>::default();
    let instance = instance.chars().take(INSTANCE).collect::<String>().into();
    (
        EventRecorder { sender, reported: Arc::clone(&reported), instance, metrics, said: Arc::default() },
        Writer { receiver, reported, cluster },
    )
}

impl EventRecorder {
    /// Records something normal that happened to a workload.
    pub(crate) fn normal(&self, workload: &Workload, reason: Reason, note: &str) {
        let _counted = self.send(about_target(workload), None, Weight::Normal, reason, note, None);
    }

    /// Records what a request did to its workload. `id` identifies the change among all changes of the
    /// request.
    pub(super) fn about_workload(&self, entry: &ReportEntry, id: &str, workload: &Workload, reason: Reason, note: &str) {
        let related = Some(about_entry(entry));
        let _counted = self.send(about_target(workload), related, Weight::Normal, reason, note, Some((&entry.uid, id)));
    }

    /// Records a transition on its request.
    pub(super) fn about_request(&self, entry: &ReportEntry, reason: Reason) {
        let Transition { id, weight, message, .. } = &entry.transition;
        let _counted = self.send(about_entry(entry), None, *weight, reason, message, Some((&entry.uid, id)));
    }

    /// Records that an entry of Headwind's own settings has no effect. `id` is a part of the Event's name: the same id leads
    /// to one Event.
    pub(crate) fn about_setting(&self, about: ObjectReference, id: &str, note: &str) {
        let uid = about.uid.clone().unwrap_or_default();
        let _counted = self.send(about, None, Weight::Warning, Reason::InvalidSetting, note, Some((&uid, id)));
    }

    /// Records that everything up to that version was reported, once all earlier Events are written.
    pub(super) fn mark(&self, namespace: WatchedNamespace, version: u128) {
        // If the queue is full, a later mark covers this one.
        let _no_room = self.sender.try_send(Job::Mark(namespace, version));
    }

    /// Returns how far everything was reported, for the Lease; `None` if nothing was.
    pub(super) fn reported(&self) -> Option<String> {
        let reported = self.reported.lock();
        (*reported != Marks::default()).then(|| reported.to_string())
    }

    /// Records and logs a warning about a workload, once for the same `subject`.
    pub(crate) fn warn(&self, workload: &Workload, reason: Reason, subject: &str, note: &str) {
        let Some(mark) = self.news(&workload.uid, reason, subject) else { return };
        if self.send(about_target(workload), None, Weight::Warning, reason, note, None) {
            tracing::warn!(workload.kind = %workload.key.kind, workload.namespace = workload.key.namespace, workload.name = workload.key.name, reason = reason.code(), "{note}");
        } else {
            self.said.lock().forget(mark);
        }
    }

    /// Records that an object does not decode, once for the same problem.
    pub(crate) fn undecodable(&self, key: &WorkloadKey, odd: &Undecodable) {
        let Undecodable { api_version, uid, problem } = odd;
        let about = ObjectReference {
            api_version: Some(api_version.clone()),
            kind: Some(key.kind.as_str().to_owned()),
            namespace: Some(key.namespace.clone()),
            name: Some(key.name.clone()),
            uid: Some(uid.clone()),
            ..ObjectReference::default()
        };
        if let Some(mark) = self.news(uid, Reason::InvalidObject, problem) {
            let note = format!("{} and ignores it: {problem}", Reason::InvalidObject.sentence());
            if !self.send(about, None, Weight::Warning, Reason::InvalidObject, &note, None) {
                self.said.lock().forget(mark);
            }
        }
    }

    /// Returns a mark if the warning was not reported before.
    fn news(&self, uid: &str, reason: Reason, subject: &str) -> Option<u64> {
        self.said.lock().note(uid, reason, subject, SAID)
    }

    /// Queues an Event. The name follows from what is reported, if that is given as UID of its object and id there.
    /// Returns false if the queue is full.
    fn send(
        &self,
        about: ObjectReference,
        related: Option<ObjectReference>,
        weight: Weight,
        reason: Reason,
        note: &str,
        reported: Option<(&str, &str)>,
    ) -> bool {
        let name = about.name.as_deref().unwrap_or("headwind");
        let now = Timestamp::now();
        let event = Event {
            metadata: ObjectMeta {
                name: Some(format!("{}.{}", name.get(..NAME).unwrap_or(name).trim_end_matches(['-', '.']), suffix(reported, reason, now))),
                namespace: about.namespace.clone(),
                ..ObjectMeta::default()
            },
            action: Some("Update".to_owned()),
            event_time: Some(MicroTime(now)),
            note: Some(cut(note)),
            reason: Some(reason.code().to_owned()),
            regarding: Some(about),
            related,
            reporting_controller: Some(CONTROLLER.to_owned()),
            reporting_instance: Some(self.instance.to_string()),
            type_: Some(match weight {
                Weight::Detail | Weight::Normal => "Normal".to_owned(),
                Weight::Warning => "Warning".to_owned(),
            }),
            ..Event::default()
        };
        let sent = self.sender.try_send(Job::Event(Box::new(event))).is_ok();
        if !sent {
            self.metrics.events_dropped.inc();
        }
        sent
    }
}

/// Truncates the text to the maximum length of a note.
fn cut(note: &str) -> String {
    let end = note.char_indices().map(|(at, letter)| at + letter.len_utf8()).take_while(|end| *end <= NOTE).last().unwrap_or_default();
    note.get(..end).unwrap_or_default().to_owned()
}

/// Returns the suffix that distinguishes the Events of one object: what is reported, or the time as in client-go.
fn suffix(reported: Option<(&str, &str)>, reason: Reason, now: Timestamp) -> String {
    match reported {
        Some((uid, id)) => name::event(uid, id, reason.code()),
        None => format!("{:x}", now.as_nanosecond()),
    }
}

fn about_entry(entry: &ReportEntry) -> ObjectReference {
    ObjectReference {
        api_version: Some(UpdateRequest::api_version(&()).into_owned()),
        kind: Some(UpdateRequest::kind(&()).into_owned()),
        namespace: Some(entry.workload.namespace.clone()),
        name: Some(entry.request.name.clone()),
        uid: Some(entry.uid.clone()),
        ..ObjectReference::default()
    }
}

fn about_target(workload: &Workload) -> ObjectReference {
    ObjectReference {
        api_version: Some(workload.api_version.to_owned()),
        kind: Some(workload.key.kind.as_str().to_owned()),
        namespace: Some(workload.key.namespace.clone()),
        name: Some(workload.key.name.clone()),
        uid: Some(workload.uid.clone()),
        ..ObjectReference::default()
    }
}

impl Writer {
    /// Writes Events until `stop`, then the queued ones.
    pub(crate) async fn run(self, stop: CancellationToken) -> Result<(), Infallible> {
        let Self { receiver, reported, cluster } = self;
        let jobs = stream::unfold((receiver, stop), |(mut receiver, stop)| async {
            let next = stop.run_until_cancelled(receiver.recv()).await;
            let job = if let Some(job) = next {
                job
            } else {
                receiver.close();
                receiver.recv().await
            };
            job.map(|job| (job, (receiver, stop)))
        });
        let cluster = &cluster;
        let done = jobs.map(|job| async move {
            match job {
                Job::Event(event) => {
                    write(cluster, &event).await;
                    None
                }
                Job::Mark(namespace, version) => Some((namespace, version)),
            }
        });
        // In order: a mark counts only when every earlier Event is written.
        let mut marks = pin!(done.buffered(AT_ONCE));
        while let Some(mark) = marks.next().await {
            if let Some((namespace, version)) = mark {
                reported.lock().advance(namespace, version);
            }
        }
        Ok(())
    }
}

/// Writes one Event. Retries while the API server is unavailable.
async fn write(cluster: &ClusterClient, event: &Event) {
    for pause in RETRIES {
        let Err(error) = cluster.create_event(event).await else { return };
        match (error.class, pause) {
            // The object or its namespace may be gone, or the previous leader wrote this Event.
            (Class::NotFound | Class::Conflict, _) => return tracing::debug!(%error, "Event not written"),
            (Class::Busy | Class::NoAnswer, Some(pause)) => tokio::time::sleep(pause).await,
            (Class::Invalid | Class::Forbidden | Class::Busy | Class::NoAnswer, _) => {
                return tracing::warn!(%error, reason = event.reason, "Event not written");
            }
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Returns a recorder and its output: the name and reason of each Event, and each mark.
    pub(crate) fn recorded() -> (EventRecorder, impl FnMut() -> Vec<String>) {
        let (sender, mut receiver) = mpsc::channel(CAPACITY);
        let recorder =
            EventRecorder { sender, reported: Arc::default(), instance: "test".into(), metrics: Metrics::new(), said: Arc::default() };
        let next = move || {
            let jobs = std::iter::from_fn(|| receiver.try_recv().ok());
            let text = |job| match job {
                Job::Event(event) => format!("{} {}", event.reason.unwrap_or_default(), event.metadata.name.unwrap_or_default()),
                Job::Mark(namespace, version) => format!("{}={version}", namespace.as_deref().unwrap_or("*")),
            };
            jobs.map(text).collect()
        };
        (recorder, next)
    }

    #[test]
    fn what_was_said_is_not_said_again_and_the_oldest_is_forgotten() {
        let mut said = Said::default();
        let mut say = |subject: &str| said.note("uid", Reason::InvalidImage, subject, 2);
        assert!(say("a").is_some());
        assert!(say("a").is_none());
        assert!(say("b").is_some());
        let unsaid = say("c").unwrap();
        assert!(say("b").is_none() && say("c").is_none());
        assert!(say("a").is_some(), "forgotten for c");
        said.forget(unsaid);
        assert!(said.note("uid", Reason::InvalidImage, "c", 2).is_some(), "the warning was removed, so it is recorded again");
        assert_eq!(said.known.len(), said.order.len());
    }

    #[test]
    fn a_warning_that_the_full_queue_did_not_take_is_reported_the_next_time() {
        let (recorder, mut written) = recorded();
        let workload = headwind_core::testing::deployment("app:1.0.0", &[]);
        let warn = |subject: &str| recorder.warn(&workload, Reason::InvalidImage, subject, "note");
        (0..CAPACITY).for_each(|n| warn(&n.to_string()));
        warn("late");
        assert_eq!(written().len(), CAPACITY);
        warn("late");
        warn("late");
        assert_eq!(written().len(), 1);
    }

    #[test]
    fn a_note_is_cut_between_letters() {
        assert_eq!(cut("short"), "short");
        assert_eq!(cut(&"ä".repeat(600)).len(), 1024);
        assert_eq!(cut(&format!("x{}", "ä".repeat(600))).len(), 1023);
    }
}
