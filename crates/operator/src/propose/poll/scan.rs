//! One scan: queries once what its followers need, and decides for each of them.
//!
//! If the registry rejects a query for one tag, this affects only the followers of that tag. A scan fails as a whole
//! only if the list cannot be read, the host is unavailable, or no query was answered. It has a deadline. The next scan
//! starts with what it did not reach.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use headwind_core::artifact::reference::Digest;
use headwind_core::artifact::{Artifact, Origin};
use headwind_core::decide::{Answers, Decision, PriorRequests, Proposal, settle};
use headwind_core::evidence::{Answer, Evidence, Need, Query, Question, Trust};
use headwind_core::policy::{Candidate, Occasion};
use headwind_core::trigger::Trigger;
use headwind_core::workload::WorkloadKey;
use headwind_registry::{Class as RegistryClass, Error, Keyring};
use jiff::Timestamp;
use tokio::time::{Instant, timeout_at};

use super::followers::{Follower, Followers};
use super::plan::Wanted;
use super::{Key, Poller, Scanned};
use crate::observe::index::Resolved;
use crate::propose::poll::schedule::Outcome;
use crate::propose::prior::prior_requests;
use crate::propose::{DecisionInput, Offer, Proposer};
use crate::registries::asking::{Asking, Versions, chart_of};
use crate::registries::listed::Listed;
use crate::report::metrics::ClassLabel;

/// Timeout for all queries of a scan, including reading the credentials.
const DEADLINE: Duration = Duration::from_mins(2);

/// The reasons why a scan ends before all followers are served.
enum Stop {
    /// The host is unavailable, or the list cannot be read.
    Failed(Error),
    /// The deadline has passed.
    Late,
}

impl Poller {
    pub(super) async fn scan(self: Arc<Self>, (origin, access): Key, wanted: Wanted, first: Option<WorkloadKey>) -> Scanned {
        let (followers, filter) = self.followers(&origin, &wanted, first.as_ref());
        let Some(place) = wanted.places.first().filter(|_| !followers.is_empty()) else { return Scanned::of(Outcome::Answered) };
        let deadline = Instant::now() + DEADLINE;
        let keyring = match self.asking.secrets.keyring(place).await {
            Ok(keyring) => keyring,
            Err(failure) => {
                tracing::warn!(namespace = place.namespace, error = %failure, "failed to read pull secrets");
                return Scanned::of(Outcome::Refused);
            }
        };
        if self.asking.access(&origin, &keyring) != access {
            return Scanned { moved: true, ..Scanned::of(Outcome::Answered) };
        }
        let mut found = Found {
            asking: &self.asking,
            origin: &origin,
            keyring: &keyring,
            deadline,
            candidates: Candidates { listed: None, origin: &origin, read: HashMap::new() },
            current: None,
            digests: HashMap::new(),
            failed: HashSet::new(),
            platforms: HashMap::new(),
            refused: None,
            began: Timestamp::now(),
        };
        let all = || followers.iter().flat_map(|one| &one.all);
        if all().any(Follower::wants_versions) {
            let accepts = |tag: &str| filter.accepts(tag);
            let versions = Versions::matching(filter.charts(), filter.fingerprint(), &accepts);
            match timeout_at(deadline, self.asking.read(&origin, access, &versions, &keyring, None)).await {
                Ok(Ok(listed)) => found.candidates.listed = Some(listed),
                Ok(Err(error)) => return self.failed(&origin, &wanted, &error).await,
                Err(_) => return self.failed(&origin, &wanted, &found.late()).await,
            }
        }
        let mut served = 0;
        let mut next = None;
        for one in &followers {
            match self.serve(&mut found, one).await {
                Ok(()) => served += 1,
                Err(Stop::Failed(error)) => return self.failed(&origin, &wanted, &error).await,
                Err(Stop::Late) => {
                    // A follower that takes the whole time must not block the others.
                    next = followers.get(served.max(1)).map(|one| one.resolved.workload.key.clone());
                    break;
                }
            }
            // Thousands of followers are decided without waiting. This lets other tasks run in between.
            tokio::task::yield_now().await;
        }
        if let Some((error, tags)) = &found.refused {
            if found.candidates.listed.is_none() && *tags == found.digests.len() {
                return self.failed(&origin, &wanted, error).await;
            }
            self.proposer.metrics.polling_errors.get_or_create(&ClassLabel { class: error.class.as_str() }).inc();
            tracing::warn!(image.repository = %origin, class = error.class.as_str(), tags, "skipped tags whose digest the registry did not return: {error}");
        }
        self.note(&origin, None);
        let metrics = &self.proposer.metrics;
        let charts = all().filter(|follower| follower.is_chart()).count() as u64;
        metrics.polling_cycles.inc();
        metrics.polling_helm_charts_checked.inc_by(charts);
        metrics.polling_images_checked.inc_by(all().count() as u64 - charts);
        Scanned { next, ..Scanned::of(Outcome::Answered) }
    }

