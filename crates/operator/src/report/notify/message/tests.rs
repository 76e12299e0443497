use std::path::PathBuf;

use headwind_core::notification::notices;
use headwind_core::request::{Approval, Phase, Spec};
use headwind_core::rollout::{Failure, RolloutState};
use headwind_core::testing;
use headwind_core::transition::transition;
use headwind_core::trigger::Trigger;
use headwind_core::workload::{Kind, WorkloadKey};
use serde_json::Value;

use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_795_885_200 + second).unwrap()
}

fn settings() -> Settings {
    Settings {
        ui_url: Some("https://headwind.example".into()),
        api_url: Some("https://api.headwind.example".into()),
        ..Settings::default()
    }
}

fn entry(require_approval: bool, trigger: Trigger, status: Status) -> ReportEntry {
    let base = testing::request("web-1-1-0-abc", "registry.example/shop/web:1.0.0", "registry.example/shop/web:1.1.0", at(0));
    let request = Request { spec: Spec { require_approval, trigger, ..base.spec }, status, ..base };
    ReportEntry {
        workload: WorkloadKey { kind: Kind::Deployment, namespace: "shop".into(), name: "web".into() },
        uid: "uid-1".into(),
        why: "a higher version that the policy accepts".into(),
        transition: transition(None, &request).unwrap(),
        notices: notices(&request),
        request,
        resource_version: 1,
        pauses_updates: false,
    }
}

/// Returns the entry of a new request with that UID and version, which the policy approves.
pub(crate) fn entry_of(uid: &str, resource_version: u128) -> ReportEntry {
    ReportEntry { uid: uid.to_owned(), resource_version, ..entry(false, Trigger::Webhook, Status::default()) }
}

/// Returns the message of the last notification.
fn last(entry: &ReportEntry, common: &Common) -> Message {
    Message::new(entry, entry.notices.last().unwrap(), &settings(), common, at(99))
}

const POD: &str = "pod web-7d9: the container web crashes\nline 2 <b>of</b> the log";

fn failing(phase: Phase, reason: Reason, returned: bool) -> Status {
    let watch = RolloutState {
        returned_to: returned.then(|| "registry.example/shop/web:1.0.0".to_owned()),
        cause: Some(Failure { reason: Reason::CrashLoopBackOff, message: POD.into() }),
        ..RolloutState::new(2, at(40))
    };
    Status {
        phase,
        reason: Some(reason),
        message: Some(POD.into()),
        finished_at: (!phase.is_open()).then(|| at(60)),
        times_applied: 1,
        rollout: Some(watch),
        ..Status::default()
    }
}

/// Returns a message of each event, in order.
pub(in crate::report::notify) fn messages() -> Vec<Message> {
    let common = Common { pod_messages: true, ..Common::default() };
    let by_person = |phase| Status { phase, approved_by: Some("ann@example.com".into()), approved_at: Some(at(10)), ..Status::default() };
    let rejected = Status {
        phase: Phase::Rejected,
        rejected_by: Some("bob".into()),
        rejected_at: Some(at(10)),
        message: Some("rejected by bob: not before the release".into()),
        ..Status::default()
    };
    let completed = Status { finished_at: Some(at(60)), reason: Some(Reason::RolloutComplete), ..by_person(Phase::Completed) };
    [
        entry(false, Trigger::Polling, Status::default()),
        entry(true, Trigger::Webhook, Status::default()),
        entry(true, Trigger::Webhook, by_person(Phase::Approved)),
        entry(true, Trigger::Webhook, rejected),
        entry(true, Trigger::Webhook, completed),
        entry(false, Trigger::Webhook, failing(Phase::Failed, Reason::CrashLoopBackOff, false)),
        entry(false, Trigger::Webhook, failing(Phase::RollingOut, Reason::RollingBack, true)),
        entry(false, Trigger::Webhook, failing(Phase::RolledBack, Reason::RollbackComplete, true)),
        entry(false, Trigger::Webhook, failing(Phase::RolledBack, Reason::RollbackFailed, true)),
    ]
    .iter()
    .map(|entry| last(entry, &common))
    .collect()
}

/// Returns a message with markup of every channel in each text from outside.
pub(in crate::report::notify) fn hostile() -> Message {
    let text = one_line(
        "<!channel> <@U1> @everyone @channel <at>Ann</at> [a](https://evil) <https://evil|a> *b* _i_ `c` ~s~ ||x|| :tada: #tag \
         | https://evil\r\nBcc: x@y \u{202e}abc \u{7}",
        TEXT,
    );
    Message {
        why: text.clone(),
        approved_by: Some(text.clone()),
        to: format!("evil.example/web:{text}"),
        error: Some(text),
        ..messages().remove(5)
    }
}

/// Compares what a channel renders with its file: a line for each event, a hostile message and a digest. With
/// `HEADWIND_SNAPSHOTS=write` the file is written.
pub(in crate::report::notify) fn snapshot(name: &str, render: impl Fn(&[Message]) -> Value) {
    let single = messages().into_iter().chain([hostile()]).map(|message| render(&[message]));
    let lines: Vec<String> = single.chain([render(&messages())]).map(|value| format!("{value}\n")).collect();
    compare(&format!("{name}.jsonl"), &lines.concat());
}

