//! `apps/v1` StatefulSet.

use headwind_core::target::{Kind, Target};
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use serde::{Deserialize, Serialize};

use super::{SlimSpec, Workload, read_template};

/// A StatefulSet with only what the rules read.
#[derive(Debug, Clone, Resource, Serialize, Deserialize)]
#[resource(inherit = StatefulSet)]
pub struct SlimStatefulSet {
    metadata: ObjectMeta,
    #[serde(default)]
    spec: SlimSpec,
}

impl Workload for SlimStatefulSet {
    const KIND: Kind = Kind::StatefulSet;

    fn read(&self) -> Option<Target> {
        read_template(Self::KIND, &self.metadata, &self.spec)
    }
}
