//! The only writer of workloads: one guarded patch for everything that is due.

use headwind_core::artifact::ArtifactKind;
use headwind_core::reason::Reason;
use headwind_core::request::refusal::Refusal;
use headwind_core::request::{Apply, ChangeKind};
use headwind_core::workload::release::CHART;
use headwind_core::workload::{Target, TargetKey};
use headwind_k8s::patch;
use kube::ResourceExt as _;

use crate::act::reconciler::{Reconciler, Scene};
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
    pub(crate) async fn apply(&self, key: &TargetKey, scene: &Scene, apply: &Apply) -> Result<Outcome, Failure> {
        let Some(target) = &scene.target else { return Ok(Outcome::Moved) };
        let patch = match patch::apply(target, apply) {
            Ok(patch) => patch,
            Err(error) => return Ok(Outcome::Refused(Refusal::Invalid(error.to_string()))),
        };
        match self.verbs.patch(target, patch).await {
            Ok(patched) => {
                if !self.state.take_in(patched) {
                    return Ok(Outcome::Moved);
                }
                self.applied(scene, apply, target);
                Ok(Outcome::Applied)
            }
            Err(failure) if matches!(failure.class, Class::Conflict | Class::Invalid | Class::NotFound) => {
                self.read_anew(key, target, &failure).await
            }
            Err(failure) if failure.class == Class::Forbidden => Ok(Outcome::Refused(Refusal::Denied(failure.to_string()))),
            Err(failure) => Err(failure),
        }
    }

    /// A failed `test` and an object that is no longer valid are the same answer (422): the
    /// object itself says which it was.
    async fn read_anew(&self, key: &TargetKey, decided_on: &Target, failure: &Failure) -> Result<Outcome, Failure> {
        let version = |target: &Target| target.carrier.as_ref().map(|carrier| carrier.resource_version.clone());
        match self.read_target(key).await? {
            Some(fresh) if fresh.resource_version == decided_on.resource_version && version(&fresh) == version(decided_on) => {
                Ok(Outcome::Refused(Refusal::Invalid(failure.to_string())))
            }
            Some(_) | None => Ok(Outcome::Moved),
        }
    }

    fn applied(&self, scene: &Scene, apply: &Apply, target: &Target) {
        for change in &apply.changes {
            let request = scene.object(&change.request);
            let note = match &change.restart_for {
                None if change.container == CHART && target.release.is_some() => format!("chart {} replaced by {}", change.from, change.to),
                None => format!("container {}: {} replaced by {}", change.container, change.from, change.to),
                Some(digest) => format!("container {}: {} is pulled anew for {digest}", change.container, change.to),
            };
            let (reason, what) = match change.kind {
                ChangeKind::Update => {
                    self.metrics.applied(request.map_or(ArtifactKind::Image, |request| request.spec.update_type.artifacts()));
                    (Reason::Applied, "update applied")
                }
                ChangeKind::ManualRollback => {
                    self.metrics.rollbacks.inc();
                    self.metrics.rollbacks_manual.inc();
                    (Reason::RollingBack, "rollback applied, as a person asked for")
                }
                ChangeKind::AutomaticRollback => {
                    self.metrics.rollbacks.inc();
                    self.metrics.rollbacks_automatic.inc();
                    (Reason::RollingBack, "rollback applied")
                }
            };
            tracing::info!(
                workload.kind = %target.key.kind, workload.namespace = target.key.namespace, workload.name = target.key.name,
                request.name = request.map(|request| request.name_any()), container = change.container, image.from = change.from, image.to = change.to, "{what}"
            );
            self.tell.target(target, reason, &note, request.map(|request| &**request));
        }
    }
}
