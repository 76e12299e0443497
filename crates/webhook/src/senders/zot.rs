//! zot's events ("Event Support for zot"): CloudEvents, in structured mode or with the attributes in headers (binary
//! mode).
//!
//! The events need not name the host that images are pulled from. It is that of `?registry=HOST`, else that of zot's
//! setting `source`, if it is a URL.

use serde_json::Value;

use super::cloud_events::Attributes;
use super::{Call, Collector, IgnoredReason, host_of, text};

/// The suffix of zot's types. Their prefix is a setting.
const UPDATED: &str = ".image.updated";
const OTHERS: [&str; 3] = [".image.deleted", ".image.lint_failed", ".repository.created"];

pub(super) fn read(call: &Call<'_, '_>, out: &mut Collector) -> Option<()> {
    let Attributes { kind, source, data } = Attributes::of(call)?;
    let repository = text(data, &["name"])?;
    if OTHERS.iter().any(|ending| kind.ends_with(ending)) {
        out.ignore(IgnoredReason::NotAPush, kind);
        return Some(());
    }
    if !kind.ends_with(UPDATED) {
        return None;
    }
    let host = call.registry.or_else(|| source.filter(|source| source.contains("://")).and_then(host_of));
    let reference = data.get("reference").and_then(Value::as_str).unwrap_or_default();
    out.push(host, repository, reference, text(data, &["digest"]));
    Some(())
}
