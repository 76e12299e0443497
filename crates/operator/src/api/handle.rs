//! What the doors may do: offer events, look at requests, act on them, ask how things are.
//!
//! Works on every replica. An action is a compare-and-swap on the request's status; the leader
//! sees it by its watch. Nobody who holds a handle can touch a workload.

use std::sync::Arc;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use headwind_core::claim::Claim;
use headwind_core::request::action::{Action, NotNow, act};
use headwind_k8s::update_request::UpdateRequest;
use headwind_source::webhook::IgnoredReason;
use tokio::sync::{Semaphore, broadcast};

pub use crate::observe::requests::Filter;
pub use crate::propose::{Full, Offered};

use crate::api::explainer::Explainer;
use crate::clock::now;
use crate::cluster::object::is_object_name;
use crate::cluster::{Class, Failure, Verbs};
use crate::observe::queue::Queue;
use crate::observe::requests::Listing;
use crate::observe::state::State;
use crate::propose::Intake;
use crate::report::entry::Entry;
use crate::report::journal::Journal;
use crate::report::metrics::Metrics;
use crate::tasks::Alive;

/// How often an action is decided again because someone else wrote in between.
const TRIES: usize = 8;
/// How many requests one list reads side by side, and how many all callers together.
const READ_AT_ONCE: usize = 8;
pub(crate) const READS: usize = 32;

/// The doors' side of the operator.
#[derive(Clone)]
pub struct Handle {
    pub(crate) intake: Intake,
    pub(crate) state: Arc<State>,
    pub(crate) verbs: Verbs,
    pub(crate) journal: Journal,
    pub(crate) metrics: Metrics,
    pub(crate) queue: Queue,
    pub(crate) alive: Alive,
    pub(crate) explainer: Explainer,
    /// Bounds the reads of requests for all callers together.
    pub(crate) reads: Arc<Semaphore>,
    /// The namespaces that are served; empty for all.
    pub(crate) namespaces: Arc<[String]>,
}

/// Some of the requests that a filter takes.
#[derive(Debug, Clone)]
pub struct Page {
    /// In the order of namespace and name.
    pub items: Vec<UpdateRequest>,
    /// Namespace and name of the last one, where there are more behind it.
    pub more_after: Option<(String, String)>,
    /// How many more there are.
    pub remaining: usize,
}

/// An action that was not done.
#[derive(Debug, thiserror::Error)]
pub enum ActError {
    /// There is no such request in the namespaces that are served.
    #[error("there is no UpdateRequest {namespace}/{name}")]
    NotFound {
        /// The namespace that was asked for.
        namespace: String,
        /// The name that was asked for.
        name: String,
    },
    /// The request is in a phase from which the action leads nowhere.
    #[error(transparent)]
    NotNow(#[from] NotNow),
    /// A request that asks for something else has the name.
    #[error("UpdateRequest {0} asks for something else and has the name that the new request would get; delete it")]
    NameTaken(String),
    /// Headwind's account may not write it.
    #[error("the API server does not allow it: {0}")]
    Forbidden(String),
    /// The API server could not be asked.
    #[error("the API server could not be asked: {0}")]
    Unavailable(String),
}

impl From<Failure> for ActError {
    fn from(failure: Failure) -> Self {
        match failure.class {
            Class::Forbidden | Class::Invalid => ActError::Forbidden(failure.to_string()),
            Class::NotFound | Class::Conflict | Class::Busy | Class::NoAnswer => ActError::Unavailable(failure.to_string()),
        }
    }
}

impl Handle {
    /// Counts what a webhook told that was no push of a tag.
    pub fn ignored(&self, reason: IgnoredReason) {
        self.metrics.ignored(reason);
    }

    /// Offers the claims of one call: all of them are taken or none. `proven` says that the sender was authenticated.
    ///
    /// # Errors
    /// [`Full`] when there is no room for all.
    pub fn offer(&self, claims: Vec<Claim>, proven: bool) -> Result<Offered, Full> {
        self.intake.offer(claims, proven)
    }

    /// Whether requests of the namespace are served.
    pub fn serves(&self, namespace: &str) -> bool {
        self.namespaces.is_empty() || self.namespaces.iter().any(|served| served == namespace)
    }

