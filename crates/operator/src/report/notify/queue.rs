//! The notifications that wait for one channel.
//!
//! They are delivered in order, so what the channel has is everything before the oldest one that waits. A full queue
//! drops the oldest one that is not being sent.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use headwind_core::notification::Notice;
use jiff::Timestamp;
use tokio::time::Instant;

use super::message;
use super::progress::{Progress, RECENT, SLACK, short};
use crate::report::entry::ReportEntry;
use crate::report::marks::Marks;

/// Maximum number of waiting notifications.
pub(super) const CAPACITY: usize = 1000;
/// Maximum number of remembered notifications, to not send one again. The oldest is forgotten first.
const REMEMBERED: usize = 4096;

/// A notification that waits.
#[derive(Debug, Clone)]
pub(super) struct Item {
    pub(super) entry: Arc<ReportEntry>,
    pub(super) notice: Notice,
    pub(super) id: String,
    /// When it was queued.
    pub(super) since: Instant,
    at: Timestamp,
}

/// The queue.
#[derive(Debug, Default)]
pub(super) struct Queue {
    items: VecDeque<Item>,
    /// The number of items at the front that are being sent.
    in_flight: usize,
    known: HashSet<String>,
    /// The known ones, oldest first.
    order: VecDeque<String>,
    /// The short IDs of the last ones that were delivered or given up, with their times.
    recent: VecDeque<(Timestamp, String)>,
    /// The latest time of those that are no longer listed.
    unlisted: Option<Timestamp>,
}

impl Queue {
    /// Adds a notification, unless it is known. Returns the number of dropped ones.
    pub(super) fn push(&mut self, entry: &Arc<ReportEntry>, notice: &Notice, now: Timestamp) -> usize {
        let id = message::id(&entry.uid, notice);
        if !self.known.insert(id.clone()) {
            return 0;
        }
        self.order.push_back(id.clone());
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        let at = notice.at.unwrap_or(now);
        self.items.push_back(Item { entry: Arc::clone(entry), notice: notice.clone(), id, since: Instant::now(), at });
        if self.items.len() <= CAPACITY {
            return 0;
        }
        let dropped = self.items.remove(self.in_flight);
        dropped.map_or(0, |item| {
            self.note(&item);
            1
        })
    }

    /// Returns when the oldest notification was queued.
    pub(super) fn oldest(&self) -> Option<Instant> {
        self.items.front().map(|item| item.since)
    }

    /// Returns the oldest notifications, to be sent now.
    pub(super) fn take(&mut self, limit: usize) -> Vec<Item> {
        self.in_flight = self.items.len().min(limit);
        self.items.iter().take(limit).cloned().collect()
    }

    /// Removes the notifications that were being sent: they are delivered or given up.
    pub(super) fn done(&mut self) {
        for item in self.items.drain(..std::mem::take(&mut self.in_flight)).collect::<Vec<_>>() {
            self.note(&item);
        }
    }

    fn note(&mut self, item: &Item) {
        self.list(item.at, short(&item.id));
    }

    fn list(&mut self, at: Timestamp, id: String) {
        self.recent.push_back((at, id));
        if self.recent.len() > RECENT
            && let Some((at, _)) = self.recent.pop_front()
        {
            self.unlisted = self.unlisted.max(Some(at));
        }
    }

    /// Takes over what the previous leader delivered. When each of them happened is not known: `now` is the latest time
    /// that is possible, so none is forgotten too early.
    pub(super) fn inherit(&mut self, progress: &Progress, now: Timestamp) {
        for id in &progress.sent {
            self.list(now, id.clone());
        }
    }

    /// Returns the progress of the channel. `read` has the resource versions up to which the watches were read.
    pub(super) fn progress(&self, read: &Marks, now: Timestamp) -> Progress {
        let mut behind = Marks::default();
        for item in &self.items {
            behind.hold(read.place(&item.entry.workload.namespace), item.entry.resource_version.saturating_sub(1));
        }
        let later = |at: Timestamp| at.checked_add(SLACK).unwrap_or(at);
        // If too many were delivered to list them, they count as delivered by their time.
        let idle = now.max(self.unlisted.map_or(now, later));
        let since = self.items.iter().map(|item| item.at).min().map_or(idle, |at| at.min(now));
        let counts = |at: &Timestamp| later(*at) >= since;
        let sent = self.recent.iter().filter(|(at, _)| counts(at)).map(|(_, id)| id.clone()).collect();
        Progress { since, behind, sent }
    }

    /// Returns the progress of the previous leader, with what was delivered since.
    pub(super) fn progress_since(&self, inherited: &Progress) -> Progress {
        let mut progress = inherited.clone();
        progress.sent.extend(self.recent.iter().map(|(_, id)| id.clone()));
        progress
    }

    #[cfg(test)]
    pub(super) fn ids(&self) -> Vec<String> {
        self.items.iter().map(|item| item.id.clone()).collect()
    }
}

#[cfg(test)]
mod tests;
