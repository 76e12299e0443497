//! Where the charts of releases come from, and what a release says of its own, as plain values.
//!
//! Made by `headwind_k8s` from Flux's objects, one at a time; [`crate::workload::release`] puts them together.

use std::fmt;
use std::time::Duration;

use crate::artifact::Origin;
use crate::reason::Reason;
use crate::rollout::flux;
use crate::settings::{Annotations, key};

/// The kinds of source that Headwind knows how to ask.
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

    /// The kind's name as Flux spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            SourceKind::HelmRepository => "HelmRepository",
            SourceKind::OciRepository => "OCIRepository",
        }
    }
}

/// Which source.
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

/// What a release names as its source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChartSourceRef {
    /// One that can be asked for versions.
    Source(SourceKey),
    /// Another: its kind. It holds one chart, not versions to choose from.
    Other(String),
    /// Nothing.
    Nothing,
}

/// What a release says of its chart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    /// Its source.
    pub source: ChartSourceRef,
    /// Name and version in `spec.chart`; none where `spec.chartRef` names the whole.
    pub chart: Option<(String, String)>,
    /// `spec.suspend`.
    pub suspended: bool,
    /// What Flux says where it may not use the source (reason `AccessDenied`).
    pub denied: Option<String>,
    /// The namespace whose source Flux has accepted for `spec.chart`: that of its HelmChart (`status.helmChart`).
    pub accepted: Option<String>,
    /// The version that runs, as `status.history` tells it.
    pub running: Option<String>,
}

/// How an OCIRepository names what it pulls (`spec.ref`): digest before semver before tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OciRef {
    /// A tag.
    Tag(String),
    /// Nothing is named: the tag `latest`.
    Latest,
    /// A range of tags.
    Semver(String),
    /// A digest.
    Digest(String),
}

/// A source, as the rules read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Which.
    pub key: SourceKey,
    /// The object's uid.
    pub uid: String,
    /// The object's `resourceVersion` as it was read.
    pub resource_version: String,
    /// The object's `metadata.generation`.
    pub generation: i64,
    /// Headwind's annotations on it.
    pub annotations: Annotations,
    /// Whether it has an annotations map at all.
    pub has_annotations: bool,
    /// `spec.url`.
    pub url: String,
    /// What an OCIRepository pulls; none for a HelmRepository.
    pub pull: Option<OciRef>,
    /// `spec.suspend`.
    pub suspended: bool,
    /// What it is asked with.
    pub access: ChartAccess,
    /// How often Flux looks what it has (`spec.interval`).
    pub interval: Duration,
    /// What the rollout of its releases is judged by, for an OCIRepository.
    pub seen: flux::Source,
}

/// What a source is asked with: names of secrets in its namespace, and how it is reached.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct ChartAccess {
    /// The source's namespace.
    pub namespace: String,
    /// `secretRef`: user name and password, or a docker configuration.
    pub secret: Option<String>,
    /// `certSecretRef`: roots and a client's certificate.
    pub certificates: Option<String>,
    /// `proxySecretRef`.
    pub proxy: Option<String>,
    /// `serviceAccountName`: its pull secrets are tried as well.
    pub service_account: Option<String>,
    /// Whether a registry is asked by plain HTTP.
    pub insecure: bool,
    /// Whether another host may see the credential.
    pub pass_credentials: bool,
    /// The host that a user name and a password are for: known once source and release are put together.
    pub host: String,
}

impl ChartAccess {
    /// Returns true if a query uses secrets or a service account of the source's namespace.
    pub fn has_credentials(&self) -> bool {
        let Self { secret, certificates, proxy, service_account, .. } = self;
        secret.is_some() || certificates.is_some() || proxy.is_some() || service_account.is_some()
    }
}

/// The chart of a release, with its source looked up.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ResolvedChart {
    /// Where its versions are published, as far as that can be said.
    pub origin: Option<Origin>,
    /// Why Headwind leaves it alone, if it does: as a code, and for a person.
    pub skip_reason: Option<(Reason, String)>,
    /// How many releases take their version from the same tag of an OCIRepository.
    pub shared_by: usize,
    /// Whether the OCIRepository consents that one release moves the tag for all.
    pub shareable: bool,
    /// The version that runs, where it is not the one that stands there.
    pub running: Option<String>,
}

impl ResolvedChart {
    /// Returns why Headwind leaves the chart alone, if it does.
    pub fn skip_reason(&self) -> Option<(Reason, String)> {
        let shared = self.shared_by > 1 && !self.shareable;
        self.skip_reason.clone().or_else(|| {
            shared.then(|| {
                let message = format!(
                    "other releases follow the same tag; set the annotation {}: \"true\" on the OCIRepository to let one release move it for all",
                    key::SHARED_SOURCE
                );
                (Reason::SourceShared, message)
            })
        })
    }
}
