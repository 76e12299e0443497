//! Optional APIs, which a cluster may have, may lack, or may serve in an older version.
//!
//! Discovers periodically which of them the API server serves, and watches those. An API whose objects depend on others
//! is watched after them. Objects of an API that disappears are removed from the index; a newer version replaces an
//! older one. Readiness waits for the first discovery and for the watches of the APIs found by it. It does not wait for
//! a watch that keeps failing, or for an API that is not served.
//!
//! ```text
//! API server's discovery ──every PERIOD──> ServedVersions ─┬─> watch chart sources ─> index
//!                                                          ├─> watch workloads ─────> index
//!                                                          └─> cluster: the version that is read and written
//! ```

use std::collections::{HashMap, HashSet};
use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use headwind_core::workload::WorkloadKey;
use headwind_core::workload::source::{SourceKey, SourceKind};
use headwind_k8s::api_version::{V1, V1Beta2};
use headwind_k8s::helm::{ChartSource, SlimHelmRepository, SlimOciRepository};
use headwind_k8s::kinds::{ForKind, SlimWorkload, for_kind};
use headwind_k8s::optional_api::OptionalApi;
use kube::Client;
use kube::core::ObjectMeta;
use tokio::task::{AbortHandle, JoinError, JoinSet};

use crate::cluster::served_versions::ServedVersions;
use crate::cluster::{Class, classify};
use crate::observe::feed::Targets;
use crate::observe::queue::Queue;
use crate::observe::readiness::WATCH;
use crate::observe::state::State;
use crate::observe::watch::{Feed, Scope, watch};

/// Time between two discoveries while an API is missing.
const PERIOD: Duration = Duration::from_secs(15);
/// Time between two discoveries while every API is served.
const CONTENT: Duration = Duration::from_secs(30);
/// A starting API server serves its own kinds before those of CustomResourceDefinitions. So an API counts as gone only
/// if it is missing in that many consecutive discoveries, with that pause between them.
const MISSING: (u32, Duration) = (5, Duration::from_secs(5));
/// The pause after a failed discovery.
const RETRY: Duration = Duration::from_secs(2);
/// Maximum time that a watch waits for the first lists of the APIs that its objects depend on.
const PATIENCE: Duration = Duration::from_secs(30);

/// Runs the watches on optional APIs.
pub(crate) struct OptionalApis {
    /// For discovery.
    pub(crate) client: Client,
    /// For watches.
    pub(crate) watcher: Client,
    pub(crate) state: Arc<State>,
    pub(crate) queue: Queue,
    pub(crate) served: Arc<ServedVersions>,
    /// The namespaces that are watched, or all.
    pub(crate) scopes: Vec<Option<String>>,
}

/// The name under which readiness waits for the first discovery.
const FIRST_LOOK: &str = "the discovery of optional APIs";

impl OptionalApis {
    /// Makes readiness wait for the first discovery.
    pub(crate) fn expect(&self) {
        self.state.readiness.expect_optional(&format!("{WATCH}{FIRST_LOOK}"));
    }

