//! Starts the operator, and shuts it down in order.
//!
//! Shutdown: not ready → no more events accepted → accepted events recorded → reconciler done → Events written,
//! notifications delivered → Lease released. Each part has a timeout. The guards on every write make it safe to stop at any point.

use std::convert::Infallible;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
use std::time::Duration;

use headwind_core::lease::Timing;
use headwind_core::workload::Kind;
use headwind_k8s::access;
use headwind_k8s::kinds::{ForKind, SlimWorkload, facts, for_kind};
use headwind_k8s::update_request::UpdateRequest;
use headwind_registry::Client;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Secret};
use kube::Resource as _;
use kube::api::Api;
use kube::core::{DeserializeGuard, PartialObjectMeta};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::act::admission::warn_without_policy;
use crate::act::confirm::Confirmer;
use crate::act::lease::Contender;
use crate::act::reconciler::Reconciler;
use crate::act::turns;
use crate::api::explainer::Explainer;
use crate::api::handle::Handle;
use crate::cluster::ClusterClient;
use crate::cluster::as_caller::CallerClient;
use crate::cluster::served_versions::ServedVersions;
use crate::observe::early_reads::EarlyReads;
use crate::observe::feed::{RequestFeed, Targets};
use crate::observe::namespaces::{self, Defaults};
use crate::observe::nodes;
use crate::observe::optional_apis::OptionalApis;
use crate::observe::queue::{Queue, queue};
use crate::observe::readiness::WATCH;
use crate::observe::state::State;
use crate::observe::watch::{Scope, watch};
use crate::propose::poll::{Poller, Polling};
use crate::propose::{Inbox, Intake, Proposer, Verifier, WaitingGauges, Workers};
use crate::registries::asking::Asking;
use crate::registries::lists::Lists;
use crate::registries::quota_gauge::QuotaGauge;
use crate::registries::secrets::Secrets;
use crate::report::events::recorder;
use crate::report::journal::Journal;
use crate::report::metrics::Metrics;
use crate::report::{notify, trace};
use crate::settings::{Adopt, OwnSettings};
use crate::tasks::{Ended, Tasks};

/// Number of workloads that are reconciled concurrently.
const AT_ONCE: usize = 16;
/// Timeout of each part of a shutdown. Together they are below the 30 s that Kubernetes gives a pod.
const PATIENCE: Duration = Duration::from_secs(6);
/// Timeout of a call about the Lease.
const LEASE_TIMEOUT: Duration = Duration::from_secs(5);
/// Timeout of any other call without a response. The API server itself gives up after a minute.
const CALL_TIMEOUT: Duration = Duration::from_secs(65);
/// Timeout of a watch without data. The API server ends each watch after at most 295 s.
const WATCH_TIMEOUT: Duration = Duration::from_secs(310);
/// Timeout for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The configuration of the operator.
#[derive(Debug, Clone)]
pub struct Config {
    /// The namespace of Headwind's own objects.
    pub namespace: String,
    /// The namespaces to watch; empty for all.
    pub watched: Vec<String>,
    /// The name of this replica.
    pub identity: String,
    /// Maximum number of finished requests that are kept for each workload.
    pub history_limit: usize,
    /// True if every claim of a webhook is verified with the registry.
    pub confirm: bool,
    /// True if the digest that a person approved is confirmed with the registry before the update is applied.
    pub confirm_approved: bool,
    /// The settings for polling. They may change at any time.
    pub polling: watch::Receiver<Polling>,
    /// The function that adopts the settings in the ConfigMap and the Secret.
    pub adopt: Adopt,
    /// True if releases may use sources of other namespaces, as far as Flux allows.
    pub cross_namespace_refs: bool,
    /// The settings of notifications. A change takes effect at once.
    pub notifications: watch::Receiver<Arc<notify::Settings>>,
    /// The settings of tracing; `None` if it is off.
    pub tracing: Option<trace::Settings>,
}

