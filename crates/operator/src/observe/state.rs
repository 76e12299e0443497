//! The state that all parts of the operator share, and leadership.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use headwind_core::workload::WorkloadKey;
use headwind_k8s::update_request::UpdateRequest;
use jiff::Timestamp;
use parking_lot::RwLock;

use crate::clock::SteppedClock;
use crate::cluster::Patched;
use crate::observe::index::Index;
use crate::observe::known_limits::KnownLimits;
use crate::observe::known_nodes::Nodes;
use crate::observe::readiness::Readiness;
use crate::observe::requests::{Change, Requests};

/// A listener that is called once for every change of a request.
type Listener = Box<dyn Fn(News) + Send + Sync>;

/// A notification to the listener.
#[derive(Debug)]
pub(crate) enum News {
    /// A request changed, by any writer.
    Changed(Box<Change>),
    /// The watch of that namespace (or of all) has delivered every change up to that resource version.
    Delivered(WatchedNamespace, u128),
}

/// A namespace, or all of them.
pub(crate) type WatchedNamespace = Option<Arc<str>>;

/// This process's copy of the API server's state.
#[derive(Default)]
pub(crate) struct State {
    pub(crate) index: RwLock<Index>,
    pub(crate) requests: RwLock<Requests>,
    pub(crate) leadership: Leadership,
    pub(crate) readiness: Readiness,
    /// The time since which the cluster is observed without a gap.
    pub(crate) observed_since: ObservedSince,
    pub(crate) clock: SteppedClock,
    /// The limits on the updates of all workloads together.
    pub(crate) limits: KnownLimits,
    /// The nodes, while a workload needs them.
    pub(crate) nodes: Nodes,
    listener: OnceLock<Listener>,
}

impl State {
    /// Returns true if a pass over the workload could have something to do after any change. If there are only finished
    /// requests, they need a pass only when the workload itself changes.
    pub(crate) fn concerns(&self, key: &WorkloadKey) -> bool {
        !self.requests.read().open_of(key).is_empty() || self.index.read().is_conspicuous(key)
    }

    /// Sets the listener for changes. Only the first call has an effect.
    pub(crate) fn listen(&self, listener: impl Fn(News) + Send + Sync + 'static) {
        drop(self.listener.set(Box::new(listener)));
    }

    pub(crate) fn publish(&self, news: News) {
        if let Some(listener) = self.listener.get() {
            listener(news);
        }
    }

    /// Stores a request and reports the change. Returns true if it is newer than the stored one.
    pub(crate) fn record(&self, request: UpdateRequest) -> bool {
        // The lock is released before the change is reported.
        let change = self.requests.write().apply(request);
        match change {
            Some(change) => {
                self.publish(News::Changed(Box::new(change)));
                true
            }
            None => false,
        }
    }

    /// Stores a patched object in the index. Returns false if there was none.
    pub(crate) fn take_in(&self, patched: Option<Patched>) -> bool {
        match patched {
            Some(Patched::Workload(workload)) => {
                self.index.write().apply(*workload);
            }
            Some(Patched::Source(source)) => {
                let mut index = self.index.write();
                let touched = index.apply_source(*source);
                index.unsettle(touched);
            }
            None => return false,
        }
        true
    }
}

/// The time since which the watches run and this process leads without interruption. Earlier changes may have been
/// missed.
#[derive(Debug)]
pub(crate) struct ObservedSince(AtomicI64);

impl Default for ObservedSince {
    fn default() -> Self {
        Self(AtomicI64::new(Timestamp::now().as_millisecond()))
    }
}

impl ObservedSince {
    /// Restarts the observation.
    pub(crate) fn begin(&self) {
        self.0.store(Timestamp::now().as_millisecond(), Ordering::Release);
    }

    /// Returns the start of the observation.
    pub(crate) fn since(&self) -> Timestamp {
        Timestamp::from_millisecond(self.0.load(Ordering::Acquire)).unwrap_or(Timestamp::MAX)
    }
}

/// The end of this process's leadership by its own clock.
#[derive(Debug)]
pub(crate) struct Leadership {
    origin: Instant,
    /// Milliseconds after `origin`; 0 while another replica leads.
    until: AtomicU64,
}

impl Default for Leadership {
    fn default() -> Self {
        Self { origin: Instant::now(), until: AtomicU64::new(0) }
    }
}

impl Leadership {
    /// Returns the time since this process started, by its monotonic clock.
    pub(crate) fn now(&self) -> Duration {
        self.origin.elapsed()
    }

    /// Returns true if this process may act now.
    pub(crate) fn leads(&self) -> bool {
        self.now().as_millis() < u128::from(self.until.load(Ordering::Acquire))
    }

    /// Extends leadership until that time.
    pub(crate) fn hold(&self, until: Duration) {
        self.until.store(u64::try_from(until.as_millis()).unwrap_or(u64::MAX), Ordering::Release);
    }

    /// Ends leadership.
    pub(crate) fn release(&self) {
        self.until.store(0, Ordering::Release);
    }
}
