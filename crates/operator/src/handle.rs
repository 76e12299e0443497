//! What the doors may do: offer events, look at requests, act on them, ask how things are.
//!
//! Works on every replica. An action is a compare-and-swap on the request's status; the leader
//! sees it by its watch. Nobody who holds a handle can touch a workload.

use std::sync::Arc;

use headwind_core::claim::Claim;
use headwind_core::policy::Policy;
use headwind_core::reason::Reason;
use headwind_core::request::Phase;
use headwind_core::request::action::{Action, NotNow, act};
use headwind_core::target::Kind;
use headwind_k8s::update_request::UpdateRequest;
use headwind_source::webhook::IgnoredReason;
use kube::ResourceExt as _;

pub use crate::propose::{Full, Offered};

use crate::explain::KnownTags;
use crate::metrics::Metrics;
use crate::propose::Intake;
use crate::queue::Queue;
use crate::reconcile::now;
use crate::shared::State;
use crate::tasks::Alive;
use crate::tell::Tell;
use crate::verbs::{Class, Failure, Verbs};

/// How often an action is decided again because someone else wrote in between.
const TRIES: usize = 8;

/// The doors' side of the operator.
#[derive(Clone)]
pub struct Handle {
    pub(crate) intake: Intake,
    pub(crate) state: Arc<State>,
    pub(crate) verbs: Verbs,
    pub(crate) tell: Tell,
    pub(crate) metrics: Metrics,
    pub(crate) queue: Queue,
    pub(crate) alive: Alive,
    pub(crate) tags: KnownTags,
    /// The namespaces that are served; empty for all.
    pub(crate) namespaces: Arc<[String]>,
}

/// Which requests of all. Every field that is set must match.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// The request's namespace.
    pub namespace: Option<String>,
    /// The kind of its target.
    pub kind: Option<Kind>,
    /// Its phase.
    pub phase: Option<Phase>,
    /// The policy that took the version.
    pub policy: Option<Policy>,
    /// Text that the name, the target, the container or an image contains, whatever its case.
    pub text: Option<String>,
}

impl Filter {
    fn takes(&self, request: &UpdateRequest) -> bool {
        let Self { namespace, kind, phase, policy, text } = self;
        let spec = &request.spec;
        namespace.as_ref().is_none_or(|namespace| request.metadata.namespace.as_ref() == Some(namespace))
            && kind.is_none_or(|kind| spec.target_ref.kind.0 == kind)
            && phase.is_none_or(|phase| request.phase() == phase)
            && policy.is_none_or(|policy| spec.policy.0 == policy)
            && text.as_ref().is_none_or(|text| {
                let text = text.to_lowercase();
                let places = [
                    request.metadata.name.as_deref(),
                    Some(&spec.target_ref.name),
                    spec.container_name.as_deref(),
                    Some(&spec.current_image),
                    Some(&spec.new_image),
                ];
                places.into_iter().flatten().any(|place| place.to_lowercase().contains(&text))
            })
    }
}

/// Some of the requests that a filter takes.
#[derive(Debug, Clone)]
pub struct Page {
    /// In the order of namespace and name.
    pub items: Vec<Arc<UpdateRequest>>,
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

    /// The requests that the filter takes, `limit` of them after that namespace and name.
    pub fn list(&self, filter: &Filter, after: Option<&(String, String)>, limit: usize) -> Page {
        let requests = self.state.requests.read();
        let mut all = requests.after(after).filter(|request| filter.takes(request));
        let items: Vec<Arc<UpdateRequest>> = all.by_ref().take(limit).cloned().collect();
        let remaining = all.count();
        let more_after = items.last().filter(|_| remaining > 0).and_then(|last| crate::requests::key(last));
        Page { items, more_after, remaining }
    }

    /// One request, as this process knows it.
    pub fn get(&self, namespace: &str, name: &str) -> Option<Arc<UpdateRequest>> {
        self.state.requests.read().get(namespace, name)
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
        if !self.serves(namespace) {
            return Err(not_found());
        }
        let mut known = self.get(namespace, name).map(|request| (*request).clone());
        for _ in 0..TRIES {
            let request = match known.take() {
                Some(request) => request,
                None => self.verbs.request(namespace, name).await?.ok_or_else(not_found)?,
            };
            let at = now();
            let status = match act(&request.read(), action, person, note, at) {
                Ok(status) => status,
                Err(refused) => {
                    self.state.requests.write().apply(request);
                    return Err(refused.into());
                }
            };
            match self.verbs.replace_status(&request.with_status(&status, at)).await {
                Ok(written) => {
                    self.done(&written, action, person);
                    return Ok(written);
                }
                Err(failure) if failure.class == Class::Conflict => {}
                Err(failure) if failure.class == Class::NotFound => return Err(not_found()),
                Err(failure) => return Err(failure.into()),
            }
        }
        Err(ActError::Unavailable("the request changes faster than it can be written".to_owned()))
    }

    fn done(&self, written: &UpdateRequest, action: Action, person: &str) {
        let artifacts = written.spec.update_type.artifacts();
        let reason = match action {
            Action::Approve => {
                self.metrics.approved(artifacts);
                Reason::ApprovedByPerson
            }
            Action::Reject => {
                self.metrics.rejected(artifacts);
                Reason::RejectedByPerson
            }
            Action::Reopen => Reason::Reopened,
        };
        let message = written.status.as_ref().and_then(|status| status.message.clone()).unwrap_or_default();
        tracing::info!(
            request.namespace = written.namespace(),
            request.name = written.name_any(),
            person,
            reason = reason.code(),
            "{message}"
        );
        self.tell.request(written, reason, &message, false);
        self.state.requests.write().apply(written.clone());
        self.queue.now(written.target());
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
