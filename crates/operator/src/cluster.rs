//! The calls to the API server: nothing outside of this module reads or writes an object, apart from the watches.
//!
//! Every write of the operator is a function here, so that it can be compared with the access table
//! (`headwind_k8s::access`). The client does not retry: the caller decides by the error's [`Class`]. Reviews of callers
//! are in [`reviews`], writes with the callers' own tokens in [`as_caller`], and the settings of Headwind itself in
//! [`own_objects`].
//!
//! The file is long because it has all calls of one client, each a few lines.

pub(crate) mod as_caller;
pub(crate) mod object;
mod own_account;
mod own_objects;
mod reviews;
pub(crate) mod served_versions;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use headwind_core::request::PodName;
use headwind_core::rollout::pod::PodView;
use headwind_core::settings::Annotations;
use headwind_core::workload::source::{Source, SourceKey, SourceKind};
use headwind_core::workload::{Workload, WorkloadKey};
use headwind_k8s::api_version::{V1, V1Beta2};
use headwind_k8s::helm::{ChartSource, SlimOciRepository};
use headwind_k8s::kinds::{ForKind, Revision, SlimWorkload, facts, for_kind, own_annotations};
use headwind_k8s::optional_api::OptionalApi;
use headwind_k8s::pod::{SlimPod, newest_replica_set, newest_revision};
use headwind_k8s::update_request::UpdateRequest;
use k8s_openapi::api::apps::v1::{ControllerRevision, ReplicaSet};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Namespace, Pod, Secret, ServiceAccount};
use k8s_openapi::api::events::v1::Event;
use kube::api::{Api, DeleteParams, EvictParams, ListParams, Patch, PatchParams, PostParams, Preconditions};
use kube::core::{DeserializeGuard, ObjectMeta};
use kube::{Client, Resource, ResourceExt as _};
use serde::de::DeserializeOwned;

use crate::cluster::object::{ObjectVersion, Undecodable};
use crate::cluster::served_versions::ServedVersions;

/// The field manager of every write.
pub(crate) const MANAGER: &str = "headwind";

/// Maximum number of revisions of a workload that are read. Kubernetes keeps ten by default.
const REVISIONS: u32 = 500;
/// Maximum number of new pods of a workload that are read, and of old ones.
const NEW_PODS: u32 = 500;
const OLD_PODS: u32 = 20;

/// Maximum pause that a response may ask for. An admission webhook may ask for years.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);
/// Pause before an eviction is retried that a `PodDisruptionBudget` or a missing permission prevents.
const BUDGET_PAUSE: Duration = Duration::from_secs(10);
const FORBIDDEN_PAUSE: Duration = Duration::from_mins(1);

/// The result of an eviction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Eviction {
    /// The pod is terminating or gone.
    Done,
    /// It is not allowed, or not now.
    Refused {
        /// The server's message.
        why: String,
        /// When to try again.
        again: Duration,
    },
}

/// The class of an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Class {
    /// The object, its namespace or its kind does not exist.
    NotFound,
    /// Another writer was faster: read and decide again.
    Conflict,
    /// The server rejected the content (422, 400).
    Invalid,
    /// The account lacks the permission, or an admission rule denies it.
    Forbidden,
    /// Too many requests, or a server error: retry later.
    Busy,
    /// No response: the call may or may not have succeeded.
    NoAnswer,
}

impl Class {
    /// Returns the name for metrics.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Class::NotFound => "not_found",
            Class::Conflict => "conflict",
            Class::Invalid => "invalid",
            Class::Forbidden => "forbidden",
            Class::Busy => "busy",
            Class::NoAnswer => "no_answer",
        }
    }
}

/// A call that failed.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    /// The class of the error.
    pub(crate) class: Class,
    /// The time that the server asks clients to wait.
    pub(crate) retry_after: Option<Duration>,
    message: String,
}

impl Failure {
    /// Returns a failure for something that is not available now.
    pub(crate) fn busy(message: &str, retry_after: Option<Duration>) -> Self {
        Self { class: Class::Busy, retry_after, message: message.to_owned() }
    }

