//! A CloudEvents envelope (CloudEvents 1.0, "JSON Event Format" and "HTTP Protocol Binding") around another sender's
//! payload, once, or around `repository` and `tag`.
//!
//! In binary mode the attributes are in headers (`Ce-Type`), and the body is the payload. An event with `repository`,
//! `tag` and optionally `digest` that no other sender claims is a push. Its host is that of `?registry=`, else that of
//! the attribute `source`, if it is a URL.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::{Call, Collector, IgnoredReason, claim, distribution, host_of, text};

/// Parts of a type that indicate something other than a push.
const OTHERS: [&str; 6] = ["delet", "remov", "pull", "scan", "fail", "quarantine"];

/// The attributes of an event, and its data as JSON.
#[derive(Clone, Copy)]
pub(super) struct Attributes<'a> {
    pub(super) kind: &'a str,
    pub(super) source: Option<&'a str>,
    pub(super) data: &'a Value,
}

impl<'a> Attributes<'a> {
    /// Returns the attributes in either mode; `None` if the call is not a CloudEvent, or carries no plain JSON.
    pub(super) fn of<'h: 'a>(call: &Call<'a, 'h>) -> Option<Self> {
        if call.text(&["specversion"]).is_some() {
            let data = call.body.get("data")?;
            return Some(Self { kind: call.text(&["type"])?, source: call.text(&["source"]), data });
        }
        Some(Self { kind: (call.header)("ce-type")?, source: (call.header)("ce-source"), data: call.body })
    }
}

pub(super) fn read(call: &Call<'_, '_>, out: &mut Collector) -> Option<()> {
    if call.nested {
        return None;
    }
    let Some(kind) = call.text(&["specversion"]).and_then(|_| call.text(&["type"])) else {
        return plain(&Attributes::of(call)?, call.registry, out);
    };
    let encoded = call.text(&["data_base64"]).and_then(|data| STANDARD.decode(data).ok());
    let decoded: Option<Value> = encoded.and_then(|data| serde_json::from_slice(&data).ok());
    let Some(data) = call.body.get("data").or(decoded.as_ref()) else {
        out.ignore(IgnoredReason::BadEvent, kind);
        return Some(());
    };
    // Distribution's decoder reads text. This case is rare enough to serialise the value again.
    let read = distribution::read(data.to_string().as_bytes(), call.registry, out).is_some()
        || claim(&Call { body: data, nested: true, ..*call }, out).is_some()
        || plain(&Attributes { kind, source: call.text(&["source"]), data }, call.registry, out).is_some();
    if !read {
        out.ignore(IgnoredReason::BadEvent, kind);
    }
    Some(())
}

/// Decodes an event with `repository` and `tag`.
fn plain(event: &Attributes<'_>, registry: Option<&str>, out: &mut Collector) -> Option<()> {
    let Attributes { kind, source, data } = *event;
    let (repository, tag) = (text(data, &["repository"])?, data.get("tag")?);
    let lower = kind.to_ascii_lowercase();
    if OTHERS.iter().any(|word| lower.contains(word)) {
        out.ignore(IgnoredReason::NotAPush, kind);
        return Some(());
    }
    let host = registry.or_else(|| source.filter(|source| source.contains("://")).and_then(host_of));
    out.push(host, repository, tag.as_str().unwrap_or_default(), text(data, &["digest"]));
    Some(())
}
