//! Asking registries for news: the loop around the schedule.
//!
//! A scan is one repository with one way to be asked (the same credentials in the same order);
//! it feeds every workload that uses them. The plan of scans is made of the index, and made anew
//! when something in it changes and once a minute, since secrets change unseen. On the leader
//! only; what a scan finds goes the same way as what a webhook tells.
//!
//! ```text
//! index ──plan──> schedule ○ ──due──> scan ─┬─ tags    ─> each workload's own policy ─┬─> record
//!   └ pull secrets ──> access               └─ digests ─> those that follow a tag    ─┘
//! ```
//!
//! A vanished tag, an empty or half-read list and an error are no news. A digest that is seen
//! behind a tag for the first time is noted on the workload, not rolled out: nobody knows that it
//! is newer than what runs.

use std::collections::{BTreeSet, HashMap};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{BoxFuture, OptionFuture};
use futures_util::{FutureExt as _, StreamExt as _, stream};
use headwind_core::decide;
use headwind_core::event::Trigger;
use headwind_core::policy::{Candidate, Occasion, Policy};
use headwind_core::reference::{Digest, RepositoryKey};
use headwind_core::settings::{Annotations, Settings};
use headwind_core::target::{Container, Target};
use headwind_registry::{Class as RegistryClass, Client, Error, Keyring, Listing};
use headwind_source::schedule::{Next, Outcome, Schedule};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::apply;
use crate::metrics::ClassLabel;
use crate::record::{Look, Recording};
use crate::secrets::{Place, Secrets};
use crate::verbs::Failure;

/// How often the loop looks whether something changed.
const TICK: Duration = Duration::from_millis(500);
/// How often the plan is made anew although nothing in the index changed.
const REPLAN: Duration = Duration::from_mins(1);
/// Pull secrets that are read side by side.
const READING: usize = 8;
/// Scans under way at once, over all hosts.
const AT_ONCE: usize = 256;
/// No workload is polled more often than this.
const SHORTEST: Duration = Duration::from_secs(1);

/// Who asks registries, and with what.
pub(crate) struct Asking {
    pub(crate) client: Client,
    pub(crate) secrets: Secrets,
}

/// A repository, and what it is asked with.
type Key = (RepositoryKey, [u8; 32]);
type Plan = HashMap<Key, Planned>;

/// What is known of a scan before it is made.
#[derive(Debug, Clone)]
struct Planned {
    interval: Duration,
    /// Whose credentials amount to this.
    places: BTreeSet<Place>,
}

/// The poller.
pub(crate) struct Poller {
    pub(crate) recording: Recording,
    pub(crate) asking: Arc<Asking>,
    /// How often a workload is polled that says nothing else.
    pub(crate) interval: Duration,
    /// What spreads the scans.
    pub(crate) seed: u64,
}

/// What came of a scan.
struct Scanned {
    outcome: Outcome,
    listing: Option<Listing>,
    /// The credentials are others than the plan knows.
    moved: bool,
}

/// One container that listens to polling.
struct Follower {
    target: Arc<Target>,
    defaults: Arc<Annotations>,
    container: Container,
    settings: Settings,
}

impl Follower {
    /// The tag whose digest it follows.
    fn followed_tag(&self) -> Option<String> {
        let reference = self.container.reference().ok()?;
        (self.settings.policy == Policy::Force).then(|| reference.effective_tag().map(ToOwned::to_owned))?
    }
}

impl Poller {
    /// Polls for as long as this process leads, until `stop`.
    pub(crate) async fn run(self, stop: CancellationToken) -> Result<(), Infallible> {
        let poller = Arc::new(self);
        let state = Arc::clone(&poller.recording.state);
        let mut round = Round::new(poller.seed);
        state.readiness.until_synced().await;
        while !stop.is_cancelled() {
            let now = state.leadership.now();
            if !state.leadership.leads() {
                if !round.schedule.is_empty() {
                    round = Round::new(poller.seed);
                }
                stop.run_until_cancelled(tokio::time::sleep(TICK)).await;
                continue;
            }
            let revision = state.index.read().revision();
            if round.planning.is_none() && (round.revision != Some(revision) || now >= round.replan_at) {
                round.planning = Some((revision, Arc::clone(&poller).plan().boxed()));
            }
            let wait = round.start_due(&poller, now);
            tokio::select! {
                () = stop.cancelled() => break,
                () = tokio::time::sleep(wait) => {}
                Some((revision, plan)) = OptionFuture::from(round.planning.as_mut().map(|(revision, plan)| plan.map(|plan| (*revision, plan)))) => {
                    round.planning = None;
                    round.adopt(&poller, plan, revision, state.leadership.now());
                }
                Some(ended) = round.scans.join_next_with_id(), if !round.scans.is_empty() => round.ended(ended, state.leadership.now()),
            }
        }
        round.scans.shutdown().await;
        Ok(())
    }

