//! Mattermost: an attachment with fields, by an incoming webhook.
//!
//! Markdown from outside is escaped. Mattermost looks for mentions in escaped text too, so an invisible character follows
//! each `@` and precedes each emoji name.

use reqwest::Client;
use reqwest::header::HeaderMap;
use serde_json::{Value, json};

use super::http::{self, Outcome};
use super::message::Message;
use super::settings::Mattermost;
use super::text::markdown;

/// Maximum number of lines of a digest.
const LINES: usize = 20;

/// Sends the messages as one.
pub(super) async fn send(client: &Client, settings: &Mattermost, messages: &[Message]) -> Outcome {
    http::post(client, &settings.url, render(settings, messages).to_string(), HeaderMap::new(), http::TIMEOUT).await
}

/// Returns the payload for the messages.
pub(super) fn render(settings: &Mattermost, messages: &[Message]) -> Value {
    let attachment = match messages {
        [message] => single(message),
        messages => digest(messages),
    };
    let mut payload = json!({"attachments": [attachment]});
    if let (Some(channel), Some(payload)) = (&settings.channel, payload.as_object_mut()) {
        payload.insert("channel".to_owned(), channel.as_str().into());
    }
    payload
}

fn single(message: &Message) -> Value {
    let fields: Vec<Value> = message
        .facts()
        .into_iter()
        .map(|(label, value)| json!({"title": label, "value": escape(&value), "short": value.len() < 40}))
        .collect();
    json!({
        "fallback": escape(&message.summary()),
        "title": escape(&message.title()),
        "title_link": message.ui_url,
        "fields": fields,
        "footer": format!("{} · {}", message.event, message.request),
    })
}

fn digest(messages: &[Message]) -> Value {
    let title = format!("{} notifications from Headwind", messages.len());
    let lines = messages.iter().take(LINES).map(|message| format!("- {}", escape(&message.summary())));
    let rest = (messages.len() > LINES).then(|| format!("- and {} more", messages.len() - LINES));
    json!({"fallback": title, "title": title, "text": lines.chain(rest).collect::<Vec<_>>().join("\n")})
}

fn escape(text: &str) -> String {
    markdown(text).replace('@', "@\u{200b}").replace("\\:", "\\:\u{200b}").replace("www.", "www\\.")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::notify::message::tests::{hostile, snapshot};
    use crate::report::notify::secret::Secret;
    use crate::report::notify::settings::Common;

    fn settings() -> Mattermost {
        Mattermost { common: Common::default(), url: Secret::new("https://mattermost.example/hooks/x"), channel: Some("ops".into()) }
    }

    #[test]
    fn messages_are_rendered() {
        snapshot("mattermost", |messages| render(&settings(), messages));
    }

    #[test]
    fn markup_from_outside_is_text() {
        for messages in [vec![hostile()], vec![hostile(), hostile()]] {
            let text = render(&settings(), &messages).to_string();
            for bad in ["@everyone", "@channel", "](https", "https://evil"] {
                assert!(!text.contains(bad), "{bad}: {text}");
            }
        }
    }
}
