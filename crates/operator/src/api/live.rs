//! Live data: changes of requests, and the pods of a rollout.

use std::sync::Arc;

use headwind_core::rollout::pod::PodView;
use headwind_core::workload::WorkloadKey;
use tokio::sync::broadcast;

use super::commands::ActError;
use super::handle::Handle;
use crate::report::journal::RequestChange;

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
        self.pods.of(&self.cluster, &workload).await.map_err(|failure| ActError::from((*failure).clone()))
    }
}
