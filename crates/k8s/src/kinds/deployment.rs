//! `apps/v1` Deployment.

use headwind_core::rollout::{DeploymentView, View};
use headwind_core::workload::{Kind, Workload};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use serde::{Deserialize, Serialize};

use super::apps::{self, SlimSpec};
use super::{KindFacts, Revision, SlimWorkload};
use crate::right::Right;
use crate::slim_condition::SlimCondition;

/// The annotation with the revision of a Deployment and of its ReplicaSets.
const REVISION: &str = "deployment.kubernetes.io/revision";

/// The facts about Deployments.
pub(super) const FACTS: KindFacts = KindFacts {
    group: apps::GROUP,
    versions: &["v1"],
    plural: "deployments",
    short_name: "deploy",
    pod_template: Some(apps::POD_TEMPLATE),
    revision: Revision::ReplicaSet { label: "pod-template-hash", annotation: REVISION },
    watched_metric: "deployments_watched",
    purpose: apps::PURPOSE,
    rights: &[Right::watched(apps::GROUP, "replicasets", &["list"], "identify the new pods of a Deployment")],
    optional: false,
    read_after: &[],
};

/// A Deployment with only the fields that the rules use.
#[derive(Debug, Clone, Resource, Serialize, Deserialize)]
#[resource(inherit = Deployment)]
pub struct SlimDeployment {
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
    updated_replicas: u32,
    available_replicas: u32,
    conditions: Vec<SlimCondition>,
}

impl SlimWorkload for SlimDeployment {
    const KIND: Kind = Kind::Deployment;

    fn read(&self) -> Option<Workload> {
        let Status { observed_generation, replicas, updated_replicas, available_replicas, conditions } = &self.status;
        let exceeded = |condition: &&SlimCondition| condition.r#type == "Progressing" && condition.reason == "ProgressDeadlineExceeded";
        let not_created = |condition: &&SlimCondition| condition.r#type == "ReplicaFailure" && condition.status == "True";
        let words = |condition: &SlimCondition| condition.message.as_str().into();
        let view = DeploymentView {
            replicas: self.spec.wanted(),
            paused: self.spec.paused,
            observed_generation: *observed_generation,
            total: *replicas,
            updated: *updated_replicas,
            available: *available_replicas,
            deadline_exceeded: conditions.iter().find(exceeded).map(words),
            replica_failure: conditions.iter().find(not_created).map(words),
        };
        let revision = self.metadata.annotations.as_ref().and_then(|all| all.get(REVISION)).cloned().unwrap_or_default();
        self.spec.read(Self::KIND, &self.metadata, View::Deployment(view), revision)
    }
}
