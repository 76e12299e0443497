//! Slack: Block Kit by an incoming webhook or by a bot.
//!
//! Text from outside is in `plain_text` objects, which have no markup, and its `&`, `<` and `>` are escaped, which Slack
//! requires everywhere.
//!
//! | module | what |
//! |---|---|
//! | [`bot`] | the calls of the Web API: post and update a message |
//! | [`board`] | where the bot posted, and which messages must be updated |
//! | [`decided`] | the message about a request that is decided or ended |
//! | [`reply`] | the replies to clicks |

pub(super) mod board;
mod bot;
pub(super) mod decided;
pub(super) mod reply;

use headwind_core::notification::NotificationEvent;
use headwind_webhook::slack::{Answer, Target};
use reqwest::Client;
use reqwest::header::HeaderMap;
use serde_json::{Value, json};

use self::bot::Bot;
use super::http::{self, Outcome};
use super::message::Message;
use super::settings::{Slack, SlackVia};
use super::text::one_line;

/// Maximum length of a header (a limit of Slack).
const HEADER: usize = 150;
/// Maximum number of facts in a section (a limit of Slack).
const FIELDS: usize = 10;
/// Maximum length of a fact. Escaped, it may be five times as long, and Slack takes 2000 characters.
const VALUE: usize = 380;
/// Maximum number of lines of a digest; a message has at most 50 blocks.
const LINES: usize = 40;

/// The place of a message that a bot posted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// The ID of the Slack channel.
    pub(super) channel: String,
    /// The time stamp that identifies the message in its channel.
    pub(super) ts: String,
}

/// Sends the messages as one.
pub(super) async fn send(client: &Client, settings: &Slack, messages: &[Message]) -> Outcome {
    post(client, settings, messages).await.0
}

/// Sends the messages as one. Returns where it is, if Slack tells it.
pub(super) async fn post(client: &Client, settings: &Slack, messages: &[Message]) -> (Outcome, Option<Place>) {
    let payload = render(settings, messages);
    match &settings.via {
        SlackVia::Webhook(url) => (http::post(client, url, payload.to_string(), HeaderMap::new(), http::TIMEOUT).await, None),
        SlackVia::Bot { token, api_url } => Bot { client, token, api_url }.post(&payload).await,
    }
}

/// Returns the payload for the messages.
pub(super) fn render(settings: &Slack, messages: &[Message]) -> Value {
    let (summary, blocks) = match messages {
        [message] => (message.summary(), single(message, settings.buttons.is_some())),
        messages => (format!("{} notifications from Headwind", messages.len()), digest(messages)),
    };
    payload(settings, &summary, &blocks)
}

/// Returns the payload with these blocks.
fn payload(settings: &Slack, summary: &str, blocks: &[Value]) -> Value {
    let mut payload = json!({
        // Shown in notifications of the device. Without this Slack reads markup in it.
        "text": escape(summary), "mrkdwn": false, "parse": "none", "link_names": false, "unfurl_links": false, "unfurl_media": false,
        "blocks": blocks,
    });
    for (key, value) in [("channel", &settings.channel), ("username", &settings.username), ("icon_emoji", &settings.icon_emoji)] {
        if let (Some(value), Some(payload)) = (value, payload.as_object_mut()) {
            payload.insert(key.to_owned(), value.as_str().into());
        }
    }
    payload
}

fn single(message: &Message, with_buttons: bool) -> Vec<Value> {
    let mut blocks = vec![header(&message.title()), fields(message.facts())];
    if with_buttons && message.event == NotificationEvent::UpdateRequestCreated {
        blocks.push(buttons(message));
    }
    blocks.extend(footer(message));
    blocks
}

fn header(title: &str) -> Value {
    json!({"type": "header", "text": {"type": "plain_text", "text": one_line(&escape(title), HEADER - 1), "emoji": false}})
}

fn fields(facts: Vec<(&'static str, String)>) -> Value {
    let field = |(label, value): (&str, String)| plain(&format!("{label}\n{}", one_line(&value, VALUE)));
    json!({"type": "section", "fields": facts.into_iter().take(FIELDS).map(field).collect::<Vec<_>>()})
}

/// The buttons of a message about an update that waits for approval.
fn buttons(message: &Message) -> Value {
    let Message { namespace, request, id, .. } = message;
    let value = Target { namespace: namespace.clone(), name: request.clone(), notification: id.clone() }.value();
    let button = |answer: Answer, label: &str, style: &str| {
        let confirm = json!({
            "title": plain(&format!("{label} this update?")), "text": plain(&one_line(&message.summary(), VALUE.min(290))),
            "confirm": plain(label), "deny": plain("Cancel"), "style": style,
        });
        json!({"type": "button", "action_id": answer.action_id(), "text": plain(label), "style": style, "value": value, "confirm": confirm})
    };
    let elements = [button(Answer::Approve, "Approve", "primary"), button(Answer::Reject, "Reject", "danger")];
    json!({"type": "actions", "block_id": "headwind", "elements": elements})
}

/// The link, and what the message is about.
fn footer(message: &Message) -> Vec<Value> {
    let mut blocks = Vec::new();
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
    use crate::report::notify::message::tests::{hostile, messages, snapshot};
    use crate::report::notify::secret::Secret;
    use crate::report::notify::settings::{Common, SlackButtons, SlackUsers};

    fn settings() -> Slack {
        let url = Secret::new("https://hooks.slack.example/x");
        Slack {
            common: Common::default(),
            via: SlackVia::Webhook(url),
            channel: Some("#ops".into()),
            username: None,
            icon_emoji: Some(":sailboat:".into()),
            buttons: None,
        }
    }

    #[test]
    fn messages_are_rendered() {
        snapshot("slack", |messages| render(&settings(), messages));
    }

    #[test]
    fn an_update_that_waits_has_buttons_if_they_are_enabled() {
        let users = SlackUsers::parse("U1=ann").unwrap();
        let with = Slack { buttons: Some(SlackButtons { signing_secret: Secret::new("s"), users }), ..settings() };
        let [found, waits] = messages().first_chunk().cloned().unwrap();
        let buttons = |settings: &Slack, messages: &[Message]| -> Vec<Value> {
            let payload = render(settings, messages);
            let actions = payload["blocks"].as_array().unwrap().iter().find(|block| block["type"] == "actions").cloned();
            actions.and_then(|block| block["elements"].as_array().cloned()).unwrap_or_default()
        };
        let both = buttons(&with, std::slice::from_ref(&waits));
        assert_eq!(
            both.iter().map(|button| button["action_id"].as_str().unwrap()).collect::<Vec<_>>(),
            ["headwind_approve", "headwind_reject"]
        );
        assert_eq!(both[0]["value"], format!("shop/{}/{}", waits.request, waits.id));
        let long = Message { workload: "w".repeat(250), to: "x".repeat(300), ..waits.clone() };
        let confirm = &buttons(&with, &[long])[0]["confirm"];
        assert!(
            confirm["text"]["text"].as_str().unwrap().chars().count() <= 300 && confirm["title"]["text"].as_str().unwrap().len() <= 100
        );
        assert_eq!(
            buttons(&with, &[found]).len() + buttons(&with, &[waits.clone(), waits.clone()]).len() + buttons(&settings(), &[waits]).len(),
            0
        );
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
