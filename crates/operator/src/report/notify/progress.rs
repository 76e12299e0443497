//! The progress of each channel, kept in an annotation of the Lease for the next leader.
//!
//! A notification belongs to the next leader if the last one did not deliver it. Two rules find them:
//!
//! - The latest change of a request was not delivered if its resource version is above the channel's mark.
//! - Earlier notifications of the same request follow from the times in its status. Those that happened before the
//!   channel's time, less [`SLACK`] for the clocks and the whole seconds of Kubernetes, were delivered. Of those in between,
//!   the annotation lists the ones that were.
//!
//! So a notification is repeated only if it was delivered after the last write of the Lease, which is at most two
//! seconds old while the leader lives.

use std::collections::{BTreeMap, BTreeSet};

use headwind_core::notification::Notice;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::report::channel::Channel;
use crate::report::marks::Marks;

/// The annotation of the Lease.
pub(crate) const NOTIFIED: &str = "headwind.sh/notified";
/// The time before the channel's time in which notifications are listed one by one.
pub(super) const SLACK: SignedDuration = SignedDuration::from_secs(30);
/// Maximum number of listed notifications of a channel.
pub(super) const RECENT: usize = 128;
/// Length of a listed ID.
const SHORT: usize = 8;

/// The progress of a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Progress {
    /// Everything before this time was delivered.
    pub(super) since: Timestamp,
    /// The marks of the namespaces in which notifications wait.
    pub(super) behind: Marks,
    /// The notifications around that time that were delivered.
    pub(super) sent: BTreeSet<String>,
}

/// The progress of all channels.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct AllProgress {
    /// The resource versions up to which the watches were read. They are the marks of the namespaces in which nothing
    /// waits.
    pub(super) read: Marks,
    pub(super) channels: BTreeMap<Channel, Progress>,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    read: String,
    channels: BTreeMap<String, StoredProgress>,
}

#[derive(Serialize, Deserialize)]
struct StoredProgress {
    since: Timestamp,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    behind: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    sent: String,
}

impl AllProgress {
    /// Reads the annotation. If it cannot be parsed, no progress is known, and no channel catches up.
    pub(super) fn parse(text: &str) -> Self {
        let Ok(Stored { read, channels }) = serde_json::from_str(text) else { return Self::default() };
        let channels = channels.into_iter().filter_map(|(name, StoredProgress { since, behind, sent })| {
            let sent = sent.split(' ').filter(|id| !id.is_empty()).map(str::to_owned).collect();
            Some((name.parse().ok()?, Progress { since, behind: Marks::parse(&behind), sent }))
        });
        Self { read: Marks::parse(&read), channels: channels.collect() }
    }

    /// Returns the annotation.
    pub(super) fn text(&self) -> String {
        let stored = self.channels.iter().map(|(channel, Progress { since, behind, sent })| {
            let sent = sent.iter().map(String::as_str).collect::<Vec<_>>().join(" ");
            (channel.to_string(), StoredProgress { since: *since, behind: behind.to_string(), sent })
        });
        let stored = Stored { read: self.read.to_string(), channels: stored.collect() };
        // Plain texts and times always encode.
        serde_json::to_string(&stored).unwrap_or_default()
    }

    /// Returns true if the channel may lack a notification of a request with that version, whose status last changed at
    /// `changed`.
    pub(super) fn may_lack(&self, channel: Channel, namespace: &str, version: u128, changed: Option<Timestamp>) -> bool {
        let Some(progress) = self.channels.get(&channel) else { return false };
        self.lacks_version(progress, namespace, version) || changed.is_none_or(|at| progress.is_recent(at))
    }

    /// Returns the notifications of a request that the channel lacks, of all that follow from its status.
    pub(super) fn lacking<'a>(
        &self,
        channel: Channel,
        namespace: &str,
        version: u128,
        notices: &'a [Notice],
        id: impl Fn(&Notice) -> String,
    ) -> Vec<&'a Notice> {
        let Some(progress) = self.channels.get(&channel) else { return Vec::new() };
        let newer = self.lacks_version(progress, namespace, version);
        let lacks = |(n, notice): &(usize, &Notice)| {
            let latest = newer && n + 1 == notices.len();
            // Without a time, only the version is compared.
            (latest || notice.at.map_or(newer, |at| progress.is_recent(at))) && !self.was_sent(channel, &id(notice))
        };
        notices.iter().enumerate().filter(lacks).map(|(_, notice)| notice).collect()
    }

    /// Returns true if the channel lacks a change of that version.
    pub(super) fn lacks(&self, channel: Channel, namespace: &str, version: u128) -> bool {
        self.channels.get(&channel).is_some_and(|progress| self.lacks_version(progress, namespace, version))
    }

    /// Returns true if the notification with that ID is listed as delivered.
    pub(super) fn was_sent(&self, channel: Channel, id: &str) -> bool {
        self.channels.get(&channel).is_some_and(|progress| progress.sent.contains(&short(id)))
    }

    fn lacks_version(&self, progress: &Progress, namespace: &str, version: u128) -> bool {
        self.read.lacks(namespace, version) || progress.behind.lacks(namespace, version)
    }
}

impl Progress {
    fn is_recent(&self, at: Timestamp) -> bool {
        at.checked_add(SLACK).unwrap_or(at) >= self.since
    }
}

/// Returns the listed form of an ID.
pub(super) fn short(id: &str) -> String {
    id.get(..SHORT).unwrap_or(id).to_owned()
}

#[cfg(test)]
mod tests;
