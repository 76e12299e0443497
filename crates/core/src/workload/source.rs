//! The sources of charts, and the chart of a release, as plain values.
//!
//! Created by `headwind_k8s` from Flux's objects, one at a time; [`crate::workload::release`] combines them.

use std::fmt;
use std::time::Duration;

use crate::artifact::Origin;
use crate::reason::{Reason, Reasoned};
use crate::rollout::flux;
use crate::settings::{Annotations, key};
use crate::workload::owner::Owner;

/// The supported kinds of source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SourceKind {
    /// `source.toolkit.fluxcd.io` HelmRepository, classic or OCI.
    HelmRepository,
    /// `source.toolkit.fluxcd.io` OCIRepository.
    OciRepository,
}

impl SourceKind {
    /// Every kind.
    pub const ALL: [SourceKind; 2] = [SourceKind::HelmRepository, SourceKind::OciRepository];

    /// Returns the kind's name as in Flux.
    pub fn as_str(self) -> &'static str {
        match self {
            SourceKind::HelmRepository => "HelmRepository",
            SourceKind::OciRepository => "OCIRepository",
        }
    }
}

/// The key of a source.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SourceKey {
    /// Its kind.
    pub kind: SourceKind,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl fmt::Display for SourceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}/{}", self.kind.as_str(), self.namespace, self.name)
    }
}

/// The source that a release names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChartSourceRef {
    /// A source that can be queried for versions.
    Source(SourceKey),
    /// Another kind of source, with its kind. It holds one chart, not versions to choose from.
    Other(String),
    /// Nothing.
    Nothing,
}

/// The chart of a release, as read from its own object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    /// Its source.
    pub source: ChartSourceRef,
    /// Name and version in `spec.chart`; `None` if `spec.chartRef` is used.
    pub chart: Option<(String, String)>,
    /// `spec.suspend`.
    pub suspended: bool,
    /// Flux's message if it does not allow the source (reason `AccessDenied`).
    pub denied: Option<String>,
    /// The namespace of the source that Flux has accepted for `spec.chart`: that of its HelmChart (`status.helmChart`).
    pub accepted: Option<String>,
    /// The running version, from `status.history`.
    pub running: Option<String>,
}

/// The reference of an OCIRepository (`spec.ref`): digest before semver before tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OciRef {
    /// A tag.
    Tag(String),
    /// No reference: the tag `latest`.
    Latest,
    /// A range of tags.
    Semver(String),
    /// A digest.
    Digest(String),
}

/// A source with the fields that the rules use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The key.
    pub key: SourceKey,
    /// The object's UID.
    pub uid: String,
    /// The object's `resourceVersion` when it was read.
    pub resource_version: String,
    /// The object's `metadata.generation`.
    pub generation: i64,
    /// Headwind's annotations on it.
    pub annotations: Annotations,
    /// True if it has an annotations map.
    pub has_annotations: bool,
    /// Its owner.
    pub owner: Option<Box<Owner>>,
    /// `spec.url`.
    pub url: String,
    /// The reference of an OCIRepository; `None` for a HelmRepository.
    pub pull: Option<OciRef>,
    /// `spec.suspend`.
    pub suspended: bool,
    /// The credentials and the transport for queries.
    pub access: ChartAccess,
    /// Flux's interval for updating the source (`spec.interval`).
    pub interval: Duration,
    /// The state of an OCIRepository, for judging the rollout of its releases.
    pub seen: flux::Source,
}

/// The credentials and the transport for queries to a source: names of secrets in its namespace, and options.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct ChartAccess {
    /// The source's namespace.
    pub namespace: String,
    /// `secretRef`: user name and password, or a Docker configuration.
    pub secret: Option<String>,
    /// `certSecretRef`: roots and a client certificate.
    pub certificates: Option<String>,
    /// `proxySecretRef`.
    pub proxy: Option<String>,
    /// `serviceAccountName`: its pull secrets are used as well.
    pub service_account: Option<String>,
    /// True if a registry is queried over plain HTTP.
    pub insecure: bool,
    /// True if another host may receive the credential.
    pub pass_credentials: bool,
    /// The host for a user name and a password: known once source and release are combined.
    pub host: String,
}

impl ChartAccess {
    /// Returns true if a query uses secrets or a service account of the source's namespace.
    pub fn has_credentials(&self) -> bool {
        let Self { secret, certificates, proxy, service_account, .. } = self;
        secret.is_some() || certificates.is_some() || proxy.is_some() || service_account.is_some()
    }
}

/// The chart of a release, resolved against its source.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ResolvedChart {
    /// The origin of its versions, if known.
    pub origin: Option<Origin>,
    /// Why Headwind does not update it, if it does not.
    pub skip_reason: Option<Reasoned>,
    /// The number of releases that take their version from the same tag of an OCIRepository.
    pub shared_by: usize,
    /// True if the OCIRepository allows one release to move the tag for all.
    pub shareable: bool,
    /// The running version, if it differs from the one in the spec.
    pub running: Option<String>,
}

impl ResolvedChart {
    /// Returns why Headwind does not update the chart, if it does not.
    pub fn skip_reason(&self) -> Option<Reasoned> {
        let shared = self.shared_by > 1 && !self.shareable;
        self.skip_reason.clone().or_else(|| {
            shared.then(|| {
                let message = format!(
                    "other releases use the same tag; set the annotation {}: \"true\" on the OCIRepository to let one release change it for all of them",
                    key::SHARED_SOURCE
                );
                Reasoned::new(Reason::SourceShared, message)
            })
        })
    }
}
