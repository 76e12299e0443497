//! The parts of the limits on updates that are not in the store of requests.

use std::collections::BTreeSet;

use headwind_core::gate::limits::ConfiguredLimits;
use headwind_core::workload::WorkloadKey;
use jiff::Timestamp;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::{Notify, watch};

/// The parts of the limits that are not in the store of requests.
#[derive(Default)]
pub(crate) struct KnownLimits {
    /// The entries of the ConfigMap; `None` until it is read.
    pub(super) configured: watch::Sender<Option<ConfiguredLimits>>,
    /// Since when updates are paused. It lasts longer than the failed requests.
    pub(super) paused_since: Mutex<Option<Timestamp>>,
    /// The workloads to which an update is being applied.
    starting: Mutex<BTreeSet<WorkloadKey>>,
    slot_freed: Notify,
}

impl KnownLimits {
    /// Returns the entries of the ConfigMap. Until it is read, everything is frozen.
    pub(crate) fn configured(&self) -> ConfiguredLimits {
        self.configured.borrow().clone().unwrap_or_else(ConfiguredLimits::unread)
    }

    /// Returns true if the number of rollouts is limited.
    pub(crate) fn are_limited(&self) -> bool {
        self.configured.borrow().as_ref().is_some_and(ConfiguredLimits::limit_rollouts)
    }

    /// Returns true if the ConfigMap was read, or does not exist.
    pub(crate) fn are_read(&self) -> bool {
        self.configured.borrow().is_some()
    }

    /// Stores the entries of the ConfigMap.
    pub(crate) fn configure(&self, limits: ConfiguredLimits) {
        self.configured.send_if_modified(|known| {
            let limits = Some(limits);
            let changed = *known != limits;
            *known = limits;
            changed
        });
    }

    /// Subscribes to changes of the entries.
    pub(crate) fn subscribe(&self) -> watch::Receiver<Option<ConfiguredLimits>> {
        self.configured.subscribe()
    }

    /// Returns the workloads to which an update is being applied. While the guard lives, no other decision about a
    /// limited rollout is made.
    pub(crate) fn starting(&self) -> MutexGuard<'_, BTreeSet<WorkloadKey>> {
        self.starting.lock()
    }

    /// Returns true if an update is being applied to the workload.
    pub(crate) fn is_starting(&self, key: &WorkloadKey) -> bool {
        self.starting.lock().contains(key)
    }

    /// Removes the workload from those to which an update is being applied.
    pub(crate) fn started(&self, key: &WorkloadKey) {
        if self.starting.lock().remove(key) {
            self.slot_freed.notify_one();
        }
    }

    /// Waits until a slot may be free without a change of a request.
    pub(crate) async fn slot_freed(&self) {
        self.slot_freed.notified().await;
    }

    /// Adopts since when updates are paused, as the Lease has it.
    pub(crate) fn inherit_pause(&self, text: Option<&str>) {
        if let Some(since) = text.and_then(|text| text.parse().ok()) {
            let mut known = self.paused_since.lock();
            *known = Some(known.map_or(since, |known: Timestamp| known.max(since)));
        }
    }
}
