//! Delivers the queue of one channel, in order.
//!
//! ```text
//! queue ──take──> messages ──send──> Delivered | Refused ──> done
//!                              └──> Retry ──(back-off, Retry-After)──> send again, or given up ──> done
//! ```

use std::sync::Arc;
use std::time::Duration;

use headwind_core::backoff::Backoff;
use headwind_core::notification::NotificationEvent;
use jiff::Timestamp;
use reqwest::Client;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::http::Outcome;
use super::message::Message;
use super::notifier::Outbox;
use super::queue::Item;
use super::settings::Settings;
use super::slack::board::Board;
use super::{discord, mail, mattermost, slack, teams, webhook};
use crate::report::channel::Channel;
use crate::report::metrics::Metrics;
use crate::report::trace::Traces;

/// The pauses between attempts.
const PAUSE: Backoff = Backoff::new(Duration::from_secs(1), Duration::from_mins(5));
/// Maximum pause that a receiver may request.
const LONGEST_PAUSE: Duration = Duration::from_mins(10);
/// Time after which a notification that was due is given up, for channels without a number of retries.
const LIFE: Duration = Duration::from_hours(1);
/// Maximum number of notifications in one digest.
const DIGEST: usize = 200;

/// The task of a channel.
pub(super) struct Delivery {
    pub(super) channel: Channel,
    pub(super) settings: Arc<Settings>,
    pub(super) outbox: Outbox,
    /// The record of the messages of the Slack bot.
    pub(super) board: Board,
    pub(super) client: Result<Client, String>,
    pub(super) metrics: Metrics,
    pub(super) traces: Traces,
    /// Ends the task after the current attempt.
    pub(super) leave: CancellationToken,
    /// Ends the task once the queue is empty or an attempt fails.
    pub(super) drain: CancellationToken,
}

impl Delivery {
    /// Delivers until `leave` or `drain`.
    pub(super) async fn run(self) {
        let mut is_failing = false;
        while let Some(items) = self.next().await {
            if self.deliver(&items, &mut is_failing).await {
                self.outbox.queue.lock().done();
            }
        }
    }

    /// Returns the interval of digests; `None` for one message each.
    fn digest(&self) -> Option<Duration> {
        self.settings.common(self.channel).and_then(|common| common.digest)
    }

    /// Waits for notifications to send. Returns `None` at the end.
    async fn next(&self) -> Option<Vec<Item>> {
        let digest = self.digest();
        loop {
            if self.leave.is_cancelled() {
                return None;
            }
            let woken = self.outbox.wake.notified();
            let oldest = self.outbox.queue.lock().oldest();
            let due = oldest.map(|since| due(since, digest));
            match due {
                Some(due) if due <= Instant::now() || self.drain.is_cancelled() => {
                    return Some(self.outbox.queue.lock().take(if digest.is_some() { DIGEST } else { 1 }));
                }
                None if self.drain.is_cancelled() => return None,
                Some(due) => {
                    tokio::select! {
                        () = sleep_until(due) => {}
                        () = self.leave.cancelled() => {}
                        () = self.drain.cancelled() => {}
                    }
                }
                None => {
                    tokio::select! {
                        () = woken => {}
                        () = self.leave.cancelled() => {}
                        () = self.drain.cancelled() => {}
                    }
                }
            }
        }
    }

    /// Sends the notifications until they are delivered or given up. Returns false if another task or the next leader
    /// must send them.
    async fn deliver(&self, items: &[Item], is_failing: &mut bool) -> bool {
        let channel = self.channel;
        let Some(common) = self.settings.common(channel) else { return false };
        let now = Timestamp::now();
        let ended = |error: Option<&str>| {
            for item in items {
                self.traces.notified(&item.entry, &item.id, channel.as_str(), now, error);
            }
        };
        let messages: Vec<Message> =
            items.iter().map(|item| Message::new(&item.entry, &item.notice, &self.settings, common, now)).collect();
        for attempt in 0.. {
            let (problem, after) = match self.attempt(items, &messages).await {
                Outcome::Delivered(answer) => {
                    ended(None);
                    self.metrics.notifications.sent(channel, messages.len());
                    if std::mem::take(is_failing) {
                        tracing::info!(notification.channel = %channel, "the channel accepts notifications again");
                    }
                    tracing::debug!(notification.channel = %channel, notifications = messages.len(), answer, "notification delivered");
                    return true;
                }
                Outcome::Refused(problem) => {
                    ended(Some(&problem));
                    self.lost(items, &messages, &problem);
                    return true;
                }
                Outcome::Retry { problem, after } => (problem, after),
            };
            if self.is_given_up(attempt, items) {
                ended(Some(&problem));
                self.lost(items, &messages, &problem);
                return true;
            }
            if !std::mem::replace(is_failing, true) {
                tracing::warn!(notification.channel = %channel, problem, "the channel does not accept notifications; retrying");
            }
            let pause = PAUSE.pause(attempt).max(after.unwrap_or_default().min(LONGEST_PAUSE));
            tokio::select! {
                () = sleep(pause) => {}
                () = self.leave.cancelled() => return false,
                () = self.drain.cancelled() => {}
            }
            if self.drain.is_cancelled() {
                // The next leader delivers them.
                self.leave.cancel();
                return false;
            }
        }
        false
    }

