//! `apps/v1` DaemonSet.

use headwind_core::target::{Kind, Target};
use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use serde::{Deserialize, Serialize};

use super::{SlimSpec, Workload, read_template};

/// A DaemonSet with only what the rules read.
#[derive(Debug, Clone, Resource, Serialize, Deserialize)]
#[resource(inherit = DaemonSet)]
pub struct SlimDaemonSet {
    metadata: ObjectMeta,
    #[serde(default)]
    spec: SlimSpec,
}

impl Workload for SlimDaemonSet {
    const KIND: Kind = Kind::DaemonSet;

    fn read(&self) -> Option<Target> {
        read_template(Self::KIND, &self.metadata, &self.spec)
    }
}
