use headwind_core::notification::NotificationEvent;

use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_000_000 + second).unwrap()
}

fn notice(event: NotificationEvent, second: Option<i64>) -> Notice {
    Notice { event, id: event.to_string(), at: second.map(at) }
}

fn id(notice: &Notice) -> String {
    format!("{:-<8}", notice.id.chars().rev().take(8).collect::<String>())
}

/// Slack is at version 50 and second 100, and has sent `sent`. Teams has not delivered version 40.
fn known(sent: &[&Notice]) -> AllProgress {
    let mut read = Marks::default();
    read.advance(None, 50);
    let mut behind = Marks::default();
    behind.hold(None, 39);
    let slack = Progress { since: at(100), behind: Marks::default(), sent: sent.iter().map(|notice| short(&id(notice))).collect() };
    let teams = Progress { since: at(60), behind, sent: BTreeSet::new() };
    AllProgress { read, channels: [(Channel::Slack, slack), (Channel::Teams, teams)].into() }
}

#[test]
fn it_survives_the_annotation() {
    let known = known(&[&notice(NotificationEvent::UpdateFailed, None)]);
    assert_eq!(AllProgress::parse(&known.text()), known);
    for bad in ["", "{}", "*=5", "null"] {
        assert_eq!(AllProgress::parse(bad), AllProgress::default());
    }
}

#[test]
fn the_latest_change_counts_by_its_version() {
    let all = [notice(NotificationEvent::UpdateDetected, Some(10)), notice(NotificationEvent::UpdateCompleted, Some(20))];
    let lacking = |channel, version| -> Vec<_> {
        known(&[]).lacking(channel, "shop", version, &all, id).into_iter().map(|notice| notice.event).collect()
    };
    assert!(lacking(Channel::Slack, 50).is_empty());
    assert_eq!(lacking(Channel::Slack, 51), [NotificationEvent::UpdateCompleted], "its clock may be wrong");
    assert_eq!(lacking(Channel::Teams, 40), [NotificationEvent::UpdateCompleted]);
    assert!(lacking(Channel::Teams, 39).is_empty());
    assert!(lacking(Channel::Mail, 1000).is_empty(), "it was switched on later");
}

#[test]
fn earlier_notifications_count_by_their_time_unless_they_are_listed() {
    let created = notice(NotificationEvent::UpdateRequestCreated, Some(80));
    let approved = notice(NotificationEvent::UpdateApproved, None);
    let completed = notice(NotificationEvent::UpdateCompleted, Some(101));
    let all = [created.clone(), approved, completed];
    let lacking = |sent: &[&Notice], version| -> Vec<_> {
        known(sent).lacking(Channel::Slack, "shop", version, &all, id).into_iter().map(|notice| notice.event).collect()
    };
    let whole = [NotificationEvent::UpdateRequestCreated, NotificationEvent::UpdateApproved, NotificationEvent::UpdateCompleted];
    assert_eq!(lacking(&[], 51), whole);
    assert_eq!(lacking(&[&created], 51), whole[1..]);
    let older = [notice(NotificationEvent::UpdateRequestCreated, Some(60)), all[2].clone()];
    let late = known(&[]).lacking(Channel::Slack, "shop", 51, &older, id).len();
    assert_eq!(late, 1, "the first one was delivered long before");
}
