//! `apps/v1` StatefulSet.

use headwind_core::rollout::{StatefulSetView, View};
use headwind_core::workload::{Kind, Target};
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
    #[serde(default)]
    status: Status,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Status {
    observed_generation: i64,
    replicas: u32,
    ready_replicas: u32,
    available_replicas: u32,
    updated_replicas: u32,
    current_revision: String,
    update_revision: String,
}

impl Workload for SlimStatefulSet {
    const KIND: Kind = Kind::StatefulSet;

    fn read(&self) -> Option<Target> {
        let Status {
            observed_generation,
            replicas,
            ready_replicas,
            available_replicas,
            updated_replicas,
            current_revision,
            update_revision,
        } = &self.status;
        let view = StatefulSetView {
            replicas: self.spec.wanted(),
            partition: self.spec.partition(),
            start: self.spec.ordinals.as_ref().map_or(0, |ordinals| ordinals.start),
            parallel: self.spec.pod_management_policy == "Parallel",
            on_delete: self.spec.on_delete(),
            observed_generation: *observed_generation,
            total: *replicas,
            ready: *ready_replicas,
            available: *available_replicas,
            updated: *updated_replicas,
            one_revision: current_revision == update_revision,
        };
        read_template(Self::KIND, &self.metadata, &self.spec, View::StatefulSet(view), update_revision.clone())
    }
}
