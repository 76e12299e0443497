use headwind_core::notification::NotificationEvent;

use super::*;
use crate::observe::requests::tests::request;
use crate::report::marks::Marks;
use crate::report::notify::message::tests::entry_of;
use crate::report::notify::progress::{Progress, SLACK, short};

/// A standby remembers the steps of a request that the previous leader did not deliver, and finds the request as it is
/// now: each step is queued once, whatever it is found by.
#[test]
fn a_step_is_lacking_whether_it_is_remembered_or_follows_from_the_status() {
    let now = Timestamp::from_second(2_000_000_000).unwrap();
    let mut read = Marks::default();
    read.advance(None, 5);
    let progress = Progress { since: now, behind: Marks::default(), sent: std::collections::BTreeSet::new() };
    let inherited = AllProgress { read, channels: [(Channel::Slack, progress)].into() };
    let [old, new] = [entry_of("old", 5), entry_of("new", 6)].map(Arc::new);
    let of = |remembered: &[Arc<ReportEntry>], whole: &[Arc<ReportEntry>]| -> Vec<(String, NotificationEvent)> {
        let all = lacking(&inherited, &[Channel::Slack], remembered, whole);
        all.into_iter().map(|(_, entry, notice)| (entry.uid.clone(), notice.event)).collect()
    };
    let expected = [("new".to_owned(), NotificationEvent::UpdateDetected)];
    assert_eq!(of(&[Arc::clone(&old), Arc::clone(&new)], &[]), expected);
    assert_eq!(of(&[], &[old, new]), expected);
}

#[test]
fn a_channel_that_the_last_leader_did_not_have_lacks_nothing() {
    let one = Arc::new(entry_of("uid", 100));
    let inherited = AllProgress::default();
    assert!(lacking(&inherited, &[], &[Arc::clone(&one)], &[one]).is_empty());
}

/// Many requests changed while no process led: by a restored backup, for example.
#[test]
fn the_newest_requests_are_read_and_no_more_than_a_queue_holds() {
    let state = State::default();
    for n in 0..queue::CAPACITY + 5 {
        let mut finished = request(&format!("r{n}"), "9", "Completed");
        finished.status.as_mut().unwrap().finished_at =
            Some(Timestamp::from_second(2_000_000_000 + i64::try_from(n).unwrap()).unwrap().into());
        state.record(finished);
    }
    let since = Timestamp::from_second(2_000_000_000).unwrap();
    let progress = Progress { since, behind: Marks::default(), sent: std::collections::BTreeSet::new() };
    let inherited = AllProgress { read: read(5), channels: [(Channel::Slack, progress)].into() };
    let all = candidates(&inherited, &state);
    assert_eq!((all.len(), all[0].1.as_str()), (queue::CAPACITY, "r1004"));
    assert!(!all.iter().any(|(_, name)| name == "r4"));
}

fn notifier_of(values: &'static [(&'static str, &'static str)]) -> (Notifier, watch::Sender<Arc<Settings>>) {
    let settings = Settings::read(|name| values.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())).unwrap();
    let (sender, receiver) = watch::channel(Arc::new(settings));
    (Notifier::new(receiver, Arc::default(), Metrics::new()).0, sender)
}

const WEBHOOK: &[(&str, &str)] = &[("WEBHOOK_ENABLED", "true"), ("WEBHOOK_URL", "http://localhost/")];

fn read(version: u128) -> Marks {
    let mut read = Marks::default();
    read.advance(None, version);
    read
}

/// The next leader queues what the last one did not deliver, and nothing else.
#[tokio::test]
async fn the_lease_hands_over_what_was_not_delivered() {
    let (last, _settings) = notifier_of(WEBHOOK);
    assert_eq!(last.progress(&read(1)), None, "until it leads, what was in the Lease counts");
    last.begin(None, Vec::new());
    last.caught_up();
    let all = [entry_of("first", 6), entry_of("second", 7)].map(Arc::new);
    for entry in &all {
        last.offer(entry);
        last.offer(entry);
    }
    let outbox = last.update().1.remove(&Channel::Webhook).unwrap();
    assert_eq!(outbox.queue.lock().take(1).len(), 1);
    outbox.queue.lock().done();
    let inherited = AllProgress::parse(&last.progress(&read(7)).unwrap());
    let uids = |whole: &[Arc<ReportEntry>]| -> Vec<String> {
        lacking(&inherited, &[Channel::Webhook], &[], whole).into_iter().map(|(_, entry, _)| entry.uid.clone()).collect()
    };
    assert_eq!(uids(&all), ["second"]);
}

