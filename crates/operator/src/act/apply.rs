//! The only writer of workloads: one guarded patch for all changes that are due.

use headwind_core::request::Apply;
use headwind_core::request::refusal::Refusal;
use headwind_core::workload::{Workload, WorkloadKey};
use headwind_k8s::patch;

use crate::act::reconciler::{Observation, Reconciler};
use crate::cluster::{Class, Failure};

/// The result of a patch.
pub(crate) enum Outcome {
    /// The workload was changed.
    Applied,
    /// The workload has changed since it was read; it was read again.
    Moved,
    /// The workload is unchanged, and the API server rejects the patch.
    Refused(Refusal),
}

impl Reconciler {
    /// Patches the workload, if it is unchanged since the decision.
    pub(crate) async fn apply(&self, key: &WorkloadKey, observation: &Observation, apply: &Apply) -> Result<Outcome, Failure> {
        let Some(workload) = &observation.workload else { return Ok(Outcome::Moved) };
        let patch = match patch::apply(workload, apply) {
            Ok(patch) => patch,
            Err(error) => return Ok(Outcome::Refused(Refusal::Invalid(error.to_string()))),
        };
        match self.cluster.patch(workload, patch).await {
            Ok(patched) => {
                if !self.state.take_in(patched) {
                    return Ok(Outcome::Moved);
                }
                Ok(Outcome::Applied)
            }
            Err(failure) if matches!(failure.class, Class::Conflict | Class::Invalid | Class::NotFound) => {
                self.reread(key, workload, &failure).await
            }
            // A webhook that cannot be reached denies the change like one that answers. Its workload must not keep a slot.
            Err(failure) if failure.class == Class::Forbidden || failure.is_from_webhook() => {
                Ok(Outcome::Refused(Refusal::Denied(failure.to_string())))
            }
            Err(failure) => Err(failure),
        }
    }

    /// Reads the workload again after a response of 422, which means either a failed `test` or an invalid object. The
    /// workload shows which of the two it was.
    async fn reread(&self, key: &WorkloadKey, decided_on: &Workload, failure: &Failure) -> Result<Outcome, Failure> {
        let version = |workload: &Workload| workload.destination.as_ref().map(|destination| destination.resource_version.clone());
        match self.read_workload(key).await? {
            Some(fresh) if fresh.resource_version == decided_on.resource_version && version(&fresh) == version(decided_on) => {
                Ok(Outcome::Refused(Refusal::Invalid(failure.to_string())))
            }
            Some(_) | None => Ok(Outcome::Moved),
        }
    }
}
