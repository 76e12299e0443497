//! `argoproj.io/v1alpha1` Rollout, of Argo Rollouts.
//!
//! The Rollout's own status reports its progress. The pods of the newest revision add the cause of failures.

use std::marker::PhantomData;

use headwind_core::reason::{Reason, Reasoned};
use headwind_core::rollout::{ArgoPhase, ArgoRolloutView, View};
use headwind_core::workload::{Container, Kind, Workload};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use serde::{Deserialize, Serialize};

use super::apps::{POD_TEMPLATE, PURPOSE, label_selector};
use super::pod_template::{Parts, SlimTemplate};
use super::{KindFacts, Revision, SlimWorkload};
use crate::api_version::{V1Alpha1, Version, resource};

/// The API group of Argo's projects.
const GROUP: &str = "argoproj.io";

/// The facts about Rollouts.
pub(super) const FACTS: KindFacts = KindFacts {
    group: GROUP,
    versions: &[V1Alpha1::NAME],
    plural: "rollouts",
    short_name: "ro",
    pod_template: Some(POD_TEMPLATE),
    revision: Revision::Status { label: "rollouts-pod-template-hash" },
    watched_metric: "rollouts_watched",
    purpose: PURPOSE,
    rights: &[],
    optional: true,
    read_after: &[],
};

/// A Rollout with only the fields that the rules use.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct SlimRollout<V: Version = V1Alpha1> {
    metadata: ObjectMeta,
    #[serde(default)]
    spec: Spec,
    #[serde(default)]
    status: Status,
    #[serde(skip)]
    version: PhantomData<V>,
}

resource!(SlimRollout, GROUP, "Rollout", "rollouts");

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    replicas: Option<u32>,
    selector: Option<LabelSelector>,
    template: SlimTemplate,
    workload_ref: Option<WorkloadRef>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
struct WorkloadRef {
    kind: String,
    name: String,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Status {
    /// A decimal number.
    observed_generation: String,
    phase: String,
    message: String,
    #[serde(rename = "stableRS")]
    stable_rs: String,
    current_pod_hash: String,
    replicas: u32,
    updated_replicas: u32,
    available_replicas: u32,
}

impl Status {
    fn view(&self, replicas: u32) -> ArgoRolloutView {
        ArgoRolloutView {
            replicas,
            observed_generation: self.observed_generation.parse().unwrap_or_default(),
            phase: ArgoPhase::parse(&self.phase),
            message: self.message.as_str().into(),
            is_stable: self.stable_rs == self.current_pod_hash,
            total: self.replicas,
            updated: self.updated_replicas,
            available: self.available_replicas,
        }
    }
}

impl WorkloadRef {
    /// Returns the template that the Rollout references, as one container that cannot be updated here.
    fn container(&self) -> Container {
        let Self { kind, name } = self;
        let message = format!("the Rollout has its pod template from {kind} {name}; set Headwind's annotations there");
        Container { out_of_reach: Some(Box::new(Reasoned::new(Reason::TemplateElsewhere, message))), ..Container::new("workloadRef", "") }
    }
}

impl<V: Version> SlimWorkload for SlimRollout<V> {
    const KIND: Kind = Kind::Rollout;

    fn read(&self) -> Option<Workload> {
        let Spec { replicas, selector, template, workload_ref } = &self.spec;
        let parts = Parts {
            kind: Self::KIND,
            api_version: "argoproj.io/v1alpha1",
            rollout: View::ArgoRollout(self.status.view(replicas.unwrap_or(1))),
            selector: label_selector(selector.as_ref()),
            revision: self.status.current_pod_hash.clone(),
        };
        let mut workload = template.read(&self.metadata, parts)?;
        if let Some(reference) = workload_ref {
            workload.containers = vec![reference.container()];
            workload.left_out = 0;
        }
        Some(workload)
    }
}

#[cfg(test)]
mod tests;
