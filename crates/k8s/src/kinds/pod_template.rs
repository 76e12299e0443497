//! The pod template, and the conversion of a kind with one into a [`Workload`].

use std::collections::{BTreeMap, HashSet};

use headwind_core::artifact::reference::bounded;
use headwind_core::rollout::View;
use headwind_core::settings::key;
use headwind_core::workload::placement::{Placement, Requirement, Toleration};
use headwind_core::workload::{Container, Kind, MAX_CONTAINERS, PullSource, Slot, Workload, WorkloadKey, noted_digest};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::{Deserialize, Serialize};

use super::annotations::{container_key, is_foreign, own_annotations, restart_key};
use super::owner::owner_of;

/// Maximum number of pull secrets of a workload that are read.
const PULL_SECRETS: usize = 32;
/// Maximum length of the name of an object in bytes.
const OBJECT_NAME: usize = 253;

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct SlimTemplate {
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
    volumes: Vec<SlimVolume>,
    #[serde(default)]
    image_pull_secrets: Vec<SlimLocalReference>,
    #[serde(default)]
    service_account_name: Option<String>,
    #[serde(default)]
    node_selector: BTreeMap<String, String>,
    #[serde(default)]
    affinity: Option<SlimAffinity>,
    #[serde(default)]
    tolerations: Vec<SlimToleration>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct SlimAffinity {
    #[serde(default)]
    node_affinity: Option<SlimNodeAffinity>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct SlimNodeAffinity {
    #[serde(default)]
    required_during_scheduling_ignored_during_execution: Option<SlimTerms>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct SlimTerms {
    node_selector_terms: Vec<SlimTerm>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct SlimTerm {
    match_expressions: Vec<SlimRequirement>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
struct SlimRequirement {
    key: String,
    operator: String,
    values: Vec<String>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
struct SlimToleration {
    key: String,
    operator: String,
    value: String,
    effect: String,
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

/// A volume. Only image sources are read.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct SlimVolume {
    #[serde(default)]
    name: String,
    #[serde(default)]
    image: Option<SlimImageVolume>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct SlimImageVolume {
    #[serde(default)]
    reference: String,
    #[serde(default)]
    pull_policy: Option<String>,
}

/// An image of the template, before the annotations are read.
struct Found<'a> {
    slot: Slot,
    index: usize,
    name: &'a str,
    image: &'a str,
    pull_policy: Option<&'a str>,
}

impl SlimPodSpec {
    /// Returns where the pods may be scheduled; `None` for anywhere. Terms that have only `matchFields` name single
    /// nodes, and are not read.
    fn placement(&self) -> Option<Box<Placement>> {
        let required = |affinity: &SlimAffinity| affinity.node_affinity.clone()?.required_during_scheduling_ignored_during_execution;
        let terms = self.affinity.as_ref().and_then(required).unwrap_or_default().node_selector_terms;
        let requirement = |SlimRequirement { key, operator, values }: SlimRequirement| Requirement { key, operator, values };
        let terms: Vec<Vec<Requirement>> =
            terms.into_iter().map(|term| term.match_expressions.into_iter().map(requirement).collect()).collect();
        let by_fields = terms.iter().any(Vec::is_empty);
        let toleration = |SlimToleration { key, operator, value, effect }: SlimToleration| Toleration { key, operator, value, effect };
        let placement = Placement {
            selector: self.node_selector.clone(),
            terms: if by_fields { Vec::new() } else { terms },
            tolerations: self.tolerations.iter().cloned().map(toleration).collect(),
        }
        .bounded();
        (placement != Placement::default()).then(|| Box::new(placement))
    }

    /// Returns the names of the pull secrets, each once, within the limit.
    fn pull_secrets(&self) -> Vec<String> {
        let mut known = HashSet::new();
        let names = self.image_pull_secrets.iter().map(|secret| secret.name.as_str());
        names.filter(|name| is_name(name) && known.insert(*name)).take(PULL_SECRETS).map(str::to_owned).collect()
    }

    /// Returns every image: containers, init containers, then image volumes. Skips a volume with the name of a
    /// container: a name must identify one image.
    fn images(&self) -> impl Iterator<Item = Found<'_>> {
        let named: HashSet<&str> = self.containers.iter().chain(&self.init_containers).map(|one| one.name.as_str()).collect();
        let volumes = self.volumes.iter().enumerate().filter_map(move |(index, volume)| {
            let image = volume.image.as_ref().filter(|image| !image.reference.is_empty() && !named.contains(volume.name.as_str()))?;
            let pull_policy = image.pull_policy.as_deref();
            Some(Found { slot: Slot::ImageVolume, index, name: &volume.name, image: &image.reference, pull_policy })
        });
        in_list(Slot::Container, &self.containers).chain(in_list(Slot::InitContainer, &self.init_containers)).chain(volumes)
    }
}

/// Returns true if an object may have that name.
fn is_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= OBJECT_NAME
}

fn in_list(slot: Slot, all: &[SlimContainer]) -> impl Iterator<Item = Found<'_>> {
    all.iter().enumerate().map(move |(index, one)| {
        let SlimContainer { name, image, image_pull_policy } = one;
        Found { slot, index, name, image, pull_policy: image_pull_policy.as_deref() }
    })
}

/// The values that a kind with a pod template adds to the template.
pub(super) struct Parts {
    pub(super) kind: Kind,
    pub(super) api_version: &'static str,
    /// The state of the rollout, from the status.
    pub(super) rollout: View,
    /// The label selector of the pods, as a query parameter.
    pub(super) selector: String,
    /// The identifier of the newest pods.
    pub(super) revision: String,
}

impl SlimTemplate {
    /// Returns a workload with this template.
    pub(super) fn read(&self, metadata: &ObjectMeta, parts: Parts) -> Option<Workload> {
        let Parts { kind, api_version, rollout, selector, revision } = parts;
        let annotations = own_annotations(metadata);
        let foreign = is_foreign(&annotations, metadata.uid.as_deref().unwrap_or_default());
        let template_annotations = self.metadata.as_ref().and_then(|metadata| metadata.annotations.as_ref());
        let container = |found: Found<'_>| {
            let mut container = Container {
                slot: found.slot,
                index: found.index,
                pulls_always: found.pull_policy == Some("Always"),
                // The API server accepts an image of 1 MB.
                ..Container::new(found.name, bounded(found.image))
            };
            container.restarted_for = template_annotations.filter(|_| !foreign).and_then(|all| all.get(&restart_key(&container)).cloned());
            let seen = annotations.get(&container_key(key::SEEN, &container));
            // A digest seen for another image does not apply.
            container.first_seen = noted_digest(&container.image, seen.map(String::as_str)).map(str::to_owned);
            container
        };
        let pod = &self.spec;
        let mut images = pod.images();
        let containers = images.by_ref().take(MAX_CONTAINERS).map(container).collect();
        let left_out = images.count();
        Some(Workload {
            key: WorkloadKey { kind, namespace: metadata.namespace.clone()?, name: metadata.name.clone()? },
            api_version,
            uid: metadata.uid.clone().unwrap_or_default(),
            resource_version: metadata.resource_version.clone().unwrap_or_default(),
            generation: metadata.generation.unwrap_or_default(),
            annotations,
            has_annotations: metadata.annotations.is_some(),
            template_has_annotations: template_annotations.is_some(),
            containers,
            left_out,
            release: None,
            destination: None,
            owner: owner_of(kind.as_str(), metadata),
            placement: pod.placement(),
            pull: PullSource::Pod {
                secrets: pod.pull_secrets(),
                service_account: pod.service_account_name.clone().filter(|name| is_name(name)),
            },
            rollout,
            selector,
            revision,
            deleting: metadata.deletion_timestamp.is_some(),
        })
    }
}
