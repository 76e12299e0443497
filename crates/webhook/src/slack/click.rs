//! The content of a call: who clicked what.

use serde::Deserialize;

/// The beginning of the names of Headwind's buttons.
const APPROVE: &str = "headwind_approve";
const REJECT: &str = "headwind_reject";

/// The decision of the person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// Approve the update.
    Approve,
    /// Reject the update.
    Reject,
}

impl Answer {
    /// Returns the name of the button (`action_id`).
    pub fn action_id(self) -> &'static str {
        match self {
            Self::Approve => APPROVE,
            Self::Reject => REJECT,
        }
    }
}

/// The subject of a button: the UpdateRequest, and the notification whose message has the button.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The namespace of the request.
    pub namespace: String,
    /// The name of the request.
    pub name: String,
    /// The ID of the notification. It differs after the request was reopened or created again.
    pub notification: String,
}

impl Target {
    /// Returns the value of the button.
    pub fn value(&self) -> String {
        format!("{}/{}/{}", self.namespace, self.name, self.notification)
    }

    fn parse(value: &str) -> Option<Self> {
        let mut parts = value.split('/').map(str::to_owned);
        let (Some(namespace), Some(name), Some(notification), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
            return None;
        };
        Some(Self { namespace, name, notification })
    }
}

/// A click on one of Headwind's buttons.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Click {
    /// The ID of the Slack user.
    pub user: String,
    /// The ID of the user's workspace, if Slack names it.
    pub user_team: Option<String>,
    /// The ID of the workspace of the app, if Slack names it.
    pub team: Option<String>,
    /// The decision of the person.
    pub answer: Answer,
    /// The subject of the button.
    pub target: Target,
    /// The URL for replies.
    pub response_url: Option<String>,
}

/// A body that cannot be decoded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the body is not an interaction payload of Slack: {0}")]
pub struct DecodeError(String);

#[derive(Deserialize)]
struct Payload {
    r#type: String,
    user: Option<User>,
    team: Option<Team>,
    #[serde(default)]
    actions: Vec<Action>,
    response_url: Option<String>,
}

#[derive(Deserialize)]
struct User {
    id: String,
    team_id: Option<String>,
}

#[derive(Deserialize)]
struct Team {
    id: String,
}

#[derive(Deserialize)]
struct Action {
    #[serde(default)]
    action_id: String,
    value: Option<String>,
}

/// Decodes the form of a verified call. Returns `None` for an interaction with something other than Headwind's buttons.
///
/// # Errors
/// If the body is not a form with the JSON of an interaction.
pub fn decode(body: &[u8]) -> Result<Option<Click>, DecodeError> {
    let mut payloads = form_urlencoded::parse(body).filter(|(name, _)| name == "payload");
    let (Some((_, payload)), None) = (payloads.next(), payloads.next()) else {
        return Err(DecodeError("it must have one field payload".to_owned()));
    };
    let Payload { r#type, user, team, actions, response_url } =
        serde_json::from_str(&payload).map_err(|error| DecodeError(error.to_string()))?;
    if r#type != "block_actions" {
        return Ok(None);
    }
    let click = |Action { action_id, value }: Action| {
        let answer = [Answer::Approve, Answer::Reject].into_iter().find(|answer| answer.action_id() == action_id)?;
        Some((answer, Target::parse(&value?)?))
    };
    // One click is one action.
    let Some(((answer, target), User { id, team_id })) = actions.into_iter().find_map(click).zip(user) else { return Ok(None) };
    Ok(Some(Click { user: id, user_team: team_id, team: team.map(|team| team.id), answer, target, response_url }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(payload: &str) -> Vec<u8> {
        form_urlencoded::Serializer::new(String::new()).append_pair("payload", payload).finish().into_bytes()
    }

    const CLICK: &str = r#"{"type":"block_actions","user":{"id":"U1","username":"ann","team_id":"T1"},"api_app_id":"A1","token":"x",
        "team":{"id":"T1","domain":"example"},"response_url":"https://hooks.slack.com/actions/T1/2/3","trigger_id":"1.2.3",
        "actions":[{"type":"button","block_id":"headwind","action_id":"headwind_approve","value":"shop/web-1/abc","action_ts":"1.2"}]}"#;

    #[test]
    fn a_click_is_read() {
        let click = decode(&body(CLICK)).unwrap().unwrap();
        let target = Target { namespace: "shop".to_owned(), name: "web-1".to_owned(), notification: "abc".to_owned() };
        assert_eq!(target.value(), "shop/web-1/abc");
        assert_eq!((click.user.as_str(), click.user_team.as_deref(), click.team.as_deref()), ("U1", Some("T1"), Some("T1")));
        assert_eq!((click.answer, click.target), (Answer::Approve, target));
        assert_eq!(click.response_url.as_deref(), Some("https://hooks.slack.com/actions/T1/2/3"));
        assert_eq!(decode(&body(&CLICK.replace("_approve", "_reject"))).unwrap().unwrap().answer, Answer::Reject);
    }

    #[rstest::rstest]
    #[case::another_button(CLICK.replace("headwind_approve", "open"))]
    #[case::another_value(CLICK.replace("shop/web-1/abc", "shop/web-1"))]
    #[case::more_parts(CLICK.replace("shop/web-1/abc", "shop/web-1/abc/d"))]
    #[case::a_modal(CLICK.replace("block_actions", "view_submission"))]
    #[case::an_app_without_a_workspace(CLICK.replace("\"actions\"", "\"team\":null,\"none\"").replace("\"team\":{\"id\":\"T1\",\"domain\":\"example\"},", ""))]
    fn other_interactions_are_ignored(#[case] payload: String) {
        assert_eq!(decode(&body(&payload)), Ok(None));
    }

    #[test]
    fn junk_is_an_error() {
        for junk in [b"".to_vec(), b"payload=".to_vec(), b"payload=%7B%7D&payload=%7B%7D".to_vec(), body("[]"), b"\xff\xfe=1".to_vec()] {
            assert!(decode(&junk).is_err(), "{junk:?}");
        }
    }
}
