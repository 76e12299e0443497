//! `apps/v1` Deployment.

use headwind_core::rollout::{DeploymentView, View};
use headwind_core::workload::{Kind, Target};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use serde::{Deserialize, Serialize};

use super::{SlimSpec, Workload, read_template};

/// A Deployment with only what the rules read.
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
    conditions: Vec<Condition>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
struct Condition {
    r#type: String,
    status: String,
    reason: String,
    message: String,
}

/// Which of its ReplicaSets is the newest: the one with the same annotation.
pub const REVISION: &str = "deployment.kubernetes.io/revision";

impl Workload for SlimDeployment {
    const KIND: Kind = Kind::Deployment;

    fn read(&self) -> Option<Target> {
        let Status { observed_generation, replicas, updated_replicas, available_replicas, conditions } = &self.status;
        let exceeded = |condition: &&Condition| condition.r#type == "Progressing" && condition.reason == "ProgressDeadlineExceeded";
        let not_created = |condition: &&Condition| condition.r#type == "ReplicaFailure" && condition.status == "True";
        let words = |condition: &Condition| condition.message.as_str().into();
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
        read_template(Self::KIND, &self.metadata, &self.spec, View::Deployment(view), revision)
    }
}