    /// Returns true if the API server could not call an admission webhook that must be called. Nothing was written.
    pub(crate) fn is_from_webhook(&self) -> bool {
        self.class == Class::Busy && self.message.contains("failed calling webhook")
    }

    /// Returns a failure for something that Headwind never does.
    fn invalid(message: &str) -> Self {
        Self { class: Class::Invalid, retry_after: None, message: message.to_owned() }
    }

    /// Returns a failure for a change between two calls that belong together.
    pub(crate) fn conflict(message: &str) -> Self {
        Self { class: Class::Conflict, retry_after: None, message: message.to_owned() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

impl From<kube::Error> for Failure {
    fn from(error: kube::Error) -> Self {
        let message = match &error {
            kube::Error::Api(status) => format!("{} ({})", status.message, status.code),
            other => chain(other),
        };
        Self { class: classify(&error), retry_after: retry_after(&error), message }
    }
}

/// Returns the error and its causes in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let part = error.to_string();
        if !text.contains(&part) {
            text.push_str(": ");
            text.push_str(&part);
        }
        cause = error.source();
    }
    text
}

/// Returns the pause that the response asks for, within [`LONGEST_PAUSE`].
fn retry_after(error: &kube::Error) -> Option<Duration> {
    let kube::Error::Api(status) = error else { return None };
    let seconds = status.details.as_ref().map(|details| details.retry_after_seconds)?;
    (seconds > 0).then(|| Duration::from_secs(u64::from(seconds)).min(LONGEST_PAUSE))
}

/// Returns the class of a client error.
pub(crate) fn classify(error: &kube::Error) -> Class {
    let kube::Error::Api(status) = error else { return Class::NoAnswer };
    // An admission webhook or policy chooses the code (400 by default). The content is valid, and what is denied today
    // may be allowed tomorrow.
    if status.message.contains(" denied the request") || status.message.contains(" denied request") {
        return Class::Forbidden;
    }
    match status.code {
        404 => Class::NotFound,
        // 410: a page of a list, or the start of a watch, is too old. Read again.
        409 | 410 => Class::Conflict,
        400 | 413 | 415 | 422 => Class::Invalid,
        401 | 403 | 405 => Class::Forbidden,
        _ => Class::Busy,
    }
}

/// The calls of the operator.
#[derive(Clone)]
pub(crate) struct ClusterClient {
    client: Client,
    served: Arc<ServedVersions>,
    /// True if the permissions are those of single namespaces (`HEADWIND_WATCH_NAMESPACES`).
    limited: bool,
}

/// The result of reading one object.
pub(crate) enum Found<T> {
    /// The object.
    There(T),
    /// The object does not exist.
    Gone,
    /// The object exists and does not decode.
    Undecodable(Undecodable),
    /// The kind is no longer served, or not yet: nothing is known about the object.
    NotServed,
}

/// The object of a patch, after the patch.
pub(crate) enum Patched {
    /// The workload itself.
    Workload(Box<Workload>),
    /// The object that provides its version.
    Source(Box<Source>),
}

impl ClusterClient {
    /// Creates a client for these calls. `limited` is true if its permissions are those of single namespaces.
    pub(crate) fn new(client: Client, served: Arc<ServedVersions>, limited: bool) -> Self {
        Self { client, served, limited }
    }

    /// Returns true if the permissions are those of single namespaces.
    pub(crate) fn is_limited(&self) -> bool {
        self.limited
    }

    /// Returns the index of the version of an optional API that calls use; 0, the only one, for kinds that every
    /// cluster has.
    fn version_of(&self, api: OptionalApi) -> usize {
        self.served.in_use(api)
    }

    /// Reads the workload.
    pub(crate) async fn workload(&self, key: &WorkloadKey) -> Result<Found<Workload>, Failure> {
        for_kind(key.kind, self.version_of(OptionalApi::Workload(key.kind)), Read { client: &self.client, key }).await
    }

