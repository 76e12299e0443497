//! `helm.toolkit.fluxcd.io` HelmRelease.
//!
//! Its chart is known only together with its source (`headwind_core::workload::release::resolve`). This file reads only
//! the release itself.

pub mod status;

use std::fmt::Debug;
use std::marker::PhantomData;
use std::sync::Arc;

use headwind_core::rollout::View;
use headwind_core::workload::source::{ChartSourceRef, Release, SourceKey, SourceKind};
use headwind_core::workload::{Kind, PullSource, Workload, WorkloadKey};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::{Deserialize, Serialize};

use self::status::{RolloutSpec, Status, view};
use super::owner::owner_of;
use super::{KindFacts, Revision, SlimWorkload, own_annotations};
use crate::api_version::{SOURCES, V2, V2Beta2, Version, resource};
use crate::right::Right;

/// Flux's reason if a release may not use a source in another namespace (`fluxcd/pkg/apis/acl`, `AccessDeniedReason`;
/// helm-controller's `--no-cross-namespace-refs`).
const DENIED: &str = "AccessDenied";

/// The API group of helm-controller.
const GROUP: &str = "helm.toolkit.fluxcd.io";

/// The facts about HelmReleases.
pub(super) const FACTS: KindFacts = KindFacts {
    group: GROUP,
    versions: &[V2::NAME, V2Beta2::NAME],
    plural: "helmreleases",
    short_name: "hr",
    pod_template: None,
    // Flux's conditions report the state of the pods.
    revision: Revision::NoPods,
    watched_metric: "helm_releases_watched",
    purpose: "find out which charts run, and change their versions",
    rights: &[
        Right::watched(SOURCES, "helmrepositories", &["list", "watch"], "find the sources of charts"),
        Right::watched(
            SOURCES,
            "ocirepositories",
            &["get", "list", "watch", "patch"],
            "find the sources of charts, and change the tag for a release with `chartRef`",
        ),
    ],
    optional: true,
    read_after: &SourceKind::ALL,
};

/// A HelmRelease with only the fields that the rules use.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct SlimHelmRelease<V: Version = V2> {
    metadata: ObjectMeta,
    #[serde(default)]
    spec: Spec,
    #[serde(default)]
    status: Status,
    #[serde(skip)]
    version: PhantomData<V>,
}

resource!(SlimHelmRelease, GROUP, "HelmRelease", "helmreleases");

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    chart: Option<Template>,
    chart_ref: Option<Reference>,
    #[serde(flatten)]
    rollout: RolloutSpec,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
struct Template {
    spec: TemplateSpec,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct TemplateSpec {
    chart: String,
    version: String,
    source_ref: Reference,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
struct Reference {
    kind: String,
    name: String,
    namespace: Option<String>,
}

impl Reference {
    fn named(&self, namespace: &str) -> ChartSourceRef {
        let kind = match &*self.kind {
            "HelmRepository" => SourceKind::HelmRepository,
            "OCIRepository" => SourceKind::OciRepository,
            other => return ChartSourceRef::Other(other.to_owned()),
        };
        let namespace = self.namespace.clone().filter(|named| !named.is_empty()).unwrap_or_else(|| namespace.to_owned());
        ChartSourceRef::Source(SourceKey { kind, namespace, name: self.name.clone() })
    }
}

impl<V: Version> SlimWorkload for SlimHelmRelease<V> {
    const KIND: Kind = Kind::HelmRelease;

    fn read(&self) -> Option<Workload> {
        let (metadata, Spec { chart, chart_ref, rollout }) = (&self.metadata, &self.spec);
        let key = WorkloadKey { kind: Self::KIND, namespace: metadata.namespace.clone()?, name: metadata.name.clone()? };
        let (source, chart) = match (chart, chart_ref) {
            (Some(Template { spec }), _) => (spec.source_ref.named(&key.namespace), Some((spec.chart.clone(), spec.version.clone()))),
            (None, Some(reference)) => (reference.named(&key.namespace), None),
            (None, None) => (ChartSourceRef::Nothing, None),
        };
        let generation = metadata.generation.unwrap_or_default();
        let version = chart.as_ref().map(|(_, version)| version.as_str()).unwrap_or_default();
        let view = view(generation, version, rollout, &self.status);
        let release = Release {
            source,
            chart,
            suspended: view.suspended,
            denied: view.conditions.iter().find(|one| one.reason == DENIED && one.status == Some(false)).map(|one| one.message.clone()),
            accepted: self.status.chart_namespace().map(str::to_owned),
            running: view.newest.as_ref().map(|newest| newest.version.clone()),
        };
        Some(Workload {
            key,
            api_version: api_version(V::NAME),
            uid: metadata.uid.clone().unwrap_or_default(),
            resource_version: metadata.resource_version.clone().unwrap_or_default(),
            generation,
            annotations: own_annotations(metadata),
            has_annotations: metadata.annotations.is_some(),
            template_has_annotations: false,
            containers: Vec::new(),
            left_out: 0,
            release: Some(Arc::new(release)),
            destination: None,
            owner: owner_of(Self::KIND.as_str(), metadata),
            placement: None,
            pull: PullSource::default(),
            rollout: View::HelmRelease(Box::new(view)),
            selector: String::new(),
            revision: String::new(),
            deleting: metadata.deletion_timestamp.is_some(),
        })
    }
}

fn api_version(version: &str) -> &'static str {
    if version == V2::NAME { "helm.toolkit.fluxcd.io/v2" } else { "helm.toolkit.fluxcd.io/v2beta2" }
}

#[cfg(test)]
mod tests;
