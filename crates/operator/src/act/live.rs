//! Reads a workload from the API server before a decision that cannot be undone.
//!
//! The caches are filled by watches, which may lag, or miss an existing object. Before a request ends because something
//! is absent, the reconciler reads the workload, the object with its version, and its namespace. The results go into
//! the index, like watch events.

use std::sync::Arc;

use headwind_core::request::named_requests;
use headwind_core::settings::Annotations;
use headwind_core::workload::source::{ChartSourceRef, SourceKey};
use headwind_core::workload::{Workload, WorkloadKey};

use crate::act::reconciler::Reconciler;
use crate::cluster::object::is_object_name;
use crate::cluster::{Failure, Found};

/// Maximum number of requests to read because the workload names them: one for each container, and some spare.
const NAMED: usize = 16;

/// The state of a workload in a live read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LiveWorkload {
    /// It exists, and the index is current.
    Present,
    /// The API server has no such object.
    Gone,
    /// The object does not decode, or its kind is not served.
    Unreadable,
}

/// A workload and its namespace, read live.
pub(crate) struct Live {
    pub(crate) workload: LiveWorkload,
    /// Headwind's annotations on the namespace.
    pub(crate) defaults: Arc<Annotations>,
}

impl Reconciler {
    /// Reads the workload, the object with its version, and its namespace.
    pub(crate) async fn read_live(&self, key: &WorkloadKey) -> Result<Live, Failure> {
        let (workload, defaults) = tokio::try_join!(self.refresh(key), self.cluster.defaults(&key.namespace))?;
        Ok(Live { workload, defaults: Arc::new(defaults) })
    }

    /// Reads the workload and the object with its version into the index, and returns the workload; `None` if it is
    /// gone or does not decode.
    pub(crate) async fn read_workload(&self, key: &WorkloadKey) -> Result<Option<Arc<Workload>>, Failure> {
        let read = self.refresh(key).await?;
        self.served(key, read)?;
        Ok(self.state.index.read().workload(key))
    }

    /// Fails if the live read of the workload found that its kind is not served now: the copy may be old.
    pub(super) fn served(&self, key: &WorkloadKey, read: LiveWorkload) -> Result<(), Failure> {
        match read {
            LiveWorkload::Present | LiveWorkload::Gone => Ok(()),
            LiveWorkload::Unreadable if self.state.index.read().odd(key).is_some() => Ok(()),
            LiveWorkload::Unreadable => Err(Failure::busy(&format!("the API server does not serve {}", key.kind), None)),
        }
    }

    /// Reads the workload, its source and the requests that it names into the local copies.
    async fn refresh(&self, key: &WorkloadKey) -> Result<LiveWorkload, Failure> {
        let workload = match self.cluster.workload(key).await? {
            Found::There(workload) => workload,
            Found::Gone => {
                self.state.index.write().remove(key);
                return Ok(LiveWorkload::Gone);
            }
            Found::Undecodable(odd) => {
                self.state.index.write().set_odd(key.clone(), odd);
                return Ok(LiveWorkload::Unreadable);
            }
            Found::NotServed => return Ok(LiveWorkload::Unreadable),
        };
        let named = workload.release.as_ref().filter(|release| release.chart.is_none()).map(|release| release.source.clone());
        self.state.index.write().apply(workload);
        if let Some(ChartSourceRef::Source(source)) = named {
            self.read_source(&source).await?;
        }
        self.read_named_requests(key).await?;
        Ok(LiveWorkload::Present)
    }

    /// Reads the requests that the workload names and that the store lacks: its watch may lag.
    async fn read_named_requests(&self, key: &WorkloadKey) -> Result<(), Failure> {
        let Some(workload) = self.state.index.read().workload(key) else { return Ok(()) };
        let unknown: Vec<&str> = {
            let requests = self.state.requests.read();
            named_requests(&workload).filter(|name| requests.get(&key.namespace, name).is_none()).take(NAMED).collect()
        };
        for name in unknown {
            // Anyone may have written the name.
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
