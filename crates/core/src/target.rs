//! The workload, as the rules see it: a few strings out of a large object.
//!
//! Made by `headwind_k8s::kind` from each kind's slim view; kept by the operator's index, so it
//! holds only what a rule reads. Which fields of which kind these come from is known there alone.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::artifact::{Artifact, ArtifactError, Origin};
use crate::policy::{Kind as VersionKind, Policy};
use crate::reason::Reason;
use crate::reference::Digest;
use crate::rollout::View;
use crate::settings::{Annotations, Settings};
use crate::source::{ChartAccess, ChartSite, Named, Release};

/// The kinds of workload that Headwind updates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub enum Kind {
    /// `apps/v1` Deployment.
    Deployment,
    /// `apps/v1` StatefulSet.
    StatefulSet,
    /// `apps/v1` DaemonSet.
    DaemonSet,
    /// `helm.toolkit.fluxcd.io/v2` HelmRelease.
    HelmRelease,
}

impl Kind {
    /// Every kind, in the order in which they are listed to people.
    pub const ALL: &'static [Kind] = &[Kind::Deployment, Kind::StatefulSet, Kind::DaemonSet, Kind::HelmRelease];

    /// The kind's name as Kubernetes spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Deployment => "Deployment",
            Kind::StatefulSet => "StatefulSet",
            Kind::DaemonSet => "DaemonSet",
            Kind::HelmRelease => "HelmRelease",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Kind {
    type Err = UnknownKind;

    /// Reads a kind's name, whatever its case, as `kubectl` does.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Kind::ALL
            .iter()
            .copied()
            .find(|kind| kind.as_str().eq_ignore_ascii_case(text))
            .ok_or_else(|| UnknownKind(text.chars().take(64).collect()))
    }
}

/// A word that names none of the kinds.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a kind that Headwind knows (Deployment, StatefulSet, DaemonSet, HelmRelease)")]
pub struct UnknownKind(String);

/// Which workload: the key that everything is looked up, queued and reconciled by.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TargetKey {
    /// The workload's kind.
    pub kind: Kind,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl fmt::Display for TargetKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}/{}", self.kind, self.namespace, self.name)
    }
}

/// A workload with what the rules read of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Kind, namespace and name.
    pub key: TargetKey,
    /// The `apiVersion` that the object was read in, such as `apps/v1`.
    pub api_version: &'static str,
    /// The object's uid: a new object under the old name is another target.
    pub uid: String,
    /// The object's `resourceVersion` as it was read.
    pub resource_version: String,
    /// The object's `metadata.generation`.
    pub generation: i64,
    /// Headwind's own annotations (`headwind.sh/…`) and no others.
    pub annotations: Annotations,
    /// Whether the object has an annotations map at all, Headwind's or foreign.
    pub has_annotations: bool,
    /// Whether the pod template has an annotations map at all.
    pub template_has_annotations: bool,
    /// Containers first, then init containers, each in the object's order. A release has one.
    pub containers: Vec<Container>,
    /// For a release: what it says of its chart.
    pub release: Option<Arc<Release>>,
    /// The object that changes are written to, where it is not the workload itself.
    pub carrier: Option<Carrier>,
    /// Whose credentials its images are pulled with.
    pub pull: PullSource,
    /// What its status says of its rollout.
    pub rollout: View,
    /// The label selector of its pods, as the API's parameter wants it; empty for none.
    pub selector: String,
    /// What tells its newest pods: a Deployment's revision number, a StatefulSet's update revision.
    pub revision: String,
    /// Whether a deletion is under way.
    pub deleting: bool,
}

/// What credentials a workload's registry or repository is asked with.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PullSource {
    /// A pod's, in its namespace.
    Pod {
        /// The pod template's `imagePullSecrets`, in their order.
        secrets: Vec<String>,
        /// Its `serviceAccountName`; none is the namespace's `default`.
        service_account: Option<String>,
    },
    /// A chart's source's.
    Chart(Box<ChartAccess>),
}

