//! Asks registries for the digests behind the tags of approved updates, beside the reconciler.
//!
//! A pass that needs an answer starts the query and ends. The answer starts the next pass. So a registry that does not
//! answer delays only the updates of its own images. The rules are in `headwind_core::request::confirmation`.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use headwind_core::artifact::{Artifact, Origin};
use headwind_core::claim::Claim;
use headwind_core::evidence::Answer;
use headwind_core::request::Request;
use headwind_core::request::confirmation::{Confirm, Confirmation, Confirmations};
use headwind_core::workload::{Workload, WorkloadKey};
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
        Self { asking, intake, queue, permits: Semaphore::new(AT_ONCE), known: Mutex::default() }
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
        let (confirmer, places) = (Arc::clone(self), BTreeSet::from([PullPlace::of(workload)]));
        tokio::spawn(async move {
            let answer = tokio::time::timeout(DEADLINE, confirmer.ask(&confirm, &places)).await.unwrap_or(Answer::Unavailable);
            {
                let mut all = confirmer.known.lock();
                let known = all.entry(key.clone()).or_default();
                known.running.remove(&confirm.request);
                known.answers.add(confirm.request, Confirmation { answer, at: now() });
            }
            confirmer.queue.now(key);
        });
    }

    async fn ask(&self, confirm: &Confirm, places: &BTreeSet<PullPlace>) -> Answer {
        let Ok(_permit) = self.permits.acquire().await else { return Answer::Unavailable };
        let origin = Origin::Registry(confirm.repository.clone());
        match Box::pin(self.asking.confirm(&origin, None, &confirm.tag, places)).await {
            Ok(answer) => answer,
            Err(error) => {
                tracing::warn!(image.repository = %origin, image.tag = confirm.tag, %error, "failed to confirm an approved digest; retrying");
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

    /// Proposes the digest that the tag of a superseded request points to now.
    pub(crate) fn propose(&self, key: &WorkloadKey, request: &Request) {
        let Some(Answer::Exists(Some(digest))) = self.answers(key).fresh(&request.name, now()).cloned() else { return };
        let Some(Artifact::Image(image)) = request.artifact(&request.spec.new_image) else { return };
        let claim = Claim {
            origin: Origin::Registry(image.repository().clone()),
            chart: None,
            tag: image.effective_tag().map(str::to_owned),
            digest: Some(digest),
            trigger: request.spec.trigger,
        };
        if let Err(error) = self.intake.offer(vec![claim], true) {
            tracing::warn!(%error, request = request.name, "failed to propose the new digest of a tag; the next push or poll retries");
        }
    }
}
