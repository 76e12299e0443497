//! The kinds of workload: what differs between them, one small file a kind.
//!
//! Each file has a slim view of its kind (only what the rules read is decoded and kept) and an
//! implementation of [`Workload`]. All that is common to them is here: the pod template, and how
//! it becomes a [`Target`].

mod daemon_set;
mod deployment;
pub mod helm_release;
mod stateful_set;

pub use daemon_set::SlimDaemonSet;
pub use deployment::{REVISION, SlimDeployment};
pub use stateful_set::SlimStatefulSet;

use std::collections::BTreeMap;
use std::fmt::Debug;

use headwind_core::rollout::View;
use headwind_core::settings::{Annotations, PREFIX, key};
use headwind_core::target::{Container, Kind, PullSource, Target, TargetKey};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use kube::Resource;
use kube::core::Selector;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// A kind that Headwind keeps up to date.
///
/// A kind that has no pod template (a HelmRelease, which is to come) implements [`Workload::read`] by
/// itself; the path of what is changed stands in [`image_pointer`].
pub trait Workload:
    Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned + Send + Sync + 'static
{
    /// Which kind it is.
    const KIND: Kind;

    /// What the rules read of it; `None` for an object without name or namespace, which the API
    /// server never serves.
    fn read(&self) -> Option<Target>;
}

/// The `apiVersion` that a request's `targetRef` names for the kind.
pub fn api_version(kind: Kind) -> &'static str {
    match kind {
        Kind::Deployment | Kind::StatefulSet | Kind::DaemonSet => "apps/v1",
    }
}

/// The kind's resource: API group, and the plural that routes and rules use.
pub fn resource(kind: Kind) -> (&'static str, &'static str) {
    match kind {
        Kind::Deployment => ("apps", "deployments"),
        Kind::StatefulSet => ("apps", "statefulsets"),
        Kind::DaemonSet => ("apps", "daemonsets"),
    }
}

/// The JSON pointer of a container's image.
pub fn image_pointer(container: &Container) -> String {
    format!("/spec/template/spec/{}/{}", if container.init { "initContainers" } else { "containers" }, container.index)
}

/// The key of the pod template's annotation that a container's new digest is written to.
///
/// An annotation's name has at most 63 characters (the API's qualified names); a container's name
/// that leaves no room for the prefix is cut and told apart by its place.
pub fn restart_key(container: &Container) -> String {
    container_key(key::RESTARTED_FOR, container)
}

/// The key of the object's annotation that the digest first seen is written to, and its value
/// (`<image>@<digest>`).
pub fn seen_annotation(container: &Container, digest: &str) -> (String, String) {
    (container_key(key::SEEN, container), format!("{}@{digest}", container.image))
}

fn container_key(begin: &str, container: &Container) -> String {
    let name = if container.name.len() + begin.len() - PREFIX.len() <= 63 {
        container.name.clone()
    } else {
        let place = format!("{}{}", if container.init { "i" } else { "c" }, container.index);
        format!("{}.{place}", container.name.chars().take(40).collect::<String>())
    };
    format!("{begin}{name}")
}

