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
pub use helm_release::SlimHelmRelease;
pub use stateful_set::SlimStatefulSet;

use std::collections::BTreeMap;
use std::fmt::Debug;

use headwind_core::artifact::chart::{ChartReference, tag_of};
use headwind_core::rollout::View;
use headwind_core::settings::key::is_managed;
use headwind_core::settings::{self, Annotations, PREFIX, key};
use headwind_core::workload::{Container, Kind, PullSource, Target, TargetKey, noted_digest};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use kube::Resource;
use kube::core::Selector;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::served::Served;

/// A kind that Headwind keeps up to date.
///
/// A kind that has no pod template implements [`Workload::read`] by itself; the place of what is
/// changed stands in [`Place`].
pub trait Workload:
    Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned + Send + Sync + 'static
{
    /// Which kind it is.
    const KIND: Kind;

    /// What the rules read of it; `None` for an object without name or namespace, which the API
    /// server never serves.
    fn read(&self) -> Option<Target>;
}

/// The kind's resource: API group, and the plural that routes and rules use.
pub fn resource(kind: Kind) -> (&'static str, &'static str) {
    match kind {
        Kind::Deployment => ("apps", "deployments"),
        Kind::StatefulSet => ("apps", "statefulsets"),
        Kind::DaemonSet => ("apps", "daemonsets"),
        Kind::HelmRelease => Served::HelmRelease.resource(),
    }
}

/// Where in an object a container's version stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The JSON pointer of the field that changes.
    pub pointer: String,
    /// What has to stand beside it for the field to be the one that is meant: pointers and texts.
    pub guards: Vec<(String, String)>,
    form: Form,
}

/// How a version is written in its field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Image,
    Version,
    Tag,
}

impl Place {
    /// The place of the container's version: in the workload, or in the object that it has it from.
    pub fn of(target: &Target, container: &Container) -> Self {
        let (form, pointer, guard, guarded) = match (&container.chart, &target.carrier) {
            (None, _) => {
                let list = if container.init { "initContainers" } else { "containers" };
                let at = format!("/spec/template/spec/{list}/{}", container.index);
                (Form::Image, format!("{at}/image"), format!("{at}/name"), container.name.clone())
            }
            (Some(_), None) => {
                let chart = ChartReference::parse(&container.image).map(|chart| chart.name().to_owned()).unwrap_or_default();
                (Form::Version, "/spec/chart/spec/version".to_owned(), "/spec/chart/spec/chart".to_owned(), chart)
            }
            (Some(_), Some(carrier)) => (Form::Tag, "/spec/ref/tag".to_owned(), "/spec/url".to_owned(), carrier.url.clone()),
        };
        Self { pointer, guards: vec![(guard, guarded)], form }
    }

    /// The text that stands in the field for what is shown as `image`; none for one that has no
    /// version.
    pub fn written(&self, image: &str) -> Option<String> {
        let version = || ChartReference::parse(image).ok().map(|chart| chart.version().to_owned());
        match self.form {
            Form::Image => Some(image.to_owned()),
            Form::Version => version(),
            Form::Tag => version().map(|version| tag_of(&version)),
        }
    }
}

/// The key of the pod template's annotation that a container's new digest is written to, as
/// `<image>@<digest>`.
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
    #[serde(default)]
    pod_management_policy: String,
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

/// Headwind's own annotations out of an object's, within bounds.
///
/// Managed annotations that were copied with the manifest of another object say nothing of this one: their
/// values are read as empty.
pub fn own_annotations(metadata: &ObjectMeta) -> Annotations {
    let mut own = settings::own(metadata.annotations.iter().flatten());
    if is_foreign(&own, metadata.uid.as_deref().unwrap_or_default()) {
        own.iter_mut().filter(|(key, _)| is_managed(key) && *key != key::MANAGED_FOR).for_each(|(_, value)| value.clear());
    }
    own
}

/// Returns whether the managed annotations belong to another object than the one with that uid.
pub(crate) fn is_foreign(annotations: &Annotations, uid: &str) -> bool {
    annotations.get(key::MANAGED_FOR).is_some_and(|belong_to| belong_to != uid)
}

/// Reads a kind with a pod template. `rollout` and `revision` are what its status says.
fn read_template(kind: Kind, metadata: &ObjectMeta, spec: &SlimSpec, rollout: View, revision: String) -> Option<Target> {
    let annotations = own_annotations(metadata);
    let foreign = is_foreign(&annotations, metadata.uid.as_deref().unwrap_or_default());
    let template_annotations = spec.template.metadata.as_ref().and_then(|metadata| metadata.annotations.as_ref());
    let container = |init: bool| {
        let annotations = &annotations;
        move |(index, slim): (usize, &SlimContainer)| {
            let mut container = Container {
                init,
                index,
                pulls_always: slim.image_pull_policy.as_deref() == Some("Always"),
                ..Container::new(&slim.name, &slim.image)
            };
            container.restarted_for = template_annotations.filter(|_| !foreign).and_then(|all| all.get(&restart_key(&container)).cloned());
            let seen = annotations.get(&container_key(key::SEEN, &container));
            // What was seen behind another image says nothing of this one.
            container.first_seen = noted_digest(&container.image, seen.map(String::as_str)).map(str::to_owned);
            container
        }
    };
    let pod = &spec.template.spec;
    let containers = pod.containers.iter().enumerate().map(container(false));
    let containers = containers.chain(pod.init_containers.iter().enumerate().map(container(true))).collect();
    Some(Target {
        key: TargetKey { kind, namespace: metadata.namespace.clone()?, name: metadata.name.clone()? },
        api_version: "apps/v1",
        uid: metadata.uid.clone().unwrap_or_default(),
        resource_version: metadata.resource_version.clone().unwrap_or_default(),
        generation: metadata.generation.unwrap_or_default(),
        annotations,
        has_annotations: metadata.annotations.is_some(),
        template_has_annotations: template_annotations.is_some(),
        containers,
        release: None,
        carrier: None,
        pull: PullSource::Pod {
            secrets: pod.image_pull_secrets.iter().map(|secret| secret.name.clone()).filter(|name| !name.is_empty()).collect(),
            service_account: pod.service_account_name.clone().filter(|name| !name.is_empty()),
        },
        rollout,
        selector: spec.selector(),
        revision,
        deleting: metadata.deletion_timestamp.is_some(),
    })
}
