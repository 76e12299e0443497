//! The kinds of workloads, one file each: the fields that Headwind reads, the field with the version, and the rights
//! that the kind needs.
//!
//! A kind's file has a slim view (only the fields that the rules use are decoded and kept), an implementation of
//! [`SlimWorkload`], and its [`KindFacts`]. [`facts()`] and [`for_kind`] are the only lists of all kinds in this crate.

mod annotations;
mod apps;
mod cron_job;
mod daemon_set;
mod deployment;
mod facts;
mod field_path;
pub mod helm_release;
mod owner;
mod pod_template;
mod rollout;
mod stateful_set;

pub(crate) use annotations::is_foreign;
pub use annotations::{own_annotations, restart_key, seen_annotation};
pub use cron_job::SlimCronJob;
pub use daemon_set::SlimDaemonSet;
pub use deployment::SlimDeployment;
pub use facts::{KindFacts, Revision};
pub use field_path::FieldPath;
pub(crate) use field_path::template_annotations;
pub use helm_release::SlimHelmRelease;
pub(crate) use owner::owner_of;
pub use rollout::SlimRollout;
pub use stateful_set::SlimStatefulSet;

use std::fmt::Debug;

use headwind_core::workload::{Kind, Workload};
use k8s_openapi::NamespaceResourceScope;
use kube::Resource;
use serde::de::DeserializeOwned;

use crate::api_version::{V2, V2Beta2};

/// The slim view of a kind of workload.
pub trait SlimWorkload:
    Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned + Send + Sync + 'static
{
    /// The kind.
    const KIND: Kind;

    /// Returns the workload; `None` for an object without name or namespace, which the API server never returns.
    fn read(&self) -> Option<Workload>;
}

/// Returns the fixed facts about a kind.
pub fn facts(kind: Kind) -> &'static KindFacts {
    match kind {
        Kind::Deployment => &deployment::FACTS,
        Kind::StatefulSet => &stateful_set::FACTS,
        Kind::DaemonSet => &daemon_set::FACTS,
        Kind::CronJob => &cron_job::FACTS,
        Kind::Rollout => &rollout::FACTS,
        Kind::HelmRelease => &helm_release::FACTS,
    }
}

/// Code that is generic over the slim view of a kind.
pub trait ForKind {
    /// The result of the code.
    type Output;

    /// Runs the code.
    fn run<K: SlimWorkload>(self) -> Self::Output;
}

/// Runs code with the slim view of a kind. `version` is an index into [`KindFacts::versions`].
pub fn for_kind<F: ForKind>(kind: Kind, version: usize, code: F) -> F::Output {
    match (kind, version) {
        (Kind::Deployment, _) => code.run::<SlimDeployment>(),
        (Kind::StatefulSet, _) => code.run::<SlimStatefulSet>(),
        (Kind::DaemonSet, _) => code.run::<SlimDaemonSet>(),
        (Kind::CronJob, _) => code.run::<SlimCronJob>(),
        (Kind::Rollout, _) => code.run::<SlimRollout>(),
        (Kind::HelmRelease, 0) => code.run::<SlimHelmRelease<V2>>(),
        (Kind::HelmRelease, _) => code.run::<SlimHelmRelease<V2Beta2>>(),
    }
}

#[cfg(test)]
mod tests;