    /// Reports that the scan as a whole failed.
    async fn failed(&self, origin: &Origin, wanted: &Wanted, error: &Error) -> Scanned {
        self.proposer.metrics.polling_errors.get_or_create(&ClassLabel { class: error.class.as_str() }).inc();
        if error.class == RegistryClass::Denied {
            for place in &wanted.places {
                self.asking.secrets.forget(place).await;
            }
        }
        tracing::warn!(image.repository = %origin, class = error.class.as_str(), wait_s = error.wait.map(|wait| wait.as_secs()), "not scanned: {error}");
        self.note(origin, Some(error.to_string()));
        Scanned::of(if error.class.is_of_the_host() { Outcome::HostFailed(error.wait) } else { Outcome::Refused })
    }

    /// Records the result of listing the repository, for the list of workloads.
    fn note(&self, origin: &Origin, error: Option<String>) {
        let Proposer { state, last_scans, .. } = &self.proposer;
        // The same order of locks as in a decision.
        let index = state.index.read();
        last_scans.write().asked(&index, origin, error);
    }

    /// Decides for the containers of one workload, and records the proposals.
    async fn serve(&self, found: &mut Found<'_>, followers: &Followers) -> Result<(), Stop> {
        let Followers { resolved, all } = followers;
        let workload = &resolved.workload;
        let (mut proposals, mut seen) = (Vec::new(), Vec::new());
        let prior = prior_requests(&self.proposer.state, workload);
        for follower in all {
            let offer = match follower.followed_tag() {
                Some(tag) => match found.digest(&tag).await? {
                    Some(digest) if follower.knows_its_digest() => one(Candidate::new(tag, Some(digest))),
                    Some(digest) => {
                        let digest = digest.to_string();
                        if !self.is_announced(resolved, &follower.container.name, &digest) {
                            seen.push((follower.container.name.clone(), digest));
                        }
                        continue;
                    }
                    None => continue,
                },
                // A reference that has only a digest, or a chart, follows no tag: only an event can name a successor.
                None if !follower.wants_versions() => continue,
                None => {
                    let all = found.candidates.of(&follower.artifact);
                    if follower.is_chart() {
                        self.proposer.metrics.helm.versions_checked.inc_by(all.candidates.len() as u64);
                    }
                    all
                }
            };
            proposals.extend(self.decide(found, resolved, follower, &offer, &prior).await?);
        }
        if !seen.is_empty() {
            self.proposer.note_seen(resolved, &seen).await;
        }
        let made = self.proposer.propose_all(workload, &resolved.defaults, proposals, found.began).await;
        let metrics = &self.proposer.metrics;
        let count = if workload.release.is_some() { &metrics.polling_helm_new_versions_found } else { &metrics.polling_new_tags_found };
        count.inc_by(made);
        Ok(())
    }

    /// Decides about one container, and queries the registry for what the decision needs.
    async fn decide(
        &self,
        found: &mut Found<'_>,
        resolved: &Resolved,
        follower: &Follower,
        offer: &Offer,
        prior: &PriorRequests,
    ) -> Result<Option<Proposal>, Stop> {
        let origin = found.origin;
        found.current = follower.artifact.version().map(str::to_owned);
        let decide = |evidence: &Evidence| {
            let input = DecisionInput { origin, offer, trigger: Trigger::Polling, evidence };
            Ok(self.proposer.decide(&input, &resolved.workload, &resolved.defaults, &follower.container, prior))
        };
        let trust = Trust { bind: self.proposer.bind, ..Trust::REGISTRY };
        match settle(found, Evidence::new(trust), decide).await? {
            Decision::Propose(proposal) => Ok(Some(*proposal)),
            Decision::Refuse(_) | Decision::Ask(_) => Ok(None),
        }
    }

    /// Returns true if an open request is for the digest: then the digest does not run yet, and is not the first one of
    /// the tag.
    fn is_announced(&self, resolved: &Resolved, container: &str, digest: &str) -> bool {
        self.proposer
            .state
            .requests
            .read()
            .open_of(&resolved.workload.key)
            .iter()
            .any(|request| request.container() == Some(container) && request.spec.new_digest.as_deref() == Some(digest))
    }
}

/// Returns an offer of one version.
fn one(candidate: Candidate) -> Arc<Offer> {
    Arc::new(Offer::new(Occasion::Scan, vec![candidate]))
}

