//! The spans that end with each step of an update.

use headwind_core::request::{ChangeKind, Phase, Request};
use headwind_core::transition::ApprovalChange;
use headwind_core::workload::WorkloadKey;
use headwind_k8s::update_request::UpdateRequest;
use jiff::Timestamp;

use super::{ROOT, Span};
use crate::report::entry::ReportEntry;

/// Returns the spans of the replica that recorded a request.
pub(super) fn recorded(request: &UpdateRequest, decided: Timestamp, now: Timestamp) -> [Span; 2] {
    let read = request.read();
    let arrived = read.proposed.min(decided);
    let about = about(&request.workload_key(), &read);
    let uid = request.metadata.uid.clone().unwrap_or_default();
    let span = |name, start: Timestamp, end: Timestamp| Span {
        uid: uid.clone(),
        name,
        key: String::new(),
        start,
        end: end.max(start),
        attributes: about.clone(),
        error: None,
    };
    [span("decide", arrived, decided), span("record", decided, now)]
}

/// Returns the spans that end with a transition. `since` is when this process saw the step before; without it, the times
/// in the status count.
pub(super) fn moved(entry: &ReportEntry, since: Option<Timestamp>, now: Timestamp) -> Vec<Span> {
    let ReportEntry { request, transition, .. } = entry;
    let status = &request.status;
    // A new leader reports what the last one did not, later.
    let now = status.finished_at.filter(|_| transition.from.is_none()).unwrap_or(now);
    let times = [Some(status.reopened_at.unwrap_or(request.proposed)), status.approved_at, status.applied_at];
    let mut spans = Vec::new();
    // What was seen is more exact than the whole seconds of a status.
    let start = |known: Option<Timestamp>| since.or(known).unwrap_or(request.proposed).min(now);
    let error = || (!status.phase.is_open() && is_error(status.phase)).then(|| transition.message.clone());
    if matches!(transition.approval, Some(ApprovalChange::Approved | ApprovalChange::Rejected)) {
        let by = status.approved_by.as_ref().or(status.rejected_by.as_ref());
        let mut span = span(entry, "approval", start(times[0]), now);
        span.attributes.extend(by.map(|by| ("headwind.decided_by", by.clone())));
        spans.push(span);
    }
    if let Some(applied) = transition.applied {
        let name = if applied == ChangeKind::Update { "apply" } else { "rollback" };
        spans.push(span(entry, name, start(times[1].or(times[0])), now));
    }
    if transition.from == Some(Phase::RollingOut) && !status.phase.is_open() {
        spans.push(Span { error: error(), ..span(entry, "rollout", start(times[2]), now) });
    }
    if !status.phase.is_open() && transition.from != Some(status.phase) {
        let mut root = Span { error: error(), ..span(entry, ROOT, request.proposed.min(now), now) };
        root.attributes.push(("headwind.phase", status.phase.to_string()));
        root.attributes.extend(status.reason.map(|reason| ("headwind.reason", reason.code().to_owned())));
        spans.push(root);
    }
    spans
}

/// An action of a person on a request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Acted<'a> {
    /// `approve`, `reject`, `reopen` or `rollback`.
    pub(crate) action: &'a str,
    /// The name of the person.
    pub(crate) user: &'a str,
    /// The authentication method.
    pub(crate) method: &'a str,
    /// When the call arrived.
    pub(crate) arrived: Timestamp,
    /// The reason why nothing was written.
    pub(crate) error: Option<&'a str>,
}

/// Returns the span of an action.
pub(super) fn acted(uid: &str, workload: &WorkloadKey, request: &Request, acted: &Acted<'_>, now: Timestamp) -> Span {
    let Acted { action, user, method, arrived, error } = *acted;
    let mut attributes = about(workload, request);
    attributes.push(("headwind.action", action.to_owned()));
    attributes.push(("headwind.action.user", user.to_owned()));
    attributes.push(("headwind.action.method", method.to_owned()));
    attributes.push(("headwind.action.result", if error.is_none() { "success" } else { "failure" }.to_owned()));
    Span {
        uid: uid.to_owned(),
        name: "action",
        key: format!("{action} {user} {}", arrived.as_nanosecond()),
        start: arrived.min(now),
        end: now,
        attributes,
        error: error.map(str::to_owned),
    }
}

/// Returns the span of a notification.
pub(super) fn notified(
    entry: &ReportEntry,
    id: &str,
    channel: &'static str,
    start: Timestamp,
    now: Timestamp,
    error: Option<&str>,
) -> Span {
    let mut span = Span { key: format!("{channel} {id}"), error: error.map(str::to_owned), ..span(entry, "notify", start.min(now), now) };
    span.attributes.push(("headwind.notification.channel", channel.to_owned()));
    span.attributes.push(("headwind.notification.id", id.to_owned()));
    span
}

fn span(entry: &ReportEntry, name: &'static str, start: Timestamp, end: Timestamp) -> Span {
    let attributes = about(&entry.workload, &entry.request);
    Span { uid: entry.uid.clone(), name, key: entry.transition.id.clone(), start, end, attributes, error: None }
}