    /// Every scan that is wanted, of the index as it is now.
    async fn plan(self: Arc<Self>) -> Plan {
        let mut wanted: HashMap<(RepositoryKey, Place), Duration> = HashMap::new();
        {
            let index = self.recording.state.index.read();
            for (target, defaults) in index.all() {
                for container in &target.containers {
                    let Ok(settings) = Settings::resolve(&defaults, &target.annotations, &container.name) else { continue };
                    let Ok(reference) = container.reference() else { continue };
                    if target.deleting || decide::admits(&settings, container, reference.repository(), Trigger::Polling).is_err() {
                        continue;
                    }
                    let interval = settings.polling_interval.unwrap_or(self.interval).max(SHORTEST);
                    let entry = wanted.entry((reference.repository().clone(), Place::of(target))).or_insert(interval);
                    *entry = interval.min(*entry);
                }
            }
        }
        let places: BTreeSet<Place> = wanted.keys().map(|(_, place)| place.clone()).collect();
        let asking = &self.asking;
        let keyrings: HashMap<Place, Keyring> = stream::iter(places)
            .map(|place| async move {
                match asking.secrets.keyring(&place).await {
                    Ok(keyring) => Some((place, keyring)),
                    Err(failure) => {
                        tracing::warn!(namespace = place.namespace, error = %failure, "pull secrets cannot be read; its workloads are not polled until they can");
                        None
                    }
                }
            })
            .buffer_unordered(READING)
            .filter_map(std::future::ready)
            .collect()
            .await;
        let mut plan = Plan::new();
        for ((repository, place), interval) in wanted {
            let Some(keyring) = keyrings.get(&place) else { continue };
            let access = self.asking.client.access(&repository, keyring);
            let planned = plan.entry((repository, access)).or_insert_with(|| Planned { interval, places: BTreeSet::new() });
            planned.interval = planned.interval.min(interval);
            planned.places.insert(place);
        }
        plan
    }

    async fn scan(self: Arc<Self>, (repository, access): Key, planned: Planned, known: Option<Listing>) -> Scanned {
        let answered = Scanned { outcome: Outcome::Answered, listing: None, moved: false };
        let followers = self.followers(&repository, &planned);
        let Some(place) = planned.places.first().filter(|_| !followers.is_empty()) else { return answered };
        let keyring = match self.asking.secrets.keyring(place).await {
            Ok(keyring) => keyring,
            Err(failure) => {
                tracing::warn!(namespace = place.namespace, error = %failure, "pull secrets cannot be read");
                return Scanned { outcome: Outcome::Refused, listing: known, moved: false };
            }
        };
        if self.asking.client.access(&repository, &keyring) != access {
            return Scanned { moved: true, ..answered };
        }
        let mut found = Found { asking: &self.asking, repository: &repository, keyring: &keyring, digests: HashMap::new() };
        let asked = self.ask_and_record(&mut found, &followers, known.as_ref()).await;
        let metrics = &self.recording.metrics;
        match asked {
            Ok(listing) => {
                metrics.polling_cycles.inc();
                metrics.polling_images_checked.inc_by(followers.len() as u64);
                Scanned { listing: listing.filter(Listing::is_worth_keeping), ..answered }
            }
            Err(error) => {
                metrics.polling_errors.get_or_create(&ClassLabel { class: error.class.as_str() }).inc();
                if error.class == RegistryClass::Denied {
                    for place in &planned.places {
                        self.asking.secrets.forget(place).await;
                    }
                }
                tracing::warn!(image.repository = %repository, class = error.class.as_str(), wait_s = error.wait.map(|wait| wait.as_secs()), "not scanned: {error}");
                let outcome = if error.class.is_of_the_host() { Outcome::HostFailed(error.wait) } else { Outcome::Refused };
                Scanned { outcome, listing: known, moved: false }
            }
        }
    }

