//! The handle by which the ports reach the operator: claims from webhooks, readiness and metrics here; queries in
//! [`super::requests`] and [`super::explain`], commands in [`super::commands`] and [`super::rollback`].
//!
//! Works on every replica. Nobody who holds a handle can touch a workload.

use std::collections::BTreeSet;
use std::sync::Arc;

use headwind_core::claim::Claim;
use headwind_webhook::senders::IgnoredReason;
use tokio::sync::{Semaphore, broadcast};

pub use crate::propose::{Full, Offered};

use crate::api::explainer::Explainer;
use crate::api::live::Pods;
use crate::cluster::ClusterClient;
use crate::cluster::as_caller::CallerClient;
use crate::observe::queue::Queue;
use crate::observe::state::State;
use crate::propose::Intake;
use crate::report::entry::Entry;
use crate::report::journal::Journal;
use crate::report::metrics::Metrics;
use crate::tasks::Alive;

/// Maximum number of requests that all callers together read from the API server at the same time.
pub(crate) const READS: usize = 32;

/// The side of the operator that the ports see.
#[derive(Clone)]
pub struct Handle {
    pub(crate) intake: Intake,
    pub(crate) state: Arc<State>,
    pub(crate) cluster: ClusterClient,
    /// Writes with the tokens of callers.
    pub(crate) as_caller: CallerClient,
    /// The namespace of Headwind's own objects.
    pub(crate) own_namespace: Arc<str>,
    pub(crate) journal: Journal,
    pub(crate) metrics: Metrics,
    pub(crate) queue: Queue,
    pub(crate) alive: Alive,
    pub(crate) explainer: Explainer,
    pub(crate) pods: Pods,
    /// Bounds the reads of requests for all callers together.
    pub(crate) reads: Arc<Semaphore>,
    /// The namespaces that are served; empty for all.
    pub(crate) namespaces: Arc<[String]>,
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

    /// Returns the namespaces that hold a tracked workload or a request, of those that are served.
    pub fn namespaces(&self) -> BTreeSet<String> {
        let mut all: BTreeSet<String> = self.state.requests.read().workloads().map(|key| key.namespace.clone()).collect();
        let index = self.state.index.read();
        all.extend(index.all().filter(|one| one.tracked().next().is_some()).map(|one| one.workload.key.namespace.clone()));
        all.retain(|namespace| self.serves(namespace));
        all
    }

    /// Subscribes to every transition of a request from now on, on any replica. A subscriber that lags too far behind
    /// misses some and hears how many.
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<Entry>> {
        self.journal.subscribe()
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
