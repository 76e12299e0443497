//! Readiness: no decision is made before the caches are complete.
//!
//! Each watch is a part. A part is done when its first list is complete, with all its pages. The reconciler, the
//! intake and the poller wait until every watch is done ([`Readiness::synced`]); `/ready` waits for the servers too.
//!
//! An API that a cluster may lack is an optional part. If it cannot be listed (no permission, a conversion webhook that
//! fails), readiness stops waiting for it after [`PATIENCE`]. Objects that depend on it are then read live, one by one.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::Notify;

/// Prefix of the names of the parts that complete the caches.
pub(crate) const WATCH: &str = "watch ";
/// Time after which readiness stops waiting for a failing optional API.
const PATIENCE: Duration = Duration::from_secs(30);
/// Time without a further failure after which a watch counts as working: longer than its longest pause.
const FORGOTTEN: Duration = Duration::from_secs(30);
/// Minimum time between the first and the last failure before the failing watch is reported. A watch that restarts fails
/// once.
const NOTICED: Duration = Duration::from_secs(3);

/// The parts that must be ready before the process is ready.
#[derive(Debug, Default)]
pub(crate) struct Readiness {
    parts: Mutex<BTreeMap<String, Part>>,
    synced: AtomicBool,
    stopping: AtomicBool,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Part {
    done: bool,
    optional: bool,
    failing: Option<Failing>,
}

/// Consecutive failures.
#[derive(Debug, Clone, Copy)]
struct Failing {
    first: Instant,
    last: Instant,
}

impl Readiness {
    /// Adds a part that must become ready.
    pub(crate) fn expect(&self, part: &str) {
        self.parts.lock().entry(part.to_owned()).or_default();
    }

    /// Adds a part that must become ready unless it keeps failing.
    pub(crate) fn expect_optional(&self, part: &str) {
        self.parts.lock().entry(part.to_owned()).or_default().optional = true;
    }

    /// Marks the part as ready. It stays ready.
    pub(crate) fn done(&self, part: &str) {
        let mut parts = self.parts.lock();
        parts.entry(part.to_owned()).or_default().done = true;
        if parts.iter().filter(|(part, _)| part.starts_with(WATCH)).all(|(_, part)| part.done) {
            self.synced.store(true, Ordering::Release);
        }
        self.changed.notify_waiters();
    }

    /// Records progress of the part and resets its failures.
    pub(crate) fn progressed(&self, part: &str) {
        if let Some(part) = self.parts.lock().get_mut(part) {
            part.failing = None;
        }
    }

    /// Records a failure of the part. Returns true if readiness stops waiting for it now.
    pub(crate) fn failed(&self, part: &str, now: Instant) -> bool {
        let waived = self.parts.lock().get_mut(part).is_some_and(|part| {
            let before = part.failing.filter(|failing| now.saturating_duration_since(failing.last) <= FORGOTTEN);
            let first = before.map_or(now, |failing| failing.first);
            part.failing = Some(Failing { first, last: now });
            part.optional && !part.done && now.saturating_duration_since(first) >= PATIENCE
        });
        if waived {
            self.done(part);
        }
        waived
    }

    /// Returns for how long a watch has failed again and again, if one does. A watch that works again delivers nothing
    /// until something changes, so a failure counts as ended some time after the last error.
    pub(crate) fn failing_for(&self, now: Instant) -> Option<Duration> {
        let parts = self.parts.lock();
        let failing = parts.values().filter(|part| !part.optional).filter_map(|part| part.failing);
        let current = failing.filter(|failing| {
            now.saturating_duration_since(failing.last) <= FORGOTTEN && failing.last.saturating_duration_since(failing.first) >= NOTICED
        });
        current.map(|failing| now.saturating_duration_since(failing.first)).max()
    }

    /// Marks the process as not ready, permanently.
    pub(crate) fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
    }

    /// Returns the missing parts; empty if the process is ready.
    pub(crate) fn missing(&self) -> Vec<String> {
        let mut missing: Vec<String> = self.parts.lock().iter().filter(|(_, part)| !part.done).map(|(name, _)| name.clone()).collect();
        if self.stopping.load(Ordering::Acquire) {
            missing.push("stopping".to_owned());
        }
        missing
    }

    /// Returns true if the caches are complete.
    pub(crate) fn synced(&self) -> bool {
        self.synced.load(Ordering::Acquire)
    }

    /// Waits until the part is ready.
    pub(crate) async fn until_done(&self, part: &str) {
        loop {
            let notified = self.changed.notified();
            if self.parts.lock().get(part).is_some_and(|part| part.done) {
                return;
            }
            notified.await;
        }
    }

    /// Waits until the caches are complete.
    pub(crate) async fn until_synced(&self) {
        loop {
            let notified = self.changed.notified();
            if self.synced() {
                return;
            }
            notified.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two() -> Readiness {
        let readiness = Readiness::default();
        readiness.expect("watch deployments.apps");
        readiness.expect_optional("watch helmreleases.helm.toolkit.fluxcd.io");
        readiness.expect("server api");
        readiness
    }

    #[test]
    fn the_caches_are_whole_when_every_watch_is() {
        let readiness = two();
        readiness.done("watch deployments.apps");
        assert!(!readiness.synced(), "an optional API that is there is waited for");
        readiness.done("watch helmreleases.helm.toolkit.fluxcd.io");
        assert!(readiness.synced());
        assert_eq!(readiness.missing(), ["server api"]);
    }

    #[test]
    fn a_watch_that_fails_again_and_again() {
        let (readiness, start) = (two(), Instant::now());
        let after = |seconds: u64| start + Duration::from_secs(seconds);
        let deployments = "watch deployments.apps";
        readiness.done(deployments);
        readiness.failed(deployments, start);
        assert_eq!(readiness.failing_for(after(20)), None, "a watch that restarts");
        readiness.failed(deployments, after(4));
        assert_eq!(readiness.failing_for(after(10)), Some(Duration::from_secs(10)));
        assert_eq!(readiness.failing_for(after(35)), None, "it works again");
        readiness.failed(deployments, after(40));
        assert_eq!(readiness.failing_for(after(40)), None, "another trouble, as short as the first");
        readiness.failed(deployments, after(45));
        readiness.progressed(deployments);
        assert_eq!(readiness.failing_for(after(45)), None);
        let releases = "watch helmreleases.helm.toolkit.fluxcd.io";
        readiness.failed(releases, start);
        readiness.failed(releases, after(10));
        assert_eq!(readiness.failing_for(after(10)), None, "an API that a cluster may lack");
    }

    #[test]
    fn an_optional_api_that_keeps_failing_is_waived_and_no_other() {
        let (readiness, start) = (two(), Instant::now());
        let after = |seconds: u64| start + Duration::from_secs(seconds);
        let releases = "watch helmreleases.helm.toolkit.fluxcd.io";
        assert!(!readiness.failed(releases, start));
        assert!(!readiness.failed(releases, after(29)));
        readiness.progressed(releases);
        assert!(!readiness.failed(releases, after(40)), "a page came in between");
        assert!(!readiness.failed("watch deployments.apps", start));
        assert!(!readiness.failed("watch deployments.apps", after(600)), "nothing works without it");
        assert!(readiness.failed(releases, after(70)));
        assert!(!readiness.failed(releases, after(80)), "said once");
        assert!(!readiness.synced());
        readiness.done("watch deployments.apps");
        assert!(readiness.synced());
    }
}
