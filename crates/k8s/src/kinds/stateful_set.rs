//! `apps/v1` StatefulSet.

use headwind_core::rollout::{StatefulSetView, View};
use headwind_core::workload::{Kind, Workload};
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use serde::{Deserialize, Serialize};

use super::apps::{self, SlimSpec};
use super::{KindFacts, Revision, SlimWorkload};
use crate::right::Right;

/// The facts about StatefulSets.
pub(super) const FACTS: KindFacts = KindFacts {
    group: apps::GROUP,
    versions: &["v1"],
    plural: "statefulsets",
    short_name: "sts",
    pod_template: Some(apps::POD_TEMPLATE),
    revision: Revision::Status { label: "controller-revision-hash" },
    watched_metric: "statefulsets_watched",
    purpose: apps::PURPOSE,
    rights: &[Right::watched(
        "",
        "pods/eviction",
        &["create"],
        "as the last resort, evict a broken pod of another version that an ordered StatefulSet waits for",
    )],
    optional: false,
    read_after: &[],
};

/// A StatefulSet with only the fields that the rules use.
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

impl SlimWorkload for SlimStatefulSet {
    const KIND: Kind = Kind::StatefulSet;

    fn read(&self) -> Option<Workload> {
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
            start: self.spec.start(),
            parallel: self.spec.pod_management_policy == "Parallel",
            on_delete: self.spec.on_delete(),
            observed_generation: *observed_generation,
            total: *replicas,
            ready: *ready_replicas,
            available: *available_replicas,
            updated: *updated_replicas,
            one_revision: current_revision == update_revision,
        };
        self.spec.read(Self::KIND, &self.metadata, View::StatefulSet(view), update_revision.clone())
    }
}
