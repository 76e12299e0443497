//! `apps/v1` DaemonSet.

use headwind_core::rollout::{DaemonSetView, View};
use headwind_core::workload::{Kind, Workload};
use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use serde::{Deserialize, Serialize};

use super::apps::{self, SlimSpec};
use super::{KindFacts, Revision, SlimWorkload};
use crate::right::Right;

/// The facts about DaemonSets.
pub(super) const FACTS: KindFacts = KindFacts {
    group: apps::GROUP,
    versions: &["v1"],
    plural: "daemonsets",
    short_name: "ds",
    pod_template: Some(apps::POD_TEMPLATE),
    revision: Revision::ControllerRevision { label: "controller-revision-hash" },
    watched_metric: "daemonsets_watched",
    purpose: apps::PURPOSE,
    rights: &[Right::watched(apps::GROUP, "controllerrevisions", &["list"], "identify the new pods of a DaemonSet")],
    optional: false,
    read_after: &[],
};

/// A DaemonSet with only the fields that the rules use.
#[derive(Debug, Clone, Resource, Serialize, Deserialize)]
#[resource(inherit = DaemonSet)]
pub struct SlimDaemonSet {
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
    desired_number_scheduled: u32,
    updated_number_scheduled: u32,
    number_available: u32,
}

impl SlimWorkload for SlimDaemonSet {
    const KIND: Kind = Kind::DaemonSet;

    fn read(&self) -> Option<Workload> {
        let Status { observed_generation, desired_number_scheduled, updated_number_scheduled, number_available } = &self.status;
        let view = DaemonSetView {
            on_delete: self.spec.on_delete(),
            observed_generation: *observed_generation,
            desired: *desired_number_scheduled,
            updated: *updated_number_scheduled,
            available: *number_available,
        };
        // Its status does not name a revision: the newest ControllerRevision does.
        self.spec.read(Self::KIND, &self.metadata, View::DaemonSet(view), String::new())
    }
}
