//! One scan: what its followers need is queried once, and decided for each of them.
//!
//! What the registry refuses of one tag costs the followers of that tag. A scan fails as a whole only where the list
//! cannot be had, the host does not serve, or nothing at all was answered. It has a deadline; what it did not reach
//! comes first in the next one.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use headwind_core::artifact::reference::Digest;
use headwind_core::artifact::{Artifact, Origin};
use headwind_core::decide::{Decision, Proposal};
use headwind_core::evidence::{Answer, Evidence, Trust};
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
use crate::propose::{DecisionInput, Offer, Proposer};
use crate::registries::asking::{Asking, Versions, chart_of};
use crate::registries::listed::Listed;
use crate::report::metrics::ClassLabel;

/// The time for all that a scan queries.
const DEADLINE: Duration = Duration::from_mins(2);

/// Why a scan ends before all are served.
enum Stop {
    /// The host does not serve, or the list cannot be had.
    Failed(Error),
    /// There is no time left.
    Late,
}

impl Poller {
    pub(super) async fn scan(self: Arc<Self>, (origin, access): Key, wanted: Wanted, first: Option<WorkloadKey>) -> Scanned {
        let (followers, filter) = self.followers(&origin, &wanted, first.as_ref());
        let Some(place) = wanted.places.first().filter(|_| !followers.is_empty()) else { return Scanned::of(Outcome::Answered) };
        let keyring = match self.asking.secrets.keyring(place).await {
            Ok(keyring) => keyring,
            Err(failure) => {
                tracing::warn!(namespace = place.namespace, error = %failure, "pull secrets cannot be read");
                return Scanned::of(Outcome::Refused);
            }
        };
        if self.asking.access(&origin, &keyring) != access {
            return Scanned { moved: true, ..Scanned::of(Outcome::Answered) };
        }
        let deadline = Instant::now() + DEADLINE;
        let mut found = Found {
            asking: &self.asking,
            origin: &origin,
            keyring: &keyring,
            deadline,
            candidates: Candidates { listed: None, origin: &origin, read: HashMap::new() },
            digests: HashMap::new(),
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
                    // One that takes all the time by itself is not allowed to keep the others from theirs.
                    next = followers.get(served.max(1)).map(|one| one.resolved.workload.key.clone());
                    break;
                }
            }
            // Thousands of followers are decided for without a wait; others have their turn in between.
            tokio::task::yield_now().await;
        }
        if let Some((error, tags)) = &found.refused {
            if found.candidates.listed.is_none() && *tags == found.digests.len() {
                return self.failed(&origin, &wanted, error).await;
            }
            self.proposer.metrics.polling_errors.get_or_create(&ClassLabel { class: error.class.as_str() }).inc();
            tracing::warn!(image.repository = %origin, class = error.class.as_str(), tags, "tags whose digest the registry does not tell are passed over: {error}");
        }
        self.note(&origin, None);
        let metrics = &self.proposer.metrics;
        let charts = all().filter(|follower| follower.is_chart()).count() as u64;
        metrics.polling_cycles.inc();
        metrics.polling_helm_charts_checked.inc_by(charts);
        metrics.polling_images_checked.inc_by(all().count() as u64 - charts);
        Scanned { next, ..Scanned::of(Outcome::Answered) }
    }

    /// The scan as a whole had no answer.
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

    /// Notes what the repository answered, for those who look at its workloads.
    fn note(&self, origin: &Origin, error: Option<String>) {
        let Proposer { state, last_scans, .. } = &self.proposer;
        last_scans.write().asked(&state.index.read(), origin, error);
    }

    /// Decides for the containers of one workload, and records what is proposed.
    async fn serve(&self, found: &mut Found<'_>, followers: &Followers) -> Result<(), Stop> {
        let Followers { resolved, all } = followers;
        let workload = &resolved.workload;
        let (mut proposals, mut seen) = (Vec::new(), Vec::new());
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
                // A digest alone, and a chart, follow nothing: only an event may name a successor.
                None if !follower.wants_versions() => continue,
                None => {
                    let all = found.candidates.of(&follower.artifact);
                    if follower.is_chart() {
                        self.proposer.metrics.helm.versions_checked.inc_by(all.candidates.len() as u64);
                    }
                    all
                }
            };
            proposals.extend(self.decide(found, resolved, follower, &offer).await?);
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

    /// Decides about one container, and asks the registry what the decision has to know.
    async fn decide(
        &self,
        found: &mut Found<'_>,
        resolved: &Resolved,
        follower: &Follower,
        offer: &Offer,
    ) -> Result<Option<Proposal>, Stop> {
        let mut evidence = Evidence::new(Trust::REGISTRY);
        loop {
            let input = DecisionInput { origin: found.origin, offer, trigger: Trigger::Polling, evidence: &evidence };
            match self.proposer.decide(&input, &resolved.workload, &resolved.defaults, &follower.container) {
                Decision::Propose(proposal) => return Ok(Some(*proposal)),
                Decision::Refuse(_) => return Ok(None),
                Decision::Ask(question) => {
                    // What the registry does not tell now is asked again in the next scan.
                    let Some(digest) = found.digest(&question.tag).await? else { return Ok(None) };
                    evidence.add(question.tag, Answer::Exists(Some(digest)));
                }
            }
        }
    }

    /// Returns whether an open request is for the digest: then it does not run yet, and is not the first one
    /// behind the tag.
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

/// An offer of one version.
fn one(candidate: Candidate) -> Arc<Offer> {
    Arc::new(Offer::new(Occasion::Scan, vec![candidate]))
}

/// What was listed, as candidates: once for all images, and once for each chart.
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

/// What a scan has found so far.
struct Found<'a> {
    asking: &'a Asking,
    origin: &'a Origin,
    keyring: &'a Keyring,
    deadline: Instant,
    candidates: Candidates<'a>,
    /// The digests behind tags. None where there is no such tag, or the registry does not tell.
    digests: HashMap<String, Option<Digest>>,
    /// The first refusal of a single tag, and how many there were.
    refused: Option<(Error, usize)>,
    began: Timestamp,
}

impl Found<'_> {
    /// The digest behind a tag, queried once a scan.
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
                        None
                    }
                    Ok(digest) => digest,
                }
            }
            // An index tells of versions alone.
            Origin::Charts(_) => None,
        };
        self.digests.insert(tag.to_owned(), digest.clone());
        Ok(digest)
    }

    /// The list did not come in time: a fault of this repository, not of the host.
    fn late(&self) -> Error {
        Error {
            class: RegistryClass::Refused,
            wait: None,
            host: self.origin.host().to_owned(),
            message: format!("its list did not come within {} s", DEADLINE.as_secs()),
        }
    }
}
