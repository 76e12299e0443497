//! What every part of the operator looks at: the state, and who leads.

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
use crate::observe::readiness::Readiness;
use crate::observe::requests::{Change, Requests};

/// Hears of every change of a request, once.
type Listener = Box<dyn Fn(News) + Send + Sync>;

/// What the listener hears.
#[derive(Debug)]
pub(crate) enum News {
    /// A request changed, whoever changed it.
    Changed(Box<Change>),
    /// The watch of that namespace (or of all) has delivered everything up to that resource version.
    Delivered(WatchedNamespace, u128),
}

/// A namespace, or all of them.
pub(crate) type WatchedNamespace = Option<Arc<str>>;

/// The copy of the API server's state that this process keeps.
#[derive(Default)]
pub(crate) struct State {
    pub(crate) index: RwLock<Index>,
    pub(crate) requests: RwLock<Requests>,
    pub(crate) leadership: Leadership,
    pub(crate) readiness: Readiness,
    /// Since when the cluster is seen without a gap.
    pub(crate) observed_since: ObservedSince,
    pub(crate) clock: SteppedClock,
    listener: OnceLock<Listener>,
}

impl State {
    /// Whether a pass over the workload could find anything to do, whatever changed. Its finished requests have a
    /// part in it only when the workload itself changes.
    pub(crate) fn concerns(&self, key: &WorkloadKey) -> bool {
        !self.requests.read().open_of(key).is_empty() || self.index.read().is_conspicuous(key)
    }

    /// Sets who hears of changes. Only the first call counts.
    pub(crate) fn listen(&self, listener: impl Fn(News) + Send + Sync + 'static) {
        drop(self.listener.set(Box::new(listener)));
    }

    pub(crate) fn tell(&self, news: News) {
        if let Some(listener) = self.listener.get() {
            listener(news);
        }
    }

    /// Takes in a request, and reports the change. Returns whether it is newer than the one that was known.
    pub(crate) fn record(&self, request: UpdateRequest) -> bool {
        // The lock is released before the change is reported.
        let change = self.requests.write().apply(request);
        match change {
            Some(change) => {
                self.tell(News::Changed(Box::new(change)));
                true
            }
            None => false,
        }
    }

    /// Has the index show an object as it is after a patch. Returns whether there was one.
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

/// Since when the watches run and this process leads without a break: what did not happen before
/// that was perhaps not seen.
#[derive(Debug)]
pub(crate) struct ObservedSince(AtomicI64);

impl Default for ObservedSince {
    fn default() -> Self {
        Self(AtomicI64::new(Timestamp::now().as_millisecond()))
    }
}

impl ObservedSince {
    /// From now on it is seen again.
    pub(crate) fn begin(&self) {
        self.0.store(Timestamp::now().as_millisecond(), Ordering::Release);
    }

    /// Since when.
    pub(crate) fn since(&self) -> Timestamp {
        Timestamp::from_millisecond(self.0.load(Ordering::Acquire)).unwrap_or(Timestamp::MAX)
    }
}

/// Until when this process leads by its own clock.
#[derive(Debug)]
pub(crate) struct Leadership {
    origin: Instant,
    /// Milliseconds after `origin`; 0 while another leads.
    until: AtomicU64,
}

impl Default for Leadership {
    fn default() -> Self {
        Self { origin: Instant::now(), until: AtomicU64::new(0) }
    }
}

impl Leadership {
    /// The time since this process began, by its monotonic clock.
    pub(crate) fn now(&self) -> Duration {
        self.origin.elapsed()
    }

    /// Whether this process may act at this moment.
    pub(crate) fn leads(&self) -> bool {
        self.now().as_millis() < u128::from(self.until.load(Ordering::Acquire))
    }

    /// It may until that time.
    pub(crate) fn hold(&self, until: Duration) {
        self.until.store(u64::try_from(until.as_millis()).unwrap_or(u64::MAX), Ordering::Release);
    }

    /// It may not any more.
    pub(crate) fn release(&self) {
        self.until.store(0, Ordering::Release);
    }
}
