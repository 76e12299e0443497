//! A CloudEvents envelope (CloudEvents 1.0, "JSON Event Format", structured mode) around another
//! sender's payload, once. In binary mode the body is that payload already.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::{Call, Collector, IgnoredReason, claim, distribution};

pub(super) fn read(call: &Call<'_, '_>, out: &mut Collector) -> Option<()> {
    call.text(&["specversion"])?;
    let kind = call.text(&["type"])?;
    if call.nested {
        return None;
    }
    let encoded = call.text(&["data_base64"]).and_then(|data| STANDARD.decode(data).ok());
    let decoded: Option<Value> = encoded.and_then(|data| serde_json::from_slice(&data).ok());
    let Some(data) = call.body.get("data").or(decoded.as_ref()) else {
        out.ignore(IgnoredReason::BadEvent, kind);
        return Some(());
    };
    // Distribution's is read out of text; this one is rare enough to be written again.
    let read = distribution::read(data.to_string().as_bytes(), call.registry, out).is_some()
        || claim(&Call { body: data, nested: true, ..*call }, out).is_some();
    if !read {
        out.ignore(IgnoredReason::BadEvent, kind);
    }
    Some(())
}
