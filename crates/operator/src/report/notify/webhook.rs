//! The webhook: JSON with a signature.

use hmac::{Hmac, KeyInit as _, Mac as _};
use reqwest::Client;
use reqwest::header::{HeaderMap, HeaderValue};
use serde_json::{Value, json};
use sha2::Sha256;

use super::http::{self, Outcome};
use super::message::Message;
use super::secret::Secret;
use super::settings::Webhook;

/// The header with `sha256=` and the HMAC-SHA256 of the body in hexadecimal digits.
const SIGNATURE: &str = "x-headwind-signature";

/// Sends the messages as one.
pub(super) async fn send(client: &Client, settings: &Webhook, messages: &[Message]) -> Outcome {
    let body = render(messages).to_string();
    let mut headers = HeaderMap::new();
    if let Some(signature) = settings.secret.as_ref().and_then(|secret| HeaderValue::from_str(&signature(secret, body.as_bytes())).ok()) {
        headers.insert(SIGNATURE, signature);
    }
    http::post(client, &settings.url, body, headers, settings.timeout).await
}

/// Returns the value of the signature header.
fn signature(secret: &Secret, body: &[u8]) -> String {
    // A key of any length is valid.
    let mac = Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes()).map(|mac| mac.chain_update(body).finalize().into_bytes());
    format!("sha256={}", mac.map(hex::encode).unwrap_or_default())
}

/// Returns the body: the notification, or in digest mode `{"notifications": […]}`.
pub(super) fn render(messages: &[Message]) -> Value {
    match messages {
        [message] => single(message),
        messages => json!({"notifications": messages.iter().map(single).collect::<Vec<_>>()}),
    }
}

fn single(message: &Message) -> Value {
    json!({
        "id": message.id,
        "event": message.event.as_str(),
        "timestamp": message.at.to_string(),
        "deployment": {
            "name": message.workload,
            "namespace": message.namespace,
            "currentImage": message.from,
            "newImage": message.to,
            "container": message.container,
            "resourceKind": message.kind,
        },
        "policy": message.policy,
        "requiresApproval": message.requires_approval,
        "approvalUrl": message.approval_url,
        "uiUrl": message.ui_url,
        "approvedBy": message.approved_by,
        "rejectedBy": message.rejected_by,
        "rejectionReason": message.rejection_reason,
        "errorMessage": message.error,
        "updateRequestName": message.request,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::notify::message::tests::snapshot;

    #[test]
    fn messages_are_rendered() {
        snapshot("webhook", render);
    }

    /// The second test case of RFC 4231.
    #[test]
    fn the_signature_is_hmac_sha256() {
        let expected = "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert_eq!(signature(&Secret::new("Jefe"), b"what do ya want for nothing?"), expected);
    }
}
