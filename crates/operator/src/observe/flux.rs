//! Flux's kinds, which a cluster may have, may not have, or has in an older version.
//!
//! Looks now and then at what the API server offers, and keeps a watch on what is there: sources first,
//! since a release is read with its source. What disappears is forgotten; a newer version takes the place
//! of an older one. Readiness waits for the first look, and for the watches of what it found, but not for one that
//! keeps failing, and never for Flux itself: where there is none, nothing is logged but once.
//!
//! ```text
//! API server's discovery ──every PERIOD──> Offered ─┬─> watch sources ──> index
//!                                                   ├─> watch releases ─> index
//!                                                   └─> verbs: which version is read and written
//! ```

use std::collections::{HashMap, HashSet};
use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use headwind_core::workload::TargetKey;
use headwind_core::workload::source::{SourceKey, SourceKind};
use headwind_k8s::helm::{ChartSource, SlimHelmRepository, SlimOciRepository};
use headwind_k8s::kind::{SlimHelmRelease, Workload};
use headwind_k8s::served::{Served, V1, V1Beta2, V2, V2Beta2};
use kube::Client;
use kube::core::ObjectMeta;
use tokio::task::{AbortHandle, JoinError, JoinSet};

use crate::cluster::offered::Offered;
use crate::cluster::{Class, classify};
use crate::observe::feed::Targets;
use crate::observe::queue::Queue;
use crate::observe::readiness::WATCH;
use crate::observe::state::State;
use crate::observe::watch::{Feed, Scope, watch};

/// How often it is looked what the API server offers.
const PERIOD: Duration = Duration::from_secs(15);
/// The same while every kind is there.
const CONTENT: Duration = Duration::from_secs(30);
/// An API server that starts offers its own kinds before those of CustomResourceDefinitions: what was there is
/// believed to be gone when it is missing that often in a row, so long after each other.
const MISSING: (u32, Duration) = (5, Duration::from_secs(5));
/// The same while that cannot be seen.
const RETRY: Duration = Duration::from_secs(2);
/// How long releases wait for their sources to be known.
const PATIENCE: Duration = Duration::from_secs(30);

/// What keeps the watches on Flux's kinds.
pub(crate) struct Flux {
    /// For discovery.
    pub(crate) client: Client,
    /// For watches.
    pub(crate) watcher: Client,
    pub(crate) state: Arc<State>,
    pub(crate) queue: Queue,
    pub(crate) offered: Arc<Offered>,
    /// The namespaces that are watched, or all.
    pub(crate) scopes: Vec<Option<String>>,
}

/// The name under which readiness waits for the first look.
const FIRST_LOOK: &str = "what the API server offers of Flux";

impl Flux {
    /// Has readiness wait for the first look.
    pub(crate) fn expect(&self) {
        self.state.readiness.expect_optional(&format!("{WATCH}{FIRST_LOOK}"));
    }