    /// Patches the workload, or the object that provides its version. Returns the patched object.
    pub(crate) async fn patch(&self, workload: &Workload, patch: json_patch::Patch) -> Result<Option<Patched>, Failure> {
        let params = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
        let patch = Patch::Json::<()>(patch);
        if let Some(destination) = &workload.destination {
            // A request changes only objects in its own namespace.
            if destination.namespace != workload.key.namespace {
                return Err(Failure::invalid(&format!(
                    "OCIRepository {}/{} is in another namespace",
                    destination.namespace, destination.name
                )));
            }
            let place = (destination.namespace.as_str(), destination.name.as_str());
            let source = match self.version_of(OptionalApi::ChartSource(SourceKind::OciRepository)) {
                0 => patch_source::<SlimOciRepository<V1>>(&self.client, place, &params, &patch).await?,
                _ => patch_source::<SlimOciRepository<V1Beta2>>(&self.client, place, &params, &patch).await?,
            };
            return Ok(source.map(|source| Patched::Source(Box::new(source))));
        }
        let key = &workload.key;
        let call = Write { client: &self.client, key, params: &params, patch: &patch };
        let patched = for_kind(key.kind, self.version_of(OptionalApi::Workload(key.kind)), call).await?;
        Ok(patched.map(|workload| Patched::Workload(Box::new(workload))))
    }

    /// Reads the object that provides a release's version.
    pub(crate) async fn source(&self, key: &SourceKey) -> Result<Found<Source>, Failure> {
        match (key.kind, self.version_of(OptionalApi::ChartSource(key.kind))) {
            // Headwind writes nothing there, and the watch shows it.
            (SourceKind::HelmRepository, _) => Ok(Found::NotServed),
            (SourceKind::OciRepository, 0) => get_source::<SlimOciRepository<V1>>(&self.client, key).await,
            (SourceKind::OciRepository, _) => get_source::<SlimOciRepository<V1Beta2>>(&self.client, key).await,
        }
    }

    /// Lists pods of the workload: those of its newest revision, and some of the others. Empty if the newest revision
    /// is unknown.
    pub(crate) async fn pods(&self, workload: &Workload) -> Result<Vec<PodView>, Failure> {
        let namespace = &workload.key.namespace;
        if workload.selector.is_empty() {
            return Ok(Vec::new());
        }
        let selected = |more: &str, limit: u32| ListParams::default().labels(&format!("{}{more}", workload.selector)).limit(limit);
        let revision = facts(workload.key.kind).revision;
        let newest = match revision {
            Revision::ReplicaSet { .. } => {
                let sets: Api<ReplicaSet> = Api::namespaced(self.client.clone(), namespace);
                let sets = sets.list_metadata(&selected("", REVISIONS)).await?;
                newest_replica_set(workload, sets.items.iter().map(|set| &set.metadata))
            }
            Revision::NoPods => None,
            Revision::Status { .. } => Some(workload.revision.clone()).filter(|revision| !revision.is_empty()),
            Revision::ControllerRevision { .. } => {
                let revisions: Api<ControllerRevision> = Api::namespaced(self.client.clone(), namespace);
                newest_revision(workload, &revisions.list(&selected("", REVISIONS)).await?.items)
            }
        };
        let (Some(newest), Some(label)) = (newest, revision.label()) else { return Ok(Vec::new()) };
        let pods: Api<SlimPod> = Api::namespaced(self.client.clone(), namespace);
        let new = pods.list(&selected(&format!(",{label}={newest}"), NEW_PODS)).await?.items;
        let old = pods.list(&selected(&format!(",{label}!={newest}"), OLD_PODS)).await?.items;
        Ok(new.into_iter().map(|pod| pod.read(workload, true)).chain(old.into_iter().map(|pod| pod.read(workload, false))).collect())
    }

