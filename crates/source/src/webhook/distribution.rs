//! The CNCF distribution registry's notifications
//! (`application/vnd.docker.distribution.events.v2+json`, its document "Notifications").
//!
//! An envelope of events. Pulls come for every HEAD that Headwind itself sends, so an event is
//! looked at as raw text first, and only pushes are read in full. The host is that of the request
//! the client made, as the client named it; else that of the manifest's URL.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Collector, EVENTS, IgnoredReason, host_of};

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    events: Vec<&'a RawValue>,
}

/// As much as tells a push from the rest.
#[derive(Deserialize)]
struct Head<'a> {
    #[serde(borrow)]
    action: Cow<'a, str>,
}

#[derive(Deserialize)]
pub(super) struct Push<'a> {
    #[serde(borrow)]
    target: Target<'a>,
    #[serde(borrow, default)]
    request: Option<Request<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Target<'a> {
    #[serde(borrow, default)]
    media_type: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    digest: Option<Cow<'a, str>>,
    #[serde(borrow)]
    repository: Cow<'a, str>,
    #[serde(borrow, default)]
    tag: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    url: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Request<'a> {
    #[serde(borrow, default)]
    host: Option<Cow<'a, str>>,
}

/// `None` where the body is not of this shape.
pub(super) fn read(body: &[u8], registry: Option<&str>, out: &mut Collector) -> Option<()> {
    // A list would be read as the fields of a struct.
    let envelope: Envelope<'_> = body.trim_ascii_start().starts_with(b"{").then(|| serde_json::from_slice(body).ok())??;
    if envelope.events.len() > EVENTS {
        out.too_many = true;
        return Some(());
    }
    for raw in envelope.events {
        match serde_json::from_str::<Head<'_>>(raw.get()) {
            Ok(head) if head.action == "push" => push(raw, registry, out),
            Ok(head) => out.ignore(IgnoredReason::NotAPush, &head.action),
            Err(error) => out.ignore(IgnoredReason::BadEvent, &error.to_string()),
        }
    }
    Some(())
}

fn push(raw: &RawValue, registry: Option<&str>, out: &mut Collector) {
    match serde_json::from_str(raw.get()) {
        Ok(push) => take(&push, registry, out),
        Err(error) => out.ignore(IgnoredReason::BadEvent, &error.to_string()),
    }
}

/// Takes one push; Azure's are of the same shape.
pub(super) fn take(push: &Push<'_>, registry: Option<&str>, out: &mut Collector) {
    let Push { target, request } = push;
    if target.media_type.as_deref().is_some_and(|media_type| !is_manifest(media_type)) {
        return out.ignore(IgnoredReason::NotAManifest, target.media_type.as_deref().unwrap_or_default());
    }
    let Some(tag) = target.tag.as_deref().filter(|tag| !tag.is_empty()) else {
        return out.ignore(IgnoredReason::NoTag, &target.repository);
    };
    let told = request.as_ref().and_then(|request| request.host.as_deref()).filter(|host| !host.is_empty());
    let host = told.or_else(|| target.url.as_deref().and_then(host_of)).or(registry);
    out.push(host, &target.repository, tag, target.digest.as_deref());
}

/// Manifests and indexes of either standard; a chart's manifest is a generic one. Layers and
/// configurations are pushed as well and told of alike.
fn is_manifest(media_type: &str) -> bool {
    media_type.is_empty() || (media_type.contains("manifest") || media_type.contains("image.index")) && !media_type.contains("layer")
}
