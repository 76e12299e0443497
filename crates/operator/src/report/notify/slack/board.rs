//! The messages about updates that wait for approval, and where a bot posted them: each is updated in place when the
//! request is decided and when it ends, by any means.
//!
//! ```text
//! Delivery ──posted──┐
//! journal ──changed──┼──> Board ──due──> Keeper: read the request ──chat.update──> Slack
//! last leader ───────┘      └─ the places ──> Lease
//! ```
//!
//! Slack has no way to find a message again, so the Lease stores the places. A place that was noted after the last write
//! of the Lease is lost if the leader is killed: the buttons of that message still work.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use headwind_core::backoff::Backoff;
use headwind_core::request::Phase;
use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};

use super::bot::Bot;
use super::{Place, decided};
use crate::cluster::ClusterClient;
use crate::observe::state::State;
use crate::report::entry::ReportEntry;
use crate::report::notify::http::{self, Outcome};
use crate::report::notify::settings::{Settings, SlackVia};

/// The annotation of the Lease.
pub(crate) const POSTED: &str = "headwind.sh/slack-messages";
/// Maximum number of messages that are remembered. The oldest is forgotten first.
const REMEMBERED: usize = 200;
/// Length of a UID in the annotation: 48 random bits.
const SHORT: usize = 13;
/// The pauses between attempts.
const PAUSE: Backoff = Backoff::new(Duration::from_secs(1), Duration::from_mins(1));
/// Number of attempts to update a message.
const ATTEMPTS: u32 = 12;

/// The places of the messages. Cheap to clone, never blocks.
#[derive(Clone, Default)]
pub(crate) struct Board(Arc<Inner>);

#[derive(Default)]
struct Inner {
    posts: Mutex<Posts>,
    wake: Notify,
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Posts {
    /// By the short UID of the request.
    places: BTreeMap<String, Place>,
    /// The keys of the same, oldest first.
    order: VecDeque<String>,
    /// The requests whose messages must be updated.
    due: BTreeSet<Subject>,
}

/// A request: its short UID, its namespace and its name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Subject {
    uid: String,
    namespace: String,
    name: String,
}

impl Subject {
    fn of(entry: &ReportEntry) -> Self {
        Self { uid: short(&entry.uid), namespace: entry.workload.namespace.clone(), name: entry.request.name.clone() }
    }
}

fn short(uid: &str) -> String {
    uid.get(..SHORT).unwrap_or(uid).to_owned()
}

impl Posts {
    fn add(&mut self, uid: String, place: Place) {
        if self.places.insert(uid.clone(), place).is_none() {
            self.order.push_back(uid);
        }
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.places.remove(&oldest);
        }
    }

    fn forget(&mut self, uid: &str) {
        self.places.remove(uid);
        self.order.retain(|known| known != uid);
    }

    fn text(&self) -> String {
        let one = |uid: &String| self.places.get(uid).map(|Place { channel, ts }| format!("{uid}={channel}/{ts}"));
        self.order.iter().filter_map(one).collect::<Vec<_>>().join(" ")
    }

    /// Reads the annotation. Ignores entries that it cannot read.
    fn parse(text: &str) -> Self {
        let mut posts = Self::default();
        for entry in text.split(' ') {
            if let Some((uid, place)) = entry.split_once('=')
                && let Some((channel, ts)) = place.split_once('/')
            {
                posts.add(uid.to_owned(), Place { channel: channel.to_owned(), ts: ts.to_owned() });
            }
        }
        posts
    }
}

impl Board {
    /// Records the place of the message about a request. The request may have changed meanwhile.
    pub(in crate::report::notify) fn posted(&self, entry: &ReportEntry, place: Place) {
        {
            let posts = &mut *self.0.posts.lock();
            let name = Subject::of(entry);
            posts.add(name.uid.clone(), place);
            posts.due.insert(name);
        }
        self.0.wake.notify_one();
    }

    /// Records that a request changed.
    pub(in crate::report::notify) fn changed(&self, entry: &ReportEntry) {
        {
            let posts = &mut *self.0.posts.lock();
            let name = Subject::of(entry);
            if !posts.places.contains_key(&name.uid) {
                return;
            }
            posts.due.insert(name);
        }
        self.0.wake.notify_one();
    }

    /// Takes over the places of the previous leader. It checks every request among them.
    pub(in crate::report::notify) fn inherit(&self, text: &str, state: &State) {
        let inherited = Posts::parse(text);
        if inherited.places.is_empty() {
            return;
        }
        {
            let posts = &mut *self.0.posts.lock();
            for uid in inherited.order {
                if let Some(place) = inherited.places.get(&uid).filter(|_| !posts.places.contains_key(&uid)) {
                    posts.add(uid, place.clone());
                }
            }
            for (workload, held) in state.requests.read().all() {
                let uid = short(&held.version().uid);
                if posts.places.contains_key(&uid) {
                    posts.due.insert(Subject { uid, namespace: workload.namespace.clone(), name: held.read().name });
                }
            }
        }
        self.0.wake.notify_one();
    }

    /// Returns the places for the Lease; empty if there are none.
    pub(in crate::report::notify) fn text(&self) -> String {
        self.0.posts.lock().text()
    }

