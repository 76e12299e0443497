//! Unrecorded updates: the API server rejected an UpdateRequest, or did not answer.
//!
//! A quota, an admission rule or an object that cannot be decoded concerns one workload. The failure is stored for that
//! workload's container, reported on the workload, and retried separately. Newer claims join it without a call. Nothing
//! else waits.
//!
//! ```text
//! proposer ──failed──> (workload, container): claims, pause ──due──> decide again, create ──┬─> recorded: forgotten
//!                              ^────────────────── failed again ────────────────────────────┘
//! ```

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use headwind_core::artifact::Artifact;
use headwind_core::artifact::reference::Digest;
use headwind_core::backoff::Backoff;
use headwind_core::evidence::Answer;
use headwind_core::policy::Candidate;
use headwind_core::workload::{Container, WorkloadKey};
use jiff::Timestamp;

use super::claims::{Arrived, Key as About};
use crate::cluster::{Class, Failure};

/// Back-off after a rejection.
const REFUSED_BACKOFF: Backoff = Backoff::new(Duration::from_secs(30), Duration::from_mins(10));
/// Time for which a rejected claim is retried.
const REFUSED_PATIENCE: Duration = Duration::from_hours(1);
/// Back-off if the API server is unavailable, or a conflict requires another decision.
const BUSY_BACKOFF: Backoff = Backoff::new(Duration::from_millis(250), Duration::from_secs(30));
/// Number of consecutive attempts, over half a minute, before an unavailable API server is reported.
const BUSY_TRIES: u32 = 8;
/// Maximum number of claims kept for one container.
const CLAIMS: usize = 32;

/// A workload's container.
pub(crate) type ContainerKey = (WorkloadKey, String);

/// A claim with the registry's answer about it, as seen by a workload.
#[derive(Debug, Clone)]
pub(crate) struct Heard {
    pub(crate) arrived: Arc<Arrived>,
    /// The registry's answer; none if it was not queried.
    pub(crate) answer: Option<Answer>,
}

impl Heard {
    /// Returns the candidate for the container; `None` if the claim is not about it.
    pub(crate) fn candidate(&self, container: &Container, artifact: &Artifact) -> Option<Candidate> {
        let claim = &self.arrived.claim;
        let tag = claim.tag.as_deref().or_else(|| artifact.version()).filter(|_| claim.is_about(container))?;
        Some(Candidate::new(claim.origin.version(artifact, tag), self.digest().cloned()))
    }

    /// Returns the digest that counts: the registry's, if it returned one.
    fn digest(&self) -> Option<&Digest> {
        self.answer.as_ref().and_then(Answer::digest).or(self.arrived.claim.digest.as_ref())
    }
}

/// The reason why the latest update of a container is not recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordingFailure {
    /// The API server's message.
    pub message: String,
    /// The new image of the request.
    pub new_image: String,
    /// The time of the last attempt.
    pub at: Timestamp,
    /// The time of the next attempt; none if there is none.
    pub retry_at: Option<Timestamp>,
}

#[derive(Debug)]
struct Entry {
    uid: String,
    /// In the order in which they arrived.
    claims: Vec<Heard>,
    failure: RecordingFailure,
    since: Duration,
    tries: u32,
    /// The time of the next attempt; none during an attempt, and after giving up.
    due: Option<Duration>,
    transient: bool,
}

/// The retry that is due now.
#[derive(Debug, Clone)]
pub(super) struct Retry {
    pub(super) key: ContainerKey,
    pub(super) uid: String,
    pub(super) claims: Vec<Heard>,
}

/// The containers whose latest update could not be recorded.
#[derive(Debug, Default)]
pub(super) struct Unrecorded {
    entries: HashMap<ContainerKey, Entry>,
    /// Namespaces with a running retry: one at a time, so that a slow one delays only itself.
    busy: HashSet<String>,
}

/// The consequence of a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is retried; there is nothing new to report.
    Retry,
    /// It is retried, and reported.
    Report,
    /// It was rejected for too long, and is not retried.
    GivenUp,
}

impl Unrecorded {
    /// Adds the claim to the waiting ones of the container. Returns false if there are none: then the claim is to be
    /// tried at once.
    ///
    /// If there are too many, `best` selects the one to keep.
    pub(super) fn join(&mut self, key: &ContainerKey, uid: &str, heard: &Heard, best: impl FnOnce(&[Heard]) -> Option<usize>) -> bool {
        let Some(entry) = self.entries.get_mut(key).filter(|entry| entry.uid == uid && (entry.due.is_some() || !entry.claims.is_empty()))
        else {
            return false;
        };
        merge(&mut entry.claims, heard.clone());
        if entry.claims.len() > CLAIMS {
            let oldest = usize::from(best(&entry.claims) == Some(0));
            entry.claims.remove(oldest);
        }
        true
    }

