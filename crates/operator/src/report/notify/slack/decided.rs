//! The message about a request that is decided or ended, in place of the one with the buttons.

use headwind_core::reason::Reason;
use headwind_core::request::{Phase, Request};
use jiff::Timestamp;
use serde_json::Value;

use super::{fields, footer, header, payload};
use crate::report::entry::ReportEntry;
use crate::report::notify::message::{self, Message};
use crate::report::notify::settings::{Settings, Slack};
use crate::report::notify::text::one_line;

/// Maximum length of a result, in characters.
const RESULT: usize = 380;

/// Returns the payload for a request as it is now; `None` while it waits for a decision.
pub(in crate::report::notify) fn render(settings: &Settings, slack: &Slack, entry: &ReportEntry, now: Timestamp) -> Option<Value> {
    let title = title(entry.request.status.phase)?;
    // The message is the one that the buttons belong to.
    let notice = entry.notices.first()?;
    let message = Message { expires_at: None, ..Message::new(entry, notice, settings, &slack.common, now) };
    let title = message.title_with(title);
    let mut facts = message.facts();
    facts.extend(result(&entry.request, slack.common.pod_messages).map(|result| ("Result", one_line(&result, RESULT))));
    let mut blocks = vec![header(&title), fields(facts)];
    blocks.extend(footer(&message));
    Some(payload(slack, &title, &blocks))
}

/// Returns the title of a request in that phase; `None` while it waits for a decision.
fn title(phase: Phase) -> Option<&'static str> {
    match phase {
        Phase::Pending => None,
        Phase::Approved | Phase::RollingOut => Some("Update approved"),
        Phase::Completed => Some("Update completed"),
        Phase::Rejected => Some("Update rejected"),
        Phase::Failed => Some("Update failed"),
        Phase::Expired => Some("Update expired"),
        Phase::Superseded => Some("Update superseded"),
        Phase::RolledBack => Some("Update rolled back"),
    }
}

/// Returns how it ended, beyond what the title says.
fn result(request: &Request, pod_messages: bool) -> Option<String> {
    let status = &request.status;
    match status.phase {
        Phase::Rejected | Phase::Superseded => status.message.clone(),
        Phase::Failed | Phase::RolledBack => message::error(status, pod_messages),
        Phase::Expired => Some(Reason::Expired.sentence().to_owned()),
        Phase::Pending | Phase::Approved | Phase::RollingOut | Phase::Completed => None,
    }
}
