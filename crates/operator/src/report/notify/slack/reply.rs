//! Replies to clicks, by the response URL that Slack sends with each.

use headwind_k8s::update_request::UpdateRequest;
use jiff::Timestamp;
use reqwest::Url;
use reqwest::header::HeaderMap;

use super::{bot, decided};
use crate::report::entry::ReportEntry;
use crate::report::notify::http::{self, Outcome};
use crate::report::notify::secret::Secret;
use crate::report::notify::settings::{Settings, Slack, SlackVia};

/// The hosts of Slack that response URLs have.
const HOSTS: [&str; 2] = ["hooks.slack.com", "hooks.slack-gov.com"];

/// A reply to a click.
#[derive(Debug)]
pub enum ClickReply {
    /// Shows the request as it is now in place of the buttons. It has no effect while the request waits.
    Replace(Box<UpdateRequest>),
    /// Tells the person who clicked something that nobody else sees.
    Whisper(String),
}

/// Sends a reply.
///
/// # Errors
/// The problem. It contains no secret.
pub(crate) async fn reply(settings: &Settings, response_url: &str, reply: ClickReply) -> Result<(), String> {
    let slack = settings.slack.as_ref().ok_or("Slack is not enabled")?;
    if !is_of_slack(slack, response_url) {
        return Err("the response URL is not a URL of Slack".to_owned());
    }
    let payload = match reply {
        ClickReply::Whisper(text) => bot::whispered(&text),
        ClickReply::Replace(request) => {
            let rendered = ReportEntry::whole(&request).and_then(|entry| decided::render(settings, slack, &entry, Timestamp::now()));
            let Some(payload) = rendered else { return Ok(()) };
            bot::replacing(payload)
        }
    };
    let url = Secret::new(response_url);
    match http::post(&http::client()?, &url, payload.to_string(), HeaderMap::new(), http::TIMEOUT).await {
        Outcome::Delivered(_) => Ok(()),
        Outcome::Retry { problem, .. } | Outcome::Refused(problem) => Err(problem),
    }
}

/// Returns true if a response URL is on a host of Slack, or on the host that the settings name.
fn is_of_slack(slack: &Slack, response_url: &str) -> bool {
    let Ok(url) = Url::parse(response_url) else { return false };
    if url.scheme() == "https" && url.port().is_none() && url.host_str().is_some_and(|host| HOSTS.contains(&host)) {
        return true;
    }
    let own = match &slack.via {
        SlackVia::Webhook(url) => Url::parse(url.expose()),
        SlackVia::Bot { api_url, .. } => Url::parse(api_url),
    };
    own.is_ok_and(|own| own.origin() == url.origin() && own.origin().is_tuple())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::notify::settings::Common;

    #[test]
    fn replies_go_to_slack_alone() {
        let of = |via| Slack { common: Common::default(), via, channel: None, username: None, icon_emoji: None, buttons: None };
        let webhook = of(SlackVia::Webhook(Secret::new("http://127.0.0.1:9000/hooks/x")));
        for good in ["https://hooks.slack.com/actions/T/1/x", "https://hooks.slack-gov.com/actions/T", "http://127.0.0.1:9000/other"] {
            assert!(is_of_slack(&webhook, good), "{good}");
        }
        for bad in [
            "http://hooks.slack.com/actions",
            "https://hooks.slack.com:8443/",
            "https://hooks.slack.com.evil.example/",
            "https://hooks.slack.com@evil.example/",
            "http://127.0.0.1:9001/",
            "https://127.0.0.1:9000/",
            "http://169.254.169.254/latest",
            "file:///etc/passwd",
            "",
        ] {
            assert!(!is_of_slack(&webhook, bad), "{bad}");
        }
        let bot = of(SlackVia::Bot { token: Secret::new("x"), api_url: "https://slack.example/api".to_owned() });
        assert!(is_of_slack(&bot, "https://slack.example/reply") && !is_of_slack(&bot, "https://slack.com/reply"));
    }
}
