//! Gitea's and Forgejo's webhooks (Gitea's "Webhooks" and "Container Registry"). Only the event `package` is about
//! images.
//!
//! Only packages of type container count. The host is that of `html_url`; owner and name form the repository, in lower
//! case as in the registry. Both products also send GitHub's headers, so they are recognised before GitHub.

use super::{Call, Collector, IgnoredReason, host_of, text};

/// The headers with the name of the event.
const HEADERS: [&str; 3] = ["x-forgejo-event", "x-gitea-event", "x-gogs-event"];

pub(super) fn read(call: &Call<'_, '_>, out: &mut Collector) -> Option<()> {
    let event = HEADERS.iter().find_map(|header| (call.header)(header));
    // GitHub's packages have a `package_type`.
    let package = call.body.get("package").filter(|package| text(package, &["type"]).is_some() && text(package, &["html_url"]).is_some());
    let (Some(package), Some(action)) = (package, call.text(&["action"])) else {
        out.ignore(IgnoredReason::NotAPush, event?);
        return Some(());
    };
    let of = |path: &[&str]| text(package, path).filter(|text| !text.is_empty());
    let kind = of(&["type"]).unwrap_or_default();
    if kind != "container" {
        out.ignore(IgnoredReason::NotAManifest, kind);
        return Some(());
    }
    if action != "created" {
        out.ignore(IgnoredReason::NotAPush, action);
        return Some(());
    }
    let owner = of(&["owner", "login"]).or_else(|| of(&["owner", "username"]));
    let (Some(owner), Some(name)) = (owner, of(&["name"])) else {
        out.ignore(IgnoredReason::BadEvent, "no owner or name");
        return Some(());
    };
    let host = of(&["html_url"]).and_then(host_of).or(call.registry);
    out.push(host, &format!("{owner}/{name}").to_lowercase(), of(&["version"]).unwrap_or_default(), None);
    Some(())
}