    fn is_given_up(&self, attempt: u32, items: &[Item]) -> bool {
        let retries = self.settings.webhook.as_ref().filter(|_| self.channel == Channel::Webhook).map(|webhook| webhook.max_retries);
        match retries {
            Some(retries) => attempt >= retries,
            None => items.first().is_some_and(|item| is_too_old(item.since, self.digest(), Instant::now())),
        }
    }

    fn lost(&self, items: &[Item], messages: &[Message], problem: &str) {
        self.metrics.notifications.failed(self.channel, messages.len());
        for (item, Message { event, namespace, request, id, .. }) in items.iter().zip(messages) {
            let trace_id = self.traces.id(&item.entry.uid);
            tracing::warn!(
                notification.channel = %self.channel, notification.id = id, notification.event = %event, request.namespace = namespace,
                request.name = request, problem, trace_id = trace_id.as_deref(), "notification not delivered"
            );
        }
    }

    async fn attempt(&self, items: &[Item], messages: &[Message]) -> Outcome {
        let client = match &self.client {
            Ok(client) => client,
            Err(problem) => return Outcome::Retry { problem: problem.clone(), after: None },
        };
        let Some(slack) = self.settings.slack.as_ref().filter(|_| self.channel == Channel::Slack) else {
            return send(&self.settings, self.channel, client, messages).await;
        };
        let (outcome, place) = slack::post(client, slack, messages).await;
        // A digest has no buttons, and is about several requests.
        if let ([item], Some(place)) = (items, place)
            && item.notice.event == NotificationEvent::UpdateRequestCreated
        {
            self.board.posted(&item.entry, place);
        }
        outcome
    }
}

/// Returns when notifications are due, the oldest of which was queued at `since`.
fn due(since: Instant, digest: Option<Duration>) -> Instant {
    since + digest.unwrap_or_default()
}

/// Returns true if notifications are given up, the oldest of which was queued at `since`. The wait for the digest does
/// not count: with an interval of an hour, the first failed attempt would be the last one.
fn is_too_old(since: Instant, digest: Option<Duration>, now: Instant) -> bool {
    now >= due(since, digest) + LIFE
}

/// Sends the messages as one.
pub(super) async fn send(settings: &Settings, channel: Channel, client: &Client, messages: &[Message]) -> Outcome {
    let sent = send_if_enabled(settings, channel, client, messages).await;
    sent.unwrap_or_else(|| Outcome::Refused("the channel is not enabled".to_owned()))
}

async fn send_if_enabled(settings: &Settings, channel: Channel, client: &Client, messages: &[Message]) -> Option<Outcome> {
    let Settings { slack, teams, webhook, discord, mattermost, mail, .. } = settings;
    Some(match channel {
        Channel::Slack => slack::send(client, slack.as_ref()?, messages).await,
        Channel::Teams => teams::send(client, teams.as_ref()?, messages).await,
        Channel::Webhook => webhook::send(client, webhook.as_ref()?, messages).await,
        Channel::Discord => discord::send(client, discord.as_ref()?, messages).await,
        Channel::Mattermost => mattermost::send(client, mattermost.as_ref()?, messages).await,
        Channel::Mail => mail::send(mail.as_ref()?, messages).await,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case::one_message(0)]
    #[case::a_short_digest(5)]
    #[case::a_digest_as_long_as_the_life(60)]
    #[case::a_long_digest(24 * 60)]
    fn a_notification_is_retried_for_an_hour_after_it_was_due(#[case] minutes: u64) {
        let digest = Some(Duration::from_mins(minutes)).filter(|interval| !interval.is_zero());
        let since = Instant::now();
        let first_attempt = due(since, digest);
        assert_eq!(first_attempt, since + Duration::from_mins(minutes));
        for (late, is_given_up) in [(0, false), (59, false), (60, true), (90, true)] {
            let now = first_attempt + Duration::from_mins(late);
            assert_eq!(is_too_old(since, digest, now), is_given_up, "{late} minutes after the first attempt");
        }
    }
}