/// The listed versions as candidates: once for all images, and once for each chart.
struct Candidates<'a> {
    listed: Option<Arc<Listed>>,
    origin: &'a Origin,
    read: HashMap<Option<String>, Arc<Offer>>,
}

impl Candidates<'_> {
    fn of(&mut self, artifact: &Artifact) -> Arc<Offer> {
        let read = self.read.entry(chart_of(artifact));
        let (listed, origin) = (&self.listed, self.origin);
        let candidates = |listed: &Arc<Listed>| listed.candidates(artifact, origin);
        let offer = || Arc::new(Offer::new(Occasion::Scan, listed.as_ref().map(candidates).unwrap_or_default()));
        Arc::clone(read.or_insert_with(offer))
    }
}

/// The intermediate results of a scan.
struct Found<'a> {
    asking: &'a Asking,
    origin: &'a Origin,
    keyring: &'a Keyring,
    deadline: Instant,
    candidates: Candidates<'a>,
    /// The current tag of the container that is decided about.
    current: Option<String>,
    /// The digests of tags. None if the tag does not exist, or the query failed.
    digests: HashMap<String, Option<Digest>>,
    /// The tags for which the registry returned an error.
    failed: HashSet<String>,
    /// The answers about the platforms of tags.
    platforms: HashMap<String, Option<Answer>>,
    /// The first error of a single tag, and the number of such errors.
    refused: Option<(Error, usize)>,
    began: Timestamp,
}

impl Answers for Found<'_> {
    type Error = Stop;

    /// An error for one tag is no answer: it is queried again in the next scan. A listed tag that the registry does not
    /// have was deleted, unless the registry shows no manifests to Headwind: then it does not have the current tag either.
    async fn answer(&mut self, question: &Question) -> Result<Option<Answer>, Stop> {
        let Query { platforms } = Query::of(&question.needs);
        if platforms {
            return self.platforms(&question.tag).await;
        }
        if let Some(digest) = self.digest(&question.tag).await? {
            return Ok(Some(Answer::exists(Some(digest))));
        }
        let is_optional = question.needs.iter().copied().all(Need::is_optional_in_scans);
        if self.failed.contains(&question.tag) {
            return Ok(None);
        }
        if let Some(current) = self.current.clone().filter(|current| *current != question.tag)
            && self.digest(&current).await?.is_some()
        {
            return Ok(Some(Answer::Deleted));
        }
        Ok(is_optional.then(|| Answer::exists(None)))
    }
}

impl Found<'_> {
    /// Returns the digest of a tag, queried once per scan.
    async fn digest(&mut self, tag: &str) -> Result<Option<Digest>, Stop> {
        if let Some(known) = self.digests.get(tag) {
            return Ok(known.clone());
        }
        let digest = match self.origin {
            Origin::Registry(repository) => {
                let answer = timeout_at(self.deadline, self.asking.digest(repository, tag, self.keyring)).await;
                match answer.map_err(|_| Stop::Late)? {
                    Err(error) if error.class.is_of_the_host() => return Err(Stop::Failed(error)),
                    Err(error) => {
                        let (_, tags) = self.refused.get_or_insert((error, 0));
                        *tags += 1;
                        self.failed.insert(tag.to_owned());
                        None
                    }
                    Ok(digest) => digest,
                }
            }
            // An index contains only versions.
            Origin::Charts(_) => None,
        };
        self.digests.insert(tag.to_owned(), digest.clone());
        Ok(digest)
    }

    /// Returns the platforms of a tag, queried once per scan. An error for one tag is no answer.
    async fn platforms(&mut self, tag: &str) -> Result<Option<Answer>, Stop> {
        let Origin::Registry(repository) = self.origin else { return Ok(None) };
        if let Some(known) = self.platforms.get(tag) {
            return Ok(known.clone());
        }
        let answer = timeout_at(self.deadline, self.asking.platforms_with(repository, tag, self.keyring)).await;
        let found = match answer.map_err(|_| Stop::Late)? {
            Err(error) if error.class.is_of_the_host() => return Err(Stop::Failed(error)),
            Err(error) => {
                let (_, tags) = self.refused.get_or_insert((error, 0));
                *tags += 1;
                None
            }
            Ok(answer) => Some(answer),
        };
        self.platforms.insert(tag.to_owned(), found.clone());
        Ok(found)
    }

    /// Returns the error for a list that was not read in time: a failure of this repository, not of the host.
    fn late(&self) -> Error {
        Error {
            class: RegistryClass::Refused,
            wait: None,
            host: self.origin.host().to_owned(),
            message: format!("its list was not complete within {} s", DEADLINE.as_secs()),
        }
    }
}
