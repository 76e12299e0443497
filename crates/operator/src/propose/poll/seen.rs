//! Notes on a workload which digests a scan first saw behind its images.

use headwind_core::workload::Target;
use headwind_k8s::patch;

use crate::cluster::Failure;
use crate::observe::index::Resolved;
use crate::propose::Recording;

impl Recording {
    /// Notes the digests, by container. On failure, gives up: the next scan retries.
    pub(super) async fn note_seen(&self, workload: &Resolved, seen: &[(String, String)]) {
        if !self.state.leadership.leads() {
            return;
        }
        let target = &workload.target;
        if let Err(failure) = self.patch_seen(target, seen).await {
            tracing::debug!(
                workload.kind = %target.key.kind, workload.namespace = target.key.namespace, workload.name = target.key.name,
                error = %failure, "failed to note the digests that the registry has; the next scan retries"
            );
        }
    }

    async fn patch_seen(&self, target: &Target, seen: &[(String, String)]) -> Result<(), Failure> {
        let Ok(patch) = patch::note_seen(target, seen) else { return Ok(()) };
        self.state.take_in(self.verbs.patch(target, patch).await?);
        Ok(())
    }
}
