//! The watches: one loop for every type, which feeds the index, the requests and the queue.
//!
//! Each object is decoded separately, so an object that does not decode is reported on itself and does not stop the
//! others. If a kind or a permission is missing, the watch logs it once and waits.

use std::collections::HashSet;
use std::convert::Infallible;
use std::fmt::Debug;
use std::hash::Hash;
use std::pin::pin;
use std::time::{Duration, Instant};

use backon::ExponentialBuilder;
use futures_util::StreamExt as _;
use kube::api::Api;
use kube::core::{DeserializeGuard, ObjectMeta};
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt as _, watcher::ExponentialBackoff};
use kube::{Client, Resource};
use serde::de::DeserializeOwned;

use crate::cluster::{Class, classify};
use crate::observe::readiness::WATCH;
use crate::observe::state::State;

/// Page size of a first list: small enough to be decoded in little memory.
const PAGE: u32 = 500;

/// The consumer of a watch.
pub(crate) trait Feed<K>: Send + Sync + 'static {
    /// The key that identifies an object.
    type Key: Eq + Hash + Debug + Send;

    /// Stores an object. `first` is true during the first list.
    fn apply(&self, object: K, first: bool) -> Option<Self::Key>;

    /// Removes an object.
    fn delete(&self, object: K);

    /// Removes an object that cannot be decoded.
    fn delete_odd(&self, metadata: &ObjectMeta);

    /// Handles an object that cannot be decoded. Returns its key, because the object exists.
    fn odd(&self, metadata: &ObjectMeta, problem: &str) -> Option<Self::Key>;

    /// Handles the end of a complete list: objects that were not in it are gone.
    fn sweep(&self, seen: &HashSet<Self::Key>);
}

/// The watched objects.
#[derive(Debug, Clone)]
pub(crate) struct Scope {
    /// The resource as people write it (`deployments.apps`).
    pub(crate) resource: String,
    /// One namespace, or all.
    pub(crate) namespace: Option<String>,
    /// The only object, or all. A named object is optional: Headwind works without it.
    pub(crate) name: Option<String>,
}

impl Scope {
    /// The name under which readiness waits for this watch.
    pub(crate) fn part(&self) -> String {
        let name = self.name.as_ref().map(|name| format!(" {name}")).unwrap_or_default();
        match &self.namespace {
            Some(namespace) => format!("{WATCH}{}{name} in {namespace}", self.resource),
            None => format!("{WATCH}{}{name}", self.resource),
        }
    }

    /// Returns the API of the scope.
    pub(crate) fn api<K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>>(&self, client: &Client) -> Api<K> {
        match &self.namespace {
            Some(namespace) => Api::namespaced(client.clone(), namespace),
            None => Api::all(client.clone()),
        }
    }
}

/// Watches as long as the process runs.
pub(crate) async fn watch<K, F>(
    api: Api<DeserializeGuard<K>>,
    scope: Scope,
    feed: F,
    state: std::sync::Arc<State>,
) -> Result<(), Infallible>
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + 'static,
    F: Feed<K>,
{
    let part = scope.part();
    let mut config = watcher::Config::default().page_size(PAGE);
    if let Some(name) = &scope.name {
        config = config.fields(&format!("metadata.name={name}"));
    }
    let backoff = ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(200))
        .with_max_delay(Duration::from_secs(10))
        .with_jitter()
        .without_max_times();
    let mut events = pin!(kube::runtime::watcher(api, config).backoff(ExponentialBackoff::from(backoff)));
    let mut seen = HashSet::new();
    let mut trouble: Option<Class> = None;
    while let Some(event) = events.next().await {
        if event.is_ok() && trouble.is_some() && !matches!(event, Ok(Event::Init)) {
            // A watch that restarts normally leaves no gap, and settings are no observation of the cluster.
            if trouble.take() != Some(Class::Conflict) && scope.name.is_none() {
                state.observed_since.begin();
            }
            tracing::info!(watch = part, "watching again");
        }
        match event {
            Ok(Event::Init) => seen.clear(),
            Ok(Event::InitApply(object)) => {
                state.readiness.progressed(&part);
                seen.extend(take(&feed, object, true));
            }
            Ok(Event::InitDone) => {
                feed.sweep(&seen);
                seen = HashSet::new();
                state.readiness.done(&part);
            }
            Ok(Event::Apply(object)) => {
                take(&feed, object, false);
            }
            Ok(Event::Delete(DeserializeGuard(Ok(object)))) => feed.delete(object),
            Ok(Event::Delete(DeserializeGuard(Err(invalid)))) => feed.delete_odd(&invalid.metadata),
            Err(error) => {
                let class = class_of(&error);
                if trouble.replace(class) != Some(class) {
                    report_failure(&scope, class, &error);
                }
                if scope.name.is_some() && class == Class::Forbidden {
                    state.readiness.done(&part);
                } else if state.readiness.failed(&part, Instant::now()) {
                    tracing::warn!(watch = part, %error, "no longer waiting for an optional API that cannot be watched");
                }
            }
        }
    }
    Ok(())
}

fn take<K, F: Feed<K>>(feed: &F, object: DeserializeGuard<K>, first: bool) -> Option<F::Key> {
    match object.0 {
        Ok(object) => feed.apply(object, first),
        Err(invalid) => feed.odd(&invalid.metadata, &invalid.error),
    }
}

fn class_of(error: &watcher::Error) -> Class {
    match error {
        watcher::Error::InitialListFailed(error) | watcher::Error::WatchStartFailed(error) | watcher::Error::WatchFailed(error) => {
            classify(error)
        }
        // The resource version to resume from is too old. This is how watches normally end.
        watcher::Error::WatchError(status) if status.code == 410 => Class::Conflict,
        watcher::Error::WatchError(_) | watcher::Error::NoResourceVersion => Class::Busy,
    }
}

/// Logs what is missing, and how to fix it.
fn report_failure(scope: &Scope, class: Class, error: &watcher::Error) {
    let Scope { resource, namespace, name } = scope;
    let place = namespace.as_deref().map_or_else(|| "in all namespaces".to_owned(), |namespace| format!("in namespace {namespace}"));
    match class {
        Class::NotFound if resource.ends_with("headwind.sh") => {
            tracing::error!(
                resource,
                "the CustomResourceDefinition {resource} is not installed; apply the output of `headwind crds`. Waiting for it"
            );
        }
        Class::NotFound => tracing::error!(resource, "the API server does not serve {resource}. Waiting for it"),
        Class::Forbidden if let Some(name) = name => {
            let frozen = if resource == "configmaps" { " Updates are frozen until Headwind has read it once." } else { "" };
            tracing::warn!(resource, %error, "not allowed to list and watch {resource} {name} {place}; its settings have no effect.{frozen} Apply the output of `headwind rbac`");
        }
        Class::Forbidden => {
            tracing::error!(resource, %error, "not allowed to list and watch {resource} {place}; apply the output of `headwind rbac`. Waiting for the permission");
        }
        // Watches end and restart normally.
        Class::Conflict => tracing::debug!(resource, %error, "the watch ended; restarting it"),
        Class::Invalid | Class::Busy | Class::NoAnswer => tracing::warn!(resource, %error, "failed to watch {resource} {place}; retrying"),
    }
}
