//! The pods of the workloads that people watch.

use std::sync::Arc;
use std::time::Duration;

use headwind_core::rollout::pod::PodView;
use headwind_core::workload::{Workload, WorkloadKey};
use moka::future::Cache;

use crate::cluster::{ClusterClient, Failure};

/// Maximum age of a cached list of pods.
const FRESH: Duration = Duration::from_secs(2);
/// Maximum number of workloads whose pods are kept.
const KEPT: u64 = 256;

/// The pods of workloads that people watch. All viewers of a workload share one list.
#[derive(Clone)]
pub(crate) struct Pods(Cache<WorkloadKey, Arc<[PodView]>>);

impl Pods {
    /// Returns the pods of the workload's newest revision and some of the others, at most [`FRESH`] old.
    pub(super) async fn of(&self, cluster: &ClusterClient, workload: &Workload) -> Result<Arc<[PodView]>, Arc<Failure>> {
        self.0.try_get_with_by_ref(&workload.key, async { cluster.pods(workload).await.map(Arc::from) }).await
    }
}

impl Default for Pods {
    fn default() -> Self {
        Self(Cache::builder().max_capacity(KEPT).time_to_live(FRESH).build())
    }
}
