//! `source.toolkit.fluxcd.io` HelmRepository and OCIRepository: the sources of charts.
//!
//! Both are converted into `headwind_core::workload::source::Source`. Headwind only reads a HelmRepository. It may
//! change the tag of an OCIRepository.

use std::fmt::Debug;
use std::marker::PhantomData;
use std::time::Duration;

use headwind_core::workload::source::{ChartAccess, OciRef, Source, SourceKey, SourceKind};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::api_version::{SOURCES, V1, Version, resource};
use crate::kinds::helm_release::status::{SourceStatus, duration, source};
use crate::kinds::{own_annotations, owner_of};

/// Default interval of a HelmRepository (from source-controller).
const INTERVAL: Duration = Duration::from_mins(1);

/// A kind of source.
pub trait ChartSource:
    Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned + Send + Sync + 'static
{
    /// The kind.
    const KIND: SourceKind;

    /// Returns the source; `None` for an object without name or namespace, which the API server never returns.
    fn read(&self) -> Option<Source>;
}

/// A HelmRepository with only the fields that the rules use.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct SlimHelmRepository<V: Version = V1> {
    metadata: ObjectMeta,
    #[serde(default)]
    spec: Spec,
    #[serde(skip)]
    version: PhantomData<V>,
}

/// An OCIRepository with only the fields that the rules use.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct SlimOciRepository<V: Version = V1> {
    metadata: ObjectMeta,
    #[serde(default)]
    spec: Spec,
    #[serde(default)]
    status: SourceStatus,
    #[serde(skip)]
    version: PhantomData<V>,
}

resource!(SlimHelmRepository, SOURCES, "HelmRepository", "helmrepositories");
resource!(SlimOciRepository, SOURCES, "OCIRepository", "ocirepositories");

/// `spec` of both kinds. Not every kind has every field.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    url: String,
    suspend: bool,
    insecure: bool,
    pass_credentials: bool,
    secret_ref: Option<Named>,
    cert_secret_ref: Option<Named>,
    proxy_secret_ref: Option<Named>,
    service_account_name: Option<String>,
    interval: Option<String>,
    r#ref: Option<Ref>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
struct Named {
    name: String,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
struct Ref {
    digest: String,
    semver: String,
    tag: String,
}

impl<V: Version> ChartSource for SlimHelmRepository<V> {
    const KIND: SourceKind = SourceKind::HelmRepository;

    fn read(&self) -> Option<Source> {
        read(Self::KIND, &self.metadata, &self.spec, None, &SourceStatus::default())
    }
}

impl<V: Version> ChartSource for SlimOciRepository<V> {
    const KIND: SourceKind = SourceKind::OciRepository;

    fn read(&self) -> Option<Source> {
        let Ref { digest, semver, tag } = self.spec.r#ref.clone().unwrap_or_default();
        // In the order of source-controller.
        let pull = if !digest.is_empty() {
            OciRef::Digest(digest)
        } else if !semver.is_empty() {
            OciRef::Semver(semver)
        } else if tag.is_empty() {
            OciRef::Latest
        } else {
            OciRef::Tag(tag)
        };
        read(Self::KIND, &self.metadata, &self.spec, Some(pull), &self.status)
    }
}

fn read(kind: SourceKind, metadata: &ObjectMeta, spec: &Spec, pull: Option<OciRef>, status: &SourceStatus) -> Option<Source> {
    let key = SourceKey { kind, namespace: metadata.namespace.clone()?, name: metadata.name.clone()? };
    let generation = metadata.generation.unwrap_or_default();
    let name = |named: &Option<Named>| named.as_ref().map(|named| named.name.clone()).filter(|name| !name.is_empty());
    Some(Source {
        uid: metadata.uid.clone().unwrap_or_default(),
        resource_version: metadata.resource_version.clone().unwrap_or_default(),
        generation,
        annotations: own_annotations(metadata),
        has_annotations: metadata.annotations.is_some(),
        owner: owner_of(kind.as_str(), metadata),
        url: spec.url.trim().to_owned(),
        pull,
        suspended: spec.suspend,
        access: ChartAccess {
            namespace: key.namespace.clone(),
            secret: name(&spec.secret_ref),
            certificates: name(&spec.cert_secret_ref),
            proxy: name(&spec.proxy_secret_ref),
            service_account: spec.service_account_name.clone().filter(|name| !name.is_empty()),
            insecure: spec.insecure,
            pass_credentials: spec.pass_credentials,
            host: String::new(),
        },
        interval: spec.interval.as_deref().and_then(duration).unwrap_or(INTERVAL),
        seen: source(generation, status),
        key,
    })
}

#[cfg(test)]
mod tests;
