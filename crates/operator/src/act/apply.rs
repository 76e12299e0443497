//! The only writer of workloads: one guarded patch for everything that is due.

use headwind_core::request::Apply;
use headwind_core::request::refusal::Refusal;
use headwind_core::workload::{Workload, WorkloadKey};
use headwind_k8s::patch;

use crate::act::reconciler::{Observation, Reconciler};
use crate::cluster::{Class, Failure};

/// What became of a patch.
pub(crate) enum Outcome {
    /// The workload is changed.
    Applied,
    /// The workload is not as it was read (any more); it was read anew.
    Moved,
    /// The workload is as it was read, and the server does not take the change.
    Refused(Refusal),
}

impl Reconciler {
    /// Patches the workload, if it still is what was decided on.
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
                self.read_anew(key, workload, &failure).await
            }
            Err(failure) if failure.class == Class::Forbidden => Ok(Outcome::Refused(Refusal::Denied(failure.to_string()))),
            Err(failure) => Err(failure),
        }
    }

    /// A failed `test` and an object that is no longer valid are the same answer (422): the
    /// object itself says which it was.
    async fn read_anew(&self, key: &WorkloadKey, decided_on: &Workload, failure: &Failure) -> Result<Outcome, Failure> {
        let version = |workload: &Workload| workload.destination.as_ref().map(|destination| destination.resource_version.clone());
        match self.read_workload(key).await? {
            Some(fresh) if fresh.resource_version == decided_on.resource_version && version(&fresh) == version(decided_on) => {
                Ok(Outcome::Refused(Refusal::Invalid(failure.to_string())))
            }
            Some(_) | None => Ok(Outcome::Moved),
        }
    }
}
