//! A pod, as far as a rollout is judged by it, and which pods are of the newest revision.

use headwind_core::rollout::pod::{ContainerView, PodView};
use headwind_core::target::{Kind, Target};
use k8s_openapi::api::apps::v1::ControllerRevision;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use serde::{Deserialize, Serialize};

use crate::kind::REVISION;

/// A Pod with only what a judgement reads.
#[derive(Debug, Clone, Resource, Serialize, Deserialize)]
#[resource(inherit = Pod)]
pub struct SlimPod {
    metadata: ObjectMeta,
    #[serde(default)]
    status: Status,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Status {
    conditions: Vec<Condition>,
    container_statuses: Vec<ContainerStatus>,
    init_container_statuses: Vec<ContainerStatus>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
struct Condition {
    r#type: String,
    status: String,
    reason: String,
    message: String,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ContainerStatus {
    name: String,
    ready: bool,
    restart_count: u32,
    state: State,
    last_state: State,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
struct State {
    running: Option<serde_json::Value>,
    waiting: Option<Words>,
    terminated: Option<Words>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Words {
    reason: String,
    message: String,
    exit_code: i32,
}

impl SlimPod {
    /// What a judgement of the target's rollout reads of it. `new` when it is of the newest revision.
    pub fn read(self, target: &Target, new: bool) -> PodView {
        let unschedulable = |condition: &Condition| {
            condition.r#type == "PodScheduled" && condition.status == "False" && condition.reason == "Unschedulable"
        };
        let Status { conditions, container_statuses, init_container_statuses } = self.status;
        let init = init_container_statuses.into_iter().map(|status| container(status, true));
        PodView {
            owned: owned(&self.metadata, target),
            uid: self.metadata.uid.unwrap_or_default(),
            name: self.metadata.name.unwrap_or_default(),
            new,
            deleting: self.metadata.deletion_timestamp.is_some(),
            unschedulable: conditions.into_iter().find(unschedulable).map(|condition| condition.message),
            containers: init.chain(container_statuses.into_iter().map(|status| container(status, false))).collect(),
        }
    }
}

fn container(status: ContainerStatus, init: bool) -> ContainerView {
    let ContainerStatus { name, ready, restart_count, state, last_state } = status;
    ContainerView {
        name,
        running: state.running.is_some(),
        ready,
        init,
        restarts: restart_count,
        waiting: state.waiting.map(|words| (words.reason, words.message)),
        ended: state.terminated.or(last_state.terminated).map(|words| (words.reason, words.exit_code, words.message)),
    }
}

/// The label by which pods of one revision are told: its key, and its value in the object that
/// stands for the revision.
pub fn revision_label(kind: Kind) -> &'static str {
    match kind {
        Kind::Deployment => "pod-template-hash",
        // A release owns no pods by itself; none is ever asked for.
        Kind::StatefulSet | Kind::DaemonSet | Kind::HelmRelease => "controller-revision-hash",
    }
}

/// The value of [`revision_label`] for a Deployment's newest pods, from its ReplicaSets.
pub fn newest_replica_set<'a>(target: &Target, sets: impl IntoIterator<Item = &'a ObjectMeta>) -> Option<String> {
    let newest =
        |set: &&ObjectMeta| owned(set, target) && set.annotations.as_ref().and_then(|all| all.get(REVISION)) == Some(&target.revision);
    sets.into_iter().find(newest).and_then(|set| label(set, Kind::Deployment))
}

/// The value of [`revision_label`] for a DaemonSet's newest pods, from its ControllerRevisions.
pub fn newest_revision<'a>(target: &Target, revisions: impl IntoIterator<Item = &'a ControllerRevision>) -> Option<String> {
    let ours = revisions.into_iter().filter(|revision| owned(&revision.metadata, target));
    ours.max_by_key(|revision| revision.revision).and_then(|revision| label(&revision.metadata, Kind::DaemonSet))
}

fn owned(metadata: &ObjectMeta, target: &Target) -> bool {
    metadata.owner_references.iter().flatten().any(|owner| owner.uid == target.uid)
}

fn label(metadata: &ObjectMeta, kind: Kind) -> Option<String> {
    metadata.labels.as_ref().and_then(|labels| labels.get(revision_label(kind))).cloned()
}
