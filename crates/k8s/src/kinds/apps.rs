//! `spec` of the three kinds of `apps/v1`, with the fields that the rules use.

use headwind_core::rollout::View;
use headwind_core::workload::{Kind, Workload};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use kube::core::Selector;
use serde::{Deserialize, Serialize};

use super::pod_template::{Parts, SlimTemplate};

/// The API group of the three kinds.
pub(super) const GROUP: &str = "apps";
/// The JSON pointer of their pod templates.
pub(super) const POD_TEMPLATE: &str = "/spec/template";
/// The purpose of Headwind's access to them.
pub(super) const PURPOSE: &str = "find out which images run, and change them";

/// `spec` of the three kinds. Not every kind has every field.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SlimSpec {
    template: SlimTemplate,
    #[serde(default)]
    selector: Option<LabelSelector>,
    #[serde(default)]
    replicas: Option<u32>,
    #[serde(default)]
    pub(super) paused: bool,
    #[serde(default)]
    update_strategy: Option<SlimStrategy>,
    #[serde(default)]
    ordinals: Option<SlimOrdinals>,
    #[serde(default)]
    pub(super) pod_management_policy: String,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct SlimOrdinals {
    #[serde(default)]
    start: u32,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct SlimStrategy {
    #[serde(default)]
    r#type: String,
    #[serde(default)]
    rolling_update: Option<SlimRollingUpdate>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct SlimRollingUpdate {
    #[serde(default)]
    partition: u32,
}

impl SlimSpec {
    /// Returns the desired number of pods. The API's default is one.
    pub(super) fn wanted(&self) -> u32 {
        self.replicas.unwrap_or(1)
    }

    pub(super) fn on_delete(&self) -> bool {
        self.update_strategy.as_ref().is_some_and(|strategy| strategy.r#type == "OnDelete")
    }

    pub(super) fn partition(&self) -> u32 {
        self.update_strategy.as_ref().and_then(|strategy| strategy.rolling_update.as_ref()).map_or(0, |rolling| rolling.partition)
    }

    /// Returns the lowest ordinal of a StatefulSet's pods.
    pub(super) fn start(&self) -> u32 {
        self.ordinals.as_ref().map_or(0, |ordinals| ordinals.start)
    }

    /// Returns the workload. `rollout` and `revision` come from its status.
    pub(super) fn read(&self, kind: Kind, metadata: &ObjectMeta, rollout: View, revision: String) -> Option<Workload> {
        let selector = label_selector(self.selector.as_ref());
        self.template.read(metadata, Parts { kind, api_version: "apps/v1", rollout, selector, revision })
    }
}

/// Returns the selector as a query parameter; empty for one that has no such form.
pub(super) fn label_selector(selector: Option<&LabelSelector>) -> String {
    let selector = selector.cloned().and_then(|selector| Selector::try_from(selector).ok());
    selector.map(|selector| selector.to_string()).unwrap_or_default()
}
