//! Headwind's own settings in the ConfigMap and the Secret `headwind`.
//!
//! Every replica watches both objects by name. The process that embeds the operator adopts the values ([`Adopt`]) and
//! says which of them have no effect. Those are logged, counted, and reported as an Event on the object.

mod feed;
mod holds;

use std::fmt;
use std::sync::Arc;

use headwind_core::config::{Problem, Store, Stored, Values};
use headwind_core::gate::limits::ConfiguredLimits;
use headwind_k8s::access::SETTINGS;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::core::ObjectMeta;
use parking_lot::Mutex;

use crate::clock::now;
use crate::cluster::object::is_newer;
use crate::observe::state::State;
use crate::report::events::EventRecorder;
use crate::report::metrics::Metrics;

pub(crate) use self::holds::Holds;

/// Takes what the objects hold, and returns the entries that have no effect.
type AdoptFn = dyn Fn(&Stored) -> Vec<Problem> + Send + Sync;

/// Adopts what the objects hold, and returns the entries that have no effect. It must not wait.
#[derive(Clone)]
pub struct Adopt(Arc<AdoptFn>);

impl Adopt {
    /// Wraps the function.
    pub fn new(adopt: impl Fn(&Stored) -> Vec<Problem> + Send + Sync + 'static) -> Self {
        Self(Arc::new(adopt))
    }
}

impl fmt::Debug for Adopt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Adopt")
    }
}

/// A version of an object; `None` if the object does not exist.
pub type ObjectVersion = Option<String>;

/// The content of both objects as a replica knows it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StoredSettings {
    /// The values.
    pub stored: Stored,
    /// The version of the ConfigMap.
    pub config_map: ObjectVersion,
    /// The version of the Secret.
    pub secret: ObjectVersion,
    /// The entries that have no effect.
    pub problems: Vec<Problem>,
}

impl StoredSettings {
    /// Returns the version of one of the objects.
    pub fn version(&self, store: Store) -> &ObjectVersion {
        match store {
            Store::ConfigMap => &self.config_map,
            Store::Secret => &self.secret,
        }
    }
}

/// The copies of both objects.
pub(crate) struct OwnSettings {
    namespace: String,
    adopt: Adopt,
    events: EventRecorder,
    metrics: Metrics,
    state: Arc<State>,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    settings: StoredSettings,
    /// The UIDs of the ConfigMap and the Secret.
    uids: [String; 2],
}

impl OwnSettings {
    pub(crate) fn new(namespace: &str, adopt: Adopt, events: EventRecorder, metrics: Metrics, state: Arc<State>) -> Self {
        Self { namespace: namespace.to_owned(), adopt, events, metrics, state, known: Mutex::default() }
    }

    /// Returns the current copies.
    pub(crate) fn current(&self) -> StoredSettings {
        self.known.lock().settings.clone()
    }

    /// Stores an object, unless the copy is newer, and adopts its values.
    pub(crate) fn set(&self, store: Store, metadata: &ObjectMeta, values: Values) {
        let uid = metadata.uid.clone().unwrap_or_default();
        let mut known = self.known.lock();
        let Known { settings, uids } = &mut *known;
        let (own_uid, version) = slots(settings, uids, store);
        let read = metadata.resource_version.as_deref().unwrap_or_default();
        if *own_uid == uid && version.as_deref().is_some_and(|held| !is_newer(read, held)) {
            return;
        }
        own_uid.clone_from(&uid);
        version.clone_from(&metadata.resource_version);
        self.adopt(&mut known, store, values);
    }

    /// Forgets an object that does not exist.
    pub(crate) fn clear(&self, store: Store) {
        let mut known = self.known.lock();
        let Known { settings, uids } = &mut *known;
        let (uid, version) = slots(settings, uids, store);
        uid.clear();
        *version = None;
        self.adopt(&mut known, store, Values::new());
    }

    fn adopt(&self, known: &mut Known, store: Store, values: Values) {
        let stored = &mut known.settings.stored;
        let place = match store {
            Store::ConfigMap => &mut stored.config_map,
            Store::Secret => &mut stored.secret,
        };
        if *place == values {
            // The first list shows that the ConfigMap has no entries.
            if store == Store::ConfigMap && !self.state.limits.are_read() {
                self.state.limits.configure(ConfiguredLimits::default());
            }
            return;
        }
        *place = values;
        let mut problems = (self.adopt.0)(stored);
        // The clock of the leader, which paused the updates, may be ahead of this one.
        let latest = self.state.paused_since(now()).map_or_else(now, |since| since.max(now()));
        let (limits, invalid) = ConfiguredLimits::read(&stored.config_map, &self.state.limits.configured(), latest);
        // Until the ConfigMap is read, the Secret says nothing about limits.
        if store == Store::ConfigMap {
            self.state.limits.configure(limits);
        }
        problems.extend(invalid);
        self.metrics.settings_changes.inc();
        self.metrics.settings_invalid.set(i64::try_from(problems.len()).unwrap_or(i64::MAX));
        for problem in problems.iter().filter(|problem| !known.settings.problems.contains(problem)) {
            self.report(known, problem);
        }
        known.settings.problems = problems;
    }

    fn report(&self, known: &Known, problem: &Problem) {
        let store = problem.store;
        tracing::warn!(namespace = self.namespace, "{problem}");
        let uid = match store {
            Store::ConfigMap => &known.uids[0],
            Store::Secret => &known.uids[1],
        };
        let version = known.settings.version(store).clone().unwrap_or_default();
        let about = ObjectReference {
            api_version: Some("v1".to_owned()),
            kind: Some(store.kind().to_owned()),
            namespace: Some(self.namespace.clone()),
            name: Some(SETTINGS.to_owned()),
            uid: Some(uid.clone()),
            ..ObjectReference::default()
        };
        // All replicas write the Event under the same name, and one of them succeeds.
        self.events.about_setting(about, &format!("{version}/{}", problem.name), &problem.to_string());
    }
}

/// Returns the place that stores the UID and the version of the object.
fn slots<'a>(settings: &'a mut StoredSettings, uids: &'a mut [String; 2], store: Store) -> (&'a mut String, &'a mut ObjectVersion) {
    let [config_map, secret] = uids;
    match store {
        Store::ConfigMap => (config_map, &mut settings.config_map),
        Store::Secret => (secret, &mut settings.secret),
    }
}

#[cfg(test)]
mod tests;
