//! The workload, as the rules see it: a few strings out of a large object.
//!
//! Made by `headwind_k8s::kinds` from each kind's slim view; kept by the operator's index, so it
//! holds only what a rule reads. Which fields of which kind these come from is known there alone.

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;

use super::source::{ChartAccess, ChartSourceRef, Release};
use super::{Container, Kind};
use crate::rollout::{DeploymentView, View};
use crate::settings::{Annotations, key};

/// Which workload: the key that everything is looked up, queued and reconciled by.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WorkloadKey {
    /// The workload's kind.
    pub kind: Kind,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl fmt::Display for WorkloadKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}/{}", self.kind, self.namespace, self.name)
    }
}

/// A workload with what the rules read of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workload {
    /// Kind, namespace and name.
    pub key: WorkloadKey,
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
    /// Containers first, then init containers, then image volumes, each in the object's order. A release has one.
    pub containers: Vec<Container>,
    /// For a release: what it says of its chart.
    pub release: Option<Arc<Release>>,
    /// The object that changes are written to, where it is not the workload itself.
    pub destination: Option<Destination>,
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
pub struct Destination {
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

impl Workload {
    /// A workload of that kind and name with these containers, and nothing else known of it.
    pub fn new(key: WorkloadKey, containers: Vec<Container>) -> Self {
        Self {
            api_version: "apps/v1",
            uid: String::new(),
            resource_version: String::new(),
            generation: 0,
            annotations: Annotations::new(),
            has_annotations: false,
            template_has_annotations: false,
            release: None,
            destination: None,
            pull: PullSource::default(),
            rollout: View::Deployment(DeploymentView::default()),
            selector: String::new(),
            revision: String::new(),
            deleting: false,
            key,
            containers,
        }
    }

    /// Whether nobody can say what stands there: a release has its version in another object of its namespace,
    /// which is not known (yet).
    pub fn is_unseen(&self) -> bool {
        let here = |named: &ChartSourceRef| matches!(named, ChartSourceRef::Source(key) if key.namespace == self.key.namespace);
        let by_reference = |release: &Release| release.chart.is_none() && here(&release.source);
        self.destination.is_none() && self.release.as_deref().is_some_and(by_reference)
    }

    /// When Headwind last updated it, as its annotation says.
    pub fn last_update(&self) -> Option<Timestamp> {
        self.annotations.get(key::LAST_UPDATE).and_then(|text| text.parse().ok())
    }

    /// The container of that name.
    pub fn container(&self, name: &str) -> Option<&Container> {
        self.containers.iter().find(|container| container.name == name)
    }
}