    /// Stores claims that could not be recorded for the container.
    pub(super) fn failed(
        &mut self,
        key: ContainerKey,
        uid: &str,
        claims: Vec<Heard>,
        new_image: &str,
        failure: &Failure,
        now: (Duration, Timestamp),
    ) -> Verdict {
        let (now, at) = now;
        let transient = is_transient(failure);
        let entry = self.entries.entry(key).or_insert_with(|| Entry {
            uid: uid.to_owned(),
            claims: Vec::new(),
            failure: RecordingFailure { message: String::new(), new_image: String::new(), at, retry_at: None },
            since: now,
            tries: 0,
            due: None,
            transient,
        });
        if entry.uid != uid || entry.claims.is_empty() && entry.due.is_none() {
            // It was given up, or belongs to another workload: start again.
            uid.clone_into(&mut entry.uid);
            (entry.since, entry.tries) = (now, 0);
        }
        if entry.transient != transient {
            (entry.since, entry.tries, entry.transient) = (now, 0, transient);
        }
        for heard in claims {
            merge(&mut entry.claims, heard);
        }
        let pause = failure.retry_after.unwrap_or_else(|| if transient { BUSY_BACKOFF } else { REFUSED_BACKOFF }.pause(entry.tries));
        let pause = pause.min(REFUSED_BACKOFF.max);
        entry.tries = entry.tries.saturating_add(1);
        let given_up = !transient && now.saturating_sub(entry.since) + pause > REFUSED_PATIENCE;
        entry.due = (!given_up).then(|| now + pause);
        if given_up {
            entry.claims.clear();
        }
        entry.failure = RecordingFailure {
            message: failure.to_string(),
            new_image: new_image.to_owned(),
            at,
            retry_at: entry.due.map(|_| at.saturating_add(pause).unwrap_or(Timestamp::MAX)),
        };
        let reports = if transient { BUSY_TRIES } else { 1 };
        match given_up {
            true => Verdict::GivenUp,
            false if entry.tries == reports => Verdict::Report,
            false => Verdict::Retry,
        }
    }

    /// Removes claims that are recorded for the container, or that lead to no update. Claims that joined meanwhile are
    /// tried next.
    pub(super) fn recorded(&mut self, key: &ContainerKey, claims: &[Heard], now: Duration) {
        let Some(entry) = self.entries.get_mut(key) else { return };
        entry.claims.retain(|held| !claims.iter().any(|done| Arc::ptr_eq(&done.arrived, &held.arrived)));
        if entry.claims.is_empty() {
            self.entries.remove(key);
        } else {
            entry.due = Some(now);
        }
    }

    /// Returns the next retry. Its namespace has no other one until [`Unrecorded::tried`].
    pub(super) fn next(&mut self, now: Duration) -> Option<Retry> {
        let busy = &self.busy;
        let is_due =
            |(key, entry): &(&ContainerKey, &mut Entry)| entry.due.is_some_and(|due| due <= now) && !busy.contains(&key.0.namespace);
        let (key, entry) = self.entries.iter_mut().filter(is_due).min_by_key(|(_, entry)| entry.due)?;
        entry.due = None;
        let retry = Retry { key: key.clone(), uid: entry.uid.clone(), claims: entry.claims.clone() };
        self.busy.insert(retry.key.0.namespace.clone());
        Some(retry)
    }

    /// Ends the retry.
    pub(super) fn tried(&mut self, retry: &Retry) {
        self.busy.remove(&retry.key.0.namespace);
        // Without a result, the task failed because of a bug.
        if self.entries.get(&retry.key).is_some_and(|entry| entry.due.is_none() && !entry.claims.is_empty()) {
            self.entries.remove(&retry.key);
        }
    }

    /// Returns when [`Unrecorded::next`] returns something, unless something changes before.
    pub(super) fn wake(&self) -> Option<Duration> {
        self.entries.iter().filter(|(key, _)| !self.busy.contains(&key.0.namespace)).filter_map(|(_, entry)| entry.due).min()
    }

    /// Returns why the container's latest update is not recorded; `None` if it is.
    pub(super) fn failure(&self, key: &ContainerKey, uid: &str) -> Option<RecordingFailure> {
        self.entries.get(key).filter(|entry| entry.uid == uid).map(|entry| entry.failure.clone())
    }

    /// Removes the workloads that are gone.
    pub(super) fn retain(&mut self, is_there: impl Fn(&ContainerKey) -> bool) {
        self.entries.retain(|key, _| is_there(key));
    }

    /// Returns the number of containers whose update waits to be recorded.
    pub(super) fn waiting(&self) -> usize {
        self.entries.values().filter(|entry| entry.due.is_some()).count()
    }

    /// Returns true if nothing waits for an unavailable API server.
    pub(super) fn is_idle(&self) -> bool {
        self.busy.is_empty() && self.entries.values().all(|entry| !entry.transient)
    }
}

/// Returns true if the API server may accept the same request later without any other change.
fn is_transient(failure: &Failure) -> bool {
    match failure.class {
        Class::Conflict | Class::Busy | Class::NoAnswer | Class::NotFound => true,
        Class::Invalid | Class::Forbidden => false,
    }
}

/// Adds a claim. Of claims about the same subject, the latest is kept.
fn merge(claims: &mut Vec<Heard>, heard: Heard) {
    let about = About::of(&heard.arrived.claim);
    if let Some(at) = claims.iter().position(|held| About::of(&held.arrived.claim) == about) {
        if claims.get(at).is_some_and(|held| held.arrived.at > heard.arrived.at) {
            return;
        }
        claims.remove(at);
    }
    let at = claims.partition_point(|held| held.arrived.at <= heard.arrived.at);
    claims.insert(at, heard);
}

#[cfg(test)]
mod tests;
