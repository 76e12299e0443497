//! Telling what happened: Kubernetes Events and log lines, with reasons from the one vocabulary.
//!
//! Telling never delays or fails an update: Events go through a bounded queue to a task of their
//! own; what finds no room is counted and dropped. What would be said again and again (the same
//! refusal of the same version for the same container) is said once, here: kube's `Recorder` folds
//! Events of one reason into a series that keeps the first one's words, and loses the others'.

use std::collections::HashSet;
use std::convert::Infallible;
use std::sync::Arc;

use futures_util::StreamExt as _;
use headwind_core::reason::Reason;
use headwind_core::target::{Target, TargetKey};
use headwind_k8s::update_request::UpdateRequest;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::Resource as _;
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::index::Odd;
use crate::metrics::Metrics;
use crate::verbs::{Class, Verbs};

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
/// How many things said once are remembered before all are forgotten.
const SAID: usize = 10_000;

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
    said: Arc<Mutex<HashSet<(String, Reason, String)>>>,
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
        self.send(about_target(target), request.map(|request| request.object_ref(&())), Weight::Normal, reason, note);
    }

    /// Something a person should look at happened to a workload. Said once for the same `subject`.
    pub(crate) fn warn_target(&self, target: &Target, reason: Reason, subject: &str, note: &str) {
        if !self.is_news(&target.uid, reason, subject) {
            return;
        }
        tracing::warn!(workload.kind = %target.key.kind, workload.namespace = target.key.namespace, workload.name = target.key.name, reason = reason.code(), "{note}");
        self.send(about_target(target), None, Weight::Warning, reason, note);
    }

    /// An object cannot be read. Said once for the same problem.
    pub(crate) fn odd(&self, key: &TargetKey, odd: &Odd) {
        let Odd { api_version, uid, problem } = odd;
        let about = ObjectReference {
            api_version: Some(api_version.clone()),
            kind: Some(key.kind.as_str().to_owned()),
            namespace: Some(key.namespace.clone()),
            name: Some(key.name.clone()),
            uid: Some(uid.clone()),
            ..ObjectReference::default()
        };
        if self.is_news(uid, Reason::InvalidObject, problem) {
            let note = format!("{} and is left alone: {problem}", Reason::InvalidObject.sentence());
            self.send(about, None, Weight::Warning, Reason::InvalidObject, &note);
        }
    }

    /// Whether it was not said before.
    fn is_news(&self, uid: &str, reason: Reason, subject: &str) -> bool {
        let mut said = self.said.lock();
        if said.len() >= SAID {
            said.clear();
        }
        said.insert((uid.to_owned(), reason, subject.to_owned()))
    }

    /// A request moved on. `bad` when a person should look at it.
    pub(crate) fn request(&self, request: &UpdateRequest, reason: Reason, note: &str, bad: bool) {
        self.send(request.object_ref(&()), None, if bad { Weight::Warning } else { Weight::Normal }, reason, note);
    }

    fn send(&self, about: ObjectReference, related: Option<ObjectReference>, weight: Weight, reason: Reason, note: &str) {
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
        if self.sender.try_send(event).is_err() {
            self.metrics.events_dropped.inc();
        }
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
    fn a_note_is_cut_between_letters() {
        assert_eq!(cut("short"), "short");
        assert_eq!(cut(&"ä".repeat(600)).len(), 1024);
        assert_eq!(cut(&format!("x{}", "ä".repeat(600))).len(), 1023);
    }
}
