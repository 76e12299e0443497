//! Reading a workload from the API server: the evidence for every decision that cannot be undone.
//!
//! The caches are fed by watches, which may lag, or lack an object that is there. Before a request ends because
//! something is absent, the reconciler reads the workload, the object that has its version, and its namespace.
//! What is read goes into the index, as if the watch had shown it.

use std::sync::Arc;

use headwind_core::request::named_requests;
use headwind_core::settings::Annotations;
use headwind_core::workload::source::{ChartSourceRef, SourceKey};
use headwind_core::workload::{Workload, WorkloadKey};

use crate::act::reconciler::Reconciler;
use crate::cluster::object::is_object_name;
use crate::cluster::{Failure, Found};

/// The most requests that are read because the workload names them: one for each container, and some.
const NAMED: usize = 16;

/// What a live read found out about a workload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Evidence {
    /// The index shows it as it is.
    Present,
    /// The API server has no such object.
    Gone,
    /// There is one that does not decode, or its kind is not served.
    Unreadable,
}

/// A workload and its namespace, as they were read live.
pub(crate) struct Live {
    pub(crate) evidence: Evidence,
    /// Headwind's annotations of the namespace.
    pub(crate) defaults: Arc<Annotations>,
}

impl Reconciler {
    /// Reads the workload, the object that has its version, and its namespace.
    pub(crate) async fn read_live(&self, key: &WorkloadKey) -> Result<Live, Failure> {
        let (evidence, defaults) = tokio::try_join!(self.refresh(key), self.cluster.defaults(&key.namespace))?;
        Ok(Live { evidence, defaults: Arc::new(defaults) })
    }

    /// The workload as it is now, with the object that has its version; `None` when it is gone or does not decode.
    /// The index shows it then.
    pub(crate) async fn read_workload(&self, key: &WorkloadKey) -> Result<Option<Arc<Workload>>, Failure> {
        match self.refresh(key).await? {
            Evidence::Present | Evidence::Gone => {}
            Evidence::Unreadable if self.state.index.read().odd(key).is_some() => {}
            Evidence::Unreadable => return Err(Failure::busy(&format!("the API server does not serve {}", key.kind), None)),
        }
        Ok(self.state.index.read().workload(key))
    }

    /// Reads the workload, its source and the requests that it names into the local copies.
    async fn refresh(&self, key: &WorkloadKey) -> Result<Evidence, Failure> {
        let workload = match self.cluster.workload(key).await? {
            Found::There(workload) => workload,
            Found::Gone => {
                self.state.index.write().remove(key);
                return Ok(Evidence::Gone);
            }
            Found::Undecodable(odd) => {
                self.state.index.write().set_odd(key.clone(), odd);
                return Ok(Evidence::Unreadable);
            }
            Found::NotServed => return Ok(Evidence::Unreadable),
        };
        let named = workload.release.as_ref().filter(|release| release.chart.is_none()).map(|release| release.source.clone());
        self.state.index.write().apply(workload);
        if let Some(ChartSourceRef::Source(source)) = named {
            self.read_source(&source).await?;
        }
        self.read_named_requests(key).await?;
        Ok(Evidence::Present)
    }

    /// The requests that the workload names and that the store lacks: its watch may lag.
    async fn read_named_requests(&self, key: &WorkloadKey) -> Result<(), Failure> {
        let Some(workload) = self.state.index.read().workload(key) else { return Ok(()) };
        let unknown: Vec<&str> = {
            let requests = self.state.requests.read();
            named_requests(&workload).filter(|name| requests.get(&key.namespace, name).is_none()).take(NAMED).collect()
        };
        for name in unknown {
            // The name is text that somebody else may have written.
            if is_object_name(name)
                && let Some(found) = self.cluster.request(&key.namespace, name).await?
            {
                self.state.record(found);
            }
        }
        Ok(())
    }

    async fn read_source(&self, key: &SourceKey) -> Result<(), Failure> {
        let found = self.cluster.source(key).await?;
        let mut index = self.state.index.write();
        let touched = match found {
            Found::There(source) => index.apply_source(source),
            Found::Gone | Found::Undecodable(_) => index.remove_source(key),
            Found::NotServed => Vec::new(),
        };
        index.unsettle(touched);
        Ok(())
    }
}
