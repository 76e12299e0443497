//! `batch/v1` CronJob.
//!
//! Changing its image starts no rollout: the CronJob controller uses the new template for its next Job, and running
//! Jobs keep theirs.

use headwind_core::rollout::View;
use headwind_core::workload::{Kind, Workload};
use k8s_openapi::api::batch::v1::CronJob;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use serde::{Deserialize, Serialize};

use super::pod_template::{Parts, SlimTemplate};
use super::{KindFacts, Revision, SlimWorkload};

/// The facts about CronJobs.
pub(super) const FACTS: KindFacts = KindFacts {
    group: "batch",
    versions: &["v1"],
    plural: "cronjobs",
    short_name: "cj",
    pod_template: Some("/spec/jobTemplate/spec/template"),
    revision: Revision::NoPods,
    watched_metric: "cronjobs_watched",
    purpose: "read and change the images of CronJobs",
    rights: &[],
    optional: false,
    read_after: &[],
};

/// A CronJob with only the fields that the rules use.
#[derive(Debug, Clone, Resource, Serialize, Deserialize)]
#[resource(inherit = CronJob)]
pub struct SlimCronJob {
    metadata: ObjectMeta,
    #[serde(default)]
    spec: Spec,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    job_template: JobTemplate,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
struct JobTemplate {
    spec: JobSpec,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
struct JobSpec {
    template: SlimTemplate,
}

impl SlimWorkload for SlimCronJob {
    const KIND: Kind = Kind::CronJob;

    fn read(&self) -> Option<Workload> {
        let parts =
            Parts { kind: Self::KIND, api_version: "batch/v1", rollout: View::NoRollout, selector: String::new(), revision: String::new() };
        self.spec.job_template.spec.template.read(&self.metadata, parts)
    }
}
