//! One scan: what its followers need is asked once, and decided for each of them.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use headwind_core::artifact::{Artifact, Origin};
use headwind_core::claim::Trigger;
use headwind_core::decide;
use headwind_core::policy::{Candidate, Kind as VersionKind, Occasion, Policy};
use headwind_core::reference::Digest;
use headwind_core::settings::{Annotations, Settings};
use headwind_core::target::{Container, Target, TargetKey};
use headwind_registry::{Class as RegistryClass, Error, Keyring};
use headwind_source::schedule::Outcome;
use jiff::Timestamp;

use super::plan::Planned;
use super::{Key, Poller, Scanned};
use crate::apply;
use crate::asking::{Asking, Listed, chart_of};
use crate::metrics::ClassLabel;
use crate::propose::{Known, Look, Recording};
use crate::secrets::Place;
use crate::shared::State;

/// One container (or chart) that is asked for.
struct Follower {
    target: Arc<Target>,
    defaults: Arc<Annotations>,
    container: Container,
    artifact: Artifact,
    settings: Settings,
}

impl Follower {
    /// The tag whose digest it follows.
    fn followed_tag(&self) -> Option<String> {
        let Artifact::Image(image) = &self.artifact else { return None };
        (self.settings.policy == Policy::Force).then(|| image.effective_tag().map(ToOwned::to_owned))?
    }

    /// Whether it wants to know every version.
    fn wants_versions(&self) -> bool {
        self.settings.policy != Policy::Force
    }

    fn is_chart(&self) -> bool {
        self.artifact.kind() == VersionKind::Chart
    }
}

impl Poller {
    pub(super) async fn scan(self: Arc<Self>, (origin, access): Key, planned: Planned, known: Option<Listed>) -> Scanned {
        let answered = || Scanned { outcome: Outcome::Answered, listed: None, moved: false, missed: HashSet::new() };
        let refused = |outcome, listed| Scanned { outcome, listed, ..answered() };
        let followers = self.followers(&origin, &planned);
        let Some(place) = planned.places.first().filter(|_| !followers.is_empty()) else { return answered() };
        let keyring = match self.asking.secrets.keyring(place).await {
            Ok(keyring) => keyring,
            Err(failure) => {
                tracing::warn!(namespace = place.namespace, error = %failure, "pull secrets cannot be read");
                return refused(Outcome::Refused, known);
            }
        };
        if self.asking.access(&origin, &keyring) != access {
            return Scanned { moved: true, ..answered() };
        }
        let mut found = Found { asking: &self.asking, origin: &origin, keyring: &keyring, digests: HashMap::new(), missed: HashSet::new() };
        let asked = self.ask_and_record(&mut found, &followers, known.as_ref()).await;
        {
            let Recording { state, .. } = &self.recording;
            let error = asked.as_ref().err().map(ToString::to_string);
            state.last_scans.write().asked(&state.index.read(), &origin, error);
        }
        let metrics = &self.recording.metrics;
        match asked {
            Ok(listed) => {
                let charts = followers.iter().filter(|follower| follower.is_chart()).count() as u64;
                metrics.polling_cycles.inc();
                metrics.polling_helm_charts_checked.inc_by(charts);
                metrics.polling_images_checked.inc_by(followers.len() as u64 - charts);
                Scanned { listed: listed.filter(Listed::is_worth_keeping), missed: found.missed, ..answered() }
            }
            Err(error) => {
                metrics.polling_errors.get_or_create(&ClassLabel { class: error.class.as_str() }).inc();
                if error.class == RegistryClass::Denied {
                    for place in &planned.places {
                        self.asking.secrets.forget(place).await;
                    }
                }
                tracing::warn!(image.repository = %origin, class = error.class.as_str(), wait_s = error.wait.map(|wait| wait.as_secs()), "not scanned: {error}");
                refused(if error.class.is_of_the_host() { Outcome::HostFailed(error.wait) } else { Outcome::Refused }, known)
            }
        }
    }