/// `spec` of the three kinds of apps/v1, as far as the rules read it. Not every kind has every field.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SlimSpec {
    template: SlimTemplate,
    #[serde(default)]
    selector: Option<LabelSelector>,
    #[serde(default)]
    replicas: Option<u32>,
    #[serde(default)]
    paused: bool,
    #[serde(default)]
    update_strategy: Option<SlimStrategy>,
    #[serde(default)]
    ordinals: Option<SlimOrdinals>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct SlimOrdinals {
    #[serde(default)]
    start: u32,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct SlimStrategy {
    #[serde(default)]
    r#type: String,
    #[serde(default)]
    rolling_update: Option<SlimRollingUpdate>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct SlimRollingUpdate {
    #[serde(default)]
    partition: u32,
}

impl SlimSpec {
    /// Pods that are asked for; the API's default is one.
    fn wanted(&self) -> u32 {
        self.replicas.unwrap_or(1)
    }

    fn on_delete(&self) -> bool {
        self.update_strategy.as_ref().is_some_and(|strategy| strategy.r#type == "OnDelete")
    }

    fn partition(&self) -> u32 {
        self.update_strategy.as_ref().and_then(|strategy| strategy.rolling_update.as_ref()).map_or(0, |rolling| rolling.partition)
    }

    /// The selector of the pods, as a list's parameter wants it; empty for one that cannot be said.
    fn selector(&self) -> String {
        let selector = self.selector.clone().and_then(|selector| Selector::try_from(selector).ok());
        selector.map(|selector| selector.to_string()).unwrap_or_default()
    }
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct SlimTemplate {
    #[serde(default)]
    metadata: Option<SlimTemplateMeta>,
    #[serde(default)]
    spec: SlimPodSpec,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct SlimTemplateMeta {
    #[serde(default)]
    annotations: Option<BTreeMap<String, String>>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct SlimPodSpec {
    #[serde(default)]
    containers: Vec<SlimContainer>,
    #[serde(default)]
    init_containers: Vec<SlimContainer>,
    #[serde(default)]
    image_pull_secrets: Vec<SlimLocalReference>,
    #[serde(default)]
    service_account_name: Option<String>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct SlimLocalReference {
    #[serde(default)]
    name: String,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct SlimContainer {
    name: String,
    #[serde(default)]
    image: String,
    #[serde(default)]
    image_pull_policy: Option<String>,
}

/// Headwind's own annotations out of an object's.
pub fn own_annotations(metadata: &ObjectMeta) -> Annotations {
    let all = metadata.annotations.iter().flatten();
    all.filter(|(key, _)| key.starts_with(PREFIX)).map(|(key, value)| (key.clone(), value.clone())).collect()
}

/// Reads a kind with a pod template. `rollout` and `revision` are what its status says.
fn read_template(kind: Kind, metadata: &ObjectMeta, spec: &SlimSpec, rollout: View, revision: String) -> Option<Target> {
    let template_annotations = spec.template.metadata.as_ref().and_then(|metadata| metadata.annotations.as_ref());
    let container = |init: bool| {
        move |(index, slim): (usize, &SlimContainer)| {
            let mut container = Container {
                name: slim.name.clone(),
                image: slim.image.clone(),
                init,
                index,
                pulls_always: slim.image_pull_policy.as_deref() == Some("Always"),
                restarted_for: None,
                first_seen: None,
            };
            container.restarted_for = template_annotations.and_then(|all| all.get(&restart_key(&container)).cloned());
            let seen = metadata.annotations.as_ref().and_then(|all| all.get(&container_key(key::SEEN, &container)));
            // What was seen behind another image says nothing of this one.
            container.first_seen = seen.and_then(|seen| Some(seen.strip_prefix(&container.image)?.strip_prefix('@')?.to_owned()));
            container
        }
    };
    let pod = &spec.template.spec;
    Some(Target {
        key: TargetKey { kind, namespace: metadata.namespace.clone()?, name: metadata.name.clone()? },
        uid: metadata.uid.clone().unwrap_or_default(),
        resource_version: metadata.resource_version.clone().unwrap_or_default(),
        generation: metadata.generation.unwrap_or_default(),
        annotations: own_annotations(metadata),
        has_annotations: metadata.annotations.is_some(),
        template_has_annotations: template_annotations.is_some(),
        containers: pod
            .containers
            .iter()
            .enumerate()
            .map(container(false))
            .chain(pod.init_containers.iter().enumerate().map(container(true)))
            .collect(),
        pull: PullSource {
            secrets: pod.image_pull_secrets.iter().map(|secret| secret.name.clone()).filter(|name| !name.is_empty()).collect(),
            service_account: pod.service_account_name.clone().filter(|name| !name.is_empty()),
        },
        rollout,
        selector: spec.selector(),
        revision,
        deleting: metadata.deletion_timestamp.is_some(),
    })
}