    /// Asks what the followers need, and records what is found for each.
    async fn ask_and_record(
        &self,
        found: &mut Found<'_>,
        followers: &[Follower],
        known: Option<&Listing>,
    ) -> Result<Option<Listing>, Error> {
        let mut listing = None;
        let mut candidates = Vec::new();
        if followers.iter().any(|follower| follower.followed_tag().is_none() && follower.settings.policy != Policy::Force) {
            let read = found.asking.client.tags(found.repository, found.keyring, known).await?;
            candidates = read.tags().map(|tag| Candidate::new(tag.to_owned(), None)).collect();
            listing = Some(read);
        }
        let mut by_target: Vec<(Arc<Target>, Arc<Annotations>, Vec<&Follower>)> = Vec::new();
        for follower in followers {
            match by_target.last_mut().filter(|(target, ..)| target.key == follower.target.key) {
                Some((.., all)) => all.push(follower),
                None => by_target.push((Arc::clone(&follower.target), Arc::clone(&follower.defaults), vec![follower])),
            }
        }
        for (target, defaults, all) in by_target {
            let (mut proposals, mut seen) = (Vec::new(), Vec::new());
            for follower in all {
                let container = &follower.container;
                let offer = match follower.followed_tag() {
                    Some(tag) => match found.digest(&tag).await? {
                        Some(digest) if knows_its_digest(container) => vec![Candidate::new(tag, Some(digest))],
                        Some(digest) => {
                            seen.push((container.name.clone(), digest.to_string()));
                            continue;
                        }
                        None => continue,
                    },
                    // A digest alone follows nothing: only an event may name its successor.
                    None if follower.settings.policy == Policy::Force => continue,
                    None => found.for_pinned(follower, &candidates).await?,
                };
                let candidates = if offer.is_empty() { &candidates } else { &offer };
                let look = Look { repository: found.repository, candidates, occasion: Occasion::Scan, trigger: Trigger::Polling };
                proposals.extend(self.recording.decide(&look, &target, &defaults, container));
            }
            if !seen.is_empty() {
                self.note_seen(&target, &seen).await;
            }
            match self.recording.propose_all(&target, proposals).await {
                Ok(made) => {
                    self.recording.metrics.polling_new_tags_found.inc_by(made);
                }
                Err(failure) => tracing::warn!(
                    workload.kind = %target.key.kind, workload.namespace = target.key.namespace, workload.name = target.key.name,
                    error = %failure, "a request could not be made; the next scan tries again"
                ),
            }
        }
        Ok(listing)
    }

    /// The containers of the repository that listen to polling and are asked for with this access.
    fn followers(&self, repository: &RepositoryKey, planned: &Planned) -> Vec<Follower> {
        let users = self.recording.state.index.read().users(repository);
        let mut followers = Vec::new();
        let mut filtered = 0;
        for (target, defaults) in users {
            for container in &target.containers {
                if container.reference().map_or(true, |reference| reference.repository() != repository) {
                    continue;
                }
                let settings = Settings::resolve(&defaults, &target.annotations, &container.name).ok();
                let admitted = settings
                    .filter(|settings| decide::admits(settings, container, repository, Trigger::Polling).is_ok() && !target.deleting);
                match admitted {
                    Some(settings) if planned.places.contains(&Place::of(&target)) => followers.push(Follower {
                        target: Arc::clone(&target),
                        defaults: Arc::clone(&defaults),
                        container: container.clone(),
                        settings,
                    }),
                    // Another scan's.
                    Some(_) => {}
                    None => filtered += 1,
                }
            }
        }
        self.recording.metrics.polling_resources_filtered.inc_by(filtered);
        followers
    }

    async fn note_seen(&self, target: &Target, seen: &[(String, String)]) {
        let Recording { state, verbs, .. } = &self.recording;
        if !state.leadership.leads() {
            return;
        }
        if let Err(failure) = apply::note_seen(state, verbs, target, seen).await {
            tracing::debug!(
                workload.kind = %target.key.kind, workload.namespace = target.key.namespace, workload.name = target.key.name,
                error = %failure, "the digests seen could not be noted; the next scan tries again"
            );
        }
    }
}

fn knows_its_digest(container: &Container) -> bool {
    container.reference().is_ok_and(|reference| container.known_digest(&reference).is_some())
}

/// What a scan has found so far.
struct Found<'a> {
    asking: &'a Asking,
    repository: &'a RepositoryKey,
    keyring: &'a Keyring,
    digests: HashMap<String, Option<Digest>>,
}

