//! GitHub's webhooks for packages ("Webhook events and payloads": `package`, `registry_package`, `ping`).
//!
//! Only packages of type container count. The host is that of `package_url`, which is `ghcr.io` or an enterprise's own;
//! owner and name form the repository, in lower case as in the registry. The tag is that of `container_metadata`, else
//! the version's name, else that of `package_url`. GitHub also sends an event without a tag for the manifest of each
//! platform.

use headwind_core::artifact::reference::{Digest, is_tag};

use super::{Call, Collector, IgnoredReason, at, host_of, text};

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
    let version = |path: &[&str]| at(package, &["package_version"]).and_then(|version| text(version, path)).filter(|text| !text.is_empty());
    let (name_of, url) = (version(&["name"]), version(&["package_url"]));
    let tag_of_name = name_of.filter(|name| is_tag(name));
    let tag_of_url = url.and_then(|url| url.rsplit('/').next()?.split_once(':')).map(|(_, tag)| tag);
    let tag = version(&["container_metadata", "tag", "name"]).or(tag_of_name).or(tag_of_url).unwrap_or_default();
    let digests = [version(&["container_metadata", "tag", "digest"]), name_of, version(&["version"])];
    let digest = digests.into_iter().flatten().find(|text| Digest::parse(text).is_ok());
    let host = url.and_then(host_of).or(call.registry).unwrap_or(HOST);
    out.push(Some(host), &format!("{owner}/{name}").to_lowercase(), tag, digest);
    Some(())
}
