//! The sources of charts, and the releases that follow them.
//!
//! The half of the index that is about Flux: fed by the watches on `HelmRepositories` and `OCIRepositories`.
//! A release follows the source that it names, whether that is there or not, and is put together with it
//! anew when either changes; those that follow the same `OCIRepository` count each other.

use std::collections::HashSet;
use std::sync::Arc;

use headwind_core::workload::source::{ChartSourceRef, Source, SourceKey, SourceKind};
use headwind_core::workload::{Workload, WorkloadKey, release};

use super::Index;
use crate::cluster::object::is_newer;

/// The number of followers that stands for all higher ones: whether there are others is all that the rules ask.
const SHARED: usize = 2;

pub(super) fn source_of(workload: &Workload) -> Option<&SourceKey> {
    match &workload.release.as_ref()?.source {
        ChartSourceRef::Source(key) => Some(key),
        ChartSourceRef::Other(_) | ChartSourceRef::Nothing => None,
    }
}

impl Index {
    /// Leaves releases alone whose source is in another namespace, whatever Flux allows. For an empty index.
    pub(crate) fn forbid_cross_namespace_refs(&mut self) {
        self.own_namespace_only = true;
    }

    /// Takes in a source of charts as it was read. Answers the releases that mean something else now.
    pub(crate) fn apply_source(&mut self, source: Source) -> Vec<WorkloadKey> {
        let key = source.key.clone();
        if let Some(held) = self.sources.get(&key)
            && held.uid == source.uid
            && !is_newer(&source.resource_version, &held.resource_version)
        {
            return Vec::new();
        }
        self.sources.insert(key.clone(), source);
        self.put_followers_together(&key)
    }

    /// Forgets a source. Answers the releases that mean something else now.
    pub(crate) fn remove_source(&mut self, key: &SourceKey) -> Vec<WorkloadKey> {
        if self.sources.remove(key).is_none() {
            return Vec::new();
        }
        self.put_followers_together(key)
    }

    /// After a whole list of sources: forgets those that were not on it.
    pub(crate) fn sweep_sources(&mut self, kind: SourceKind, namespace: Option<&str>, seen: &HashSet<SourceKey>) -> Vec<WorkloadKey> {
        let here = |key: &&SourceKey| key.kind == kind && namespace.is_none_or(|namespace| key.namespace == namespace);
        let vanished: Vec<SourceKey> = self.sources.keys().filter(here).filter(|key| !seen.contains(*key)).cloned().collect();
        vanished.iter().flat_map(|key| self.remove_source(key)).collect()
    }

    /// Puts the source's releases together anew.
    fn put_followers_together(&mut self, key: &SourceKey) -> Vec<WorkloadKey> {
        let followers: Vec<Arc<WorkloadKey>> = self.followers.get(key).into_iter().flatten().cloned().collect();
        for follower in &followers {
            if let Some(alone) = self.workloads.get(follower).and_then(|entry| entry.alone.clone()) {
                self.put_together(alone);
            }
        }
        followers.iter().map(|follower| (**follower).clone()).collect()
    }

    /// These mean something else now, and who found it out cannot have them looked at.
    pub(crate) fn unsettle(&mut self, keys: Vec<WorkloadKey>) {
        self.dirty.extend(keys);
    }

    /// The releases that mean something else since others came or went: for whoever feeds the index.
    pub(crate) fn take_unsettled(&mut self) -> HashSet<WorkloadKey> {
        std::mem::take(&mut self.dirty)
    }

    /// From now on the release follows the source.
    pub(super) fn follow(&mut self, source: &SourceKey, key: &WorkloadKey) {
        let shared = self.is_shared(source);
        self.followers.entry(source.clone()).or_default().insert(Arc::new(key.clone()));
        self.share(source, shared);
    }

    /// The release follows the source no more.
    pub(super) fn unfollow(&mut self, source: &SourceKey, key: &WorkloadKey) {
        let shared = self.is_shared(source);
        if let Some(followers) = self.followers.get_mut(source) {
            followers.remove(key);
            if followers.is_empty() {
                self.followers.remove(source);
            }
        }
        self.share(source, shared);
    }

    /// Whether more than one release takes its version from the source's tag.
    fn is_shared(&self, source: &SourceKey) -> bool {
        source.kind == SourceKind::OciRepository && self.followers.get(source).is_some_and(|followers| followers.len() > 1)
    }

    /// A source that is shared from now on, or no more, means something else to those that follow it. Among many, one
    /// more or less changes nothing, so a thousand followers are not put together a thousand times.
    fn share(&mut self, source: &SourceKey, was_shared: bool) {
        if self.is_shared(source) != was_shared {
            let touched = self.put_followers_together(source);
            self.dirty.extend(touched);
        }
    }

    pub(super) fn put_together(&mut self, alone: Arc<Workload>) {
        let named = source_of(&alone);
        let source = named.and_then(|key| self.sources.get(key));
        let followers = named.and_then(|key| self.followers.get(key)).map_or(0, HashSet::len);
        let workload = release::resolve(&alone, source, followers.min(SHARED));
        let workload = if self.own_namespace_only { release::confine(workload) } else { workload };
        self.put(workload, Some(alone));
    }
}