    /// Asks what the followers need, and records what is found for each.
    async fn ask_and_record(&self, found: &mut Found<'_>, followers: &[Follower], known: Option<&Listed>) -> Result<Option<Listed>, Error> {
        let began = Timestamp::now();
        let mut listed = None;
        if followers.iter().any(Follower::wants_versions) {
            let charts: BTreeSet<String> = followers.iter().filter_map(|follower| chart_of(&follower.artifact)).collect();
            listed = Some(found.asking.list(found.origin, &charts, !charts.is_empty(), found.keyring, known).await?);
        }
        let mut candidates = Candidates { listed: listed.as_ref(), origin: found.origin, read: HashMap::new() };
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
                        Some(digest) if knows_its_digest(follower) => Arc::from([Candidate::new(tag, Some(digest))]),
                        Some(digest) => {
                            let digest = digest.to_string();
                            if !self.is_announced(&target, &container.name, &digest) {
                                seen.push((container.name.clone(), digest));
                            }
                            continue;
                        }
                        None => continue,
                    },
                    // A digest alone, and a chart, follow nothing: only an event may name a successor.
                    None if !follower.wants_versions() => continue,
                    None => {
                        let all = candidates.of(&follower.artifact);
                        if follower.is_chart() {
                            self.recording.metrics.helm.versions_checked.inc_by(all.len() as u64);
                        }
                        found.for_pinned(follower, &all, &self.recording.state).await?.map_or(all, Arc::from)
                    }
                };
                let look = Look { origin: found.origin, candidates: &offer, occasion: Occasion::Scan, trigger: Trigger::Polling };
                proposals.extend(self.recording.decide(&look, &target, &defaults, container));
            }
            if !seen.is_empty() {
                self.note_seen(&target, &seen).await;
            }
            let made = self.recording.propose_all(&target, &defaults, proposals, began).await;
            let metrics = &self.recording.metrics;
            let found = if target.release.is_some() { &metrics.polling_helm_new_versions_found } else { &metrics.polling_new_tags_found };
            found.inc_by(made);
        }
        Ok(listed)
    }

    /// The containers of the origin that listen and are asked for with this access.
    fn followers(&self, origin: &Origin, planned: &Planned) -> Vec<Follower> {
        let users = self.recording.state.index.read().users(origin);
        let mut followers = Vec::new();
        let mut filtered = 0;
        for (target, defaults) in users {
            for container in &target.containers {
                if container.origin().as_ref() != Some(origin) {
                    continue;
                }
                let Some((settings, polled)) = self.listens(&target, &defaults, container) else {
                    filtered += 1;
                    continue;
                };
                let Ok(artifact) = container.artifact() else { continue };
                let wanted = polled || planned.look_ups.contains_key(&target.key);
                // What is not wanted, or is asked for otherwise, is another scan's.
                if wanted && planned.places.contains(&Place::of(&target)) {
                    followers.push(Follower {
                        target: Arc::clone(&target),
                        defaults: Arc::clone(&defaults),
                        container: container.clone(),
                        artifact,
                        settings,
                    });
                }
            }
        }
        self.recording.metrics.polling_resources_filtered.inc_by(filtered);
        followers
    }

    /// Returns whether an open request is for the digest: then it does not run yet, and is not the first one
    /// behind the tag.
    fn is_announced(&self, target: &Target, container: &str, digest: &str) -> bool {
        self.recording
            .state
            .requests
            .read()
            .open_of(&target.key)
            .iter()
            .any(|request| request.container() == Some(container) && request.spec.new_digest.as_deref() == Some(digest))
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

fn knows_its_digest(follower: &Follower) -> bool {
    follower.container.known_digest(&follower.artifact).is_some()
}

/// What was listed, as candidates: once for all images, and once for each chart.
struct Candidates<'a> {
    listed: Option<&'a Listed>,
    origin: &'a Origin,
    read: HashMap<Option<String>, Arc<[Candidate]>>,
}

impl Candidates<'_> {
    fn of(&mut self, artifact: &Artifact) -> Arc<[Candidate]> {
        let read = self.read.entry(chart_of(artifact));
        let (listed, origin) = (self.listed, self.origin);
        Arc::clone(read.or_insert_with(|| listed.map(|listed| listed.candidates(artifact, origin)).unwrap_or_default().into()))
    }
}

/// What a scan has found so far.
struct Found<'a> {
    asking: &'a Asking,
    origin: &'a Origin,
    keyring: &'a Keyring,
    digests: HashMap<String, Option<Digest>>,
    /// Those that no request could be made for although one was due.
    missed: HashSet<TargetKey>,
}

impl Found<'_> {
    /// The digest behind a tag, asked once a scan.
    async fn digest(&mut self, tag: &str) -> Result<Option<Digest>, Error> {
        if let Some(known) = self.digests.get(tag) {
            return Ok(known.clone());
        }
        let digest = match self.origin {
            Origin::Registry(repository) => self.asking.digest(repository, tag, self.keyring).await?,
            // An index tells of versions alone.
            Origin::Charts(_) => None,
        };
        self.digests.insert(tag.to_owned(), digest.clone());
        Ok(digest)
    }

    /// A reference that is pinned moves tag and digest together: the digest of the tag that its
    /// policy would choose is asked. `None` where all candidates will do as they are.
    async fn for_pinned(&mut self, follower: &Follower, candidates: &[Candidate], state: &State) -> Result<Option<Vec<Candidate>>, Error> {
        let Follower { target, defaults, container, artifact, .. } = follower;
        if artifact.digest().is_none() {
            return Ok(None);
        }
        let site = decide::Site { target, defaults, container, candidates, occasion: Occasion::Scan, trigger: Trigger::Polling };
        let Some(tag) = decide::chosen_tag(&site, &Known { state, target }) else { return Ok(None) };
        let digest = self.digest(&tag).await?;
        Ok(Some(vec![Candidate::new(tag, digest)]))
    }
}