impl Default for PullSource {
    fn default() -> Self {
        PullSource::Pod { secrets: Vec::new(), service_account: None }
    }
}

/// An OCIRepository in whose tag a release's version stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Carrier {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
    /// Its `resourceVersion` as it was read.
    pub resource_version: String,
    /// Whether it has an annotations map at all.
    pub has_annotations: bool,
    /// Its `spec.url`.
    pub url: String,
}

impl Target {
    /// Whether nobody can say what stands there: a release has its version in another object of its namespace,
    /// which is not known (yet).
    pub fn is_unseen(&self) -> bool {
        let here = |named: &Named| matches!(named, Named::Source(key) if key.namespace == self.key.namespace);
        let by_reference = |release: &Release| release.chart.is_none() && here(&release.source);
        self.carrier.is_none() && self.release.as_deref().is_some_and(by_reference)
    }

    /// The container of that name.
    pub fn container(&self, name: &str) -> Option<&Container> {
        self.containers.iter().find(|container| container.name == name)
    }
}

/// One container of a pod template, or the chart of a release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    /// Its name, unique in the pod.
    pub name: String,
    /// The image exactly as the user wrote it; it may be no legal reference at all.
    pub image: String,
    /// Whether it is an init container.
    pub init: bool,
    /// Its place in `containers` or `initContainers`.
    pub index: usize,
    /// Whether its `imagePullPolicy` is `Always`.
    pub pulls_always: bool,
    /// What Headwind wrote into the pod template for it (`digest-update: restart`): `<image>@<digest>`.
    pub restarted_for: Option<String>,
    /// The digest that a scan first saw behind the image as it stands now. A later one is new.
    pub first_seen: Option<String>,
    /// For a release's chart: what its source says.
    pub chart: Option<Box<ChartSite>>,
}

impl Container {
    /// A container of that name with that image, and nothing else known of it.
    pub fn new(name: &str, image: &str) -> Self {
        Self {
            name: name.to_owned(),
            image: image.to_owned(),
            init: false,
            index: 0,
            pulls_always: false,
            restarted_for: None,
            first_seen: None,
            chart: None,
        }
    }

    /// Whether it runs an image or a chart.
    pub fn kind(&self) -> VersionKind {
        if self.chart.is_some() { VersionKind::Chart } else { VersionKind::Image }
    }

    /// What it runs, read.
    ///
    /// # Errors
    /// When what stands there is neither.
    pub fn artifact(&self) -> Result<Artifact, ArtifactError> {
        Artifact::parse(self.kind(), &self.image)
    }

    /// Where its versions are published; none where nobody can say.
    pub fn origin(&self) -> Option<Origin> {
        match &self.chart {
            Some(site) => site.origin.clone(),
            None => match self.artifact().ok()? {
                Artifact::Image(image) => Some(Origin::Registry(image.repository().clone())),
                Artifact::Chart(_) => None,
            },
        }
    }

    /// Why it gets no updates although its policy wants them: what a release's source says. None for images.
    pub fn left_alone(&self, settings: &Settings) -> Option<(Reason, String)> {
        let site = self.chart.as_ref().filter(|_| settings.policy != Policy::None)?;
        site.left()
    }

    /// The digest that Headwind restarted it for, if that was a digest of the image as it stands now.
    pub fn restarted_digest(&self) -> Option<&str> {
        noted_digest(&self.image, self.restarted_for.as_deref())
    }

    /// The digest that is known to run: the one in the reference, else the one it was restarted
    /// for, else the one that was first seen behind its tag.
    pub fn known_digest(&self, reference: &Artifact) -> Option<Digest> {
        let told = [self.restarted_digest(), self.first_seen.as_deref()];
        reference.digest().cloned().or_else(|| told.into_iter().flatten().find_map(|text| Digest::parse(text).ok()))
    }
}

/// The digest in a note of the form `<image>@<digest>`; `None` when the note is about another image.
pub fn noted_digest<'a>(image: &str, note: Option<&'a str>) -> Option<&'a str> {
    note?.strip_prefix(image)?.strip_prefix('@')
}
