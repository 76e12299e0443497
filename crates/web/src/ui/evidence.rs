//! The messages of finished requests. They are not kept in memory, so each is read from the API server once.

use std::collections::HashMap;

use headwind_core::request::Request;
use headwind_operator::{Handle, UpdateSummary};
use parking_lot::Mutex;

/// Maximum number of requests whose text is kept.
const KEPT: usize = 256;

/// Namespace and name.
type Name = (String, String);

/// The messages of a request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Said {
    /// The message about its state.
    pub(super) text: String,
    /// The person who rejected it.
    pub(super) rejected_by: Option<String>,
}

impl Said {
    fn of(request: &Request) -> Self {
        Self { text: text(request), rejected_by: request.status.rejected_by.clone() }
    }
}

/// The messages that were read, with the version of the request.
#[derive(Debug, Default)]
pub(super) struct Evidence(Mutex<HashMap<Name, (String, Said)>>);

/// Returns the message of a request about its state: for a failed rollout, the message of the pod.
pub(super) fn text(request: &Request) -> String {
    let status = &request.status;
    let watch = status.rollout.as_ref();
    let failure = watch.and_then(|watch| watch.cause.as_ref().or(watch.failure.as_ref()));
    let message = status.message.clone().filter(|message| !message.is_empty());
    let words = failure.map(|failure| failure.message.clone()).or(message);
    words.or_else(|| status.reason.map(|reason| reason.sentence().to_owned())).unwrap_or_default()
}

impl Evidence {
    /// Returns the messages of the request. If it cannot be read, what is in memory.
    pub(super) async fn of(&self, handle: &Handle, summary: &UpdateSummary) -> Said {
        let UpdateSummary { workload, request, version, .. } = summary;
        if request.status.phase.is_open() {
            return Said::of(request);
        }
        let key = (workload.namespace.clone(), request.name.clone());
        if let Some((_, said)) = self.0.lock().get(&key).filter(|(known, _)| known == version) {
            return said.clone();
        }
        let Ok(whole) = handle.get(&key.0, &key.1).await else { return Said::of(request) };
        let said = Said::of(&whole.read());
        let mut kept = self.0.lock();
        if kept.len() >= KEPT {
            kept.clear();
        }
        kept.insert(key, (version.clone(), said.clone()));
        said
    }
}
