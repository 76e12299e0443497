//! `apps/v1` Deployment.

use headwind_core::target::{Kind, Target};
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
}

impl Workload for SlimDeployment {
    const KIND: Kind = Kind::Deployment;

    fn read(&self) -> Option<Target> {
        read_template(Self::KIND, &self.metadata, &self.spec)
    }
}
