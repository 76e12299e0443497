//! The look-ups of releases that were made.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use headwind_core::workload::WorkloadKey;

/// A release as far as a look-up depends on it.
pub(super) type Fingerprint = u64;

/// A look-up begins at some moment of this time, so that a start with hundreds of releases is no burst.
pub(super) const SOON: Duration = Duration::from_secs(5);

/// The releases that were looked up, each as it was then.
///
/// What could not be recorded is tried again by whoever records; that asks no repository again.
#[derive(Debug, Clone, Default)]
pub(super) struct LookUps(HashMap<WorkloadKey, Fingerprint>);

impl LookUps {
    /// Returns whether the release was looked up as it is now.
    pub(super) fn is_done(&self, release: &WorkloadKey, now: Fingerprint) -> bool {
        self.0.get(release) == Some(&now)
    }

    /// The release was looked up.
    pub(super) fn done(&mut self, release: WorkloadKey, now: Fingerprint) {
        self.0.insert(release, now);
    }

    /// Forgets the releases that are gone.
    pub(super) fn retain(&mut self, releases: &HashSet<WorkloadKey>) {
        self.0.retain(|release, _| releases.contains(release));
    }
}
