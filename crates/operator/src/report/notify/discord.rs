//! Discord: an embed. No mention is allowed, and Markdown from outside is escaped.

use reqwest::Client;
use reqwest::header::HeaderMap;
use serde_json::{Value, json};

use super::http::{self, Outcome};
use super::message::Message;
use super::settings::Discord;
use super::text::{markdown, one_line};

/// Maximum number of lines of a digest.
const LINES: usize = 10;
/// Maximum length of a title (a limit of Discord).
const TITLE: usize = 255;
/// Maximum length of a line of a digest: all lines together have at most 4096 characters (a limit of Discord).
const LINE: usize = 380;
/// Maximum length of a value (a limit of Discord).
const VALUE: usize = 1023;

/// Sends the messages as one.
pub(super) async fn send(client: &Client, settings: &Discord, messages: &[Message]) -> Outcome {
    http::post(client, &settings.url, render(messages).to_string(), HeaderMap::new(), http::TIMEOUT).await
}

/// Returns the payload for the messages.
pub(super) fn render(messages: &[Message]) -> Value {
    let embed = match messages {
        [message] => single(message),
        messages => digest(messages),
    };
    json!({"allowed_mentions": {"parse": []}, "embeds": [embed]})
}

fn single(message: &Message) -> Value {
    let fields: Vec<Value> = message
        .facts()
        .into_iter()
        .map(|(label, value)| json!({"name": label, "value": cut(&markdown(&value), VALUE), "inline": value.len() < 40}))
        .collect();
    json!({
        "title": cut(&markdown(&message.title()), TITLE),
        "url": message.ui_url,
        "timestamp": message.at.to_string(),
        "fields": fields,
        "footer": {"text": format!("{} · {}", message.event, message.request)},
    })
}

fn digest(messages: &[Message]) -> Value {
    let lines = messages.iter().take(LINES).map(|message| cut(&markdown(&message.summary()), LINE));
    let rest = (messages.len() > LINES).then(|| format!("and {} more", messages.len() - LINES));
    let text: Vec<String> = lines.chain(rest).collect();
    json!({"title": format!("{} notifications from Headwind", messages.len()), "description": text.join("\n")})
}

/// Cuts escaped text without leaving half of an escape.
fn cut(text: &str, limit: usize) -> String {
    let cut = one_line(text, limit);
    match cut.strip_suffix('…').filter(|_| cut.len() < text.len() + '…'.len_utf8()) {
        Some(head) if (head.len() - head.trim_end_matches('\\').len()) % 2 == 1 => format!("{}…", head.strip_suffix('\\').unwrap_or(head)),
        _ => cut,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::notify::message::tests::{hostile, snapshot};

    #[test]
    fn messages_are_rendered() {
        snapshot("discord", render);
    }

    #[test]
    fn markup_from_outside_is_text() {
        for messages in [vec![hostile()], vec![hostile(), hostile()]] {
            let payload = render(&messages);
            assert_eq!(payload["allowed_mentions"]["parse"], json!([]));
            let text = payload.to_string();
            for bad in ["<@U1>", "](https", "https://evil", " @everyone"] {
                assert!(!text.contains(bad), "{bad}: {text}");
            }
        }
    }

    #[test]
    fn the_limits_of_discord_hold() {
        let long = Message { to: "_".repeat(300), why: "*".repeat(500), ..hostile() };
        let single = render(std::slice::from_ref(&long));
        let fields = single["embeds"][0]["fields"].as_array().unwrap();
        assert!(fields.iter().all(|field| field["value"].as_str().unwrap().chars().count() <= 1024));
        let digest = render(&vec![long; 100]);
        assert!(digest["embeds"][0]["description"].as_str().unwrap().chars().count() <= 4096);
    }

    #[test]
    fn no_escape_is_cut_in_half() {
        assert_eq!(cut(r"ab\*cd", 3), "ab…");
        assert_eq!(cut(r"a\\bc", 3), r"a\\…");
        assert_eq!(cut(r"ab\*", 4), r"ab\*");
    }
}
