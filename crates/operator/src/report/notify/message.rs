//! A message: what a notification says, before a channel renders it.

use headwind_core::notification::{Notice, NotificationEvent};
use headwind_core::reason::Reason;
use headwind_core::request::{Request, Status};
use headwind_k8s::name;
use jiff::Timestamp;

use super::settings::{Common, Settings};
use super::text::one_line;
use crate::report::entry::ReportEntry;

/// Maximum length of an image, in characters.
const IMAGE: usize = 300;
/// Maximum length of any other text, in characters.
const TEXT: usize = 500;

/// A message. Every text is one line without control characters; markup is not escaped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Message {
    /// The same for every delivery of one notification.
    pub(super) id: String,
    pub(super) event: NotificationEvent,
    pub(super) at: Timestamp,
    pub(super) kind: &'static str,
    pub(super) namespace: String,
    pub(super) workload: String,
    pub(super) container: Option<String>,
    pub(super) from: String,
    pub(super) to: String,
    pub(super) policy: String,
    pub(super) requires_approval: bool,
    /// Why it happened. For a rejection, it names the person and the person's reason.
    pub(super) why: String,
    /// When the request expires, if it waits for a person.
    pub(super) expires_at: Option<Timestamp>,
    /// Everybody who approved it, as one text.
    pub(super) approved_by: Option<String>,
    pub(super) rejected_by: Option<String>,
    /// The reason that the person gave.
    pub(super) rejection_reason: Option<String>,
    pub(super) error: Option<String>,
    /// The name of the UpdateRequest.
    pub(super) request: String,
    /// The page of the request in the web UI.
    pub(super) ui_url: Option<String>,
    /// The address that approves the request.
    pub(super) approval_url: Option<String>,
}

/// Returns the ID of a notification of the request with that UID.
pub(super) fn id(uid: &str, notice: &Notice) -> String {
    name::event(uid, &notice.id, "notification")
}

impl Message {
    /// Creates the message of a notification. `now` is used if the request does not contain the time of the event.
    pub(super) fn new(entry: &ReportEntry, notice: &Notice, settings: &Settings, common: &Common, now: Timestamp) -> Self {
        use NotificationEvent::{
            RollbackCompleted, RollbackFailed, RollbackTriggered, UpdateApproved, UpdateCompleted, UpdateDetected, UpdateFailed,
            UpdateRejected, UpdateRequestCreated,
        };
        let ReportEntry { workload, request, why, .. } = entry;
        let Request { spec, status, .. } = request;
        let event = notice.event;
        let text = |text: &str| one_line(text, TEXT);
        let (from, to) = images(request, event);
        let error = matches!(event, UpdateFailed | RollbackFailed | RollbackTriggered)
            .then(|| error(status, common.pod_messages))
            .flatten()
            .map(|error| text(&error));
        let waits = event == UpdateRequestCreated;
        let why = match event {
            UpdateDetected | UpdateRequestCreated => why.clone(),
            UpdateApproved => Reason::ApprovedByPerson.sentence().to_owned(),
            UpdateRejected => {
                let own = status.message.clone().filter(|message| !message.trim().is_empty());
                own.unwrap_or_else(|| Reason::RejectedByPerson.sentence().to_owned())
            }
            UpdateCompleted | RollbackCompleted => status.reason.map(Reason::sentence).unwrap_or_default().to_owned(),
            UpdateFailed | RollbackFailed | RollbackTriggered => {
                error.clone().or_else(|| status.reason.map(|reason| reason.sentence().to_owned())).unwrap_or_default()
            }
        };
        let why = if entry.pauses_updates { format!("{why}; {}", Reason::FailureBudget.sentence()) } else { why };
        let address =
            |base: &Option<String>, path: &str| base.as_ref().map(|base| format!("{base}{path}/{}/{}", workload.namespace, request.name));
        let person = |name: &Option<String>| name.as_deref().map(text);
        Self {
            id: id(&entry.uid, notice),
            event,
            at: notice.at.unwrap_or(now),
            kind: workload.kind.as_str(),
            namespace: workload.namespace.clone(),
            workload: workload.name.clone(),
            container: spec.container.clone(),
            from: one_line(from, IMAGE),
            to: one_line(to, IMAGE),
            policy: spec.policy.to_string(),
            requires_approval: request.needs_approval(),
            why: text(&why),
            expires_at: waits.then(|| request.expires_at()),
            approved_by: person(&approvers(request)),
            rejected_by: person(&status.rejected_by).filter(|_| event == UpdateRejected),
            rejection_reason: status.rejection_reason().filter(|_| event == UpdateRejected).map(text),
            error,
            request: request.name.clone(),
            ui_url: address(&settings.ui_url, "/updates"),
            approval_url: address(&settings.api_url, "/api/v1/updates").filter(|_| waits).map(|url| format!("{url}/approve")),
        }
    }

