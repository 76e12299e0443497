//! Asks registries for the digests behind the tags of approved updates, beside the reconciler.
//!
//! A pass that needs an answer starts the query and ends. The answer starts the next pass. So a registry that does not
//! answer delays only the updates of its own images. The rules are in `headwind_core::request::confirmation`.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use headwind_core::artifact::Origin;
use headwind_core::claim::Claim;
use headwind_core::evidence::Answer;
use headwind_core::request::Request;
use headwind_core::request::confirmation::{Confirm, Confirmation, Confirmations, published, unproposed};
use headwind_core::workload::{Workload, WorkloadKey};
use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use crate::clock::now;
use crate::observe::queue::Queue;
use crate::propose::Intake;
use crate::registries::asking::Asking;
use crate::registries::secrets::PullPlace;

/// Number of concurrent queries.
const AT_ONCE: usize = 64;
/// Timeout of a query, including its time in the queue.
const DEADLINE: Duration = Duration::from_secs(15);

/// Confirms the digests of approved updates.
pub(crate) struct Confirmer {
    asking: Arc<Asking>,
    intake: Intake,
    queue: Queue,
    permits: Semaphore,
    known: Mutex<HashMap<WorkloadKey, Known>>,
    /// The superseded requests whose new digest this process proposed.
    proposed: Mutex<HashMap<WorkloadKey, HashSet<String>>>,
}

/// The answers and the running queries about the updates of a workload.
#[derive(Default)]
struct Known {
    answers: Confirmations,
    /// The requests with a query in progress.
    running: HashSet<String>,
}

impl Confirmer {
    pub(crate) fn new(asking: Arc<Asking>, intake: Intake, queue: Queue) -> Self {
        Self { asking, intake, queue, permits: Semaphore::new(AT_ONCE), known: Mutex::default(), proposed: Mutex::default() }
    }

    /// Returns the answers about the updates of the workload.
    pub(crate) fn answers(&self, key: &WorkloadKey) -> Confirmations {
        self.known.lock().get(key).map(|known| known.answers.clone()).unwrap_or_default()
    }

    /// Starts the query, unless it is in progress. Its answer queues the workload.
    pub(crate) fn start(self: &Arc<Self>, workload: &Workload, confirm: Confirm) {
        let key = workload.key.clone();
        if !self.known.lock().entry(key.clone()).or_default().running.insert(confirm.request.clone()) {
            return;
        }
        let places = BTreeSet::from([PullPlace::of(workload)]);
        let mut running = Running { confirmer: Arc::clone(self), key, request: confirm.request.clone(), answer: Answer::Unavailable };
        tokio::spawn(async move {
            let asked = tokio::time::timeout(DEADLINE, running.confirmer.ask(&running.key, &confirm, &places)).await;
            running.ends_with(asked.unwrap_or(Answer::Unavailable));
        });
    }

    async fn ask(&self, workload: &WorkloadKey, confirm: &Confirm, places: &BTreeSet<PullPlace>) -> Answer {
        let Ok(_permit) = self.permits.acquire().await else { return Answer::Unavailable };
        let origin = Origin::Registry(confirm.repository.clone());
        match Box::pin(self.asking.confirm(&origin, None, &confirm.tag, places)).await {
            Ok(answer) => answer,
            Err(error) => {
                tracing::warn!(
                    request.namespace = workload.namespace, request.name = confirm.request, image.repository = %origin,
                    image.tag = confirm.tag, %error, "failed to confirm an approved digest; retrying"
                );
                Answer::Unavailable
            }
        }
    }

    /// Forgets the answers about a workload whose pass has ended.
    pub(crate) fn forget(&self, key: &WorkloadKey) {
        let mut all = self.known.lock();
        if all.get(key).is_some_and(|known| known.running.is_empty()) {
            all.remove(key);
        }
    }

    /// Proposes the digests that the tags of superseded requests point to now, each once. Returns false if the intake is
    /// full.
    pub(crate) fn propose(&self, key: &WorkloadKey, workload: Option<&Workload>, requests: &[&Request], now: Timestamp) -> bool {
        let moved = unproposed(requests, now);
        let mut all = self.proposed.lock();
        if moved.is_empty() {
            all.remove(key);
            return true;
        }
        let proposed = all.entry(key.clone()).or_default();
        let new: Vec<&Request> = moved.into_iter().filter(|request| !proposed.contains(&request.name)).collect();
        let answers = self.answers(key);
        for request in new {
            let Some((repository, tag)) = workload.and_then(|workload| published(workload, request)) else { continue };
            // `None` if another process asked.
            let digest = answers.fresh(&request.name, now).and_then(Answer::digest).cloned();
            let claim = Claim { origin: Origin::Registry(repository), chart: None, tag: Some(tag), digest, trigger: request.spec.trigger };
            if let Err(error) = self.intake.offer(vec![claim], true) {
                tracing::warn!(
                    request.namespace = key.namespace, request.name = request.name, %error,
                    "the new digest of a tag could not be proposed; retrying"
                );
                return false;
            }
            proposed.insert(request.name.clone());
        }
        true
    }
}

/// Ends the query when it is dropped, also if it panics: the next pass may ask again.
struct Running {
    confirmer: Arc<Confirmer>,
    key: WorkloadKey,
    request: String,
    answer: Answer,
}

impl Running {
    /// Sets the answer. Without one, the registry counts as unavailable.
    fn ends_with(&mut self, answer: Answer) {
        self.answer = answer;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        {
            let mut all = self.confirmer.known.lock();
            let known = all.entry(self.key.clone()).or_default();
            known.running.remove(&self.request);
            let answer = std::mem::replace(&mut self.answer, Answer::Unavailable);
            known.answers.add(std::mem::take(&mut self.request), Confirmation { answer, at: now() });
        }
        self.confirmer.queue.now(self.key.clone());
    }
}
