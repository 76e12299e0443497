//! Who uses which repository: the look-up that makes an event cheap.
//!
//! Kept from the watches: every workload with what the rules read of it, the repositories of its
//! containers, and Headwind's annotations of the namespaces. An object that is older than the one
//! already held is ignored, so what this process wrote itself is seen at once and never unseen.
//! Feeding it needs no client.
//!
//! ```text
//! watch ──apply, delete, swept──> targets ──> users: repository -> targets
//! ```

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use headwind_core::reference::RepositoryKey;
use headwind_core::settings::{Annotations, Settings, key};
use headwind_core::target::{Kind, Target, TargetKey};

/// The index.
#[derive(Debug, Default)]
pub(crate) struct Index {
    targets: HashMap<Arc<TargetKey>, Entry>,
    users: HashMap<RepositoryKey, HashSet<Arc<TargetKey>>>,
    defaults: HashMap<String, Arc<Annotations>>,
    faulty: HashSet<Arc<TargetKey>>,
    counts: HashMap<Kind, usize>,
    /// Moves whenever something changes that the plan of polls is made of.
    revision: u64,
    none: Arc<Annotations>,
}

#[derive(Debug)]
struct Entry {
    target: Arc<Target>,
    repositories: Box<[RepositoryKey]>,
}

impl Index {
    /// Takes in a workload as it was read. Answers whether it was news.
    pub(crate) fn apply(&mut self, target: Target) -> bool {
        if let Some(held) = self.targets.get(&target.key)
            && held.target.uid == target.uid
            && !is_newer(&target.resource_version, &held.target.resource_version)
        {
            return false;
        }
        let same_to_the_poller = self.targets.get(&target.key).is_some_and(|held| same_to_the_poller(&held.target, &target));
        let revision = self.revision;
        self.remove(&target.key.clone());
        self.revision = revision + u64::from(!same_to_the_poller);
        let key = Arc::new(target.key.clone());
        let mut repositories: Vec<RepositoryKey> = Vec::with_capacity(target.containers.len());
        for repository in target.containers.iter().filter_map(|container| Some(container.reference().ok()?.repository().clone())) {
            if !repositories.contains(&repository) {
                // One copy of a name that many workloads share.
                repositories.push(self.users.get_key_value(&repository).map_or(repository, |(shared, _)| shared.clone()));
            }
        }
        for repository in &repositories {
            self.users.entry(repository.clone()).or_default().insert(Arc::clone(&key));
        }
        *self.counts.entry(key.kind).or_default() += 1;
        self.targets.insert(Arc::clone(&key), Entry { target: Arc::new(target), repositories: repositories.into() });
        self.check(&key);
        true
    }

    /// Forgets a workload.
    pub(crate) fn remove(&mut self, key: &TargetKey) {
        let Some(entry) = self.targets.remove(key) else { return };
        self.revision += 1;
        for repository in &entry.repositories {
            if let Some(users) = self.users.get_mut(repository) {
                users.remove(key);
                if users.is_empty() {
                    self.users.remove(repository);
                }
            }
        }
        self.faulty.remove(key);
        if let Some(count) = self.counts.get_mut(&key.kind) {
            *count -= 1;
        }
    }

    /// After a whole list of a kind in a namespace (or in all): forgets what was not on it and
    /// answers what vanished.
    pub(crate) fn sweep(&mut self, kind: Kind, namespace: Option<&str>, seen: &HashSet<TargetKey>) -> Vec<TargetKey> {
        let vanished: Vec<TargetKey> = self
            .targets
            .keys()
            .filter(|key| key.kind == kind && namespace.is_none_or(|namespace| key.namespace == namespace) && !seen.contains(&***key))
            .map(|key| (**key).clone())
            .collect();
        for key in &vanished {
            self.remove(key);
        }
        vanished
    }

