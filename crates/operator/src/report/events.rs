//! Telling what happened: Kubernetes Events and log lines, with reasons from the one vocabulary.
//!
//! Telling never delays or fails an update: Events go through a bounded queue to a task of their
//! own; what finds no room is counted and dropped, and said the next time if it is something that is said once. What would be said again and again (the same
//! refusal of the same version for the same container) is said once, here: kube's `Recorder` folds
//! Events of one reason into a series that keeps the first one's words, and loses the others'.

use std::collections::{HashSet, VecDeque};
use std::convert::Infallible;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;

use futures_util::StreamExt as _;
use headwind_core::reason::Reason;
use headwind_core::workload::{Target, TargetKey};
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
use crate::cluster::{Class, Verbs};
use crate::report::metrics::Metrics;

/// Who the Events are from.
const CONTROLLER: &str = "headwind.sh/headwind";
/// How many Events may wait; at 1 KiB each that is 1 MiB.
const ROOM: usize = 1024;
/// How many are written side by side.
const AT_ONCE: usize = 4;
/// How much of an object's name the Event's may begin with: it has at most 253 characters.
const NAME: usize = 200;
/// The longest name of a reporting instance (the API's own limit).
const INSTANCE: usize = 128;
/// An Event's note has at most 1 KiB (the API's own limit).
const NOTE: usize = 1024;
/// How many things said once are remembered; the oldest is forgotten first.
const SAID: usize = 50_000;

/// Whether a person should look at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Weight {
    Normal,
    Warning,
}

/// The mouth: cheap to clone, never blocks.
#[derive(Debug, Clone)]
pub(crate) struct Tell {
    sender: mpsc::Sender<Event>,
    instance: Arc<str>,
    metrics: Metrics,
    said: Arc<Mutex<Said>>,
}

/// What was said once, as fingerprints.
#[derive(Debug, Default)]
struct Said {
    known: HashSet<u64>,
    /// The oldest first.
    order: VecDeque<u64>,
    hasher: RandomState,
}

impl Said {
    /// Notes it. `None` when it was said before, else what to forget it by.
    fn note(&mut self, uid: &str, reason: Reason, subject: &str, room: usize) -> Option<u64> {
        let mark = self.hasher.hash_one((uid, reason, subject));
        if !self.known.insert(mark) {
            return None;
        }
        self.order.push_back(mark);
        if self.order.len() > room
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        Some(mark)
    }

    /// It was not said after all: the next time it is news again.
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
    receiver: mpsc::Receiver<Event>,
    verbs: Verbs,
}

/// Makes the two ends. `instance` names this replica.
pub(crate) fn tell(verbs: Verbs, instance: &str, metrics: Metrics) -> (Tell, Writer) {
    let (sender, receiver) = mpsc::channel(ROOM);
    (
        Tell { sender, instance: instance.chars().take(INSTANCE).collect::<String>().into(), metrics, said: Arc::default() },
        Writer { receiver, verbs },
    )
}

impl Tell {
    /// Something as it should be happened to a workload.
    pub(crate) fn target(&self, target: &Target, reason: Reason, note: &str, request: Option<&UpdateRequest>) {
        let _counted = self.send(about_target(target), request.map(|request| request.object_ref(&())), Weight::Normal, reason, note);
    }

    /// Something a person should look at happened to a workload. Said once for the same `subject`.
    pub(crate) fn warn_target(&self, target: &Target, reason: Reason, subject: &str, note: &str) {
        let Some(mark) = self.news(&target.uid, reason, subject) else { return };
        if self.send(about_target(target), None, Weight::Warning, reason, note) {
            tracing::warn!(workload.kind = %target.key.kind, workload.namespace = target.key.namespace, workload.name = target.key.name, reason = reason.code(), "{note}");
        } else {
            self.said.lock().forget(mark);
        }
    }

    /// An object cannot be read. Said once for the same problem.
    pub(crate) fn odd(&self, key: &TargetKey, odd: &Undecodable) {
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
            if !self.send(about, None, Weight::Warning, Reason::InvalidObject, &note) {
                self.said.lock().forget(mark);
            }
        }
    }

    /// Whether it was not said before; then what to forget it by.
    fn news(&self, uid: &str, reason: Reason, subject: &str) -> Option<u64> {
        self.said.lock().note(uid, reason, subject, SAID)
    }

    /// A request moved on. `bad` when a person should look at it.
    pub(crate) fn request(&self, request: &UpdateRequest, reason: Reason, note: &str, bad: bool) {
        let _counted = self.send(request.object_ref(&()), None, if bad { Weight::Warning } else { Weight::Normal }, reason, note);
    }

    /// Answers whether there was room for it.
    fn send(&self, about: ObjectReference, related: Option<ObjectReference>, weight: Weight, reason: Reason, note: &str) -> bool {
        let name = about.name.as_deref().unwrap_or("headwind");
        let now = Timestamp::now();
        let event = Event {
            // The API server wants a name that is unique for the object; client-go makes it so.
            metadata: ObjectMeta {
                name: Some(format!("{}.{:x}", name.get(..NAME).unwrap_or(name), now.as_nanosecond())),
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
                Weight::Normal => "Normal".to_owned(),
                Weight::Warning => "Warning".to_owned(),
            }),
            ..Event::default()
        };
        let sent = self.sender.try_send(event).is_ok();
        if !sent {
            self.metrics.events_dropped.inc();
        }
        sent
    }
}

/// The text, cut at what a note may hold.
fn cut(note: &str) -> String {
    let end = note.char_indices().map(|(at, letter)| at + letter.len_utf8()).take_while(|end| *end <= NOTE).last().unwrap_or_default();
    note.get(..end).unwrap_or_default().to_owned()
}

fn about_target(target: &Target) -> ObjectReference {
    ObjectReference {
        api_version: Some(target.api_version.to_owned()),
        kind: Some(target.key.kind.as_str().to_owned()),
        namespace: Some(target.key.namespace.clone()),
        name: Some(target.key.name.clone()),
        uid: Some(target.uid.clone()),
        ..ObjectReference::default()
    }
}

impl Writer {
    /// Writes Events until `stop`, then those that wait.
    pub(crate) async fn run(self, stop: CancellationToken) -> Result<(), Infallible> {
        let Self { receiver, verbs } = self;
        let events = futures_util::stream::unfold((receiver, stop), |(mut receiver, stop)| async {
            let next = stop.run_until_cancelled(receiver.recv()).await;
            let event = if let Some(event) = next {
                event
            } else {
                receiver.close();
                receiver.recv().await
            };
            event.map(|event| (event, (receiver, stop)))
        });
        events
            .for_each_concurrent(AT_ONCE, |event| {
                let verbs = &verbs;
                async move {
                    if let Err(error) = verbs.create_event(&event).await {
                        // The object, or its namespace, may be gone by now.
                        match error.class {
                            Class::NotFound | Class::Conflict => tracing::debug!(%error, "Event not written"),
                            Class::Invalid | Class::Forbidden | Class::Busy | Class::NoAnswer => {
                                tracing::warn!(%error, reason = event.reason, "Event not written");
                            }
                        }
                    }
                }
            })
            .await;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert!(said.note("uid", Reason::InvalidImage, "c", 2).is_some(), "there was no room for it");
        assert_eq!(said.known.len(), said.order.len());
    }

    #[test]
    fn a_note_is_cut_between_letters() {
        assert_eq!(cut("short"), "short");
        assert_eq!(cut(&"ä".repeat(600)).len(), 1024);
        assert_eq!(cut(&format!("x{}", "ä".repeat(600))).len(), 1023);
    }
}
