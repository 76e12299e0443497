//! The index from origins to the workloads that use them. It makes handling a claim cheap.
//!
//! Fed by the watches: every workload with the fields that the rules use, the origins of its containers, and Headwind's
//! annotations of the namespaces. An object older than the stored one is ignored, so the process sees its own writes at
//! once and never loses them. Feeding the index needs no client.
//!
//! Each release is stored twice: as read, and resolved against its source. Callers only see the resolved one. It is
//! resolved again when either of the two changes.
//!
//! ```text
//! watch ──apply, remove, sweep──> workloads ──> users: origin -> workloads
//!                                    ^ resolve
//! watch ──apply_source, …──> sources ┘
//! ```

mod settings;
mod sources;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use headwind_core::artifact::Origin;
use headwind_core::settings::{Annotations, key};
use headwind_core::workload::source::{ResolvedChart, Source, SourceKey};
use headwind_core::workload::{Container, Kind, Workload, WorkloadKey};

pub(crate) use self::settings::Resolved;
use self::settings::{Meaning, Shared};
use self::sources::source_of;
use crate::cluster::object::{Undecodable, is_newer};

/// The index.
#[derive(Debug, Default)]
pub(crate) struct Index {
    workloads: HashMap<Arc<WorkloadKey>, Entry>,
    users: HashMap<Origin, HashSet<Arc<WorkloadKey>>>,
    sources: HashMap<SourceKey, Source>,
    /// The releases that name a source, whether the source exists or not.
    followers: HashMap<SourceKey, HashSet<Arc<WorkloadKey>>>,
    /// The releases whose meaning changed because another one was added or removed.
    dirty: HashSet<WorkloadKey>,
    defaults: HashMap<String, Arc<Annotations>>,
    faulty: HashSet<Arc<WorkloadKey>>,
    odd: HashMap<WorkloadKey, Undecodable>,
    counts: HashMap<Kind, usize>,
    settings: Shared,
    revision: Revision,
    none: Arc<Annotations>,
    /// True if a release may only use sources in its own namespace.
    own_namespace_only: bool,
}

/// Counters that increase when an input of the poll plan changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Revision {
    /// Any input.
    pub(crate) all: u64,
    /// A release.
    pub(crate) releases: u64,
}

impl Revision {
    fn moved(&mut self, kind: Kind) {
        self.all += 1;
        self.releases += u64::from(kind == Kind::HelmRelease);
    }
}

#[derive(Debug)]
struct Entry {
    workload: Arc<Workload>,
    /// A release as read from its own object.
    alone: Option<Arc<Workload>>,
    origins: Box<[Origin]>,
    meaning: Arc<Meaning>,
}

impl Entry {
    fn source(&self) -> Option<&SourceKey> {
        source_of(&self.workload)
    }
}

impl Index {
    /// Stores a workload. Returns true if it changed the index.
    pub(crate) fn apply(&mut self, workload: Workload) -> bool {
        self.odd.remove(&workload.key);
        if let Some(held) = self.workloads.get(&workload.key)
            && held.workload.uid == workload.uid
            && !is_newer(&workload.resource_version, &held.workload.resource_version)
        {
            return false;
        }
        if workload.release.is_none() {
            self.put(workload, None);
            return true;
        }
        let (key, before) = (workload.key.clone(), self.workloads.get(&workload.key).and_then(|held| held.source().cloned()));
        let now = source_of(&workload).cloned();
        let moved = before != now;
        if let Some(named) = before.filter(|_| moved) {
            self.unfollow(&named, &key);
        }
        if let Some(named) = now.filter(|_| moved) {
            self.follow(&named, &key);
        }
        self.put_together(Arc::new(workload));
        true
    }

    /// Returns true if the platforms of the nodes matter to a workload.
    pub(crate) fn wants_nodes(&self) -> bool {
        self.workloads.values().any(|entry| entry.meaning.wants_nodes)
    }

