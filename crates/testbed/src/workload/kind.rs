//! The kinds that Headwind looks after: what each is called, and how it shows its version.

use kube::Client;
use kube::api::{Api, ApiResource, DynamicObject};

use super::Live;

/// The kinds that Headwind looks after.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum WorkloadKind {
    /// `apps/v1` Deployment.
    Deployment,
    /// `apps/v1` `StatefulSet`.
    StatefulSet,
    /// `apps/v1` `DaemonSet`: a pod on each of the bed's three nodes.
    DaemonSet,
    /// `batch/v1` `CronJob`: suspended, so that no Job runs.
    CronJob,
    /// `argoproj.io/v1alpha1` `Rollout`, of Argo Rollouts.
    Rollout,
    /// `helm.toolkit.fluxcd.io/v2` `HelmRelease`, of Flux.
    HelmRelease,
}

impl WorkloadKind {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Deployment, Self::StatefulSet, Self::DaemonSet, Self::CronJob, Self::Rollout, Self::HelmRelease];

    /// Those that roll pods out.
    pub const PODS: [Self; 3] = [Self::Deployment, Self::StatefulSet, Self::DaemonSet];

    /// The kind's name.
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

    /// The resource's name.
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

    /// The API group.
    pub fn group(self) -> &'static str {
        match self {
            Self::Deployment | Self::StatefulSet | Self::DaemonSet => "apps",
            Self::CronJob => "batch",
            Self::Rollout => "argoproj.io",
            Self::HelmRelease => "helm.toolkit.fluxcd.io",
        }
    }

    /// The group's version.
    pub fn version(self) -> &'static str {
        match self {
            Self::Deployment | Self::StatefulSet | Self::DaemonSet | Self::CronJob => "v1",
            Self::Rollout => "v1alpha1",
            Self::HelmRelease => "v2",
        }
    }

    /// `apps/v1`.
    pub fn api_version(self) -> String {
        format!("{}/{}", self.group(), self.version())
    }

    /// The metric of Headwind that counts the watched ones.
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

    /// What Headwind shows as the kind's image at that tag: a reference, and for a release its
    /// chart's name and version (`shop/web`, `1.0.0` give `web:1.0.0`).
    pub fn image(self, host: &str, repository: &str, tag: &str) -> String {
        match self {
            Self::Deployment | Self::StatefulSet | Self::DaemonSet | Self::CronJob | Self::Rollout => {
                format!("{host}/{repository}:{tag}")
            }
            Self::HelmRelease => format!("{}:{}", repository.rsplit('/').next().unwrap_or(repository), tag.replace('_', "+")),
        }
    }

    /// The JSON pointer of its pod template; none for a release.
    pub(super) fn pod_template(self) -> Option<&'static str> {
        match self {
            Self::Deployment | Self::StatefulSet | Self::DaemonSet | Self::Rollout => Some("/spec/template"),
            Self::CronJob => Some("/spec/jobTemplate/spec/template"),
            Self::HelmRelease => None,
        }
    }

    /// The path of one object.
    pub fn api_path(self, namespace: &str, name: &str) -> String {
        format!("/apis/{}/namespaces/{namespace}/{}/{name}", self.api_version(), self.plural())
    }

    /// The objects of a namespace.
    pub fn api(self, client: &Client, namespace: &str) -> Api<DynamicObject> {
        self.api_in(client, namespace, self.version())
    }

    /// The same in another version of the API.
    pub(super) fn api_in(self, client: &Client, namespace: &str, version: &str) -> Api<DynamicObject> {
        objects(client, namespace, self.group(), version, self.kind(), self.plural())
    }

    /// An object that exists already.
    pub fn find(self, client: &Client, namespace: &str, name: &str) -> Live {
        Live::new(self, self.api(client, namespace), namespace, name)
    }
}

/// The objects of a kind in a namespace, without asking what there is.
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
