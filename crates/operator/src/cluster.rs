//! The one file that talks to the API server about Headwind's own business.
//!
//! Every write of the operator is a function here, so that what it may do can be read in one
//! place beside the access table (`headwind_k8s::access`). The client does not retry by itself:
//! who calls decides by the error's [`Class`]. What is asked about callers is in [`reviews`], what is written with their
//! own tokens in [`as_caller`].

pub(crate) mod as_caller;
pub(crate) mod object;
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

/// How many revisions of a workload are looked at; Kubernetes keeps ten unasked.
const REVISIONS: u32 = 500;
/// How many of a workload's new pods are looked at, and how many of the old ones.
const NEW_PODS: u32 = 500;
const OLD_PODS: u32 = 20;

/// How long an eviction waits that a `PodDisruptionBudget`, or a missing right, does not allow.
const BUDGET_PAUSE: Duration = Duration::from_secs(10);
const FORBIDDEN_PAUSE: Duration = Duration::from_mins(1);

/// What became of an eviction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Eviction {
    /// The pod goes, or is gone.
    Done,
    /// It is not allowed, or not now.
    Refused {
        /// The server's words.
        why: String,
        /// When to try again.
        again: Duration,
    },
}

/// What an error means for the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Class {
    /// The object is not there, or its namespace or kind is not.
    NotFound,
    /// Someone was faster: read again, decide again.
    Conflict,
    /// The server understood and refused the content (422, 400).
    Invalid,
    /// The account may not do it, or an admission rule says no.
    Forbidden,
    /// Too many requests, or the server is not well: later.
    Busy,
    /// No answer: whether it was done is not known.
    NoAnswer,
}

impl Class {
    /// The word for metrics.
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
    /// What it means.
    pub(crate) class: Class,
    /// How long the server asks to be left alone.
    pub(crate) retry_after: Option<Duration>,
    message: String,
}

impl Failure {
    /// Something that is needed is not to be had now.
    pub(crate) fn busy(message: &str, retry_after: Option<Duration>) -> Self {
        Self { class: Class::Busy, retry_after, message: message.to_owned() }
    }

    /// Something that is never done.
    fn invalid(message: &str) -> Self {
        Self { class: Class::Invalid, retry_after: None, message: message.to_owned() }
    }