    fn put(&mut self, workload: Workload, alone: Option<Arc<Workload>>) {
        let held = self.workloads.get(&workload.key);
        let same_to_the_poller = held.is_some_and(|held| same_to_the_poller(&held.workload, &workload));
        let meaning = if let Some(held) = held.filter(|held| Meaning::is_the_same(&held.workload, &workload)) {
            Arc::clone(&held.meaning)
        } else {
            let defaults = self.defaults(&workload.key.namespace);
            self.settings.of(&workload, &defaults)
        };
        if !same_to_the_poller {
            self.revision.moved(workload.key.kind);
        }
        self.take(&workload.key);
        let key = Arc::new(workload.key.clone());
        let (mut origins, mut known) = (Vec::new(), HashSet::new());
        for origin in workload.containers.iter().filter_map(Container::origin) {
            // Workloads share one copy of an origin.
            let origin = self.users.get_key_value(&origin).map_or(origin, |(shared, _)| shared.clone());
            if known.insert(origin.clone()) {
                origins.push(origin);
            }
        }
        for origin in &origins {
            self.users.entry(origin.clone()).or_default().insert(Arc::clone(&key));
        }
        *self.counts.entry(key.kind).or_default() += 1;
        if meaning.faulty {
            self.faulty.insert(Arc::clone(&key));
        }
        self.workloads.insert(key, Entry { workload: Arc::new(workload), alone, origins: origins.into(), meaning });
    }

    /// Removes a workload.
    pub(crate) fn remove(&mut self, key: &WorkloadKey) {
        self.odd.remove(key);
        let Some(entry) = self.take(key) else { return };
        self.revision.moved(key.kind);
        if let Some(source) = entry.source() {
            self.unfollow(source, key);
        }
    }

    /// Records that a workload exists and cannot be decoded.
    pub(crate) fn set_odd(&mut self, key: WorkloadKey, odd: Undecodable) {
        self.remove(&key);
        self.odd.insert(key, odd);
    }

    /// Returns the reason why an existing workload cannot be decoded.
    pub(crate) fn odd(&self, key: &WorkloadKey) -> Option<&Undecodable> {
        self.odd.get(key)
    }

    /// Removes a workload, but keeps the source that it follows.
    fn take(&mut self, key: &WorkloadKey) -> Option<Entry> {
        let entry = self.workloads.remove(key)?;
        for origin in &entry.origins {
            if let Some(users) = self.users.get_mut(origin) {
                users.remove(key);
                if users.is_empty() {
                    self.users.remove(origin);
                }
            }
        }
        self.faulty.remove(key);
        if let Some(count) = self.counts.get_mut(&key.kind) {
            *count -= 1;
        }
        Some(entry)
    }

    /// Removes the workloads of a kind that are not in the complete list of a namespace (or of all). Returns the
    /// removed ones.
    pub(crate) fn sweep(&mut self, kind: Kind, namespace: Option<&str>, seen: &HashSet<WorkloadKey>) -> Vec<WorkloadKey> {
        let vanished =
            |key: &WorkloadKey| key.kind == kind && namespace.is_none_or(|namespace| key.namespace == namespace) && !seen.contains(key);
        self.odd.retain(|key, _| !vanished(key));
        let vanished: Vec<WorkloadKey> = self.workloads.keys().map(|key| &**key).filter(|key| vanished(key)).cloned().collect();
        for key in &vanished {
            self.remove(key);
        }
        vanished
    }

    /// Stores Headwind's annotations of a namespace. Returns the workloads whose settings changed.
    pub(crate) fn set_defaults(&mut self, namespace: &str, annotations: Annotations) -> Vec<WorkloadKey> {
        if *self.defaults(namespace) == annotations {
            return Vec::new();
        }
        if annotations.is_empty() {
            self.defaults.remove(namespace);
        } else {
            self.defaults.insert(namespace.to_owned(), Arc::new(annotations));
        }
        let defaults = self.defaults(namespace);
        let mut touched = Vec::new();
        for (key, entry) in self.workloads.iter_mut().filter(|(key, _)| key.namespace == namespace) {
            self.revision.moved(key.kind);
            entry.meaning = self.settings.of(&entry.workload, &defaults);
            if entry.meaning.faulty {
                self.faulty.insert(Arc::clone(key));
            } else {
                self.faulty.remove(key);
            }
            touched.push((**key).clone());
        }
        touched
    }

