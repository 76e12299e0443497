//! What could not be recorded: the API server refused an UpdateRequest, or did not answer.
//!
//! A quota, an admission rule or an object that cannot be read concerns one workload. The failure is kept for that
//! workload's container, is reported on it, and is tried again for it alone; newer claims join it and cost no call.
//! Nothing else waits.
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

/// The first and the longest pause after a refusal.
const REFUSED_BACKOFF: Backoff = Backoff::new(Duration::from_secs(30), Duration::from_mins(10));
/// How long a refused claim is tried again.
const REFUSED_PATIENCE: Duration = Duration::from_hours(1);
/// The first and the longest pause where the API server is not well, or a conflict has to be decided again.
const BUSY_BACKOFF: Backoff = Backoff::new(Duration::from_millis(250), Duration::from_secs(30));
/// How many tries in a row, over half a minute, an API server that is not well gets before it is reported.
const BUSY_TRIES: u32 = 8;
/// How many claims are kept for one container.
const CLAIMS: usize = 32;

/// A workload's container.
pub(crate) type Place = (WorkloadKey, String);

/// A claim with what the registry answered about it, as a workload sees the registry.
#[derive(Debug, Clone)]
pub(crate) struct Heard {
    pub(crate) arrived: Arc<Arrived>,
    /// The registry's answer; none if it was not asked.
    pub(crate) answer: Option<Answer>,
}

impl Heard {
    /// What it offers to the container; `None` if it is not about it.
    pub(crate) fn candidate(&self, container: &Container, artifact: &Artifact) -> Option<Candidate> {
        let claim = &self.arrived.claim;
        let tag = claim.tag.as_deref().or_else(|| artifact.version()).filter(|_| claim.is_about(container))?;
        Some(Candidate::new(claim.origin.version(artifact, tag), self.digest().cloned()))
    }

    /// The digest that counts: the registry's, if it returned one.
    fn digest(&self) -> Option<&Digest> {
        match &self.answer {
            Some(Answer::Exists(Some(digest))) => Some(digest),
            Some(Answer::Exists(None) | Answer::Missing | Answer::Unavailable) | None => self.arrived.claim.digest.as_ref(),
        }
    }
}

/// Why the latest update of a container is not on record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordingFailure {
    /// What the API server said.
    pub message: String,
    /// The image that the request would have been for.
    pub new_image: String,
    /// When it was tried the last time.
    pub at: Timestamp,
    /// When it is tried again; none if it is not.
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
    /// When it is tried again; none while it is tried, and after it was given up.
    due: Option<Duration>,
    transient: bool,
}

/// What is tried again now.
#[derive(Debug, Clone)]
pub(super) struct Retry {
    pub(super) place: Place,
    pub(super) uid: String,
    pub(super) claims: Vec<Heard>,
}

/// The containers whose latest update could not be recorded.
#[derive(Debug, Default)]
pub(super) struct Unrecorded {
    entries: HashMap<Place, Entry>,
    /// Namespaces with a retry under way: one at a time, so that a slow one delays only itself.
    busy: HashSet<String>,
}

/// What follows from a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is tried again, and there is nothing new to report.
    Retry,
    /// It is tried again, and a person has to know.
    Report,
    /// It was refused for too long, and is not tried again.
    GivenUp,
}

impl Unrecorded {
    /// Adds the claim to those that wait for the container. Returns whether any do; else it is to be tried at once.
    ///
    /// `best` says which of too many has to stay.
    pub(super) fn join(&mut self, place: &Place, uid: &str, heard: &Heard, best: impl FnOnce(&[Heard]) -> Option<usize>) -> bool {
        let Some(entry) = self.entries.get_mut(place).filter(|entry| entry.uid == uid && (entry.due.is_some() || !entry.claims.is_empty()))
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

    /// Takes in that the claims could not be recorded for the container.
    pub(super) fn failed(
        &mut self,
        place: Place,
        uid: &str,
        claims: Vec<Heard>,
        new_image: &str,
        failure: &Failure,
        now: (Duration, Timestamp),
    ) -> Verdict {
        let (now, at) = now;
        let transient = is_transient(failure);
        let entry = self.entries.entry(place).or_insert_with(|| Entry {
            uid: uid.to_owned(),
            claims: Vec::new(),
            failure: RecordingFailure { message: String::new(), new_image: String::new(), at, retry_at: None },
            since: now,
            tries: 0,
            due: None,
            transient,
        });
        if entry.uid != uid || entry.claims.is_empty() && entry.due.is_none() {
            // It was given up, or is another workload's: this is a new beginning.
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

    /// The claims are on record for the container, or nothing follows from them. Those that joined meanwhile are tried next.
    pub(super) fn recorded(&mut self, place: &Place, claims: &[Heard], now: Duration) {
        let Some(entry) = self.entries.get_mut(place) else { return };
        entry.claims.retain(|held| !claims.iter().any(|done| Arc::ptr_eq(&done.arrived, &held.arrived)));
        if entry.claims.is_empty() {
            self.entries.remove(place);
        } else {
            entry.due = Some(now);
        }
    }

    /// The next retry. Its namespace has no other one until [`Unrecorded::tried`].
    pub(super) fn next(&mut self, now: Duration) -> Option<Retry> {
        let busy = &self.busy;
        let is_due = |(place, entry): &(&Place, &mut Entry)| entry.due.is_some_and(|due| due <= now) && !busy.contains(&place.0.namespace);
        let (place, entry) = self.entries.iter_mut().filter(is_due).min_by_key(|(_, entry)| entry.due)?;
        entry.due = None;
        let retry = Retry { place: place.clone(), uid: entry.uid.clone(), claims: entry.claims.clone() };
        self.busy.insert(retry.place.0.namespace.clone());
        Some(retry)
    }

    /// The retry has come to its end.
    pub(super) fn tried(&mut self, retry: &Retry) {
        self.busy.remove(&retry.place.0.namespace);
        // Nothing was said of it: the task ended in a fault of Headwind's own.
        if self.entries.get(&retry.place).is_some_and(|entry| entry.due.is_none() && !entry.claims.is_empty()) {
            self.entries.remove(&retry.place);
        }
    }

    /// When [`Unrecorded::next`] has something, if nothing else happens before.
    pub(super) fn wake(&self) -> Option<Duration> {
        self.entries.iter().filter(|(place, _)| !self.busy.contains(&place.0.namespace)).filter_map(|(_, entry)| entry.due).min()
    }

    /// Why the container's latest update is not on record, if it is not.
    pub(super) fn failure(&self, place: &Place, uid: &str) -> Option<RecordingFailure> {
        self.entries.get(place).filter(|entry| entry.uid == uid).map(|entry| entry.failure.clone())
    }

    /// Forgets the workloads that are gone.
    pub(super) fn retain(&mut self, is_there: impl Fn(&Place) -> bool) {
        self.entries.retain(|place, _| is_there(place));
    }

    /// How many containers wait for their update to be recorded.
    pub(super) fn waiting(&self) -> usize {
        self.entries.values().filter(|entry| entry.due.is_some()).count()
    }

    /// Whether nothing waits for an API server that is not well.
    pub(super) fn is_idle(&self) -> bool {
        self.busy.is_empty() && self.entries.values().all(|entry| !entry.transient)
    }
}

/// Whether the API server may take the same later although nothing else changes.
fn is_transient(failure: &Failure) -> bool {
    match failure.class {
        Class::Conflict | Class::Busy | Class::NoAnswer | Class::NotFound => true,
        Class::Invalid | Class::Forbidden => false,
    }
}

/// Adds a claim; the one that arrived last about the same stays.
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