/// Compares a text with its file.
pub(in crate::report::notify) fn compare(file: &str, text: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/report/notify/snapshots").join(file);
    if std::env::var("HEADWIND_SNAPSHOTS").as_deref() == Ok("write") {
        std::fs::write(&path, text).unwrap();
    }
    let stored = std::fs::read_to_string(&path).unwrap();
    for (line, (now, stored)) in text.lines().zip(stored.lines()).enumerate() {
        assert_eq!(now, stored, "{file}, line {}", line + 1);
    }
    assert_eq!(text.lines().count(), stored.lines().count(), "{file}");
}

#[test]
fn each_event_has_a_message() {
    let all = messages();
    assert_eq!(all.iter().map(|message| message.event).collect::<Vec<_>>(), NotificationEvent::ALL);
    let mut ids: Vec<_> = all.iter().map(|message| message.id.clone()).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 9);
}

#[test]
fn a_request_that_waits_has_what_a_decision_needs() {
    let message = messages().remove(1);
    assert_eq!(message.ui_url.as_deref(), Some("https://headwind.example/updates/shop/web-1-1-0-abc"));
    assert_eq!(message.approval_url.as_deref(), Some("https://api.headwind.example/api/v1/updates/shop/web-1-1-0-abc/approve"));
    let labels: Vec<_> = message.facts().into_iter().map(|(label, _)| label).collect();
    assert_eq!(labels, ["Container", "From", "To", "Policy", "Why", "Expires"]);
}

#[test]
fn messages_of_pods_are_one_line_and_off_by_default() {
    let failed = entry(false, Trigger::Webhook, failing(Phase::Failed, Reason::CrashLoopBackOff, false));
    assert_eq!(last(&failed, &Common::default()).error.as_deref(), Some(Reason::CrashLoopBackOff.sentence()));
    let shown = last(&failed, &Common { pod_messages: true, ..Common::default() });
    assert_eq!(shown.error.as_deref(), Some("pod web-7d9: the container web crashes line 2 <b>of</b> the log"));
}

#[test]
fn a_rollback_goes_from_the_new_image_to_the_old_one() {
    let back = messages().remove(6);
    assert_eq!((back.from.as_str(), back.to.as_str()), ("registry.example/shop/web:1.1.0", "registry.example/shop/web:1.0.0"));
    let status = Status {
        phase: Phase::Completed,
        rolled_back_from: Some("registry.example/shop/web:1.2.0".into()),
        applied_at: Some(at(5)),
        ..Status::default()
    };
    let manual = last(&entry(true, Trigger::Manual, status), &Common::default());
    assert_eq!(manual.event, NotificationEvent::RollbackCompleted);
    assert_eq!((manual.from.as_str(), manual.to.as_str()), ("registry.example/shop/web:1.2.0", "registry.example/shop/web:1.1.0"));
}

#[test]
fn all_people_of_several_approvals_are_named() {
    let approvals = ["eve", "ann"].map(|by| Approval { by: by.to_owned(), at: Some(at(5)) }).to_vec();
    let approved = Status {
        phase: Phase::Approved,
        approvals: approvals.clone(),
        approved_by: Some("ann".into()),
        approved_at: Some(at(10)),
        ..Status::default()
    };
    let message = |status: Status| {
        let mut entry = entry(true, Trigger::Webhook, status);
        entry.request.spec.approvals = 2;
        last(&entry, &Common::default())
    };
    let all = message(approved);
    assert_eq!((all.event, all.approved_by.as_deref()), (NotificationEvent::UpdateApproved, Some("eve, ann")));
    assert!(all.facts().contains(&("Approved by", "eve, ann".to_owned())), "{all:?}");
    let half = message(Status { approvals, ..Status::default() });
    assert_eq!((half.event, half.approved_by), (NotificationEvent::UpdateRequestCreated, None), "half an approval is none");
}

#[rstest::rstest]
#[case("rejected by bob: not before 10:00", Some(Reason::RejectedByPerson), Some("not before 10:00"))]
#[case("rejected by bob", Some(Reason::RejectedByPerson), None)]
#[case("rejected by bob: ", Some(Reason::RejectedByPerson), None)]
#[case("breaks the login", None, Some("breaks the login"))]
#[case("1 of 2 approvals", Some(Reason::AwaitingApproval), None)]
#[case("", None, None)]
fn the_reason_of_a_rejection_is_what_the_person_gave(
    #[case] message: &str,
    #[case] reason: Option<Reason>,
    #[case] expected: Option<&str>,
) {
    let status = Status {
        phase: Phase::Rejected,
        reason,
        message: Some(message.to_owned()),
        rejected_by: Some("bob".into()),
        rejected_at: Some(at(10)),
        ..Status::default()
    };
    let rejected = last(&entry(true, Trigger::Webhook, status), &Common::default());
    assert_eq!(rejected.rejection_reason.as_deref(), expected);
    let why = if message.is_empty() { Reason::RejectedByPerson.sentence() } else { message.trim() };
    assert!(rejected.facts().contains(&("Why", why.to_owned())), "{rejected:?}");
}