    /// Something changed between two calls that belong together.
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

/// The error and what caused it, in one line.
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

fn retry_after(error: &kube::Error) -> Option<Duration> {
    let kube::Error::Api(status) = error else { return None };
    let seconds = status.details.as_ref().map(|details| details.retry_after_seconds)?;
    (seconds > 0).then(|| Duration::from_secs(u64::from(seconds)))
}

/// What a client error means.
pub(crate) fn classify(error: &kube::Error) -> Class {
    let kube::Error::Api(status) = error else { return Class::NoAnswer };
    // An admission webhook or policy chooses the code (400 by default): the content is fine, and what is
    // denied today may be allowed tomorrow.
    if status.message.contains(" denied the request") || status.message.contains(" denied request") {
        return Class::Forbidden;
    }
    match status.code {
        404 => Class::NotFound,
        // 410 is a page of a list, or a point of a watch, that is too old: read again.
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
    /// Whether the rights are those of single namespaces (`HEADWIND_WATCH_NAMESPACES`).
    limited: bool,
}

/// What the API server said of one object that it was asked for.
pub(crate) enum Found<T> {
    /// The object.
    There(T),
    /// There is no such object.
    Gone,
    /// There is one, which does not decode.
    Undecodable(Undecodable),
    /// The kind is not served (any more, or yet): nothing is known of the object.
    NotServed,
}

/// The object that a patch was for, as it is now.
pub(crate) enum Patched {
    /// The workload itself.
    Workload(Box<Workload>),
    /// What has its version.
    Source(Box<Source>),
}

impl ClusterClient {
    /// The calls by `client`. `limited` when its rights are those of single namespaces.
    pub(crate) fn new(client: Client, served: Arc<ServedVersions>, limited: bool) -> Self {
        Self { client, served, limited }
    }

    /// Returns the version of an optional API that calls use; 0, the only one, for kinds that every cluster has.
    fn version_of(&self, api: OptionalApi) -> usize {
        self.served.in_use(api)
    }

    /// The workload as it is now.
    pub(crate) async fn workload(&self, key: &WorkloadKey) -> Result<Found<Workload>, Failure> {
        for_kind(key.kind, self.version_of(OptionalApi::Workload(key.kind)), Read { client: &self.client, key }).await
    }

    /// Patches the workload, or the object that has its version; answers what that is afterwards.
    pub(crate) async fn patch(&self, workload: &Workload, patch: json_patch::Patch) -> Result<Option<Patched>, Failure> {
        let params = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
        let patch = Patch::Json::<()>(patch);
        if let Some(destination) = &workload.destination {
            // A request changes objects of its own namespace only, whatever led here.
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

    /// The object that a release's version stands in, as it is now.
    pub(crate) async fn source(&self, key: &SourceKey) -> Result<Found<Source>, Failure> {
        match (key.kind, self.version_of(OptionalApi::ChartSource(key.kind))) {
            // Nothing is written there, and the watch shows it.
            (SourceKind::HelmRepository, _) => Ok(Found::NotServed),
            (SourceKind::OciRepository, 0) => get_source::<SlimOciRepository<V1>>(&self.client, key).await,
            (SourceKind::OciRepository, _) => get_source::<SlimOciRepository<V1Beta2>>(&self.client, key).await,
        }
    }

    /// Pods of the workload: those of its newest revision, and some of the others. Empty while nothing
    /// says which revision is the newest.
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

    /// Evicts a pod, if it is still the one that was seen. One that is gone is evicted.
    pub(crate) async fn evict(&self, namespace: &str, pod: &PodName) -> Result<Eviction, Failure> {
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), namespace);
        let preconditions = Some(Preconditions { uid: Some(pod.uid.clone()), resource_version: None });
        let delete_options = Some(DeleteParams { preconditions, ..DeleteParams::default() });
        let params = EvictParams { delete_options, ..EvictParams::default() };
        let Err(error) = pods.evict(&pod.name, &params).await else { return Ok(Eviction::Done) };
        let disruption = |text: &str| text.to_ascii_lowercase().replace(' ', "").contains("disruptionbudget");
        match &error {
            // Its words say which budget it is; one pod in two of them is an internal error (500).
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

    /// Headwind's annotations of the namespace as they are now; none where it is gone.
    pub(crate) async fn defaults(&self, namespace: &str) -> Result<Annotations, Failure> {
        let api: Api<Namespace> = Api::all(self.client.clone());
        let read = if self.limited {
            api.get_metadata_opt(namespace).await?
        } else {
            // A list of one: the right to list comes with the watch.
            let one = ListParams::default().fields(&format!("metadata.name={namespace}"));
            api.list_metadata(&one).await?.items.into_iter().find(|found| found.metadata.name.as_deref() == Some(namespace))
        };
        Ok(read.map(|namespace| own_annotations(&namespace.metadata)).unwrap_or_default())
    }

    fn requests(&self, namespace: &str) -> Api<UpdateRequest> {
        Api::namespaced(self.client.clone(), namespace)
    }

    /// The request as it is now; `None` when it is gone.
    pub(crate) async fn request(&self, namespace: &str, name: &str) -> Result<Option<UpdateRequest>, Failure> {
        self.requests(namespace).get_opt(name).await.map_err(|error| match error {
            // The API server answered: the same object is not read better the next time.
            kube::Error::SerdeError(error) => Failure {
                class: Class::Invalid,
                retry_after: None,
                message: format!("the UpdateRequest {namespace}/{name} that exists cannot be read: {error}"),
            },
            error => error.into(),
        })
    }

    /// Makes a request.
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

    /// Writes the request's status, if the request is still the one that was read.
    pub(crate) async fn replace_status(&self, request: &UpdateRequest) -> Result<UpdateRequest, Failure> {
        let namespace = request.namespace().unwrap_or_default();
        let params = PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
        Ok(self.requests(&namespace).replace_status(&request.name_any(), &params, request).await?)
    }

    /// Deletes the request, if it is still the one that was read. One that is gone is deleted.
    pub(crate) async fn delete_request(&self, namespace: &str, name: &str, version: &ObjectVersion) -> Result<(), Failure> {
        let preconditions =
            Some(Preconditions { uid: Some(version.uid.clone()), resource_version: Some(version.resource_version.clone()) });
        match self.requests(namespace).delete(name, &DeleteParams { preconditions, ..DeleteParams::default() }).await {
            Ok(_) => Ok(()),
            Err(error) if classify(&error) == Class::NotFound => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// The secret; `None` when it is not there.
    pub(crate) async fn secret(&self, namespace: &str, name: &str) -> Result<Option<Secret>, Failure> {
        Ok(Api::<Secret>::namespaced(self.client.clone(), namespace).get_opt(name).await?)
    }

    /// The service account; `None` when it is not there.
    pub(crate) async fn service_account(&self, namespace: &str, name: &str) -> Result<Option<ServiceAccount>, Failure> {
        Ok(Api::<ServiceAccount>::namespaced(self.client.clone(), namespace).get_opt(name).await?)
    }

    /// Tells something.
    pub(crate) async fn create_event(&self, event: &Event) -> Result<(), Failure> {
        let api: Api<Event> = Api::namespaced(self.client.clone(), event.metadata.namespace.as_deref().unwrap_or_default());
        api.create(&PostParams::default(), event).await?;
        Ok(())
    }

    fn leases(&self, namespace: &str) -> Api<Lease> {
        Api::namespaced(self.client.clone(), namespace)
    }

    /// The lease; `None` when there is none yet.
    pub(crate) async fn lease(&self, namespace: &str, name: &str) -> Result<Option<Lease>, Failure> {
        Ok(self.leases(namespace).get_opt(name).await?)
    }

    /// Makes the lease.
    pub(crate) async fn create_lease(&self, namespace: &str, lease: &Lease) -> Result<Lease, Failure> {
        Ok(self.leases(namespace).create(&PostParams::default(), lease).await?)
    }

    /// Writes the lease, if it is still the one that was read.
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

/// Asks for one object. Only the API server's own "not found" for that name is [`Found::Gone`].
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

/// Whether the error says that there is no object of that name. A kind that is not served is a 404 as well.
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

    /// An admission rule says no with whatever code its author chose: what is denied today may be allowed tomorrow.
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
    #[case::busy(500, "etcdserver: request timed out", Class::Busy)]
    fn what_an_error_means(#[case] code: u16, #[case] message: &str, #[case] class: Class) {
        let status = kube::core::Status { code, message: message.to_owned(), ..kube::core::Status::default() };
        assert_eq!(classify(&kube::Error::Api(status.boxed())), class);
    }
}
