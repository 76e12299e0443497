//! The parts of the limits on updates that are not in the store of requests.

use std::collections::BTreeSet;

use headwind_core::gate::limits::ConfiguredLimits;
use headwind_core::workload::WorkloadKey;
use jiff::Timestamp;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::watch;

/// The parts of the limits that are not in the store of requests.
#[derive(Default)]
pub(crate) struct KnownLimits {
    pub(super) configured: watch::Sender<ConfiguredLimits>,
    /// The time since which updates are paused. It lasts longer than the failed requests.
    pub(super) paused_since: Mutex<Option<Timestamp>>,
    /// The workloads to which an update is being applied.
    starting: Mutex<BTreeSet<WorkloadKey>>,
}

impl KnownLimits {
    /// Returns the entries of the ConfigMap.
    pub(crate) fn configured(&self) -> ConfiguredLimits {
        self.configured.borrow().clone()
    }

    /// Stores the entries of the ConfigMap.
    pub(crate) fn configure(&self, limits: ConfiguredLimits) {
        self.configured.send_if_modified(|known| {
            let changed = *known != limits;
            *known = limits;
            changed
        });
    }

    /// Subscribes to changes of the entries.
    pub(crate) fn subscribe(&self) -> watch::Receiver<ConfiguredLimits> {
        self.configured.subscribe()
    }

    /// Returns the workloads to which an update is being applied. While the guard lives, no other decision is made.
    pub(crate) fn starting(&self) -> MutexGuard<'_, BTreeSet<WorkloadKey>> {
        self.starting.lock()
    }

    /// Adopts since when updates are paused, as the Lease has it.
    pub(crate) fn inherit_pause(&self, text: Option<&str>) {
        if let Some(since) = text.and_then(|text| text.parse().ok()) {
            let mut known = self.paused_since.lock();
            *known = Some(known.map_or(since, |known: Timestamp| known.max(since)));
        }
    }
}
