//! Slack: Block Kit by an incoming webhook.
//!
//! Text from outside is in `plain_text` objects, which have no markup, and its `&`, `<` and `>` are escaped, which Slack
//! requires everywhere.

use reqwest::Client;
use reqwest::header::HeaderMap;
use serde_json::{Value, json};

use super::http::{self, Outcome};
use super::message::Message;
use super::settings::Slack;
use super::text::one_line;

/// Maximum length of a header (a limit of Slack).
const HEADER: usize = 150;
/// Maximum number of facts in a section (a limit of Slack).
const FIELDS: usize = 10;
/// Maximum length of a fact. Escaped, it may be five times as long, and Slack takes 2000 characters.
const VALUE: usize = 380;
/// Maximum number of lines of a digest; a message has at most 50 blocks.
const LINES: usize = 40;

/// Sends the messages as one.
pub(super) async fn send(client: &Client, settings: &Slack, messages: &[Message]) -> Outcome {
    http::post(client, &settings.url, render(settings, messages).to_string(), HeaderMap::new(), http::TIMEOUT).await
}

/// Returns the payload for the messages.
pub(super) fn render(settings: &Slack, messages: &[Message]) -> Value {
    let (summary, blocks) = match messages {
        [message] => (message.summary(), single(message)),
        messages => (format!("{} notifications from Headwind", messages.len()), digest(messages)),
    };
    let mut payload = json!({
        // Shown in notifications of the device. Without this Slack reads markup in it.
        "text": escape(&summary), "mrkdwn": false, "parse": "none", "link_names": false, "unfurl_links": false, "unfurl_media": false,
        "blocks": blocks,
    });
    for (key, value) in [("channel", &settings.channel), ("username", &settings.username), ("icon_emoji", &settings.icon_emoji)] {
        if let (Some(value), Some(payload)) = (value, payload.as_object_mut()) {
            payload.insert(key.to_owned(), value.as_str().into());
        }
    }
    payload
}

fn single(message: &Message) -> Vec<Value> {
    let fields: Vec<Value> =
        message.facts().into_iter().take(FIELDS).map(|(label, value)| plain(&format!("{label}\n{}", one_line(&value, VALUE)))).collect();
    let mut blocks = vec![
        json!({"type": "header", "text": {"type": "plain_text", "text": one_line(&escape(&message.title()), HEADER - 1), "emoji": false}}),
        json!({"type": "section", "fields": fields}),
    ];
    if let Some(url) = &message.ui_url {
        blocks.push(json!({"type": "section", "text": {"type": "mrkdwn", "text": format!("<{url}|Open in Headwind>")}}));
    }
    let about = format!("{} · {} · {}", message.event, message.request, message.at.strftime("%Y-%m-%d %H:%M:%S UTC"));
    blocks.push(json!({"type": "context", "elements": [plain(&about)]}));
    blocks
}

fn digest(messages: &[Message]) -> Vec<Value> {
    let title = format!("{} notifications from Headwind", messages.len());
    let mut blocks = vec![json!({"type": "header", "text": {"type": "plain_text", "text": title, "emoji": false}})];
    blocks.extend(messages.iter().take(LINES).map(|message| {
        let link = message.ui_url.as_ref().map(|url| json!({"type": "mrkdwn", "text": format!("<{url}|Open>")}));
        json!({"type": "context", "elements": std::iter::once(plain(&message.summary())).chain(link).collect::<Vec<_>>()})
    }));
    if messages.len() > LINES {
        blocks.push(json!({"type": "context", "elements": [plain(&format!("and {} more", messages.len() - LINES))]}));
    }
    blocks
}

fn plain(text: &str) -> Value {
    json!({"type": "plain_text", "text": escape(text), "emoji": false})
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::notify::message::tests::{hostile, snapshot};
    use crate::report::notify::secret::Secret;
    use crate::report::notify::settings::Common;

    fn settings() -> Slack {
        let url = Secret::new("https://hooks.slack.example/x");
        Slack { common: Common::default(), url, channel: Some("#ops".into()), username: None, icon_emoji: Some(":sailboat:".into()) }
    }

    #[test]
    fn messages_are_rendered() {
        snapshot("slack", |messages| render(&settings(), messages));
    }

    #[test]
    fn markup_from_outside_is_text() {
        for messages in [vec![hostile()], vec![hostile(), hostile()]] {
            let payload = render(&settings(), &messages).to_string();
            for bad in ["<!channel>", "<https://evil", "<@U"] {
                assert!(!payload.contains(bad), "{bad}: {payload}");
            }
            assert!(payload.contains("&lt;!channel&gt;"), "{payload}");
        }
    }

    #[test]
    fn the_limits_of_slack_hold() {
        let long = Message { workload: "<".repeat(253), to: "x".repeat(300), why: "&".repeat(500), ..hostile() };
        let many = vec![long.clone(); 100];
        for messages in [&[long][..], &many] {
            let payload = render(&settings(), messages);
            let blocks = payload["blocks"].as_array().unwrap();
            assert!(blocks.len() <= 50);
            assert!(blocks[0]["text"]["text"].as_str().unwrap().chars().count() <= 150);
            let fields = blocks.iter().filter_map(|block| block["fields"].as_array()).flatten();
            assert!(fields.into_iter().all(|field| field["text"].as_str().unwrap().chars().count() <= 2000));
        }
    }
}
