//! The CNCF distribution registry's notifications (`application/vnd.docker.distribution.events.v2+json`,
//! "Notifications").
//!
//! An envelope of events. Distribution sends a pull for every HEAD of Headwind, so an event is checked as raw text
//! first, and only pushes are parsed in full. The host is that of the client's request, as the client named it; else,
//! or if that is no host, that of the manifest's URL.

use std::borrow::Cow;

use headwind_core::artifact::reference::is_host;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::{Collector, EVENTS, IgnoredReason, host_of, text};

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    events: Vec<&'a RawValue>,
}

/// The fields that distinguish a push from other events.
#[derive(Deserialize)]
struct Head<'a> {
    #[serde(borrow)]
    action: Cow<'a, str>,
}

/// Decodes the body; `None` if it has another shape.
pub(super) fn read(body: &[u8], registry: Option<&str>, out: &mut Collector) -> Option<()> {
    // A list would be parsed as the fields of a struct.
    let envelope: Envelope<'_> = body.trim_ascii_start().starts_with(b"{").then(|| serde_json::from_slice(body).ok())??;
    if envelope.events.len() > EVENTS {
        out.too_many = true;
        return Some(());
    }
    for raw in envelope.events {
        match serde_json::from_str::<Head<'_>>(raw.get()) {
            Ok(head) if head.action == "push" => match serde_json::from_str(raw.get()) {
                Ok(push) => take(&push, registry, out),
                Err(error) => out.ignore(IgnoredReason::BadEvent, &error.to_string()),
            },
            Ok(head) => out.ignore(IgnoredReason::NotAPush, &head.action),
            Err(error) => out.ignore(IgnoredReason::BadEvent, &error.to_string()),
        }
    }
    Some(())
}

/// Adds one push. Azure's pushes have the same shape. A field of another type counts as missing.
pub(super) fn take(push: &Value, registry: Option<&str>, out: &mut Collector) {
    let target = |key| text(push, &["target", key]).filter(|text| !text.is_empty());
    let Some(repository) = target("repository") else {
        return out.ignore(IgnoredReason::BadEvent, "a push without a repository");
    };
    if let Some(media_type) = target("mediaType").filter(|media_type| !is_manifest(media_type)) {
        return out.ignore(IgnoredReason::NotAManifest, media_type);
    }
    let Some(tag) = target("tag") else { return out.ignore(IgnoredReason::NoTag, repository) };
    let named = text(push, &["request", "host"]).filter(|host| is_host(host));
    let host = named.or_else(|| target("url").and_then(host_of)).or(registry);
    out.push(host, repository, tag, target("digest"));
}

/// Returns true for manifests and indexes of either standard; a chart's manifest is a generic one. Pushes of layers and
/// configurations are sent in the same form.
fn is_manifest(media_type: &str) -> bool {
    (media_type.contains("manifest") || media_type.contains("image.index")) && !media_type.contains("layer")
}
