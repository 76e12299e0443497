//! The part of a row about a workload: its name, kind and namespace.

use headwind_core::trigger::Trigger;
use headwind_core::workload::release::CHART;
use headwind_core::workload::{Kind, WorkloadKey};
use maud::{Markup, html};

use super::icon::{icon, icon_with};

/// The icon of a kind.
pub(in crate::ui) fn kind_icon(kind: Kind) -> Markup {
    let name = match kind {
        Kind::Deployment => "layers",
        Kind::StatefulSet => "database",
        Kind::DaemonSet => "server",
        Kind::CronJob => "calendar-clock",
        Kind::Rollout => "split",
        Kind::HelmRelease => "ship-wheel",
    };
    icon_with(name, "i opacity-70")
}

/// Namespace, kind and container. A container with the name of the workload is left out, and so is a release's chart.
pub(in crate::ui) fn place(key: &WorkloadKey, container: Option<&str>) -> Markup {
    let container = container.filter(|container| *container != CHART && *container != key.name);
    html! {
        span class="where" {
            (key.namespace) i { "/" } span { (kind_icon(key.kind)) (key.kind) }
            @if let Some(container) = container { i { "/" } (container) }
        }
    }
}

/// The trigger of an update.
pub(in crate::ui) fn trigger(trigger: Trigger) -> Markup {
    match trigger {
        Trigger::Webhook => html! { (icon("webhook")) "Webhook" },
        Trigger::Polling => html! { (icon("radar")) "Polling" },
        Trigger::Manual => html! { (icon("user")) "A person" },
    }
}

/// The address of a workload's page.
pub(in crate::ui) fn path(key: &WorkloadKey) -> String {
    format!("/workloads/{}/{}/{}", key.namespace, key.kind, key.name)
}