    /// Discovers and watches as long as the process runs.
    pub(crate) async fn run(self) -> Result<(), JoinError> {
        let mut watches: JoinSet<Result<(), Infallible>> = JoinSet::new();
        let mut running: HashMap<OptionalApi, Vec<AbortHandle>> = HashMap::new();
        let mut missing: HashMap<OptionalApi, u32> = HashMap::new();
        let (mut first, mut trouble) = (true, false);
        loop {
            let wait = match self.look().await {
                Ok(all) => {
                    let mut wait = if all.iter().all(|(_, found)| found.is_some()) { CONTENT } else { PERIOD };
                    for (api, found) in all {
                        let times = missing.entry(api).or_default();
                        *times = if found.is_none() { times.saturating_add(1) } else { 0 };
                        if self.served.get(api) == found {
                            continue;
                        }
                        if found.is_none() && *times < MISSING.0 {
                            wait = MISSING.1;
                            continue;
                        }
                        let handles = running.entry(api).or_default();
                        handles.drain(..).for_each(|handle| handle.abort());
                        self.served.set(api, found);
                        match found {
                            Some(place) => handles.extend(self.begin(&mut watches, api, place, first)),
                            None => self.forget(api),
                        }
                        log_change(api, found);
                    }
                    if std::mem::take(&mut first) {
                        self.state.readiness.done(&format!("{WATCH}{FIRST_LOOK}"));
                    }
                    trouble = false;
                    wait
                }
                Err(error) => {
                    if !std::mem::replace(&mut trouble, true) {
                        tracing::warn!(%error, "failed to discover optional APIs; retrying");
                    }
                    // An API server that does not answer reveals nothing about its APIs.
                    let answered = classify(&error) != Class::NoAnswer;
                    if answered && self.state.readiness.failed(&format!("{WATCH}{FIRST_LOOK}"), Instant::now()) {
                        tracing::warn!(%error, "no longer waiting for the discovery of optional APIs");
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

    /// Returns every optional API with the index of the best version that the API server serves. Makes one call, and
    /// one more for each group and version that is served.
    async fn look(&self) -> Result<Vec<(OptionalApi, Option<usize>)>, kube::Error> {
        let groups = self.client.list_api_groups().await?.groups;
        let offers = |group: &str, version: &str| {
            groups.iter().any(|one| one.name == group && one.versions.iter().any(|offered| offered.version == version))
        };
        let mut listed: HashMap<String, Vec<String>> = HashMap::new();
        let mut all = Vec::new();
        for api in OptionalApi::all() {
            let (group, plural) = api.resource();
            let mut found = None;
            for (place, version) in api.versions().iter().enumerate().filter(|(_, version)| offers(group, version)) {
                let name = format!("{group}/{version}");
                if !listed.contains_key(&name) {
                    let resources = match self.client.list_api_group_resources(&name).await {
                        Ok(list) => list.resources.into_iter().map(|resource| resource.name).collect(),
                        // It disappeared between the two calls.
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
            all.push((api, found));
        }
        Ok(all)
    }

    /// Starts the watches of an API. Readiness waits for them if the first discovery found the API.
    fn begin(&self, watches: &mut JoinSet<Result<(), Infallible>>, api: OptionalApi, place: usize, first: bool) -> Vec<AbortHandle> {
        let mut handles = Vec::new();
        for namespace in &self.scopes {
            let scope = scope(api, namespace.clone());
            if first {
                self.state.readiness.expect_optional(&scope.part());
            }
            handles.push(match (api, place) {
                (OptionalApi::Workload(kind), place) => watches.spawn(for_kind(kind, place, WatchOptional { apis: self, api, scope })),
                (OptionalApi::ChartSource(SourceKind::HelmRepository), 0) => watches.spawn(self.sources::<SlimHelmRepository<V1>>(scope)),
                (OptionalApi::ChartSource(SourceKind::HelmRepository), _) => {
                    watches.spawn(self.sources::<SlimHelmRepository<V1Beta2>>(scope))
                }
                (OptionalApi::ChartSource(SourceKind::OciRepository), 0) => watches.spawn(self.sources::<SlimOciRepository<V1>>(scope)),
                (OptionalApi::ChartSource(SourceKind::OciRepository), _) => {
                    watches.spawn(self.sources::<SlimOciRepository<V1Beta2>>(scope))
                }
            });
        }
        handles
    }

    fn sources<K: ChartSource>(&self, scope: Scope) -> impl Future<Output = Result<(), Infallible>> + Send + 'static {
        let feed = Sources { state: Arc::clone(&self.state), queue: self.queue.clone(), namespace: scope.namespace.clone() };
        watch::<K, _>(scope.api(&self.watcher), scope, feed, Arc::clone(&self.state))
    }

    /// Removes all objects of an API that is no longer served.
    fn forget(&self, api: OptionalApi) {
        let gone = match api {
            OptionalApi::Workload(kind) => self.state.index.write().sweep(kind, None, &HashSet::new()),
            OptionalApi::ChartSource(kind) => self.state.index.write().sweep_sources(kind, None, &HashSet::new()),
        };
        for key in gone {
            self.queue.now(key);
        }
    }
}

/// Watches the workloads of an optional kind, after the APIs that they depend on.
struct WatchOptional<'a> {
    apis: &'a OptionalApis,
    api: OptionalApi,
    scope: Scope,
}

impl ForKind for WatchOptional<'_> {
    type Output = BoxFuture<'static, Result<(), Infallible>>;

    fn run<K: SlimWorkload>(self) -> Self::Output {
        let Self { apis: OptionalApis { state, queue, served, watcher, .. }, api, scope } = self;
        let (state, namespace) = (Arc::clone(state), scope.namespace.clone());
        let feed = Targets { state: Arc::clone(&state), queue: queue.clone(), namespace: namespace.clone() };
        let kube_api = scope.api(watcher);
        let there = api.read_after().filter(|needed| served.get(*needed).is_some());
        let before: Vec<String> = there.map(|needed| self::scope(needed, namespace.clone()).part()).collect();
        async move {
            for part in before {
                // A watch that fails logs its error. The objects are then read without that API.
                let _ = tokio::time::timeout(PATIENCE, state.readiness.until_done(&part)).await;
            }
            watch::<K, _>(kube_api, scope, feed, state).await
        }
        .boxed()
    }
}

fn scope(api: OptionalApi, namespace: Option<String>) -> Scope {
    let (group, plural) = api.resource();
    Scope { resource: format!("{plural}.{group}"), namespace, name: None }
}

fn log_change(api: OptionalApi, found: Option<usize>) {
    let (group, plural) = api.resource();
    if let Some(version) = found.and_then(|place| api.versions().get(place).copied()) {
        tracing::info!(resource = plural, version, "the API server serves {plural}.{group}; Headwind watches them");
    } else {
        tracing::info!(resource = plural, "the API server no longer serves {plural}.{group}");
    }
}

/// Feeds sources of charts into the index.
struct Sources {
    state: Arc<State>,
    queue: Queue,
    /// The watched namespace, or all.
    namespace: Option<String>,
}

impl Sources {
    /// Requeues releases that changed.
    fn touched(&self, keys: Vec<WorkloadKey>) {
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

    // It counted as missing.
    fn delete_odd(&self, _: &ObjectMeta) {}

    fn odd(&self, metadata: &ObjectMeta, problem: &str) -> Option<SourceKey> {
        let key = SourceKey { kind: K::KIND, namespace: metadata.namespace.clone()?, name: metadata.name.clone()? };
        tracing::warn!(
            source.kind = K::KIND.as_str(),
            source.namespace = key.namespace,
            source.name = key.name,
            "failed to decode the source; treated as missing: {problem}"
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
