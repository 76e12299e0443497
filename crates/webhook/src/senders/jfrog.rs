//! JFrog Artifactory's webhooks ("Event Types", domain `docker`).
//!
//! The payload names the platform (`jpd_origin`) and the repository's key, not the host that images are pulled from.
//! Headwind assumes the repository path method: `HOST/REPO_KEY/IMAGE`, with the host of `?registry=` or of
//! `jpd_origin`. If the host in `?registry=` contains the key (the subdomain method: `REPO_KEY.example.com`), it is the
//! repository itself.
//!
//! `image_name` may be only the last part of a nested image. `path` contains its folders:
//! `team/shop/web/1.4.2/manifest.json`.

use super::{Call, Collector, IgnoredReason, host_of};

pub(super) fn read(call: &Call<'_, '_>, out: &mut Collector) -> Option<()> {
    let (domain, event) = (call.text(&["domain"])?, call.text(&["event_type"])?);
    if domain != "docker" || event != "pushed" {
        out.ignore(IgnoredReason::NotAPush, &format!("{domain} {event}"));
        return Some(());
    }
    let data = |key| call.text(&["data", key]).filter(|text| !text.is_empty());
    let Some(tag) = data("tag") else {
        out.ignore(IgnoredReason::NoTag, data("image_name").unwrap_or_default());
        return Some(());
    };
    let image = data("path").and_then(|path| image_of(path, tag)).or_else(|| data("image_name"));
    let (Some(key), Some(image)) = (data("repo_key"), image) else {
        out.ignore(IgnoredReason::BadEvent, "no repo_key or image");
        return Some(());
    };
    let host = call.registry.or_else(|| call.text(&["jpd_origin"]).and_then(host_of));
    let subdomain = call.registry.is_some_and(|host| host.split(['.', ':']).next().is_some_and(|label| label.contains(key)));
    let repository = if subdomain { image.to_owned() } else { format!("{key}/{image}") };
    // The checksum of the manifest file is the digest.
    let manifest = data("name").is_some_and(|name| name.ends_with("manifest.json"));
    let digest = data("sha256").filter(|_| manifest).map(|hex| format!("sha256:{hex}"));
    out.push(host, &repository, tag, digest.as_deref());
    Some(())
}

/// Returns the image in a manifest's path: the part before its tag.
fn image_of<'a>(path: &'a str, tag: &str) -> Option<&'a str> {
    let (folder, _) = path.trim_matches('/').rsplit_once('/')?;
    folder.strip_suffix(tag)?.strip_suffix('/')
}
