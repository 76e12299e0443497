//! GitHub's webhooks for packages (its document "Webhook events and payloads": `package`,
//! `registry_package`, `ping`).
//!
//! Only packages of type container. The host is that of `package_url`, which is `ghcr.io` or an
//! enterprise's own; owner and name make the repository, in lower case as the registry has them.
//! GitHub sends an event for the manifest of each platform too, without a tag.

use super::{Call, Collector, IgnoredReason, host_of, text};

const HOST: &str = "ghcr.io";

pub(super) fn read(call: &Call<'_, '_>, out: &mut Collector) -> Option<()> {
    if call.body.get("zen").is_some() && call.body.get("hook_id").is_some() {
        out.ignore(IgnoredReason::NotAPush, "ping");
        return Some(());
    }
    let package = ["registry_package", "package"].iter().find_map(|key| call.body.get(key).filter(|package| package.is_object()));
    let Some(package) = package else {
        let event = (call.header)("x-github-event")?;
        out.ignore(IgnoredReason::NotAPush, event);
        return Some(());
    };
    let action = call.text(&["action"])?;
    let kind = text(package, &["package_type"])?;
    if !kind.eq_ignore_ascii_case("container") {
        out.ignore(IgnoredReason::NotAManifest, kind);
        return Some(());
    }
    if !matches!(action, "published" | "updated") {
        out.ignore(IgnoredReason::NotAPush, action);
        return Some(());
    }
    let owner = text(package, &["namespace"]).or_else(|| text(package, &["owner", "login"]));
    let (Some(owner), Some(name)) = (owner, text(package, &["name"])) else {
        out.ignore(IgnoredReason::BadEvent, "no owner or name");
        return Some(());
    };
    let tag = text(package, &["package_version", "container_metadata", "tag", "name"]).unwrap_or_default();
    let digest = text(package, &["package_version", "container_metadata", "tag", "digest"]);
    let host = text(package, &["package_version", "package_url"]).and_then(host_of).or(call.registry).unwrap_or(HOST);
    out.push(Some(host), &format!("{owner}/{name}").to_lowercase(), tag, digest);
    Some(())
}
