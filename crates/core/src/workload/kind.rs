//! The kinds of workloads that Headwind updates.

crate::named! {
    /// A kind of workload that Headwind updates.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
    pub enum Kind("kind", str::eq_ignore_ascii_case) {
        /// `apps/v1` Deployment.
        Deployment = "Deployment",
        /// `apps/v1` StatefulSet.
        StatefulSet = "StatefulSet",
        /// `apps/v1` DaemonSet.
        DaemonSet = "DaemonSet",
        /// `batch/v1` CronJob.
        CronJob = "CronJob",
        /// `argoproj.io/v1alpha1` Rollout, of Argo Rollouts.
        Rollout = "Rollout",
        /// `helm.toolkit.fluxcd.io/v2` HelmRelease.
        HelmRelease = "HelmRelease",
    }
}
