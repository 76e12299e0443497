//! What limits the updates of all workloads together, as this process knows it: the entries of the ConfigMap `headwind`,
//! and the requests in progress.
//!
//! The limits on rollouts count what the requests show, so a new leader counts like the last one. Between the decision to
//! apply an update and the request that shows it, the workload is in `starting`.

use std::collections::BTreeSet;

use headwind_core::gate::limits::ConfiguredLimits;
use headwind_core::gate::{Limits, Rollouts, paused_since};
use headwind_core::request::{Phase, named_requests};
use headwind_core::workload::WorkloadKey;
use jiff::Timestamp;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::watch;

use super::state::State;

/// The annotation of the Lease with the time since which updates are paused.
pub(crate) const PAUSED_SINCE: &str = "headwind.sh/updates-paused-since";

/// The parts of the limits that are not in the store of requests.
pub(crate) struct KnownLimits {
    configured: watch::Sender<ConfiguredLimits>,
    /// Since when updates are paused. It lasts longer than the failed requests.
    paused_since: Mutex<Option<Timestamp>>,
    /// The workloads to which an update is being applied.
    starting: Mutex<BTreeSet<WorkloadKey>>,
}

impl Default for KnownLimits {
    fn default() -> Self {
        Self { configured: watch::Sender::default(), paused_since: Mutex::default(), starting: Mutex::default() }
    }
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

impl State {
    /// Returns the limits now. `starting` are the workloads to which an update is being applied.
    pub(crate) fn limits_with(&self, starting: &BTreeSet<WorkloadKey>, now: Timestamp) -> Limits {
        let ConfiguredLimits { freeze, rollouts: limit, rollouts_per_namespace: limit_per_namespace, .. } = self.limits.configured();
        let mut rollouts = Rollouts { limit, limit_per_namespace, ..Rollouts::default() };
        if rollouts.is_limited() {
            let requests = self.requests.read();
            let index = self.index.read();
            rollouts.running = requests.rollouts().running().chain(starting).cloned().collect();
            let can = |key: &WorkloadKey| index.workload(key).is_some_and(|workload| !workload.deleting);
            rollouts.queue = requests.rollouts().queue(now).filter(|turn| can(&turn.workload)).cloned().collect();
        }
        Limits { freeze, paused_since: self.paused_since(), rollouts }
    }

    /// Returns the limits now, for queries.
    pub(crate) fn current_limits(&self, now: Timestamp) -> Limits {
        let starting = self.limits.starting().clone();
        self.limits_with(&starting, now)
    }

    /// Returns since when updates that the policy approved are paused because too many failed.
    pub(crate) fn paused_since(&self) -> Option<Timestamp> {
        let (limit, resumed) = {
            let configured = self.limits.configured.borrow();
            (configured.pause_after_failures?, configured.resumed_at)
        };
        let mut known = self.limits.paused_since.lock();
        if known.is_none_or(|since| resumed.is_some_and(|resumed| resumed >= since)) {
            *known = paused_since(self.requests.read().rollouts().failures(), limit, resumed);
        }
        *known
    }

    /// Counts the workloads to which the last leader applied an update that no request shows yet.
    pub(crate) fn inherit_rollouts(&self) {
        let applied: Vec<WorkloadKey> = {
            let requests = self.requests.read();
            let index = self.index.read();
            let is_applied = |key: &&WorkloadKey| {
                let Some(workload) = index.workload(key) else { return false };
                let open = requests.open_of(key).iter().filter(|request| request.phase() != Phase::RollingOut);
                let names: BTreeSet<&str> = open.filter_map(|request| request.metadata.name.as_deref()).collect();
                named_requests(&workload).any(|name| names.contains(name))
            };
            requests.workloads().filter(is_applied).cloned().collect()
        };
        self.limits.starting().extend(applied);
    }
}