    /// Evicts a pod if its UID is unchanged. A pod that is gone counts as evicted.
    pub(crate) async fn evict(&self, namespace: &str, pod: &PodName) -> Result<Eviction, Failure> {
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), namespace);
        let preconditions = Some(Preconditions { uid: Some(pod.uid.clone()), resource_version: None });
        let delete_options = Some(DeleteParams { preconditions, ..DeleteParams::default() });
        let params = EvictParams { delete_options, ..EvictParams::default() };
        let Err(error) = pods.evict(&pod.name, &params).await else { return Ok(Eviction::Done) };
        let disruption = |text: &str| text.to_ascii_lowercase().replace(' ', "").contains("disruptionbudget");
        match &error {
            // The message names the budget. For a pod with two budgets, the API server returns an internal error (500).
            kube::Error::Api(status) if matches!(status.code, 429 | 500) && disruption(&status.message) => {
                let why = format!("a PodDisruptionBudget does not allow it yet: {}", status.message);
                Ok(Eviction::Refused { why, again: retry_after(&error).unwrap_or(BUDGET_PAUSE) })
            }
            _ => match classify(&error) {
                Class::NotFound | Class::Conflict => Ok(Eviction::Done),
                Class::Forbidden => {
                    let why = format!("Headwind may not evict pods (create on pods/eviction): {}", Failure::from(error));
                    Ok(Eviction::Refused { why, again: FORBIDDEN_PAUSE })
                }
                Class::Invalid | Class::Busy | Class::NoAnswer => Err(error.into()),
            },
        }
    }

    /// Reads Headwind's annotations of the namespace; none if the namespace does not exist.
    pub(crate) async fn defaults(&self, namespace: &str) -> Result<Annotations, Failure> {
        let api: Api<Namespace> = Api::all(self.client.clone());
        let read = if self.limited {
            api.get_metadata_opt(namespace).await?
        } else {
            // Lists one object: Headwind has the permission to list it, because it watches it.
            let one = ListParams::default().fields(&format!("metadata.name={namespace}"));
            api.list_metadata(&one).await?.items.into_iter().find(|found| found.metadata.name.as_deref() == Some(namespace))
        };
        Ok(read.map(|namespace| own_annotations(&namespace.metadata)).unwrap_or_default())
    }

    fn requests(&self, namespace: &str) -> Api<UpdateRequest> {
        Api::namespaced(self.client.clone(), namespace)
    }

    /// Reads the request; `None` if it does not exist.
    pub(crate) async fn request(&self, namespace: &str, name: &str) -> Result<Option<UpdateRequest>, Failure> {
        self.requests(namespace).get_opt(name).await.map_err(|error| match error {
            // The API server answered: a retry would fail to decode the same object again.
            kube::Error::SerdeError(error) => Failure {
                class: Class::Invalid,
                retry_after: None,
                message: format!("failed to decode the existing UpdateRequest {namespace}/{name}: {error}"),
            },
            error => error.into(),
        })
    }

    /// Creates a request.
    pub(crate) async fn create_request(&self, request: &UpdateRequest) -> Result<UpdateRequest, Failure> {
        let namespace = request.namespace().unwrap_or_default();
        let params = PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
        Ok(self.requests(&namespace).create(&params, request).await?)
    }

    /// Asks the API server to check a new request without storing it.
    pub(crate) async fn try_create_request(&self, request: &UpdateRequest) -> Result<(), Failure> {
        let namespace = request.namespace().unwrap_or_default();
        let params = PostParams { dry_run: true, field_manager: Some(MANAGER.to_owned()) };
        self.requests(&namespace).create(&params, request).await?;
        Ok(())
    }

    /// Writes the request's status, if the request is unchanged since it was read.
    pub(crate) async fn replace_status(&self, request: &UpdateRequest) -> Result<UpdateRequest, Failure> {
        let namespace = request.namespace().unwrap_or_default();
        let params = PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
        Ok(self.requests(&namespace).replace_status(&request.name_any(), &params, request).await?)
    }

    /// Deletes the request, if it is unchanged since it was read. A request that is gone counts as deleted.
    pub(crate) async fn delete_request(&self, namespace: &str, name: &str, version: &ObjectVersion) -> Result<(), Failure> {
        let preconditions =
            Some(Preconditions { uid: Some(version.uid.clone()), resource_version: Some(version.resource_version.clone()) });
        match self.requests(namespace).delete(name, &DeleteParams { preconditions, ..DeleteParams::default() }).await {
            Ok(_) => Ok(()),
            Err(error) if is_gone(&error, name) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Reads the Secret; `None` if it does not exist.
    pub(crate) async fn secret(&self, namespace: &str, name: &str) -> Result<Option<Secret>, Failure> {
        Ok(Api::<Secret>::namespaced(self.client.clone(), namespace).get_opt(name).await?)
    }

    /// Reads the ServiceAccount; `None` if it does not exist.
    pub(crate) async fn service_account(&self, namespace: &str, name: &str) -> Result<Option<ServiceAccount>, Failure> {
        Ok(Api::<ServiceAccount>::namespaced(self.client.clone(), namespace).get_opt(name).await?)
    }

    /// Creates an Event.
    pub(crate) async fn create_event(&self, event: &Event) -> Result<(), Failure> {
        let api: Api<Event> = Api::namespaced(self.client.clone(), event.metadata.namespace.as_deref().unwrap_or_default());
        api.create(&PostParams::default(), event).await?;
        Ok(())
    }

    fn leases(&self, namespace: &str) -> Api<Lease> {
        Api::namespaced(self.client.clone(), namespace)
    }

    /// Reads the Lease; `None` if it does not exist yet.
    pub(crate) async fn lease(&self, namespace: &str, name: &str) -> Result<Option<Lease>, Failure> {
        Ok(self.leases(namespace).get_opt(name).await?)
    }

    /// Creates the Lease.
    pub(crate) async fn create_lease(&self, namespace: &str, lease: &Lease) -> Result<Lease, Failure> {
        Ok(self.leases(namespace).create(&PostParams::default(), lease).await?)
    }

    /// Writes the Lease, if it is unchanged since it was read.
    pub(crate) async fn replace_lease(&self, namespace: &str, lease: &Lease) -> Result<Lease, Failure> {
        Ok(self.leases(namespace).replace(&lease.name_any(), &PostParams::default(), lease).await?)
    }
}

/// Reads a workload.
struct Read<'a> {
    client: &'a Client,
    key: &'a WorkloadKey,
}

