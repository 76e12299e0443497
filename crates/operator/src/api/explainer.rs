//! Queries the registries of a workload for explanations.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use headwind_core::artifact::{Artifact, Origin};
use headwind_core::policy::Candidate;
use parking_lot::RwLock;
use tokio::sync::Semaphore;

use crate::propose::last_scan::LastScans;
use crate::registries::asking::{Asking, Versions, chart_of};
use crate::registries::secrets::PullPlace;

/// Maximum age of a cached list of tags.
const FRESH: Duration = Duration::from_mins(1);
/// Maximum number of explanations at a time that query registries or judge long lists.
const AT_ONCE: usize = 2;

/// Explains workloads with the versions in their registries.
#[derive(Clone)]
pub(crate) struct Explainer {
    pub(crate) asking: Arc<Asking>,
    /// The results of the last scans.
    pub(crate) last_scans: Arc<RwLock<LastScans>>,
    pub(super) permits: Arc<Semaphore>,
}

impl Explainer {
    pub(crate) fn new(asking: Arc<Asking>, last_scans: Arc<RwLock<LastScans>>) -> Self {
        Self { asking, last_scans, permits: Arc::new(Semaphore::new(AT_ONCE)) }
    }

    pub(super) async fn candidates(&self, origin: &Origin, artifact: &Artifact, place: &PullPlace) -> Result<Vec<Candidate>, String> {
        let charts: BTreeSet<String> = chart_of(artifact).into_iter().collect();
        let keyring = self.asking.secrets.keyring(place).await.map_err(|failure| failure.to_string())?;
        let access = self.asking.access(origin, &keyring);
        let listed = self.asking.read(origin, access, &Versions::all(&charts), &keyring, Some(FRESH)).await;
        listed.map(|listed| listed.candidates(artifact, origin)).map_err(|error| error.to_string())
    }
}