/// The operator could not be started.
#[derive(Debug, thiserror::Error)]
#[error("failed to create a client for the API server from the configuration: {0}")]
pub struct StartError(#[from] kube::Error);

/// The running operator.
pub struct Operator {
    config: Config,
    state: Arc<State>,
    lease_cluster: ClusterClient,
    handle: Handle,
    tasks: Tasks,
    /// Stops the workers of the intake.
    stop_intake: CancellationToken,
    /// Stops the reconciler.
    stop_reconciler: CancellationToken,
    /// Stops leader election.
    stop_lease: CancellationToken,
    /// Stops the writer of Kubernetes Events and the channels of notifications, once they have sent what is queued.
    stop_writer: CancellationToken,
    reconciler: Tasks,
    writer: Tasks,
}

impl Operator {
    /// Starts every part.
    ///
    /// # Errors
    /// If no client can be built from the configuration.
    #[expect(clippy::too_many_lines, reason = "all parts are put together here, and nothing else is done")]
    pub fn start(kube: &kube::Config, config: Config, registries: Client) -> Result<Self, StartError> {
        let client = client(kube, CALL_TIMEOUT)?;
        let served = Arc::new(ServedVersions::default());
        let limited = !config.watched.is_empty();
        let lease_cluster = ClusterClient::new(self::client(kube, LEASE_TIMEOUT)?, Arc::clone(&served), limited);

        let state = Arc::new(State::default());
        if !config.cross_namespace_refs {
            state.index.write().forbid_cross_namespace_refs();
        }
        let metrics = Metrics::new();
        let cluster_client = client.clone();
        let cluster = ClusterClient::new(client.clone(), Arc::clone(&served), limited);
        let (events, writer) = recorder(cluster.clone(), &config.identity, metrics.clone());
        let (traces, exporter) = trace::Traces::new(config.tracing.clone(), &config.identity);
        let (notifier, channels) =
            notify::notifier(config.notifications.clone(), Arc::clone(&state), cluster.clone(), metrics.clone(), traces.clone());
        let journal = Journal::new(&state, events.clone(), notifier, metrics.clone(), traces.clone());
        let (queue, pending) = queue();
        let inbox = Arc::new(Inbox::default());
        metrics.watch(Arc::clone(&state));
        metrics.collect(Box::new(WaitingGauges(Arc::clone(&inbox))));
        let intake = Intake { inbox: Arc::clone(&inbox), state: Arc::clone(&state), metrics: metrics.clone() };
        let asking = Arc::new(Asking {
            client: registries,
            secrets: Secrets::new(cluster.clone()),
            metrics: metrics.clone(),
            lists: Lists::default(),
        });
        let asked = Arc::clone(&asking);
        metrics.collect(Box::new(QuotaGauge(move || asked.client.quotas())));
        let last_scans = Arc::default();
        let early_reads = Arc::new(EarlyReads::new(cluster.clone()));
        let proposer = Proposer {
            state: Arc::clone(&state),
            cluster: cluster.clone(),
            early_reads: Arc::clone(&early_reads),
            events: events.clone(),
            metrics: metrics.clone(),
            queue: queue.clone(),
            inbox,
            last_scans: Arc::clone(&last_scans),
            verify: config.confirm,
            bind: config.confirm_approved,
            traces: traces.clone(),
        };
        let [stop_intake, stop_reconciler, stop_lease, stop_writer] = [(); 4].map(|()| CancellationToken::new());

        // One call; nothing waits for it.
        let checked = config.watched.first().unwrap_or(&config.namespace).clone();
        tokio::spawn(warn_without_policy(cluster.clone(), checked));
        let mut tasks = Tasks::default();
        let parts = Parts { client, watcher: self::client(kube, WATCH_TIMEOUT)?, state: &state, queue: &queue, served };
        parts.watches(&mut tasks, &config.watched);
        let settings =
            Arc::new(OwnSettings::new(&config.namespace, config.adopt.clone(), events.clone(), metrics.clone(), Arc::clone(&state)));
        parts.own_settings(&mut tasks, &config.namespace, &settings);
        let poller = Poller {
            proposer: proposer.clone(),
            asking: Arc::clone(&asking),
            settings: config.polling.clone(),
            seed: seed(&config.identity),
        };
        tasks.spawn("poll", poller.run(stop_intake.clone()));
        let verifier = Verifier { asking: Arc::clone(&asking) };
        let workers = Workers { intake: intake.clone(), proposer, verifier };
        tasks.spawn("intake", workers.run(stop_intake.clone()));
        // A Role cannot grant nodes.
        if !limited {
            tasks.spawn("nodes", nodes::follow(cluster_client, Arc::clone(&state)));
        }
        let contender = Contender {
            cluster: lease_cluster.clone(),
            state: Arc::clone(&state),
            namespace: config.namespace.clone(),
            me: config.identity.clone(),
            timing: Timing::default(),
            journal: journal.clone(),
        };
        tasks.spawn(
            "lease",
            contender.run(stop_lease.clone(), {
                let (state, queue, journal) = (Arc::clone(&state), queue.clone(), journal.clone());
                move || all_due(&state, &queue, &journal)
            }),
        );
        let caches = {
            let (state, queue, journal) = (Arc::clone(&state), queue.clone(), journal.clone());
            async move {
                state.readiness.until_synced().await;
                all_due(&state, &queue, &journal);
                std::future::pending::<Result<(), Infallible>>().await
            }
        };
        tasks.spawn("caches", caches);
        tasks.spawn("turns", {
            let turns = turns::follow(Arc::clone(&state), queue.clone(), journal.clone(), stop_reconciler.clone());
            async move {
                turns.await;
                std::future::pending::<Result<(), Infallible>>().await
            }
        });
        let mut writers = Tasks::default();
        writers.spawn("events", writer.run(stop_writer.clone()));
        writers.spawn("notifications", channels.run(stop_writer.clone()));
        writers.spawn("traces", exporter.run(stop_writer.clone()));
        let mut reconcilers = Tasks::default();
        let reconciler = Arc::new(Reconciler {
            state: Arc::clone(&state),
            cluster: cluster.clone(),
            early_reads,
            events: events.clone(),
            metrics: metrics.clone(),
            history_limit: config.history_limit,
            confirmer: config.confirm_approved.then(|| Arc::new(Confirmer::new(Arc::clone(&asking), intake.clone(), queue.clone()))),
            failures: parking_lot::Mutex::default(),
            snapshots: parking_lot::Mutex::default(),
        });
        reconcilers.spawn("reconcile", {
            let (queue, stop) = (queue.clone(), stop_reconciler.clone());
            async move {
                pending
                    .run(queue, AT_ONCE, stop, |key| {
                        let reconciler = Arc::clone(&reconciler);
                        async move { reconciler.pass(key).await }
                    })
                    .await;
                Ok::<_, Infallible>(())
            }
        });
        let handle = Handle {
            intake,
            state: Arc::clone(&state),
            cluster,
            as_caller: CallerClient::new(kube, |kube| self::client(kube, CALL_TIMEOUT))?,
            own_namespace: config.namespace.as_str().into(),
            settings,
            metrics,
            traces,
            journal: journal.clone(),
            queue,
            alive: tasks.alive(),
            explainer: Explainer::new(asking, last_scans),
            pods: crate::api::pods::Pods::default(),
            notifications: config.notifications.clone(),
            tests: Arc::new(tokio::sync::Semaphore::new(crate::api::channels::TESTS)),
            reads: Arc::new(tokio::sync::Semaphore::new(crate::api::handle::READS)),
            namespaces: config.watched.clone().into(),
        };
        Ok(Self {
            config,
            state,
            lease_cluster,
            handle,
            tasks,
            stop_intake,
            stop_reconciler,
            stop_lease,
            stop_writer,
            reconciler: reconcilers,
            writer: writers,
        })
    }

    /// Returns the handle for the ports.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Waits for a task that ends early.
    pub async fn first_end(&mut self) -> Ended {
        tokio::select! {
            ended = self.tasks.first_end() => ended,
            ended = self.reconciler.first_end() => ended,
            ended = self.writer.first_end() => ended,
        }
    }

    /// Makes `/ready` fail from now on. Stop the servers next.
    pub fn stop_being_ready(&self) {
        self.state.readiness.stop();
    }

    /// Shuts the operator down, in order. The caller must stop the servers before.
    pub async fn shut_down(self) {
        let Self {
            config,
            state,
            lease_cluster,
            handle,
            mut tasks,
            stop_intake,
            stop_reconciler,
            stop_lease,
            stop_writer,
            mut reconciler,
            mut writer,
        } = self;
        state.readiness.stop();
        bounded("processing of events", handle.intake.drained()).await;
        stop_intake.cancel();
        stop_reconciler.cancel();
        bounded("passes of the reconciler", reconciler.drain()).await;
        reconciler.abort().await;
        // The Lease records how far Events were written and notifications delivered.
        stop_writer.cancel();
        bounded("Kubernetes Events and notifications", writer.drain()).await;
        writer.abort().await;
        stop_lease.cancel();
        bounded("the lease", Contender::release(&lease_cluster, &state, &handle.journal, &config.namespace, &config.identity)).await;
        tasks.abort().await;
    }
}

/// Creates a client without retries, because the caller decides about retries. Its calls fail when there is no response
/// for `silence`.
fn client(kube: &kube::Config, silence: Duration) -> Result<kube::Client, kube::Error> {
    let mut kube = kube.clone();
    kube.default_retry = false;
    kube.connect_timeout = Some(CONNECT_TIMEOUT);
    kube.read_timeout = Some(silence);
    kube.write_timeout = Some(silence);
    // Otherwise the idle time of a pooled connection would count.
    kube.reset_reader_on_write = true;
    kube::Client::try_from(kube)
}

/// Returns the seed that spreads this process's scans. It differs between replicas.
fn seed(identity: &str) -> u64 {
    let mut hash = DefaultHasher::new();
    identity.hash(&mut hash);
    hash.finish()
}

async fn bounded(what: &str, part: impl Future<Output = ()>) {
    if tokio::time::timeout(PATIENCE, part).await.is_err() {
        tracing::warn!("{what}: not finished within {} s; stopped waiting", PATIENCE.as_secs());
    }
}

/// Requeues every workload that has requests or something to report: for a new leader, and once the caches are
/// complete. Passes need both, so the later of the two is used.
fn all_due(state: &State, queue: &Queue, journal: &Journal) {
    if state.leadership.leads() && state.readiness.synced() {
        journal.begin();
        state.inherit_rollouts();
    }
    state.observed_since.begin();
    let mut due: Vec<_> = state.requests.read().workloads().cloned().collect();
    due.extend(state.index.read().needs_attention().cloned());
    for key in due {
        queue.now(key);
    }
}

struct Parts<'a> {
    /// For calls.
    client: kube::Client,
    /// For watches, which may be silent for minutes.
    watcher: kube::Client,
    state: &'a Arc<State>,
    queue: &'a Queue,
    served: Arc<ServedVersions>,
}

