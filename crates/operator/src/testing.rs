//! A handle for the tests of the ports: no watches, no tasks, and an API server that only knows UpdateRequests.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;

use headwind_core::gate::limits::ConfiguredLimits;
use headwind_core::workload::Workload;
use headwind_k8s::update_request::UpdateRequest;
use headwind_registry::{Client as Registries, Hosts, Rules, Timeouts};
use http::{Method, Request, Response, StatusCode};
use kube::client::Body;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::api::explainer::Explainer;
use crate::api::handle::Handle;
use crate::api::pods::Pods;
use crate::cluster::ClusterClient;
use crate::cluster::as_caller::CallerClient;
use crate::cluster::served_versions::ServedVersions;
#[cfg(test)]
use crate::observe::early_reads::EarlyReads;
use crate::observe::queue::queue;
use crate::observe::state::State;
#[cfg(test)]
use crate::propose::Proposer;
use crate::propose::{Inbox, Intake};
use crate::registries::asking::Asking;
use crate::registries::lists::Lists;
use crate::registries::secrets::Secrets;
#[cfg(test)]
use crate::report::events::EventRecorder;
use crate::report::events::recorder;
use crate::report::journal::Journal;
use crate::report::metrics::Metrics;
use crate::report::notify::{self, Notifier};
use crate::report::trace::Traces;
use crate::settings::{Adopt, OwnSettings};
use crate::tasks::Tasks;

/// The path of an object, and the object.
type Objects = Arc<Mutex<BTreeMap<String, Value>>>;

/// A handle with its data.
#[derive(Clone)]
pub struct Site {
    /// The handle.
    pub handle: Handle,
    state: Arc<State>,
    objects: Objects,
    channels: watch::Sender<Arc<notify::Settings>>,
}

const WATCH: &str = "watch updaterequests.headwind.sh";
/// The paths of the known objects.
const PREFIXES: [&str; 2] = ["/apis/headwind.sh/v1alpha1/namespaces/", "/api/v1/namespaces/hw/"];

fn status(code: StatusCode, reason: &str) -> (StatusCode, Value) {
    (code, json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code.as_u16(), "reason": reason, "message": reason}))
}

/// Answers one call: objects are read, created, and replaced if nobody was faster.
fn answer(objects: &Objects, method: &Method, path: &str, body: &[u8]) -> (StatusCode, Value) {
    let mut objects = objects.lock();
    let Some(place) = PREFIXES.iter().find_map(|prefix| path.strip_prefix(prefix)) else {
        return if method == Method::GET && !path.contains("/namespaces/") {
            status(StatusCode::NOT_FOUND, "NotFound")
        } else {
            (StatusCode::OK, json!({"kind": "List", "apiVersion": "v1", "metadata": {}, "items": []}))
        };
    };
    let place = place.trim_end_matches("/status").to_owned();
    let known = objects.get(&place).cloned();
    match (method, known) {
        (&Method::GET, Some(object)) => (StatusCode::OK, object),
        (&Method::PUT, Some(known)) => {
            let mut object: Value = serde_json::from_slice(body).unwrap_or_default();
            if object["metadata"]["resourceVersion"] != known["metadata"]["resourceVersion"] {
                return status(StatusCode::CONFLICT, "Conflict");
            }
            let version: u64 = known["metadata"]["resourceVersion"].as_str().and_then(|text| text.parse().ok()).unwrap_or_default();
            object["metadata"]["resourceVersion"] = json!((version + 1).to_string());
            objects.insert(place, object.clone());
            (StatusCode::OK, object)
        }
        (&Method::POST, _) => {
            let mut object: Value = serde_json::from_slice(body).unwrap_or_default();
            let place = format!("{place}/{}", object["metadata"]["name"].as_str().unwrap_or_default());
            if objects.contains_key(&place) {
                return status(StatusCode::CONFLICT, "AlreadyExists");
            }
            object["metadata"]["resourceVersion"] = json!("1");
            object["metadata"]["uid"] = json!("u");
            objects.insert(place, object.clone());
            (StatusCode::CREATED, object)
        }
        _ => status(StatusCode::NOT_FOUND, "NotFound"),
    }
}

