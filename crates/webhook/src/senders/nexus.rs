//! Sonatype Nexus Repository's webhooks ("Repository Webhooks"): components of a repository.
//!
//! The payload does not name the host that images are pulled from, so `?registry=HOST` is required. Nexus also sends
//! events for assets: layers and manifests, one by one.

use super::{Call, Collector, IgnoredReason};

pub(super) fn read(call: &Call<'_, '_>, out: &mut Collector) -> Option<()> {
    if call.text(&["nodeId"]).is_some() && call.body.get("audit").is_some() {
        out.ignore(IgnoredReason::NotAPush, "audit");
        return Some(());
    }
    call.text(&["repositoryName"])?;
    let action = call.text(&["action"])?;
    if call.body.get("asset").is_some() {
        out.ignore(IgnoredReason::NotAManifest, "asset");
        return Some(());
    }
    call.body.get("component")?;
    let component = |key| call.text(&["component", key]);
    if component("format") != Some("docker") {
        out.ignore(IgnoredReason::NotAManifest, component("format").unwrap_or_default());
    } else if !matches!(action, "CREATED" | "UPDATED") {
        out.ignore(IgnoredReason::NotAPush, action);
    } else if let Some(name) = component("name") {
        out.push(call.registry, name, component("version").unwrap_or_default(), None);
    } else {
        out.ignore(IgnoredReason::BadEvent, "no name");
    }
    Some(())
}