    fn take(&self) -> Vec<(Subject, Place)> {
        let posts = &mut *self.0.posts.lock();
        let due = std::mem::take(&mut posts.due);
        due.into_iter().filter_map(|name| posts.places.get(&name.uid).cloned().map(|place| (name, place))).collect()
    }
}

/// The task that updates messages.
pub(in crate::report::notify) struct Keeper {
    pub(in crate::report::notify) board: Board,
    pub(in crate::report::notify) settings: watch::Receiver<Arc<Settings>>,
    pub(in crate::report::notify) state: Arc<State>,
    pub(in crate::report::notify) cluster: ClusterClient,
}

impl Keeper {
    /// Runs until it is dropped.
    pub(in crate::report::notify) async fn run(self) {
        loop {
            let woken = self.board.0.wake.notified();
            for (name, place) in self.board.take() {
                self.update(&name, &place).await;
            }
            woken.await;
        }
    }

    /// Updates one message, if its request no longer waits.
    async fn update(&self, name: &Subject, place: &Place) {
        let Subject { uid, namespace, name: request } = name;
        if self.state.requests.read().get(namespace, request).is_some_and(|held| held.phase() == Phase::Pending) {
            return;
        }
        for attempt in 0..ATTEMPTS {
            let (problem, after) = match self.attempt(name, place).await {
                Ok(ended) => {
                    if ended {
                        self.board.0.posts.lock().forget(uid);
                    }
                    return;
                }
                Err(Outcome::Retry { problem, after }) => (problem, after),
                Err(Outcome::Refused(problem) | Outcome::Delivered(problem)) => {
                    tracing::warn!(
                        request.namespace = namespace,
                        request.name = request,
                        problem,
                        "failed to update the Slack message about a request"
                    );
                    self.board.0.posts.lock().forget(uid);
                    return;
                }
            };
            tracing::debug!(request.namespace = namespace, request.name = request, problem, "failed to update a Slack message; retrying");
            tokio::time::sleep(PAUSE.pause(attempt).max(after.unwrap_or_default().min(Duration::from_mins(5)))).await;
        }
        tracing::warn!(request.namespace = namespace, request.name = request, "gave up updating the Slack message about a request");
    }

    /// Tries once. Returns true if nothing more can happen to the message.
    async fn attempt(&self, name: &Subject, place: &Place) -> Result<bool, Outcome> {
        let settings = Arc::clone(&self.settings.borrow());
        let Some(slack) = &settings.slack else { return Ok(true) };
        let SlackVia::Bot { token, api_url } = &slack.via else { return Ok(true) };
        let read = self.cluster.request(&name.namespace, &name.name).await;
        let found = read.map_err(|error| Outcome::Retry { problem: error.to_string(), after: error.retry_after })?;
        let Some(entry) = found.and_then(|request| ReportEntry::whole(&request)).filter(|entry| short(&entry.uid) == name.uid) else {
            // The request was deleted; nothing is known about it.
            return Ok(true);
        };
        let Some(payload) = decided::render(&settings, slack, &entry, Timestamp::now()) else { return Ok(false) };
        let client = http::client().map_err(Outcome::Refused)?;
        match (Bot { client: &client, token, api_url }).update(place, payload).await {
            Outcome::Delivered(_) => Ok(!entry.request.status.phase.is_open()),
            failed => Err(failed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::notify::message::tests::entry_of;

    fn place(n: usize) -> Place {
        Place { channel: "C1".to_owned(), ts: format!("17.{n}") }
    }

    #[test]
    fn places_survive_the_annotation_and_the_oldest_is_forgotten() {
        let board = Board::default();
        for n in 0..=REMEMBERED {
            board.posted(&entry_of(&format!("uid-{n:04}-and-more"), 1), place(n));
        }
        let text = board.text();
        assert!(text.starts_with("uid-0001-and-=C1/17.1 ") && text.len() < 40 * REMEMBERED, "{text}");
        assert_eq!(Posts::parse(&text).text(), text);
        assert_eq!(Posts::parse("junk = / a=b uid=C1/2").text(), "uid=C1/2");
        assert_eq!(Board::default().text(), "");
    }

    #[test]
    fn only_requests_with_a_message_are_due() {
        let board = Board::default();
        board.changed(&entry_of("one", 1));
        assert_eq!(board.take(), []);
        board.posted(&entry_of("one", 1), place(1));
        assert_eq!(board.take().len(), 1, "it may have changed before its message was posted");
        assert_eq!(board.take(), []);
        board.changed(&entry_of("one", 2));
        board.changed(&entry_of("one", 3));
        assert_eq!(board.take().len(), 1);
    }

    #[test]
    fn a_successor_looks_at_every_request_that_has_a_message() {
        let state = State::default();
        let request = crate::observe::requests::tests::request("r", "5", "Rejected");
        let uid = short(request.metadata.uid.as_deref().unwrap());
        state.requests.write().apply(request);
        let board = Board::default();
        board.inherit(&format!("{uid}=C1/17.1 other=C1/17.2"), &state);
        let due = board.take();
        assert_eq!(due.iter().map(|(name, _)| name.name.as_str()).collect::<Vec<_>>(), ["r"]);
        assert_eq!(board.text(), format!("{uid}=C1/17.1 other=C1/17.2"));
    }
}
