//! Records on a workload the digests that a scan saw first for its images.

use headwind_core::settings::Settings;
use headwind_core::workload::Workload;
use headwind_core::workload::owner::Handling;
use headwind_k8s::patch;

use crate::cluster::Failure;
use crate::observe::index::Resolved;
use crate::propose::Proposer;

impl Proposer {
    /// Records the digests by container. On failure, gives up: the next scan retries.
    pub(super) async fn note_seen(&self, resolved: &Resolved, seen: &[(String, String)]) {
        // The annotations of a workload whose owner applies its updates are left to the owner as well.
        let theirs = |settings: &Settings| resolved.workload.handling(settings) != Handling::Patch;
        if !self.state.leadership.leads() || resolved.containers().filter_map(|(_, settings)| settings).any(theirs) {
            return;
        }
        let workload = &resolved.workload;
        if let Err(failure) = self.patch_seen(workload, seen).await {
            tracing::debug!(
                workload.kind = %workload.key.kind, workload.namespace = workload.key.namespace, workload.name = workload.key.name,
                error = %failure, "failed to record the registry's digests; the next scan retries"
            );
        }
    }

    async fn patch_seen(&self, workload: &Workload, seen: &[(String, String)]) -> Result<(), Failure> {
        let Ok(patch) = patch::note_seen(workload, seen) else { return Ok(()) };
        self.state.take_in(self.cluster.patch(workload, patch).await?);
        Ok(())
    }
}
