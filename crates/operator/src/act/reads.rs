//! What one pass has read from the API server.
//!
//! The patch of an update tests the version of the object that it changes, so the settings in the annotations of that
//! object need no read. Other settings are read before the patch: those of a Namespace that cannot be watched, and those
//! of a release whose version is in another object.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use headwind_core::request::Apply;
use headwind_core::settings::Annotations;
use headwind_core::workload::WorkloadKey;
use headwind_k8s::update_request::UpdateRequest;

use crate::act::live::{Live, LiveWorkload};
use crate::act::reconciler::{Observation, Reconciler};
use crate::cluster::Failure;

/// Maximum number of patches in one pass that meet a newer object. Then the pass ends, and the workload waits for
/// [`PAUSE`]: an object that changes all the time must not keep a place among the running passes.
const MOVES: u32 = 5;
/// The pause of such a workload. It does not grow, because a rollback may wait for it.
pub(super) const PAUSE: Duration = Duration::from_secs(1);

/// The objects read from the API server in one pass.
#[derive(Default)]
pub(super) struct Reads {
    pub(super) live: Option<LiveWorkload>,
    /// Headwind's annotations on the namespace.
    pub(super) defaults: Option<Arc<Annotations>>,
    /// Finished requests, because the store has only a part of them.
    pub(super) finished: HashMap<String, Arc<UpdateRequest>>,
    moves: u32,
}

impl Reads {
    pub(super) fn take(&mut self, Live { workload, defaults }: Live) {
        (self.live, self.defaults) = (Some(workload), Some(defaults));
    }

    /// Forgets what may have changed with the workload, because a patch met a newer object. Returns true if that happened
    /// too often in this pass.
    pub(super) fn moved(&mut self) -> bool {
        (self.live, self.defaults) = (None, None);
        self.moves += 1;
        self.moves >= MOVES
    }
}

impl Reconciler {
    /// Reads what the settings of an update consist of and its patch does not test. Returns true if something was read,
    /// so that the pass decides again.
    ///
    /// # Errors
    /// If the API server does not answer, or does not serve the kind of the workload now.
    pub(super) async fn read_untested(
        &self,
        key: &WorkloadKey,
        observation: &Observation,
        apply: &Apply,
        reads: &mut Reads,
    ) -> Result<bool, Failure> {
        let Some(workload) = observation.workload.as_ref().filter(|_| apply.is_update()) else { return Ok(false) };
        if workload.destination.is_some() && reads.live.is_none() {
            let live = self.read_live(key).await?;
            self.served(key, live.workload)?;
            reads.take(live);
            return Ok(true);
        }
        if reads.defaults.is_some() || !self.cluster.is_limited() {
            return Ok(false);
        }
        let requests = apply.changes.iter().map(|change| change.request.as_str());
        reads.defaults = Some(Arc::new(self.early_reads.defaults(workload, requests).await?));
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_that_changes_all_the_time_ends_the_pass() {
        let mut reads = Reads { live: Some(LiveWorkload::Present), defaults: Some(Arc::default()), ..Reads::default() };
        assert!(!reads.moved());
        assert!(reads.live.is_none() && reads.defaults.is_none(), "both are read again");
        assert!((1..MOVES).any(|_| reads.moved()));
    }
}
