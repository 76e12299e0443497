//! Live data: changes of requests, and the pods of a rollout.

use std::sync::Arc;
use std::time::Duration;

use headwind_core::rollout::pod::PodView;
use headwind_core::workload::WorkloadKey;
use moka::future::Cache;
use tokio::sync::broadcast;

use super::commands::ActError;
use super::handle::Handle;
use crate::cluster::Failure;
use crate::report::journal::RequestChange;

/// Maximum age of a cached list of pods.
const FRESH: Duration = Duration::from_secs(2);
/// Maximum number of workloads whose pods are kept.
const KEPT: u64 = 256;

/// The pods of workloads that people watch. All viewers of a workload share one list.
#[derive(Clone)]
pub(crate) struct Pods(Cache<WorkloadKey, Arc<[PodView]>>);

impl Default for Pods {
    fn default() -> Self {
        Self(Cache::builder().max_capacity(KEPT).time_to_live(FRESH).build())
    }
}

impl Handle {
    /// Subscribes to every change of a request from now on, on any replica.
    pub fn changes(&self) -> broadcast::Receiver<RequestChange> {
        self.journal.changes()
    }

    /// Returns the pods of a workload: those of its newest revision, and some of the others. At most 2 seconds old.
    ///
    /// # Errors
    /// [`ActError::Forbidden`] and [`ActError::Unavailable`].
    pub async fn pods(&self, key: &WorkloadKey) -> Result<Arc<[PodView]>, ActError> {
        let workload = self.state.index.read().workload(key);
        let Some(workload) = workload.filter(|workload| workload.rollout.has_pods()) else { return Ok(Arc::default()) };
        let read = async { self.cluster.pods(&workload).await.map(Arc::from) };
        self.pods.0.try_get_with_by_ref(key, read).await.map_err(|failure: Arc<Failure>| ActError::from((*failure).clone()))
    }
}
