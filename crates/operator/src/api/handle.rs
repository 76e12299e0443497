//! The handle of the HTTP servers on the operator: claims from webhooks, readiness and metrics here; queries in
//! [`super::requests`] and [`super::explain`], commands in [`super::commands`] and [`super::rollback`].
//!
//! Works on every replica. A handle gives no access to workloads.

use std::collections::BTreeSet;
use std::sync::Arc;

use headwind_core::claim::Claim;
use headwind_webhook::senders::IgnoredReason;
use tokio::sync::{Semaphore, broadcast, watch};

pub use crate::propose::{Full, Offered};

use crate::api::explainer::Explainer;
use crate::api::pods::Pods;
use crate::cluster::ClusterClient;
use crate::cluster::as_caller::CallerClient;
use crate::observe::queue::Queue;
use crate::observe::state::State;
use crate::propose::Intake;
use crate::report::entry::ReportEntry;
use crate::report::journal::Journal;
use crate::report::metrics::Metrics;
use crate::report::notify;
use crate::report::trace::Traces;
use crate::settings::OwnSettings;
use crate::tasks::Alive;

/// Maximum number of concurrent reads of requests from the API server, for all callers together.
pub(crate) const READS: usize = 32;

/// The operator's interface for the HTTP servers.
#[derive(Clone)]
pub struct Handle {
    pub(crate) intake: Intake,
    pub(crate) state: Arc<State>,
    pub(crate) cluster: ClusterClient,
    /// Writes with the tokens of callers.
    pub(crate) as_caller: CallerClient,
    /// The namespace of Headwind's own objects.
    pub(crate) own_namespace: Arc<str>,
    /// Headwind's own settings, as this replica knows them.
    pub(crate) settings: Arc<OwnSettings>,
    pub(crate) journal: Journal,
    pub(crate) metrics: Metrics,
    pub(crate) traces: Traces,
    pub(crate) queue: Queue,
    pub(crate) alive: Alive,
    pub(crate) explainer: Explainer,
    pub(crate) pods: Pods,
    /// The settings of notifications.
    pub(crate) notifications: watch::Receiver<Arc<notify::Settings>>,
    /// Limits the tests of channels.
    pub(crate) tests: Arc<Semaphore>,
    /// Limits the reads of requests for all callers together.
    pub(crate) reads: Arc<Semaphore>,
    /// The served namespaces; empty for all.
    pub(crate) namespaces: Arc<[String]>,
}

impl Handle {
    /// Counts a webhook call that was not about a push of a tag.
    pub fn ignored(&self, reason: IgnoredReason) {
        self.metrics.ignored(reason);
    }

    /// Queues the claims of one call: all of them or none. `proven` is true if the sender was authenticated.
    ///
    /// # Errors
    /// [`Full`] if the queue cannot take all of them.
    pub fn offer(&self, claims: Vec<Claim>, proven: bool) -> Result<Offered, Full> {
        self.intake.offer(claims, proven)
    }

    /// Returns true if requests of the namespace are served.
    pub fn serves(&self, namespace: &str) -> bool {
        self.namespaces.is_empty() || self.namespaces.iter().any(|served| served == namespace)
    }

    /// Returns the served namespaces that contain a tracked workload or a request.
    pub fn namespaces(&self) -> BTreeSet<String> {
        let mut all: BTreeSet<String> = self.state.requests.read().workloads().map(|key| key.namespace.clone()).collect();
        let index = self.state.index.read();
        all.extend(index.all().filter(|one| one.tracked().next().is_some()).map(|one| one.workload.key.namespace.clone()));
        all.retain(|namespace| self.serves(namespace));
        all
    }

    /// Subscribes to every transition of a request from now on, on any replica. A subscriber that lags too far behind
    /// misses some and gets their number.
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<ReportEntry>> {
        self.journal.subscribe()
    }

    /// Returns for how long the copy of the cluster has not been kept up to date, if a watch fails again and again.
    pub fn stale_for(&self) -> Option<std::time::Duration> {
        self.state.readiness.failing_for(std::time::Instant::now())
    }

    /// Returns true if this replica is the leader. Only the leader polls.
    pub fn leads(&self) -> bool {
        self.state.leadership.leads()
    }

    /// Returns what readiness still waits for; empty when ready.
    pub fn missing(&self) -> Vec<String> {
        self.state.readiness.missing()
    }

    /// Adds a part that readiness waits for.
    pub fn expect(&self, part: &str) {
        self.state.readiness.expect(part);
    }

    /// Marks a part from [`Handle::expect`] as ready.
    pub fn done_with(&self, part: &str) {
        self.state.readiness.done(part);
    }

    /// Returns the tasks that died; empty if the process is healthy.
    pub fn dead(&self) -> Vec<String> {
        self.alive.dead()
    }

    /// Returns the metrics in the OpenMetrics text format.
    ///
    /// # Errors
    /// If a value cannot be formatted.
    pub fn metrics(&self) -> Result<String, std::fmt::Error> {
        self.metrics.encode()
    }
}
