//! The kinds that Headwind updates: their names, and the format of their versions.

use kube::Client;
use kube::api::{Api, ApiResource, DynamicObject};

use super::Live;

/// The kinds that Headwind updates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum WorkloadKind {
    /// `apps/v1` Deployment.
    Deployment,
    /// `apps/v1` `StatefulSet`.
    StatefulSet,
    /// `apps/v1` `DaemonSet`: a pod on each of the test bed's three nodes.
    DaemonSet,
    /// `batch/v1` `CronJob`: suspended, so that no Job runs.
    CronJob,
    /// `argoproj.io/v1alpha1` `Rollout`, of Argo Rollouts.
    Rollout,
    /// `helm.toolkit.fluxcd.io/v2` `HelmRelease`, of Flux.
    HelmRelease,
}

impl WorkloadKind {
    /// Every kind.
    pub const ALL: [Self; 6] = [Self::Deployment, Self::StatefulSet, Self::DaemonSet, Self::CronJob, Self::Rollout, Self::HelmRelease];

    /// The kinds that Kubernetes itself rolls out.
    pub const PODS: [Self; 3] = [Self::Deployment, Self::StatefulSet, Self::DaemonSet];

    /// Returns the kind's name.
    pub fn kind(self) -> &'static str {
        match self {
            Self::Deployment => "Deployment",
            Self::StatefulSet => "StatefulSet",
            Self::DaemonSet => "DaemonSet",
            Self::CronJob => "CronJob",
            Self::Rollout => "Rollout",
            Self::HelmRelease => "HelmRelease",
        }
    }

    /// Returns the resource's name.
    pub fn plural(self) -> &'static str {
        match self {
            Self::Deployment => "deployments",
            Self::StatefulSet => "statefulsets",
            Self::DaemonSet => "daemonsets",
            Self::CronJob => "cronjobs",
            Self::Rollout => "rollouts",
            Self::HelmRelease => "helmreleases",
        }
    }

    /// Returns the API group.
    pub fn group(self) -> &'static str {
        match self {
            Self::Deployment | Self::StatefulSet | Self::DaemonSet => "apps",
            Self::CronJob => "batch",
            Self::Rollout => "argoproj.io",
            Self::HelmRelease => "helm.toolkit.fluxcd.io",
        }
    }

    /// Returns the group's version.
    pub fn version(self) -> &'static str {
        match self {
            Self::Deployment | Self::StatefulSet | Self::DaemonSet | Self::CronJob => "v1",
            Self::Rollout => "v1alpha1",
            Self::HelmRelease => "v2",
        }
    }

    /// Returns the `apiVersion`, such as `apps/v1`.
    pub fn api_version(self) -> String {
        format!("{}/{}", self.group(), self.version())
    }

    /// Returns Headwind's metric that counts the watched objects of the kind.
    pub fn watched_metric(self) -> &'static str {
        match self {
            Self::Deployment => "headwind_deployments_watched",
            Self::StatefulSet => "headwind_statefulsets_watched",
            Self::DaemonSet => "headwind_daemonsets_watched",
            Self::CronJob => "headwind_cronjobs_watched",
            Self::Rollout => "headwind_rollouts_watched",
            Self::HelmRelease => "headwind_helm_releases_watched",
        }
    }

    /// Returns the kind's image at that tag in Headwind's format: a reference, and for a release its chart's name and
    /// version (`shop/web`, `1.0.0` become `web:1.0.0`).
    pub fn image(self, host: &str, repository: &str, tag: &str) -> String {
        match self {
            Self::Deployment | Self::StatefulSet | Self::DaemonSet | Self::CronJob | Self::Rollout => {
                format!("{host}/{repository}:{tag}")
            }
            Self::HelmRelease => format!("{}:{}", repository.rsplit('/').next().unwrap_or(repository), tag.replace('_', "+")),
        }
    }

    /// Returns the JSON pointer of its pod template; `None` for a release.
    pub(super) fn pod_template(self) -> Option<&'static str> {
        match self {
            Self::Deployment | Self::StatefulSet | Self::DaemonSet | Self::Rollout => Some("/spec/template"),
            Self::CronJob => Some("/spec/jobTemplate/spec/template"),
            Self::HelmRelease => None,
        }
    }

    /// Returns the path of an object.
    pub fn api_path(self, namespace: &str, name: &str) -> String {
        format!("/apis/{}/namespaces/{namespace}/{}/{name}", self.api_version(), self.plural())
    }

    /// Returns the API for the objects of a namespace.
    pub fn api(self, client: &Client, namespace: &str) -> Api<DynamicObject> {
        self.api_in(client, namespace, self.version())
    }

    /// Returns the same for another version of the API.
    pub(super) fn api_in(self, client: &Client, namespace: &str, version: &str) -> Api<DynamicObject> {
        objects(client, namespace, self.group(), version, self.kind(), self.plural())
    }

    /// Returns an existing object.
    pub fn find(self, client: &Client, namespace: &str, name: &str) -> Live {
        Live::new(self, self.api(client, namespace), namespace, name)
    }
}

/// Returns the API for the objects of a kind in a namespace, without discovery.
pub(super) fn objects(client: &Client, namespace: &str, group: &str, version: &str, kind: &str, plural: &str) -> Api<DynamicObject> {
    let resource = ApiResource {
        group: group.to_owned(),
        version: version.to_owned(),
        api_version: format!("{group}/{version}"),
        kind: kind.to_owned(),
        plural: plural.to_owned(),
    };
    Api::namespaced_with(client.clone(), namespace, &resource)
}