impl Parts<'_> {
    /// Starts every watch, for all namespaces at once or for each of the given ones.
    fn watches(&self, tasks: &mut Tasks, namespaces: &[String]) {
        let scopes: Vec<Option<String>> = if namespaces.is_empty() { vec![None] } else { namespaces.iter().cloned().map(Some).collect() };
        let optional = OptionalApis {
            client: self.client.clone(),
            watcher: self.watcher.clone(),
            state: Arc::clone(self.state),
            queue: self.queue.clone(),
            served: Arc::clone(&self.served),
            scopes: scopes.clone(),
        };
        optional.expect();
        tasks.spawn("watch optional APIs", optional.run());
        for namespace in scopes {
            for kind in Kind::ALL.iter().copied().filter(|kind| !facts(*kind).optional) {
                for_kind(kind, 0, WatchWorkloads { parts: self, tasks: &mut *tasks, namespace: namespace.clone() });
            }
            let scope = Scope {
                resource: format!("{}.{}", UpdateRequest::plural(&()), UpdateRequest::group(&())),
                namespace: namespace.clone(),
                name: None,
            };
            let feed = RequestFeed::new(Arc::clone(self.state), self.queue.clone(), namespace.as_deref());
            self.state.readiness.expect(&scope.part());
            tasks.spawn("watch requests", watch::<UpdateRequest, _>(scope.api(&self.watcher), scope, feed, Arc::clone(self.state)));
            self.namespaces(tasks, namespace);
        }
    }

    /// Watches the ConfigMap and the Secret with Headwind's own settings.
    fn own_settings(&self, tasks: &mut Tasks, namespace: &str, settings: &Arc<OwnSettings>) {
        let scope = |resource: &str| Scope {
            resource: resource.to_owned(),
            namespace: Some(namespace.to_owned()),
            name: Some(access::SETTINGS.to_owned()),
        };
        let (config_map, secret) = (scope("configmaps"), scope("secrets"));
        for one in [&config_map, &secret] {
            self.state.readiness.expect_optional(&one.part());
        }
        let feed = || Arc::clone(settings);
        tasks.spawn("watch settings", watch::<ConfigMap, _>(config_map.api(&self.watcher), config_map, feed(), Arc::clone(self.state)));
        tasks.spawn("watch secret settings", watch::<Secret, _>(secret.api(&self.watcher), secret, feed(), Arc::clone(self.state)));
    }

    fn namespaces(&self, tasks: &mut Tasks, namespace: Option<String>) {
        let feed = Defaults { state: Arc::clone(self.state), queue: self.queue.clone() };
        match namespace {
            None => {
                let scope = Scope { resource: "namespaces".to_owned(), namespace: None, name: None };
                self.state.readiness.expect(&scope.part());
                let api: Api<DeserializeGuard<PartialObjectMeta<Namespace>>> = Api::all(self.watcher.clone());
                tasks.spawn("watch namespaces", watch::<PartialObjectMeta<Namespace>, _>(api, scope, feed, Arc::clone(self.state)));
            }
            Some(namespace) => {
                let part = format!("{WATCH}namespace {namespace}");
                self.state.readiness.expect(&part);
                tasks.spawn("read namespace", namespaces::poll(self.client.clone(), namespace, part, feed));
            }
        }
    }
}