    /// Returns a message that says that it is a test.
    pub(super) fn test(settings: &Settings, now: Timestamp) -> Self {
        Self {
            id: format!("test-{}", now.as_millisecond()),
            event: NotificationEvent::UpdateDetected,
            at: now,
            kind: "Deployment",
            namespace: "default".to_owned(),
            workload: "test-message".to_owned(),
            container: Some("web".to_owned()),
            from: "example.com/web:1.0.0".to_owned(),
            to: "example.com/web:1.1.0".to_owned(),
            policy: "minor".to_owned(),
            requires_approval: false,
            why: "this is a test message from Headwind; nothing was updated".to_owned(),
            expires_at: None,
            approved_by: None,
            rejected_by: None,
            rejection_reason: None,
            error: None,
            request: "test-message".to_owned(),
            ui_url: settings.ui_url.clone(),
            approval_url: None,
        }
    }

    /// Returns the title, for people.
    pub(super) fn title(&self) -> String {
        self.title_with(match self.event {
            NotificationEvent::UpdateDetected => "Update found",
            NotificationEvent::UpdateRequestCreated => "Update waits for approval",
            NotificationEvent::UpdateApproved => "Update approved",
            NotificationEvent::UpdateRejected => "Update rejected",
            NotificationEvent::UpdateCompleted => "Update completed",
            NotificationEvent::UpdateFailed => "Update failed",
            NotificationEvent::RollbackTriggered => "Rollback started",
            NotificationEvent::RollbackCompleted => "Rollback completed",
            NotificationEvent::RollbackFailed => "Rollback failed",
        })
    }

    /// Returns a title with another beginning.
    pub(super) fn title_with(&self, what: &str) -> String {
        format!("{what}: {} {}/{}", self.kind, self.namespace, self.workload)
    }

    /// Returns the labels and values that a person needs, in order.
    pub(super) fn facts(&self) -> Vec<(&'static str, String)> {
        let some =
            |label: &'static str, value: Option<&String>| value.filter(|value| !value.is_empty()).map(|value| (label, value.clone()));
        [
            some("Container", self.container.as_ref()),
            some("From", Some(&self.from)),
            some("To", Some(&self.to)),
            some("Policy", Some(&self.policy)),
            some("Approved by", self.approved_by.as_ref()),
            some("Rejected by", self.rejected_by.as_ref()),
            some("Why", Some(&self.why)),
            self.expires_at.map(|at| ("Expires", at.strftime("%Y-%m-%d %H:%M UTC").to_string())),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    /// Returns the message as one line, for digests and summaries.
    pub(super) fn summary(&self) -> String {
        format!("{}, {} to {}", self.title(), self.from, self.to)
    }
}

/// Returns the people who approved the request as one text; `None` until enough people have approved.
fn approvers(request: &Request) -> Option<String> {
    let last = request.status.approved_by.as_ref()?;
    let all = request.approvers(request.spec.approvals);
    Some(if all.is_empty() { last.clone() } else { all.join(", ") })
}

/// Returns the images before and after.
fn images(request: &Request, event: NotificationEvent) -> (&str, &str) {
    let Request { spec, status, .. } = request;
    if let Some(left) = &status.rolled_back_from {
        return (left, &spec.new_image);
    }
    let is_rollback =
        matches!(event, NotificationEvent::RollbackTriggered | NotificationEvent::RollbackCompleted | NotificationEvent::RollbackFailed);
    match status.rollout.as_ref().and_then(|watch| watch.returned_to.as_deref()) {
        Some(restored) if is_rollback => (request.placed_image(), restored),
        _ => (&spec.current_image, &spec.new_image),
    }
}

/// Returns what went wrong. Without `pod_messages`, only the sentence of the reason.
pub(super) fn error(status: &Status, pod_messages: bool) -> Option<String> {
    let watch = status.rollout.as_ref();
    let cause = watch.and_then(|watch| watch.cause.as_ref().or(watch.failure.as_ref()));
    // A rollback that a person requested has no error.
    let failure = cause.map(|cause| (cause.reason, cause.message.as_str()));
    let own = || Some((status.reason?, status.message.as_deref().unwrap_or_default())).filter(|_| !status.phase.is_open());
    let (reason, message) = failure.or_else(own)?;
    Some(if pod_messages && !message.is_empty() { message.to_owned() } else { reason.sentence().to_owned() })
}

#[cfg(test)]
pub(super) mod tests;