/// A leader is killed while it still looks for what the one before it did not deliver. The next one repeats nothing that
/// either of them delivered, and finds what neither did.
#[tokio::test]
async fn a_leader_that_ends_while_it_catches_up_hands_over_what_it_delivered() {
    let now = Timestamp::now();
    let all = ["first", "second", "third"].into_iter().zip(6..).map(|(uid, version)| Arc::new(entry_of(uid, version))).collect::<Vec<_>>();
    let id = |n: usize| short(&message::id(&all[n].uid, &all[n].notices[0]));
    let progress = Progress { since: now - SLACK * 10, behind: Marks::default(), sent: [id(0)].into() };
    let last = AllProgress { read: read(5), channels: [(Channel::Webhook, progress)].into() };
    let (second, _settings) = notifier_of(WEBHOOK);
    second.begin(Some(&last.text()), Vec::new());
    second.offer(&all[1]);
    let outbox = second.update().1.remove(&Channel::Webhook).unwrap();
    assert_eq!(outbox.queue.lock().take(1).len(), 1);
    outbox.queue.lock().done();
    second.offer(&all[2]);
    let inherited = AllProgress::parse(&second.progress(&read(9)).unwrap());
    assert_eq!(inherited.read, read(5), "changes after this are looked at again");
    let lacking = lacking(&inherited, &[Channel::Webhook], &[], &all);
    assert_eq!(lacking.iter().map(|(_, entry, _)| entry.uid.as_str()).collect::<Vec<_>>(), ["third"]);
    // The third leader has queued all of it.
    let (third, _settings) = notifier_of(WEBHOOK);
    third.begin(Some(&inherited.text()), Vec::new());
    third.caught_up();
    let progress = AllProgress::parse(&third.progress(&read(9)).unwrap());
    assert!(progress.was_sent(Channel::Webhook, &id(0)) && progress.was_sent(Channel::Webhook, &id(1)), "{progress:?}");
}

/// The settings may change just before the process leads: the new channel has its queue.
#[tokio::test]
async fn a_channel_that_was_just_enabled_takes_over() {
    let (notifier, settings) = notifier_of(&[]);
    settings.send_replace(notifier_of(WEBHOOK).1.borrow().clone());
    let progress = Progress { since: Timestamp::now(), behind: Marks::default(), sent: std::collections::BTreeSet::new() };
    let last = AllProgress { read: read(5), channels: [(Channel::Webhook, progress)].into() };
    notifier.begin(Some(&last.text()), Vec::new());
    let one = entry_of("uid", 6);
    notifier.queue(&Arc::new(one.clone()), &[(Channel::Webhook, &one.notices[0])]);
    assert_eq!(notifier.update().1[&Channel::Webhook].queue.lock().ids().len(), 1);
}

#[tokio::test]
async fn filters_choose_what_is_queued() {
    let (notifier, settings) = notifier_of(&[
        ("WEBHOOK_ENABLED", "true"),
        ("WEBHOOK_URL", "http://localhost/"),
        ("WEBHOOK_EVENTS", "update_failed"),
        ("TEAMS_ENABLED", "true"),
        ("TEAMS_WEBHOOK_URL", "http://localhost/"),
        ("TEAMS_NAMESPACES", "elsewhere"),
        ("DISCORD_ENABLED", "true"),
        ("DISCORD_WEBHOOK_URL", "http://localhost/"),
    ]);
    notifier.offer(&Arc::new(entry_of("uid", 6)));
    let queued = |notifier: &Notifier| -> Vec<Channel> {
        let outboxes = notifier.update().1;
        outboxes.iter().filter(|(_, outbox)| outbox.queue.lock().oldest().is_some()).map(|(channel, _)| *channel).collect()
    };
    assert_eq!(queued(&notifier), [Channel::Discord]);
    // A channel that is switched off and on again does not get what happened before.
    let off = Arc::new(settings.borrow().only(Channel::Teams));
    let on = Arc::clone(&settings.borrow());
    settings.send_replace(off);
    notifier.update();
    settings.send_replace(on);
    assert_eq!(queued(&notifier), []);
    notifier.begin(None, Vec::new());
    notifier.caught_up();
    assert!(notifier.progress(&read(1)).unwrap().contains("discord"));
    settings.send_replace(Arc::default());
    notifier.update();
    assert_eq!(notifier.progress(&read(1)).as_deref(), Some(""), "without channels, the annotation goes");
}