    /// Looks and watches for as long as the process lives.
    pub(crate) async fn run(self) -> Result<(), JoinError> {
        let mut watches: JoinSet<Result<(), Infallible>> = JoinSet::new();
        let mut running: HashMap<&'static str, Vec<AbortHandle>> = HashMap::new();
        let mut missing: HashMap<&'static str, u32> = HashMap::new();
        let (mut first, mut trouble) = (true, false);
        loop {
            let wait = match self.look().await {
                Ok(all) => {
                    let mut wait = if all.iter().all(|(_, found)| found.is_some()) { CONTENT } else { PERIOD };
                    for (served, found) in all {
                        let plural = served.resource().1;
                        let times = missing.entry(plural).or_default();
                        *times = if found.is_none() { times.saturating_add(1) } else { 0 };
                        if self.offered.get(served) == found {
                            continue;
                        }
                        if found.is_none() && *times < MISSING.0 {
                            wait = MISSING.1;
                            continue;
                        }
                        let handles = running.entry(plural).or_default();
                        handles.drain(..).for_each(|handle| handle.abort());
                        self.offered.set(served, found);
                        match found {
                            Some(place) => handles.extend(self.begin(&mut watches, served, place, first)),
                            None => self.forget(served),
                        }
                        tell_offer(served, found);
                    }
                    if std::mem::take(&mut first) {
                        self.state.readiness.done(&format!("{WATCH}{FIRST_LOOK}"));
                    }
                    trouble = false;
                    wait
                }
                Err(error) => {
                    if !std::mem::replace(&mut trouble, true) {
                        tracing::warn!(%error, "cannot see what the API server offers of Flux; trying again");
                    }
                    // An API server that does not answer at all says nothing about Flux.
                    let answered = classify(&error) != Class::NoAnswer;
                    if answered && self.state.readiness.failed(&format!("{WATCH}{FIRST_LOOK}"), Instant::now()) {
                        tracing::warn!(%error, "not waiting any longer for what the API server offers of Flux");
                    }
                    RETRY
                }
            };
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                Some(Err(died)) = watches.join_next(), if !watches.is_empty() => {
                    if !died.is_cancelled() {
                        return Err(died);
                    }
                }
            }
        }
    }

    /// Every kind with the place of the best version that the API server offers: one call where there is no
    /// Flux, one more for each group and version of its kinds where there is.
    async fn look(&self) -> Result<Vec<(Served, Option<usize>)>, kube::Error> {
        let groups = self.client.list_api_groups().await?.groups;
        let offers = |group: &str, version: &str| {
            groups.iter().any(|one| one.name == group && one.versions.iter().any(|offered| offered.version == version))
        };
        let mut listed: HashMap<String, Vec<String>> = HashMap::new();
        let mut all = Vec::new();
        for served in Served::ALL.iter().copied() {
            let (group, plural) = served.resource();
            let mut found = None;
            for (place, version) in served.versions().into_iter().enumerate().filter(|(_, version)| offers(group, version)) {
                let name = format!("{group}/{version}");
                if !listed.contains_key(&name) {
                    let resources = match self.client.list_api_group_resources(&name).await {
                        Ok(list) => list.resources.into_iter().map(|resource| resource.name).collect(),
                        // It went between the two calls.
                        Err(error) if classify(&error) == Class::NotFound => Vec::new(),
                        Err(error) => return Err(error),
                    };
                    listed.insert(name.clone(), resources);
                }
                if listed.get(&name).is_some_and(|resources| resources.iter().any(|resource| resource == plural)) {
                    found = Some(place);
                    break;
                }
            }
            all.push((served, found));
        }
        Ok(all)
    }

    /// Begins the watches of a kind. Readiness waits for them where the kind was there from the start.
    fn begin(&self, watches: &mut JoinSet<Result<(), Infallible>>, served: Served, place: usize, first: bool) -> Vec<AbortHandle> {
        let (group, plural) = served.resource();
        let mut handles = Vec::new();
        for namespace in &self.scopes {
            let scope = Scope { resource: format!("{plural}.{group}"), namespace: namespace.clone() };
            if first {
                self.state.readiness.expect_optional(&scope.part());
            }
            handles.push(match (served, place) {
                (Served::HelmRepository, 0) => watches.spawn(self.sources::<SlimHelmRepository<V1>>(scope)),
                (Served::HelmRepository, _) => watches.spawn(self.sources::<SlimHelmRepository<V1Beta2>>(scope)),
                (Served::OciRepository, 0) => watches.spawn(self.sources::<SlimOciRepository<V1>>(scope)),
                (Served::OciRepository, _) => watches.spawn(self.sources::<SlimOciRepository<V1Beta2>>(scope)),
                (Served::HelmRelease, 0) => watches.spawn(self.releases::<SlimHelmRelease<V2>>(scope)),
                (Served::HelmRelease, _) => watches.spawn(self.releases::<SlimHelmRelease<V2Beta2>>(scope)),
            });
        }
        handles
    }

    fn sources<K: ChartSource>(&self, scope: Scope) -> impl Future<Output = Result<(), Infallible>> + Send + 'static {
        let feed = Sources { state: Arc::clone(&self.state), queue: self.queue.clone(), namespace: scope.namespace.clone() };
        watch::<K, _>(scope.api(&self.watcher), scope, feed, Arc::clone(&self.state))
    }

    fn releases<K: Workload>(&self, scope: Scope) -> impl Future<Output = Result<(), Infallible>> + Send + 'static {
        let feed = Targets { state: Arc::clone(&self.state), queue: self.queue.clone(), namespace: scope.namespace.clone() };
        let (state, api) = (Arc::clone(&self.state), scope.api(&self.watcher));
        let sources: Vec<String> = [Served::HelmRepository, Served::OciRepository]
            .into_iter()
            .filter(|served| self.offered.get(*served).is_some())
            .map(|served| {
                let (group, plural) = served.resource();
                Scope { resource: format!("{plural}.{group}"), namespace: scope.namespace.clone() }.part()
            })
            .collect();
        async move {
            for part in sources {
                // One that cannot be watched is told of; releases are read without it then.
                let _ = tokio::time::timeout(PATIENCE, state.readiness.until_done(&part)).await;
            }
            watch::<K, _>(api, scope, feed, state).await
        }
    }

    /// A kind is gone, and with it every object.
    fn forget(&self, served: Served) {
        let gone = match served {
            Served::HelmRelease => self.state.index.write().sweep(headwind_core::workload::Kind::HelmRelease, None, &HashSet::new()),
            Served::HelmRepository => self.state.index.write().sweep_sources(SourceKind::HelmRepository, None, &HashSet::new()),
            Served::OciRepository => self.state.index.write().sweep_sources(SourceKind::OciRepository, None, &HashSet::new()),
        };
        for key in gone {
            self.queue.now(key);
        }
    }
}