    /// Takes in Headwind's annotations of a namespace. Answers the workloads they now mean
    /// something else for.
    pub(crate) fn set_defaults(&mut self, namespace: &str, annotations: Annotations) -> Vec<TargetKey> {
        if *self.defaults(namespace) == annotations {
            return Vec::new();
        }
        self.revision += 1;
        if annotations.is_empty() {
            self.defaults.remove(namespace);
        } else {
            self.defaults.insert(namespace.to_owned(), Arc::new(annotations));
        }
        let touched: Vec<Arc<TargetKey>> = self.targets.keys().filter(|key| key.namespace == namespace).cloned().collect();
        for key in &touched {
            self.check(key);
        }
        touched.iter().map(|key| (**key).clone()).collect()
    }

    fn check(&mut self, key: &Arc<TargetKey>) {
        let Some(entry) = self.targets.get(key) else { return };
        let defaults = self.defaults(&key.namespace);
        let faulty = entry
            .target
            .containers
            .iter()
            .any(|container| Settings::resolve(&defaults, &entry.target.annotations, &container.name).is_err());
        if faulty {
            self.faulty.insert(Arc::clone(key));
        } else {
            self.faulty.remove(key);
        }
    }

    /// Headwind's annotations of the namespace.
    pub(crate) fn defaults(&self, namespace: &str) -> Arc<Annotations> {
        Arc::clone(self.defaults.get(namespace).unwrap_or(&self.none))
    }

    /// The workload.
    pub(crate) fn target(&self, key: &TargetKey) -> Option<Arc<Target>> {
        self.targets.get(key).map(|entry| Arc::clone(&entry.target))
    }

    /// Whether any workload has a container of that repository.
    pub(crate) fn is_used(&self, repository: &RepositoryKey) -> bool {
        self.users.contains_key(repository)
    }

    /// The workloads with a container of that repository.
    pub(crate) fn users(&self, repository: &RepositoryKey) -> Vec<(Arc<Target>, Arc<Annotations>)> {
        let keys = self.users.get(repository).into_iter().flatten();
        keys.filter_map(|key| Some((self.target(key)?, self.defaults(&key.namespace)))).collect()
    }

    /// Every workload, with Headwind's annotations of its namespace.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&Arc<Target>, Arc<Annotations>)> {
        self.targets.values().map(|entry| (&entry.target, self.defaults(&entry.target.key.namespace)))
    }

    /// Moves whenever something changes that the plan of polls is made of.
    pub(crate) fn revision(&self) -> u64 {
        self.revision
    }

    /// The workloads with a fault in an annotation.
    pub(crate) fn faulty(&self) -> impl Iterator<Item = &TargetKey> {
        self.faulty.iter().map(|key| &**key)
    }

    /// Whether there is something to tell about the workload's annotations.
    pub(crate) fn is_conspicuous(&self, key: &TargetKey) -> bool {
        self.faulty.contains(key)
            || self
                .targets
                .get(key)
                .is_some_and(|entry| !headwind_core::settings::unknown(&entry.target.annotations, &entry.target).is_empty())
    }

    /// How many workloads of the kind are known.
    pub(crate) fn count(&self, kind: Kind) -> usize {
        self.counts.get(&kind).copied().unwrap_or_default()
    }
}

/// Whether the plan of polls is the same for both: what Headwind writes itself and the status of
/// a rollout do not count.
fn same_to_the_poller(a: &Target, b: &Target) -> bool {
    let set = |target: &Target| -> Vec<(String, String)> {
        let managed = |key: &str| key::MANAGED.contains(&key) || key.starts_with(key::SEEN);
        target.annotations.iter().filter(|(key, _)| !managed(key)).map(|(key, value)| (key.clone(), value.clone())).collect()
    };
    let images = |target: &Target| -> Vec<(String, String)> {
        target.containers.iter().map(|container| (container.name.clone(), container.image.clone())).collect()
    };
    a.uid == b.uid && a.pull == b.pull && a.deleting == b.deleting && set(a) == set(b) && images(a) == images(b)
}

/// Whether version `a` of an object comes after version `b`.
///
/// Resource versions of one resource compare as numbers (KEP-5504); where one is not a number the
/// newcomer is believed.
pub(crate) fn is_newer(a: &str, b: &str) -> bool {
    match (a.parse::<u128>(), b.parse::<u128>()) {
        (Ok(a), Ok(b)) => a > b,
        (Err(_), _) | (_, Err(_)) => a != b,
    }
}

#[cfg(test)]
mod tests;
