use headwind_core::notification::NotificationEvent;

use super::*;
use crate::report::notify::message::tests::entry_of;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_000_000 + second).unwrap()
}

/// Returns a request with that UID and version, and its notice.
fn item(n: u128) -> (Arc<ReportEntry>, Notice) {
    let entry = entry_of(&format!("uid-{n}"), n);
    let second = i64::try_from(n).unwrap();
    (Arc::new(entry), Notice { event: NotificationEvent::UpdateDetected, id: "update_detected".into(), at: Some(at(second)) })
}

fn read(version: u128) -> Marks {
    let mut marks = Marks::default();
    marks.advance(None, version);
    marks
}

#[test]
fn a_notification_is_queued_once() {
    let mut queue = Queue::default();
    let (entry, notice) = item(1);
    queue.push(&entry, &notice, at(1));
    queue.push(&entry, &notice, at(1));
    assert_eq!(queue.take(5).len(), 1);
    queue.done();
    queue.push(&entry, &notice, at(2));
    assert_eq!(queue.oldest(), None, "delivered before");
}

#[test]
fn a_full_queue_drops_the_oldest_that_is_not_being_sent() {
    let mut queue = Queue::default();
    let capacity = CAPACITY as u128;
    for n in 1..=capacity {
        let (entry, notice) = item(n);
        assert_eq!(queue.push(&entry, &notice, at(0)), 0);
    }
    let first = queue.take(1);
    let (entry, notice) = item(capacity + 1);
    assert_eq!(queue.push(&entry, &notice, at(0)), 1);
    let ids = queue.ids();
    assert_eq!((ids.len(), &ids[0]), (CAPACITY, &first[0].id));
    assert_eq!(ids[1], message::id("uid-3", &notice), "the second one is dropped");
}

#[test]
fn progress_is_before_the_oldest_that_waits() {
    let mut queue = Queue::default();
    for n in [10, 20, 30] {
        let (entry, notice) = item(n);
        queue.push(&entry, &notice, at(0));
    }
    queue.take(1);
    queue.done();
    let progress = queue.progress(&read(40), at(100));
    assert_eq!(progress.behind.to_string(), "*=19");
    assert_eq!(progress.since, at(20));
    assert_eq!(progress.sent, [short(&message::id("uid-10", &item(10).1))].into());
    queue.take(2);
    queue.done();
    let progress = queue.progress(&read(40), at(100));
    assert_eq!((progress.behind, progress.since), (Marks::default(), at(100)));
    assert!(progress.sent.is_empty(), "older than the slack");
}

#[test]
fn more_deliveries_than_can_be_listed_count_by_their_time() {
    let mut queue = Queue::default();
    for n in 1..=200 {
        let (entry, notice) = item(n);
        queue.push(&entry, &notice, at(0));
    }
    queue.take(200);
    queue.done();
    let progress = queue.progress(&read(200), at(50));
    assert_eq!(progress.since, at(72).checked_add(SLACK).unwrap());
    assert_eq!(progress.sent.len(), RECENT);
}