impl<'a> ForKind for Read<'a> {
    type Output = BoxFuture<'a, Result<Found<Workload>, Failure>>;

    fn run<K: SlimWorkload>(self) -> Self::Output {
        let api = Api::namespaced(self.client.clone(), &self.key.namespace);
        get(api, &self.key.name, |object: K| object.read()).boxed()
    }
}

/// Reads one object. Only the API server's own "not found" for that name is [`Found::Gone`].
async fn get<K, T>(api: Api<DeserializeGuard<K>>, name: &str, read: impl FnOnce(K) -> Option<T>) -> Result<Found<T>, Failure>
where
    K: Resource<DynamicType = ()> + Clone + fmt::Debug + DeserializeOwned,
{
    let odd = |metadata: &ObjectMeta, problem: &str| {
        let uid = metadata.uid.clone().unwrap_or_default();
        Found::Undecodable(Undecodable { api_version: K::api_version(&()).into_owned(), uid, problem: problem.to_owned() })
    };
    match api.get(name).await {
        Ok(DeserializeGuard(Ok(object))) => {
            let metadata = object.meta().clone();
            Ok(read(object).map_or_else(|| odd(&metadata, "it has no name, namespace or uid"), Found::There))
        }
        Ok(DeserializeGuard(Err(invalid))) => Ok(odd(&invalid.metadata, &invalid.error)),
        Err(error) if is_gone(&error, name) => Ok(Found::Gone),
        Err(error) if classify(&error) == Class::NotFound => Ok(Found::NotServed),
        Err(error) => Err(error.into()),
    }
}

