//! The Web API of Slack: post a message, and update it.

use reqwest::Client;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Place;
use crate::report::notify::http::{self, Outcome};
use crate::report::notify::secret::Secret;
use crate::report::notify::text::one_line;

/// Errors of Slack itself, which pass.
const PASSING: [&str; 6] = ["ratelimited", "rate_limited", "internal_error", "fatal_error", "service_unavailable", "request_timeout"];
/// Maximum length of an error, in characters.
const ERROR: usize = 100;
/// Maximum length of a channel's ID and of a time stamp.
const PART: usize = 32;

/// A bot.
pub(super) struct Bot<'a> {
    pub(super) client: &'a Client,
    pub(super) token: &'a Secret,
    /// Without a slash at the end.
    pub(super) api_url: &'a str,
}

/// An answer of Slack, which has status 200 even if Slack refuses.
#[derive(Deserialize)]
struct Answer {
    ok: bool,
    error: Option<String>,
    channel: Option<String>,
    ts: Option<String>,
}

impl Bot<'_> {
    /// Posts a message (`chat.postMessage`). Returns where it is.
    pub(super) async fn post(&self, payload: &Value) -> (Outcome, Option<Place>) {
        self.call("chat.postMessage", payload).await
    }

    /// Replaces a message (`chat.update`).
    pub(super) async fn update(&self, place: &Place, mut payload: Value) -> Outcome {
        if let Some(fields) = payload.as_object_mut() {
            fields.insert("channel".to_owned(), place.channel.as_str().into());
            fields.insert("ts".to_owned(), place.ts.as_str().into());
            // The method does not know them.
            for name in ["username", "icon_emoji", "mrkdwn", "unfurl_links", "unfurl_media"] {
                fields.remove(name);
            }
        }
        self.call("chat.update", &payload).await.0
    }

    async fn call(&self, method: &str, payload: &Value) -> (Outcome, Option<Place>) {
        let mut headers = HeaderMap::new();
        let Ok(mut bearer) = HeaderValue::from_str(&format!("Bearer {}", self.token.expose())) else {
            return (Outcome::Refused("SLACK_BOT_TOKEN has characters that are not allowed in a header".to_owned()), None);
        };
        bearer.set_sensitive(true);
        headers.insert(AUTHORIZATION, bearer);
        let url = Secret::new(format!("{}/{method}", self.api_url));
        let (outcome, body) = http::call(self.client, &url, payload.to_string(), headers, http::TIMEOUT).await;
        let (outcome, place) = match outcome {
            Outcome::Delivered(status) => judge(&body, &status),
            failed => (failed, None),
        };
        (without(self.token, outcome), place)
    }
}

/// Returns the outcome without an answer that repeats the token.
fn without(token: &Secret, outcome: Outcome) -> Outcome {
    let hidden = |text: String| if text.contains(token.expose()) { "the answer contained the token".to_owned() } else { text };
    match outcome {
        Outcome::Delivered(answer) => Outcome::Delivered(hidden(answer)),
        Outcome::Retry { problem, after } => Outcome::Retry { problem: hidden(problem), after },
        Outcome::Refused(problem) => Outcome::Refused(hidden(problem)),
    }
}

/// Returns true for a part of a place. It is stored in the Lease, so a receiver must not choose its length.
fn is_plain(text: &str) -> bool {
    (1..=PART).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'.')
}

/// Judges an answer with a status of success.
fn judge(body: &[u8], status: &str) -> (Outcome, Option<Place>) {
    let Ok(Answer { ok, error, channel, ts }) = serde_json::from_slice(body) else {
        return (Outcome::Refused(format!("the answer is not from Slack's Web API: {status}")), None);
    };
    if ok {
        let place = channel.zip(ts).filter(|(channel, ts)| is_plain(channel) && is_plain(ts));
        return (Outcome::Delivered("ok".to_owned()), place.map(|(channel, ts)| Place { channel, ts }));
    }
    let error = one_line(&error.unwrap_or_default(), ERROR);
    let problem = format!("Slack answered: {error}");
    if PASSING.contains(&error.as_str()) { (Outcome::Retry { problem, after: None }, None) } else { (Outcome::Refused(problem), None) }
}

/// Returns a payload for a response URL that replaces the message of a button.
pub(super) fn replacing(mut payload: Value) -> Value {
    if let Some(fields) = payload.as_object_mut() {
        fields.insert("replace_original".to_owned(), true.into());
        for name in ["channel", "username", "icon_emoji"] {
            fields.remove(name);
        }
    }
    payload
}

/// Returns a payload for a response URL that only the person who clicked sees.
pub(super) fn whispered(text: &str) -> Value {
    json!({"response_type": "ephemeral", "replace_original": false, "text": super::escape(text), "mrkdwn": false, "parse": "none"})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_with_the_token_is_not_shown() {
        let token = Secret::new("xoxb-canary");
        let refused = without(&token, Outcome::Refused("the receiver answered 400: bad xoxb-canary".to_owned()));
        assert_eq!(refused, Outcome::Refused("the answer contained the token".to_owned()));
        assert_eq!(without(&token, Outcome::Refused("no".to_owned())), Outcome::Refused("no".to_owned()));
    }

    #[test]
    fn an_answer_tells_where_the_message_is() {
        let place = Place { channel: "C1".to_owned(), ts: "1503435956.000247".to_owned() };
        let body = br#"{"ok":true,"channel":"C1","ts":"1503435956.000247","message":{"text":"x"}}"#;
        assert_eq!(judge(body, "200 OK"), (Outcome::Delivered("ok".to_owned()), Some(place)));
        let refused = judge(br#"{"ok":false,"error":"channel_not_found"}"#, "200 OK").0;
        assert_eq!(refused, Outcome::Refused("Slack answered: channel_not_found".to_owned()));
        assert!(matches!(judge(br#"{"ok":false,"error":"internal_error"}"#, "200 OK").0, Outcome::Retry { .. }));
        let long = format!(r#"{{"ok":true,"channel":"{}","ts":"1.2"}}"#, "C".repeat(33));
        for body in [long.as_str(), r#"{"ok":true,"channel":"C1 x=C2/1","ts":"1.2"}"#, r#"{"ok":true,"channel":"C1","ts":""}"#] {
            assert_eq!(judge(body.as_bytes(), "200 OK").1, None, "{body}");
        }
        for junk in [&b""[..], b"ok", b"<html>", b"{\"ok\":\"yes\"}"] {
            assert!(matches!(judge(junk, "200 OK").0, Outcome::Refused(_)));
        }
    }
}