fn about(workload: &WorkloadKey, request: &Request) -> Vec<(&'static str, String)> {
    let spec = &request.spec;
    let mut all = vec![
        ("k8s.namespace.name", workload.namespace.clone()),
        ("headwind.workload.kind", workload.kind.to_string()),
        ("headwind.workload.name", workload.name.clone()),
        ("headwind.request.name", request.name.clone()),
        ("headwind.image.current", spec.current_image.clone()),
        ("headwind.image.new", spec.new_image.clone()),
        ("headwind.policy", spec.policy.to_string()),
        ("headwind.trigger", spec.trigger.as_str().to_owned()),
    ];
    all.extend(spec.container.clone().map(|container| ("k8s.container.name", container)));
    all
}

fn is_error(phase: Phase) -> bool {
    match phase {
        Phase::Failed | Phase::RolledBack => true,
        Phase::Pending | Phase::Approved | Phase::RollingOut | Phase::Completed | Phase::Rejected | Phase::Expired | Phase::Superseded => {
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use headwind_core::request::Status;
    use headwind_core::transition::transition;

    use super::*;
    use crate::report::notify::entry_of;

    fn at(millisecond: i64) -> Timestamp {
        Timestamp::from_millisecond(1_795_885_200_000 + millisecond).unwrap()
    }

    /// Returns the entry for a change of the status.
    fn change(before: Option<Status>, after: Status) -> ReportEntry {
        let mut entry = entry_of("uid-1", 5);
        entry.request.spec.require_approval = true;
        entry.request.proposed = at(0);
        let of = |status: Status| Request { status, ..entry.request.clone() };
        let (before, after) = (before.map(of), of(after));
        entry.transition = transition(before.as_ref(), &after).unwrap();
        entry.request = after;
        entry
    }

    fn names(spans: &[Span]) -> Vec<(&'static str, i64, i64)> {
        let since = |time: Timestamp| time.as_millisecond() - at(0).as_millisecond();
        spans.iter().map(|span| (span.name, since(span.start), since(span.end))).collect()
    }

    #[test]
    fn each_step_is_a_span_and_the_end_is_the_root() {
        let pending = Status::default();
        let approved = Status { phase: Phase::Approved, approved_by: Some("ann".into()), approved_at: Some(at(1000)), ..pending.clone() };
        let rolling = Status { phase: Phase::RollingOut, times_applied: 1, applied_at: Some(at(2000)), ..approved.clone() };
        let done = Status { phase: Phase::Completed, finished_at: Some(at(9000)), ..rolling.clone() };
        let step = |before: &Status, after: &Status, since, now| moved(&change(Some(before.clone()), after.clone()), since, at(now));
        assert_eq!(moved(&change(None, pending.clone()), None, at(5)), []);
        let approval = step(&pending, &approved, Some(at(7)), 1234);
        assert_eq!(names(&approval), [("approval", 7, 1234)]);
        assert!(approval[0].attributes.contains(&("headwind.decided_by", "ann".to_owned())));
        assert_eq!(names(&step(&approved, &rolling, Some(at(1234)), 2345)), [("apply", 1234, 2345)]);
        let end = step(&rolling, &done, Some(at(2345)), 9876);
        assert_eq!(names(&end), [("rollout", 2345, 9876), ("update", 0, 9876)]);
        assert!(end.iter().all(|span| span.error.is_none()));
        // The next leader knows only the times in the status.
        assert_eq!(names(&step(&rolling, &done, None, 9876)), [("rollout", 2000, 9876), ("update", 0, 9876)]);
    }

    #[test]
    fn a_failure_is_an_error() {
        let rolling = Status { phase: Phase::RollingOut, times_applied: 1, ..Status::default() };
        let failed = Status { phase: Phase::Failed, message: Some("pod web-1 crashes".into()), ..rolling.clone() };
        let spans = moved(&change(Some(rolling), failed), None, at(9));
        assert_eq!(names(&spans).iter().map(|(name, ..)| *name).collect::<Vec<_>>(), ["rollout", "update"]);
        assert!(spans.iter().all(|span| span.error.as_deref() == Some("pod web-1 crashes")), "{spans:?}");
    }

    #[test]
    fn an_action_is_a_span_with_its_result() {
        let entry = change(None, Status::default());
        let of = |acted: &Acted<'_>| super::acted(&entry.uid, &entry.workload, &entry.request, acted, at(40));
        let done = Acted { action: "approve", user: "ann", method: "slack", arrived: at(10), error: None };
        let span = of(&done);
        assert_eq!((names(std::slice::from_ref(&span)), span.error.as_deref()), (vec![("action", 10, 40)], None));
        for attribute in [("headwind.action", "approve"), ("headwind.action.user", "ann"), ("headwind.action.method", "slack")] {
            assert!(span.attributes.contains(&(attribute.0, attribute.1.to_owned())), "{span:?}");
        }
        let failed = of(&Acted { error: Some("it is Rejected"), arrived: at(11), ..done });
        assert_eq!(failed.error.as_deref(), Some("it is Rejected"));
        assert!(failed.attributes.contains(&("headwind.action.result", "failure".to_owned())) && failed.key != span.key, "{failed:?}");
    }

    #[test]
    fn a_clock_that_jumps_back_makes_no_negative_span() {
        let spans = moved(&change(None, Status { phase: Phase::Rejected, ..Status::default() }), Some(at(100)), at(50));
        assert!(!spans.is_empty() && spans.iter().all(|span| span.start <= span.end), "{spans:?}");
        let span = notified(&change(None, Status::default()), "x", "slack", at(100), at(50), Some("503"));
        assert_eq!((span.start, span.end, span.error.as_deref()), (at(50), at(50), Some("503")));
    }
}
