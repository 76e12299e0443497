//! Google's Artifact Registry and Container Registry, via a push subscription of Pub/Sub ("Configure Pub/Sub
//! notifications" and "Receive messages by push").
//!
//! The message's data is JSON in base64: `action` is INSERT or DELETE, `digest` and `tag` are complete references with
//! the host. A subscription that unwraps its messages sends only the data.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::{Call, Collector, IgnoredReason, text};

pub(super) fn read(call: &Call<'_, '_>, out: &mut Collector) -> Option<()> {
    if call.text(&["subscription"]).is_some()
        && let Some(message) = call.body.get("message").filter(|message| message.is_object())
    {
        let data = text(message, &["data"]).and_then(|data| STANDARD.decode(data).ok());
        match data.and_then(|data| serde_json::from_slice::<Value>(&data).ok()) {
            Some(data) if take(&data, out).is_some() => {}
            Some(_) | None => out.ignore(IgnoredReason::BadEvent, "a message of another topic"),
        }
        return Some(());
    }
    take(call.body, out)
}

fn take(data: &Value, out: &mut Collector) -> Option<()> {
    let action = text(data, &["action"]).filter(|action| matches!(*action, "INSERT" | "DELETE"))?;
    let (digest, tag) = (text(data, &["digest"]), text(data, &["tag"]));
    match (action, tag) {
        ("INSERT", Some(tag)) => out.push_reference(tag, digest.and_then(|digest| Some(digest.split_once('@')?.1))),
        ("INSERT", None) => out.ignore(IgnoredReason::NoTag, digest?),
        (_, _) => out.ignore(IgnoredReason::NotAPush, action),
    }
    Some(())
}