impl Site {
    /// A handle without data. Must be called inside an async runtime.
    ///
    /// # Errors
    /// When the client for registries cannot be made.
    pub fn new() -> Result<Self, String> {
        let objects = Objects::default();
        let service = tower::service_fn({
            let objects = Arc::clone(&objects);
            move |request: Request<Body>| {
                let objects = Arc::clone(&objects);
                async move {
                    let (parts, body) = request.into_parts();
                    let body = body.collect_bytes().await.unwrap_or_default();
                    let (code, value) = answer(&objects, &parts.method, parts.uri.path(), &body);
                    let mut response = Response::new(Body::from(value.to_string().into_bytes()));
                    *response.status_mut() = code;
                    Ok::<_, Infallible>(response)
                }
            }
        });
        let client = kube::Client::new(service, "default");
        let nowhere = kube::Config::new(http::Uri::from_static("http://127.0.0.1:9"));
        let as_caller = CallerClient::new(&nowhere, |_| Ok(client.clone())).map_err(|error| error.to_string())?;
        let cluster = ClusterClient::new(client, Arc::new(ServedVersions::default()), false);
        let (state, metrics) = (Arc::new(State::default()), Metrics::new());
        // There is no ConfigMap.
        state.limits.configure(ConfiguredLimits::default());
        let (events, _writer) = recorder(cluster.clone(), "test", metrics.clone());
        let adopt = Adopt::new(|_| Vec::new());
        let settings = Arc::new(OwnSettings::new("hw", adopt, events.clone(), metrics.clone(), Arc::clone(&state)));
        let notifier = Notifier::off(&state, &metrics);
        let journal = Journal::new(&state, events, notifier, metrics.clone(), Traces::default());
        metrics.watch(Arc::clone(&state));
        let intake = Intake { inbox: Arc::<Inbox>::default(), state: Arc::clone(&state), metrics: metrics.clone() };
        let hosts = Hosts::new(Vec::new(), Rules::default(), &Timeouts::default()).map_err(|error| error.to_string())?;
        let asking = Asking {
            client: Registries::new(hosts, Vec::new()),
            secrets: Secrets::new(cluster.clone()),
            metrics: metrics.clone(),
            lists: Lists::default(),
        };
        let (channels, notifications) = watch::channel(Arc::default());
        let handle = Handle {
            intake,
            state: Arc::clone(&state),
            cluster,
            as_caller,
            own_namespace: "hw".into(),
            settings,
            metrics,
            traces: Traces::default(),
            journal,
            queue: queue().0,
            alive: Tasks::default().alive(),
            explainer: Explainer::new(Arc::new(asking), Arc::default()),
            pods: Pods::default(),
            notifications,
            tests: Arc::new(tokio::sync::Semaphore::new(crate::api::channels::TESTS)),
            reads: Arc::new(tokio::sync::Semaphore::new(crate::api::handle::READS)),
            namespaces: Arc::default(),
        };
        Ok(Self { handle, state, objects, channels })
    }

    /// Adds a request, or a newer version of it, as a watch would deliver it.
    pub fn request(&self, request: UpdateRequest) {
        let name = |text: &Option<String>| text.clone().unwrap_or_default();
        let place = format!("{}/updaterequests/{}", name(&request.metadata.namespace), name(&request.metadata.name));
        if let Ok(value) = serde_json::to_value(&request) {
            self.objects.lock().insert(place, value);
        }
        self.state.record(request);
    }

    /// Returns an object of Headwind's own namespace, for example `configmaps/headwind`.
    pub fn own_object(&self, place: &str) -> Option<Value> {
        self.objects.lock().get(place).cloned()
    }

    /// Sets the settings of notifications.
    pub fn notifications(&self, settings: notify::Settings) {
        self.channels.send_replace(Arc::new(settings));
    }

    /// Adds a workload.
    pub fn workload(&self, workload: Workload) {
        self.state.index.write().apply(workload);
    }

    /// Lets a watch fail again and again, as if Kubernetes did not respond.
    pub fn watch_fails(&self) {
        let now = std::time::Instant::now();
        self.state.readiness.expect(WATCH);
        self.state.readiness.done(WATCH);
        for before in [10, 0] {
            self.state.readiness.failed(WATCH, now.checked_sub(std::time::Duration::from_secs(before)).unwrap_or(now));
        }
    }

    /// Lets the watch work again.
    pub fn watch_works(&self) {
        self.state.readiness.progressed(WATCH);
    }
}

#[cfg(test)]
impl Site {
    /// Creates a site for the operator's own tests. Must be called inside an async runtime.
    pub(crate) fn internal() -> Self {
        // Another test may have installed it already.
        let _installed = rustls::crypto::ring::default_provider().install_default();
        Self::new().unwrap_or_else(|error| panic!("{error}"))
    }

    /// Replaces the object of a request in the API server only: the copy of the handle is older.
    pub(crate) fn unseen(&self, request: &UpdateRequest) {
        let metadata = &request.metadata;
        let place = metadata.namespace.iter().zip(&metadata.name).map(|(namespace, name)| format!("{namespace}/updaterequests/{name}"));
        let value = serde_json::to_value(request).unwrap_or_default();
        self.objects.lock().extend(place.map(|place| (place, value.clone())));
    }

    /// Returns a proposer that trusts every claim, over the data of the site.
    pub(crate) fn proposer(&self, events: EventRecorder) -> Proposer {
        let Handle { intake, state, cluster, metrics, queue, explainer, .. } = &self.handle;
        Proposer {
            state: Arc::clone(state),
            cluster: cluster.clone(),
            early_reads: Arc::new(EarlyReads::new(cluster.clone())),
            events,
            metrics: metrics.clone(),
            queue: queue.clone(),
            inbox: Arc::clone(&intake.inbox),
            last_scans: Arc::clone(&explainer.last_scans),
            verify: false,
            bind: false,
            traces: Traces::default(),
        }
    }
}