    /// The requests that the filter takes, `limit` of them after that namespace and name. Finished ones are read from
    /// the API server; one that it does not have any more is left out.
    ///
    /// # Errors
    /// [`ActError::Forbidden`] and [`ActError::Unavailable`] where a request could not be read.
    pub async fn list(&self, filter: &Filter, after: Option<&(String, String)>, limit: usize) -> Result<Page, ActError> {
        let Listing { names, remaining } = self.state.requests.read().page(filter, after, limit);
        let more_after = names.last().filter(|_| remaining > 0).cloned();
        let read = stream::iter(names).map(|(namespace, name)| async move { self.whole(&namespace, &name).await });
        let items: Vec<Option<UpdateRequest>> = read.buffered(READ_AT_ONCE).try_collect().await?;
        // One that moved on in between may be another's by now.
        let items = items.into_iter().flatten().filter(|request| filter.takes(request)).collect();
        Ok(Page { items, more_after, remaining })
    }

    /// One request: as this process knows it while it is open, else as the API server has it.
    ///
    /// # Errors
    /// See [`ActError`].
    pub async fn get(&self, namespace: &str, name: &str) -> Result<UpdateRequest, ActError> {
        let not_found = || ActError::NotFound { namespace: namespace.to_owned(), name: name.to_owned() };
        if !self.serves(namespace) || !is_object_name(namespace) || !is_object_name(name) {
            return Err(not_found());
        }
        self.whole(namespace, name).await?.ok_or_else(not_found)
    }

    async fn whole(&self, namespace: &str, name: &str) -> Result<Option<UpdateRequest>, Failure> {
        if let Some(open) = self.state.requests.read().open(namespace, name) {
            return Ok(Some((*open).clone()));
        }
        let _one_of_few = self.reads.acquire().await;
        let mut read = self.verbs.request(namespace, name).await?;
        if let Some(read) = &mut read {
            read.metadata.managed_fields = None;
            self.state.record(read.clone());
        }
        Ok(read)
    }

    /// Does what `person` asks for; answers the request as it is then.
    ///
    /// # Errors
    /// See [`ActError`]. Of several who ask at once, one succeeds.
    pub async fn act(
        &self,
        namespace: &str,
        name: &str,
        action: Action,
        person: &str,
        note: Option<&str>,
    ) -> Result<UpdateRequest, ActError> {
        let not_found = || ActError::NotFound { namespace: namespace.to_owned(), name: name.to_owned() };
        if !self.serves(namespace) || !is_object_name(namespace) || !is_object_name(name) {
            return Err(not_found());
        }
        let mut known = self.state.requests.read().open(namespace, name);
        for _ in 0..TRIES {
            let copy = known.take();
            let is_copy = copy.is_some();
            let request = match copy {
                Some(request) => (*request).clone(),
                None => self.verbs.request(namespace, name).await?.ok_or_else(not_found)?,
            };
            let at = now();
            let status = match act(&request.read(), action, person, note, at) {
                Ok(status) => status,
                // A copy may be old: only what the API server has is a reason to refuse.
                Err(_) if is_copy => continue,
                Err(refused) => {
                    self.state.record(request);
                    return Err(refused.into());
                }
            };
            match self.verbs.replace_status(&request.with_status(&status, at)).await {
                Ok(written) => {
                    self.state.record(written.clone());
                    self.queue.now(written.target());
                    return Ok(written);
                }
                Err(failure) if failure.class == Class::Conflict => {}
                Err(failure) if failure.class == Class::NotFound => return Err(not_found()),
                Err(failure) => return Err(failure.into()),
            }
        }
        Err(ActError::Unavailable("the request changes faster than it can be written".to_owned()))
    }

    /// Subscribes to every transition of a request from now on, on any replica. A subscriber that lags too far behind
    /// misses some and hears how many.
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<Entry>> {
        self.journal.subscribe()
    }

    pub(crate) fn journal(&self) -> &Journal {
        &self.journal
    }

    /// What is missing before this process is ready; empty when it is.
    pub fn missing(&self) -> Vec<String> {
        self.state.readiness.missing()
    }

    /// Names a part that readiness waits for.
    pub fn expect(&self, part: &str) {
        self.state.readiness.expect(part);
    }

    /// The part that [`Handle::expect`] named is there.
    pub fn done_with(&self, part: &str) {
        self.state.readiness.done(part);
    }

    /// The tasks that died; empty while the process is well.
    pub fn dead(&self) -> Vec<String> {
        self.alive.dead()
    }

    /// The metrics, in the OpenMetrics text format.
    ///
    /// # Errors
    /// When a value cannot be formatted.
    pub fn metrics(&self) -> Result<String, std::fmt::Error> {
        self.metrics.encode()
    }
}
