//! A pod with the fields for judging a rollout, and the identification of the newest pods.

use headwind_core::rollout::pod::{ContainerView, PodView};
use headwind_core::workload::Workload;
use k8s_openapi::api::apps::v1::ControllerRevision;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use serde::{Deserialize, Serialize};

use crate::kinds::{Revision, facts};
use crate::slim_condition::SlimCondition;

/// A Pod with only the fields that the judgement uses.
#[derive(Debug, Clone, Resource, Serialize, Deserialize)]
#[resource(inherit = Pod)]
pub struct SlimPod {
    metadata: ObjectMeta,
    #[serde(default)]
    spec: Spec,
    #[serde(default)]
    status: Status,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    node_name: String,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Status {
    conditions: Vec<SlimCondition>,
    container_statuses: Vec<ContainerStatus>,
    init_container_statuses: Vec<ContainerStatus>,
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

/// Maximum length of a text of a pod, in characters. It is copied to status, Events, logs and the API.
const TEXT: usize = 500;
/// Maximum length of a container's termination message, which may be its log if the pod is configured so.
const LAST_WORDS: usize = 200;

impl SlimPod {
    /// Returns the view for judging the workload's rollout. `new` is true for a pod of the newest revision.
    pub fn read(self, workload: &Workload, new: bool) -> PodView {
        let Status { conditions, container_statuses, init_container_statuses } = self.status;
        let find = |kind: &str| conditions.iter().find(|condition| condition.r#type == kind);
        let unschedulable = find("PodScheduled").filter(|condition| condition.status == "False" && condition.reason == "Unschedulable");
        let ready = find("Ready");
        let init = init_container_statuses.into_iter().map(|status| container(status, true));
        PodView {
            owned: owned(&self.metadata, workload),
            uid: self.metadata.uid.unwrap_or_default(),
            name: self.metadata.name.unwrap_or_default(),
            new,
            deleting: self.metadata.deletion_timestamp.is_some(),
            unschedulable: unschedulable.map(|condition| one_line(&condition.message, TEXT)),
            // For a pod on a lost node, the node controller changes only `Ready`, without a reason. The kubelet and a
            // readiness gate would set a reason.
            lost_node: ready
                .filter(|condition| condition.status == "False" && condition.reason.is_empty())
                .filter(|_| find("ContainersReady").is_some_and(|condition| condition.status == "True"))
                .map(|_| self.spec.node_name),
            containers: init.chain(container_statuses.into_iter().map(|status| container(status, false))).collect(),
        }
    }
}

/// Returns the first non-empty line, without control characters, limited to that many characters.
fn one_line(text: &str, characters: usize) -> String {
    let line = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    let mut shown = line.chars().filter(|character| !character.is_control());
    let mut short: String = shown.by_ref().take(characters).collect();
    if shown.next().is_some() {
        short.push('…');
    }
    short
}

fn container(status: ContainerStatus, init: bool) -> ContainerView {
    let ContainerStatus { name, ready, restart_count, state, last_state } = status;
    ContainerView {
        name,
        running: state.running.is_some(),
        ready,
        init,
        restarts: restart_count,
        waiting: state.waiting.map(|words| (one_line(&words.reason, TEXT), one_line(&words.message, TEXT))),
        ended: state
            .terminated
            .or(last_state.terminated)
            .map(|words| (one_line(&words.reason, TEXT), words.exit_code, one_line(&words.message, LAST_WORDS))),
    }
}

/// Returns the label value of a workload's newest pods, from its ReplicaSets.
pub fn newest_replica_set<'a>(workload: &Workload, sets: impl IntoIterator<Item = &'a ObjectMeta>) -> Option<String> {
    let Revision::ReplicaSet { label, annotation } = facts(workload.key.kind).revision else { return None };
    let revision =
        |set: &ObjectMeta| set.annotations.as_ref().and_then(|all| all.get(annotation)).is_some_and(|it| *it == workload.revision);
    sets.into_iter().find(|set| owned(set, workload) && revision(set)).and_then(|set| value_of(set, label))
}

/// Returns the label value of a workload's newest pods, from its ControllerRevisions.
pub fn newest_revision<'a>(workload: &Workload, revisions: impl IntoIterator<Item = &'a ControllerRevision>) -> Option<String> {
    let Revision::ControllerRevision { label } = facts(workload.key.kind).revision else { return None };
    let ours = revisions.into_iter().filter(|revision| owned(&revision.metadata, workload));
    ours.max_by_key(|revision| revision.revision).and_then(|revision| value_of(&revision.metadata, label))
}

fn owned(metadata: &ObjectMeta, workload: &Workload) -> bool {
    metadata.owner_references.iter().flatten().any(|owner| owner.uid == workload.uid)
}

fn value_of(metadata: &ObjectMeta, label: &str) -> Option<String> {
    metadata.labels.as_ref().and_then(|labels| labels.get(label)).cloned()
}

#[cfg(test)]
mod tests;