/// Watches the workloads of a kind that every cluster has.
struct WatchWorkloads<'a, 'b> {
    parts: &'a Parts<'b>,
    tasks: &'a mut Tasks,
    namespace: Option<String>,
}

impl ForKind for WatchWorkloads<'_, '_> {
    type Output = ();

    fn run<K: SlimWorkload>(self) {
        let Self { parts: Parts { watcher, state, queue, .. }, tasks, namespace } = self;
        let scope = Scope { resource: format!("{}.{}", K::plural(&()), K::group(&())), namespace: namespace.clone(), name: None };
        let feed = Targets { state: Arc::clone(state), queue: (*queue).clone(), namespace };
        state.readiness.expect(&scope.part());
        tasks.spawn("watch workloads", watch::<K, _>(scope.api(watcher), scope, feed, Arc::clone(state)));
    }
}

#[cfg(test)]
mod tests {
    use kube::api::Api;

    use super::*;

    /// A connection that died silently must not block a pass of the reconciler until TCP gives up.
    #[tokio::test]
    async fn a_call_that_gets_no_answer_fails() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let silent = tokio::spawn(async move {
            let (_connection, _) = listener.accept().await.unwrap();
            std::future::pending::<()>().await;
        });
        let config = kube::Config::new(format!("http://{address}").parse().unwrap());
        let client = client(&config, Duration::from_millis(200)).unwrap();
        let api: Api<kube::core::PartialObjectMeta<k8s_openapi::api::core::v1::Namespace>> = Api::all(client);
        let call = tokio::time::timeout(Duration::from_secs(10), api.get("n")).await;
        silent.abort();
        assert!(matches!(call, Ok(Err(_))), "no failure within 10 s, or an answer");
    }
}
