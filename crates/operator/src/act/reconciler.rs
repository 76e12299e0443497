//! The reconciler's state, and the input of one pass: a workload with its requests.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use headwind_core::request::Request;
use headwind_core::rollout::pod::PodSnapshot;
use headwind_core::settings::Annotations;
use headwind_core::workload::{Workload, WorkloadKey};
use headwind_k8s::update_request::UpdateRequest;

use crate::act::confirm::Confirmer;
use crate::cluster::ClusterClient;
use crate::observe::early_reads::EarlyReads;
use crate::observe::state::State;
use crate::report::events::EventRecorder;
use crate::report::metrics::Metrics;

/// The reconciler, with its dependencies.
pub(crate) struct Reconciler {
    pub(crate) state: Arc<State>,
    pub(crate) cluster: ClusterClient,
    pub(crate) early_reads: Arc<EarlyReads>,
    pub(crate) events: EventRecorder,
    pub(crate) metrics: Metrics,
    /// Number of finished requests to keep per workload.
    pub(crate) history_limit: usize,
    /// Confirms approved digests; `None` if Headwind does not ask registries.
    pub(crate) confirmer: Option<Arc<Confirmer>>,
    /// Consecutive failures by workload, and when to retry.
    pub(crate) failures: parking_lot::Mutex<HashMap<WorkloadKey, (u32, Instant)>>,
    /// The newest snapshot of the pods of each workload whose rollout is watched.
    pub(crate) snapshots: parking_lot::Mutex<HashMap<WorkloadKey, Arc<PodSnapshot>>>,
}

/// A workload and its requests, read together.
pub(crate) struct Observation {
    pub(crate) workload: Option<Arc<Workload>>,
    /// True if the object exists and does not decode.
    pub(crate) odd: bool,
    pub(crate) defaults: Arc<Annotations>,
    /// The open requests, and the finished ones that were read completely.
    pub(crate) objects: Vec<Arc<UpdateRequest>>,
    pub(crate) requests: Vec<Request>,
}

impl Observation {
    pub(crate) fn object(&self, name: &str) -> Option<&Arc<UpdateRequest>> {
        self.objects.iter().find(|object| object.metadata.name.as_deref() == Some(name))
    }
}