    /// Returns Headwind's annotations of the namespace.
    pub(crate) fn defaults(&self, namespace: &str) -> Arc<Annotations> {
        Arc::clone(self.defaults.get(namespace).unwrap_or(&self.none))
    }

    /// Returns the workload.
    pub(crate) fn workload(&self, key: &WorkloadKey) -> Option<Arc<Workload>> {
        self.workloads.get(key).map(|entry| Arc::clone(&entry.workload))
    }

    /// Returns true if any workload has a container, or any release its chart, from this origin.
    pub(crate) fn is_used(&self, origin: &Origin) -> bool {
        self.users.contains_key(origin)
    }

    /// Returns the workloads with a container, and the releases with their chart, from this origin.
    pub(crate) fn users(&self, origin: &Origin) -> Vec<(Arc<Workload>, Arc<Annotations>)> {
        let keys = self.users.get(origin).into_iter().flatten();
        keys.filter_map(|key| Some((self.workload(key)?, self.defaults(&key.namespace)))).collect()
    }

    /// Returns the same with the settings of each container.
    pub(crate) fn followers(&self, origin: &Origin) -> Vec<Resolved> {
        self.users.get(origin).into_iter().flatten().filter_map(|key| self.resolved(key)).collect()
    }

    /// Returns the workload with the settings of each of its containers.
    pub(crate) fn resolved(&self, key: &WorkloadKey) -> Option<Resolved> {
        self.workloads.get(key).map(|entry| self.resolve(entry))
    }

    /// Returns every workload with the settings of each of its containers.
    pub(crate) fn all(&self) -> impl Iterator<Item = Resolved> {
        self.workloads.values().map(|entry| self.resolve(entry))
    }

    fn resolve(&self, entry: &Entry) -> Resolved {
        Resolved {
            workload: Arc::clone(&entry.workload),
            defaults: self.defaults(&entry.workload.key.namespace),
            meaning: Arc::clone(&entry.meaning),
        }
    }

    /// Returns counters that increase when an input of the poll plan changes.
    pub(crate) fn revision(&self) -> Revision {
        self.revision
    }

    /// Returns the workloads with an invalid annotation.
    pub(crate) fn faulty(&self) -> impl Iterator<Item = &WorkloadKey> {
        self.faulty.iter().map(|key| &**key)
    }

    /// Returns every workload that has something to report.
    pub(crate) fn needs_attention(&self) -> impl Iterator<Item = &WorkloadKey> {
        self.workloads.keys().map(|key| &**key).filter(|key| self.is_conspicuous(key)).chain(self.odd.keys())
    }

    /// Returns true if the workload has something to report: invalid annotations, or a reason why Headwind does not
    /// update it.
    pub(crate) fn is_conspicuous(&self, key: &WorkloadKey) -> bool {
        self.workloads.get(key).is_some_and(|entry| entry.meaning.needs_attention)
    }

    /// Returns the number of known workloads of the kind.
    pub(crate) fn count(&self, kind: Kind) -> usize {
        self.counts.get(&kind).copied().unwrap_or_default()
    }
}

/// Returns true if both lead to the same poll plan. Headwind's own annotations and the status of a rollout do not
/// matter.
fn same_to_the_poller(a: &Workload, b: &Workload) -> bool {
    let set = |workload: &Workload| -> Vec<(String, String)> {
        let managed = key::is_managed;
        workload.annotations.iter().filter(|(key, _)| !managed(key)).map(|(key, value)| (key.clone(), value.clone())).collect()
    };
    let site = |container: &Container| container.chart.as_deref().map(|site| ResolvedChart { running: None, ..site.clone() });
    let images = |workload: &Workload| -> Vec<(String, String, Option<ResolvedChart>)> {
        workload.containers.iter().map(|container| (container.name.clone(), container.image.clone(), site(container))).collect()
    };
    let rest = a.uid == b.uid && a.pull == b.pull && a.owner == b.owner && a.deleting == b.deleting;
    rest && set(a) == set(b) && images(a) == images(b)
}

#[cfg(test)]
pub(crate) mod tests;
