//! Telling what happened: Kubernetes Events and log lines, with reasons from the one vocabulary.
//!
//! Telling never delays or fails an update: Events go through a bounded queue to a task of their
//! own; what finds no room is counted and dropped. What would be said again and again (the same
//! refusal of the same version for the same container) is said once.

use std::collections::HashSet;
use std::convert::Infallible;
use std::sync::Arc;

use futures_util::StreamExt as _;
use headwind_core::reason::Reason;
use headwind_core::target::Target;
use headwind_k8s::kind;
use headwind_k8s::update_request::UpdateRequest;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use kube::{Client, Resource as _};
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::metrics::Metrics;
use crate::verbs::{Class, classify};

/// How many Events may wait; at 1 KiB each that is 1 MiB.
const ROOM: usize = 1024;
/// How many are written side by side.
const AT_ONCE: usize = 4;
/// An Event's note has at most 1 KiB (the API's own limit).
const NOTE: usize = 1024;
/// How many things said once are remembered before all are forgotten.
const SAID: usize = 10_000;

/// One thing to tell.
struct Note {
    about: ObjectReference,
    event: Event,
}

/// The mouth: cheap to clone, never blocks.
#[derive(Debug, Clone)]
pub(crate) struct Tell {
    sender: mpsc::Sender<Note>,
    metrics: Metrics,
    said: Arc<Mutex<HashSet<(String, Reason, String)>>>,
}

/// The task that writes the Events.
pub(crate) struct Writer {
    receiver: mpsc::Receiver<Note>,
    recorder: Recorder,
}

/// Makes the two ends. `instance` names this replica.
pub(crate) fn tell(client: Client, instance: &str, metrics: Metrics) -> (Tell, Writer) {
    let (sender, receiver) = mpsc::channel(ROOM);
    let reporter = Reporter { controller: "headwind.sh/headwind".to_owned(), instance: Some(instance.to_owned()) };
    (Tell { sender, metrics, said: Arc::default() }, Writer { receiver, recorder: Recorder::new(client, reporter) })
}

impl Tell {
    /// Something as it should be happened to a workload.
    pub(crate) fn target(&self, target: &Target, reason: Reason, note: &str, request: Option<&UpdateRequest>) {
        self.send(about_target(target), request.map(|request| request.object_ref(&())), EventType::Normal, reason, note);
    }

    /// Something a person should look at happened to a workload. Said once for the same `subject`.
    pub(crate) fn warn_target(&self, target: &Target, reason: Reason, subject: &str, note: &str) {
        {
            let mut said = self.said.lock();
            if said.len() >= SAID {
                said.clear();
            }
            if !said.insert((target.uid.clone(), reason, subject.to_owned())) {
                return;
            }
        }
        tracing::warn!(workload.kind = %target.key.kind, workload.namespace = target.key.namespace, workload.name = target.key.name, reason = reason.code(), "{note}");
        self.send(about_target(target), None, EventType::Warning, reason, note);
    }

    /// A request moved on.
    pub(crate) fn request(&self, request: &UpdateRequest, reason: Reason, note: &str) {
        let kind = match reason {
            Reason::Failed | Reason::ApplyFailed | Reason::InvalidRequest | Reason::InvalidImage => EventType::Warning,
            _ => EventType::Normal,
        };
        self.send(request.object_ref(&()), None, kind, reason, note);
    }

    fn send(&self, about: ObjectReference, secondary: Option<ObjectReference>, type_: EventType, reason: Reason, note: &str) {
        let mut text = String::with_capacity(note.len().min(NOTE));
        for letter in note.chars() {
            if text.len() + letter.len_utf8() > NOTE {
                break;
            }
            text.push(letter);
        }
        let event = Event { type_, reason: reason.code().to_owned(), note: Some(text), action: "Update".to_owned(), secondary };
        if self.sender.try_send(Note { about, event }).is_err() {
            self.metrics.events_dropped.inc();
        }
    }
}

fn about_target(target: &Target) -> ObjectReference {
    ObjectReference {
        api_version: Some(kind::api_version(target.key.kind).to_owned()),
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
        let Self { receiver, recorder } = self;
        let notes = futures_util::stream::unfold((receiver, stop), |(mut receiver, stop)| async {
            let next = stop.run_until_cancelled(receiver.recv()).await;
            let note = if let Some(note) = next {
                note
            } else {
                receiver.close();
                receiver.recv().await
            };
            note.map(|note| (note, (receiver, stop)))
        });
        notes
            .for_each_concurrent(AT_ONCE, |note| {
                let recorder = &recorder;
                async move {
                    if let Err(error) = recorder.publish(&note.event, &note.about).await {
                        // The object, or its namespace, may be gone by now.
                        match classify(&error) {
                            Class::NotFound | Class::Conflict => tracing::debug!(%error, "Event not written"),
                            Class::Invalid | Class::Forbidden | Class::Busy | Class::NoAnswer => {
                                tracing::warn!(%error, reason = note.event.reason, "Event not written");
                            }
                        }
                    }
                }
            })
            .await;
        Ok(())
    }
}