/// Returns true if the error says that no object has that name. A kind that is not served is a 404 as well.
fn is_gone(error: &kube::Error, name: &str) -> bool {
    let kube::Error::Api(status) = error else { return false };
    let named = status.details.as_ref().is_some_and(|details| details.name == name);
    status.code == 404 && status.reason == "NotFound" && (named || status.message.ends_with(&format!("\"{name}\" not found")))
}

/// Patches a workload.
struct Write<'a> {
    client: &'a Client,
    key: &'a WorkloadKey,
    params: &'a PatchParams,
    patch: &'a Patch<()>,
}

impl<'a> ForKind for Write<'a> {
    type Output = BoxFuture<'a, Result<Option<Workload>, Failure>>;

    fn run<K: SlimWorkload>(self) -> Self::Output {
        let Self { client, key, params, patch } = self;
        async move {
            let api: Api<K> = Api::namespaced(client.clone(), &key.namespace);
            Ok(api.patch(&key.name, params, patch).await?.read())
        }
        .boxed()
    }
}

async fn get_source<K: ChartSource>(client: &Client, key: &SourceKey) -> Result<Found<Source>, Failure> {
    get(Api::namespaced(client.clone(), &key.namespace), &key.name, |object: K| object.read()).await
}

async fn patch_source<K: ChartSource>(
    client: &Client,
    (namespace, name): (&str, &str),
    params: &PatchParams,
    patch: &Patch<()>,
) -> Result<Option<Source>, Failure> {
    let api: Api<K> = Api::namespaced(client.clone(), namespace);
    Ok(api.patch(name, params, patch).await?.read())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An admission rule denies with whatever code its author chose. What is denied today may be allowed tomorrow.
    #[rstest::rstest]
    #[case::webhook_without_a_code(400, "admission webhook \"x\" denied the request: not signed", Class::Forbidden)]
    #[case::webhook_with_one(409, "admission webhook \"x\" denied the request: not signed", Class::Forbidden)]
    #[case::policy(
        422,
        "deployments.apps \"web\" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no",
        Class::Forbidden
    )]
    #[case::quota(403, "exceeded quota: q, requested: count/x=1", Class::Forbidden)]
    #[case::invalid(422, "Deployment.apps \"web\" is invalid: spec.template: Invalid value", Class::Invalid)]
    #[case::failed_test(422, "the server rejected our request due to an error in our request", Class::Invalid)]
    #[case::conflict(409, "the object has been modified", Class::Conflict)]
    #[case::expired(410, "the provided continue parameter is too old", Class::Conflict)]
    #[case::busy(500, "etcdserver: request timed out", Class::Busy)]
    fn what_an_error_means(#[case] code: u16, #[case] message: &str, #[case] class: Class) {
        let status = kube::core::Status { code, message: message.to_owned(), ..kube::core::Status::default() };
        assert_eq!(classify(&kube::Error::Api(status.boxed())), class);
    }

    #[test]
    fn a_pause_of_years_is_cut() {
        let status = |seconds: u32| {
            let details = kube::core::response::StatusDetails {
                name: String::new(),
                group: String::new(),
                kind: String::new(),
                uid: String::new(),
                causes: Vec::new(),
                retry_after_seconds: seconds,
            };
            kube::core::Status { code: 429, details: Some(details), ..kube::core::Status::default() }
        };
        let pause = |seconds| Failure::from(kube::Error::Api(status(seconds).boxed())).retry_after;
        assert_eq!([pause(0), pause(2), pause(u32::MAX)], [None, Some(Duration::from_secs(2)), Some(LONGEST_PAUSE)]);
    }

    #[test]
    fn a_webhook_that_cannot_be_called() {
        let is_from_webhook = |message: &str| {
            let status = kube::core::Status { code: 500, message: message.to_owned(), ..kube::core::Status::default() };
            Failure::from(kube::Error::Api(status.boxed())).is_from_webhook()
        };
        let refused =
            "Internal error occurred: failed calling webhook \"x.y\": failed to call webhook: Post \"https://x.y.svc\": connection refused";
        assert!(is_from_webhook(refused));
        assert!(!is_from_webhook("etcdserver: request timed out"));
    }
}
