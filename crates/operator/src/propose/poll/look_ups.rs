//! The completed look-ups of releases.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use headwind_core::workload::WorkloadKey;

/// The subject of a look-up: a hash of the fields of a release that it depends on.
pub(super) type Subject = u64;

/// Look-ups are spread over this time, so that a start with hundreds of releases causes no burst.
pub(super) const SOON: Duration = Duration::from_secs(5);

/// The releases that were looked up, each in its state at that time.
///
/// The proposer retries unrecorded updates without another query.
#[derive(Debug, Clone, Default)]
pub(super) struct LookUps(HashMap<WorkloadKey, Subject>);

impl LookUps {
    /// Returns true if the release was looked up in its current state.
    pub(super) fn is_done(&self, release: &WorkloadKey, now: Subject) -> bool {
        self.0.get(release) == Some(&now)
    }

    /// Records that the release was looked up.
    pub(super) fn done(&mut self, release: WorkloadKey, now: Subject) {
        self.0.insert(release, now);
    }

    /// Removes the releases that are gone.
    pub(super) fn retain(&mut self, releases: &HashSet<WorkloadKey>) {
        self.0.retain(|release, _| releases.contains(release));
    }
}