fn tell_offer(served: Served, found: Option<usize>) {
    let (group, plural) = served.resource();
    if let Some(version) = found.and_then(|place| served.versions().get(place).copied()) {
        tracing::info!(resource = plural, version, "{plural}.{group} are there and watched");
    } else {
        tracing::info!(resource = plural, "{plural}.{group} are not there any more");
    }
}

/// Sources of charts into the index.
struct Sources {
    state: Arc<State>,
    queue: Queue,
    /// The one namespace that is watched, or all.
    namespace: Option<String>,
}

impl Sources {
    /// Releases mean something else now.
    fn touched(&self, keys: Vec<TargetKey>) {
        for key in keys.into_iter().filter(|key| self.state.concerns(key)) {
            self.queue.now(key);
        }
    }
}

impl<K: ChartSource> Feed<K> for Sources {
    type Key = SourceKey;

    fn apply(&self, object: K, _: bool) -> Option<SourceKey> {
        let source = object.read()?;
        let key = source.key.clone();
        let touched = self.state.index.write().apply_source(source);
        self.touched(touched);
        Some(key)
    }

    fn delete(&self, object: K) {
        if let Some(source) = object.read() {
            let touched = self.state.index.write().remove_source(&source.key);
            self.touched(touched);
        }
    }

    // It counted as not there.
    fn delete_odd(&self, _: &ObjectMeta) {}

    fn odd(&self, metadata: &ObjectMeta, problem: &str) -> Option<SourceKey> {
        let key = SourceKey { kind: K::KIND, namespace: metadata.namespace.clone()?, name: metadata.name.clone()? };
        tracing::warn!(
            source.kind = K::KIND.as_str(),
            source.namespace = key.namespace,
            source.name = key.name,
            "the source cannot be read and counts as not there: {problem}"
        );
        let touched = self.state.index.write().remove_source(&key);
        self.touched(touched);
        Some(key)
    }

    fn sweep(&self, seen: &HashSet<SourceKey>) {
        let touched = self.state.index.write().sweep_sources(K::KIND, self.namespace.as_deref(), seen);
        self.touched(touched);
    }
}