impl Found<'_> {
    /// The digest behind a tag, asked once a scan.
    async fn digest(&mut self, tag: &str) -> Result<Option<Digest>, Error> {
        if let Some(known) = self.digests.get(tag) {
            return Ok(known.clone());
        }
        let digest = self.asking.client.digest(self.repository, tag, self.keyring).await?;
        self.digests.insert(tag.to_owned(), digest.clone());
        Ok(digest)
    }

    /// A reference that is pinned moves tag and digest together: the digest of the tag that its
    /// policy would choose is asked. Empty where all candidates will do as they are.
    async fn for_pinned(&mut self, follower: &Follower, candidates: &[Candidate]) -> Result<Vec<Candidate>, Error> {
        let Follower { target, defaults, container, .. } = follower;
        if container.reference().map_or(true, |reference| reference.digest().is_none()) {
            return Ok(Vec::new());
        }
        let site = decide::Site { target, defaults, container, candidates, occasion: Occasion::Scan, trigger: Trigger::Polling };
        let Some(tag) = decide::chosen_tag(&site) else { return Ok(Vec::new()) };
        let digest = self.digest(&tag).await?;
        Ok(vec![Candidate::new(tag, digest)])
    }
}

/// The loop's state for as long as this process leads.
struct Round {
    schedule: Schedule<Key>,
    plan: Plan,
    listings: HashMap<Key, Listing>,
    scans: JoinSet<Scanned>,
    running: HashMap<tokio::task::Id, Key>,
    revision: Option<u64>,
    replan_at: Duration,
    planning: Option<(u64, BoxFuture<'static, Plan>)>,
}

impl Round {
    fn new(seed: u64) -> Self {
        Self {
            schedule: Schedule::new(seed),
            plan: Plan::new(),
            listings: HashMap::new(),
            scans: JoinSet::new(),
            running: HashMap::new(),
            revision: None,
            replan_at: Duration::ZERO,
            planning: None,
        }
    }

    /// Starts what is due; answers how long nothing is.
    fn start_due(&mut self, poller: &Arc<Poller>, now: Duration) -> Duration {
        while self.scans.len() < AT_ONCE {
            match self.schedule.next(now) {
                Next::Idle => break,
                Next::Wait(until) => return until.saturating_sub(now).min(TICK),
                Next::Scan(key, late) => {
                    let Some(planned) = self.plan.get(&key).cloned() else {
                        self.schedule.done(now, &key, Outcome::Answered);
                        self.schedule.remove(&key);
                        continue;
                    };
                    poller.recording.metrics.polling_lateness.observe(late.as_secs_f64());
                    let known = self.listings.remove(&key);
                    let task = self.scans.spawn(Arc::clone(poller).scan(key.clone(), planned, known));
                    self.running.insert(task.id(), key);
                }
            }
        }
        TICK
    }

    fn adopt(&mut self, poller: &Poller, plan: Plan, revision: u64, now: Duration) {
        let gone: Vec<Key> = self.schedule.keys().filter(|key| !plan.contains_key(*key)).cloned().collect();
        for key in gone {
            self.schedule.remove(&key);
            self.listings.remove(&key);
        }
        for (key, planned) in &plan {
            let host = key.0.registry();
            self.schedule.set(now, key, host, poller.asking.client.at_once(host), planned.interval);
        }
        self.plan = plan;
        self.revision = Some(revision);
        self.replan_at = now + REPLAN;
    }

    fn ended(&mut self, ended: Result<(tokio::task::Id, Scanned), tokio::task::JoinError>, now: Duration) {
        let (id, scanned) = match ended {
            Ok((id, scanned)) => (id, scanned),
            Err(error) => {
                tracing::error!(%error, "a scan ended in a fault of Headwind's own");
                (error.id(), Scanned { outcome: Outcome::Refused, listing: None, moved: false })
            }
        };
        let Some(key) = self.running.remove(&id) else { return };
        self.schedule.done(now, &key, scanned.outcome);
        if let Some(listing) = scanned.listing.filter(|_| self.plan.contains_key(&key)) {
            self.listings.insert(key, listing);
        }
        if scanned.moved {
            self.replan_at = now;
        }
    }
}

impl Asking {
    /// The digest behind a tag, with the credentials of the first place that is not denied.
    /// `Ok(None)` means that the registry says it has no such tag.
    pub(crate) async fn digest(&self, repository: &RepositoryKey, tag: &str, places: &BTreeSet<Place>) -> Result<Option<Digest>, AskError> {
        let mut last = None;
        for place in places {
            let keyring = self.secrets.keyring(place).await?;
            match self.client.digest(repository, tag, &keyring).await {
                Err(error) if error.class == RegistryClass::Denied => {
                    self.secrets.forget(place).await;
                    last = Some(error);
                }
                other => return Ok(other?),
            }
        }
        last.map_or(Ok(None), |error| Err(error.into()))
    }
}

/// Why a question had no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AskError {
    #[error("{0}")]
    Secrets(#[from] Failure),
    #[error("{0}")]
    Registry(#[from] Error),
}
