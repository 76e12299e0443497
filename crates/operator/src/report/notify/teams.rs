//! Microsoft Teams: an Adaptive Card in a `message` envelope, for a workflow that posts to a channel.
//!
//! Text from outside is in `TextRun` elements, which have no Markdown. The workflow answers 202 with an empty body.

use reqwest::Client;
use reqwest::header::HeaderMap;
use serde_json::{Value, json};

use super::http::{self, Outcome};
use super::message::Message;
use super::settings::Teams;

/// Maximum number of lines of a digest; a message has at most 28 KB.
const LINES: usize = 18;

/// Sends the messages as one.
pub(super) async fn send(client: &Client, settings: &Teams, messages: &[Message]) -> Outcome {
    http::post(client, &settings.url, render(messages).to_string(), HeaderMap::new(), http::TIMEOUT).await
}

/// Returns the payload for the messages.
pub(super) fn render(messages: &[Message]) -> Value {
    let (body, link) = match messages {
        [message] => (single(message), message.ui_url.as_ref()),
        messages => (digest(messages), None),
    };
    let actions: Vec<Value> =
        link.map(|url| json!({"type": "Action.OpenUrl", "title": "Open in Headwind", "url": url})).into_iter().collect();
    json!({
        "type": "message",
        "attachments": [{
            "contentType": "application/vnd.microsoft.card.adaptive",
            "contentUrl": null,
            "content": {
                "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
                "type": "AdaptiveCard",
                "version": "1.4",
                "msteams": {"width": "Full"},
                "body": body,
                "actions": actions,
            },
        }],
    })
}

fn single(message: &Message) -> Vec<Value> {
    let title = rich(&[json!({"type": "TextRun", "text": message.title(), "weight": "Bolder", "size": "Medium"})]);
    let facts = message.facts().into_iter().map(|(label, value)| rich(&[run(&format!("{label}: "), "Bolder"), run(&value, "Default")]));
    let about = format!("{} · {} · {}", message.event, message.request, message.at.strftime("%Y-%m-%d %H:%M:%S UTC"));
    let about = rich(&[json!({"type": "TextRun", "text": about, "isSubtle": true, "size": "Small"})]);
    std::iter::once(title).chain(facts).chain([about]).collect()
}

fn digest(messages: &[Message]) -> Vec<Value> {
    let title = format!("{} notifications from Headwind", messages.len());
    let title = rich(&[json!({"type": "TextRun", "text": title, "weight": "Bolder", "size": "Medium"})]);
    let lines = messages.iter().take(LINES).map(|message| rich(&[run(&message.summary(), "Default")]));
    let rest = (messages.len() > LINES).then(|| rich(&[run(&format!("and {} more", messages.len() - LINES), "Default")]));
    std::iter::once(title).chain(lines).chain(rest).collect()
}

fn rich(inlines: &[Value]) -> Value {
    json!({"type": "RichTextBlock", "inlines": inlines})
}

fn run(text: &str, weight: &str) -> Value {
    json!({"type": "TextRun", "text": text, "weight": weight})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::notify::message::tests::{hostile, snapshot};

    #[test]
    fn messages_are_rendered() {
        snapshot("teams", render);
    }

    /// Only `TextBlock` and `FactSet` read Markdown, and a mention needs an entry in `msteams.entities`.
    #[test]
    fn text_from_outside_is_in_elements_without_markdown() {
        for messages in [vec![hostile()], vec![hostile(), hostile()]] {
            let payload = render(&messages);
            let content = &payload["attachments"][0]["content"];
            assert_eq!(content["msteams"]["entities"], Value::Null);
            for element in content["body"].as_array().unwrap() {
                assert_eq!(element["type"], "RichTextBlock");
                assert!(element["inlines"].as_array().unwrap().iter().all(|inline| inline["type"] == "TextRun"));
            }
        }
    }

    #[test]
    fn a_digest_fits_into_a_message() {
        let long = Message { from: "ä".repeat(300), to: "ö".repeat(300), ..hostile() };
        assert!(render(&vec![long; 100]).to_string().len() < 28_000);
    }
}
