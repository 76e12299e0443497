//! The objects of a cluster, to see what an installation leaves.

use std::collections::BTreeSet;

use anyhow::Result;
use headwind_testbed::{Bed, eventually};

use crate::STEP;

/// The CRD, and the `APIService` that Kubernetes creates for it.
const CRD: [&str; 2] = ["CustomResourceDefinition /updaterequests.headwind.sh", "APIService /v1alpha1.headwind.sh"];

/// Names of objects: `KIND NAMESPACE/NAME`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Objects(BTreeSet<String>);

impl Objects {
    /// Reads every object of every kind, except Events, which end by themselves, what changes with each update (pods,
    /// `ReplicaSets` and `UpdateRequests`), and the Leases of kubelets, which appear some time after the node.
    pub(crate) async fn read(bed: &Bed) -> Result<Self> {
        let kinds = bed.kubectl_ok(&["api-resources", "--verbs=list", "--output=name"]).await?;
        let changing = ["events", "events.events.k8s.io", "componentstatuses", "pods", "replicasets.apps", "updaterequests.headwind.sh"];
        let kinds: Vec<&str> = kinds.lines().filter(|kind| !changing.contains(kind)).collect();
        let format = "jsonpath={range .items[*]}{.kind} {.metadata.namespace}/{.metadata.name}{\"\\n\"}{end}";
        let text = bed.kubectl_ok(&["get", &kinds.join(","), "--all-namespaces", "--output", format]).await?;
        let lines = text.lines().filter(|line| !line.starts_with("Lease kube-node-lease/"));
        Ok(Self(lines.map(str::to_owned).collect()))
    }

    /// Waits until the cluster has these objects again, and the CRD.
    pub(crate) async fn again_with_crd(mut self, bed: &Bed) -> Result<()> {
        self.0.extend(CRD.map(str::to_owned));
        eventually("the cluster has the objects from before the installation, and the CRD", STEP, || async {
            let now = Self::read(bed).await.map_err(|error| error.to_string())?;
            let (more, fewer): (Vec<_>, Vec<_>) = (now.0.difference(&self.0).collect(), self.0.difference(&now.0).collect());
            if more.is_empty() && fewer.is_empty() { Ok(()) } else { Err(format!("remains: {more:?}; is gone: {fewer:?}")) }
        })
        .await
    }
}
