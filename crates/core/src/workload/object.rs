//! The workload for the rules: a few strings out of a large object.
//!
//! Created by `headwind_k8s::kinds` from each kind's slim view, and stored by the operator's index, so it holds only
//! what the rules use. Only `headwind_k8s` knows the fields of each kind.

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;

use super::owner::Owner;
use super::placement::Placement;
use super::source::{ChartAccess, ChartSourceRef, Release};
use super::{Container, Kind};
use crate::rollout::{DeploymentView, View};
use crate::settings::{Annotations, key};

/// The key of a workload in the index, the queue and the reconciler.
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

/// A workload with the fields that the rules use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workload {
    /// Kind, namespace and name.
    pub key: WorkloadKey,
    /// The `apiVersion` that the object was read with, such as `apps/v1`.
    pub api_version: &'static str,
    /// The object's UID: a new object with the same name is another workload.
    pub uid: String,
    /// The object's `resourceVersion` when it was read.
    pub resource_version: String,
    /// The object's `metadata.generation`.
    pub generation: i64,
    /// Headwind's own annotations (`headwind.sh/…`) and no others.
    pub annotations: Annotations,
    /// True if the object has an annotations map, with any annotations.
    pub has_annotations: bool,
    /// True if the pod template has an annotations map.
    pub template_has_annotations: bool,
    /// Containers first, then init containers, then image volumes, each in the object's order. A release has one. At most
    /// [`MAX_CONTAINERS`](super::MAX_CONTAINERS).
    pub containers: Vec<Container>,
    /// The number of further containers, which Headwind does not read.
    pub left_out: usize,
    /// For a release: its chart and source, from its own object.
    pub release: Option<Arc<Release>>,
    /// The object that changes are written to, if it is not the workload itself.
    pub destination: Option<Destination>,
    /// The owner of the object that changes are written to.
    pub owner: Option<Box<Owner>>,
    /// The nodes that its pods may be scheduled on; `None` for all.
    pub placement: Option<Box<Placement>>,
    /// The credentials that its images are pulled with.
    pub pull: PullSource,
    /// The state of its rollout, from its status.
    pub rollout: View,
    /// The label selector of its pods, as an API parameter; empty for none.
    pub selector: String,
    /// The identifier of its newest pods: a Deployment's revision number, a StatefulSet's update revision.
    pub revision: String,
    /// True if it is being deleted.
    pub deleting: bool,
}

/// The credentials for a workload's registry or repository.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PullSource {
    /// Those of a pod, in its namespace.
    Pod {
        /// The pod template's `imagePullSecrets`, in their order.
        secrets: Vec<String>,
        /// Its `serviceAccountName`; `None` is the namespace's `default`.
        service_account: Option<String>,
    },
    /// Those of a chart's source.
    Chart(Box<ChartAccess>),
}

impl Default for PullSource {
    fn default() -> Self {
        PullSource::Pod { secrets: Vec::new(), service_account: None }
    }
}

/// An OCIRepository whose tag is a release's version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: String,
    /// Its `resourceVersion` when it was read.
    pub resource_version: String,
    /// True if it has an annotations map.
    pub has_annotations: bool,
    /// Its `spec.url`.
    pub url: String,
}

impl Workload {
    /// Creates a workload of that kind and name with these containers, and defaults for everything else.
    pub fn new(key: WorkloadKey, containers: Vec<Container>) -> Self {
        Self {
            api_version: "apps/v1",
            uid: String::new(),
            resource_version: String::new(),
            generation: 0,
            annotations: Annotations::new(),
            has_annotations: false,
            template_has_annotations: false,
            left_out: 0,
            release: None,
            destination: None,
            owner: None,
            placement: None,
            pull: PullSource::default(),
            rollout: View::Deployment(DeploymentView::default()),
            selector: String::new(),
            revision: String::new(),
            deleting: false,
            key,
            containers,
        }
    }

    /// Returns true if its version is unknown: a release has its version in another object of its namespace, which is
    /// not known (yet).
    pub fn is_unseen(&self) -> bool {
        let here = |named: &ChartSourceRef| matches!(named, ChartSourceRef::Source(key) if key.namespace == self.key.namespace);
        let by_reference = |release: &Release| release.chart.is_none() && here(&release.source);
        self.destination.is_none() && self.release.as_deref().is_some_and(by_reference)
    }

    /// Returns when Headwind last updated it, from its annotation.
    pub fn last_update(&self) -> Option<Timestamp> {
        self.annotations.get(key::LAST_UPDATE).and_then(|text| text.parse().ok())
    }

    /// Returns the container with that name.
    pub fn container(&self, name: &str) -> Option<&Container> {
        self.containers.iter().find(|container| container.name == name)
    }
}
