//! The sources of charts, and the releases that follow them.
//!
//! The Flux part of the index, fed by the watches on `HelmRepositories` and `OCIRepositories`. A release follows the
//! source that it names, whether the source exists or not. It is resolved again when either changes. For the followers
//! of the same `OCIRepository`, their number matters.

use std::collections::HashSet;
use std::sync::Arc;

use headwind_core::workload::source::{ChartSourceRef, Source, SourceKey, SourceKind};
use headwind_core::workload::{Workload, WorkloadKey, release};

use super::Index;
use crate::cluster::object::is_newer;

/// Highest number of followers that is counted: the rules only need to know whether there are others.
const SHARED: usize = 2;

pub(super) fn source_of(workload: &Workload) -> Option<&SourceKey> {
    match &workload.release.as_ref()?.source {
        ChartSourceRef::Source(key) => Some(key),
        ChartSourceRef::Other(_) | ChartSourceRef::Nothing => None,
    }
}

impl Index {
    /// Makes releases unresolvable whose source is in another namespace, whatever Flux allows. Call it on an empty
    /// index.
    pub(crate) fn forbid_cross_namespace_refs(&mut self) {
        self.own_namespace_only = true;
    }

    /// Stores a source of charts. Returns the releases that changed.
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

    /// Removes a source. Returns the releases that changed.
    pub(crate) fn remove_source(&mut self, key: &SourceKey) -> Vec<WorkloadKey> {
        if self.sources.remove(key).is_none() {
            return Vec::new();
        }
        self.put_followers_together(key)
    }

    /// Removes the sources that are not in the complete list.
    pub(crate) fn sweep_sources(&mut self, kind: SourceKind, namespace: Option<&str>, seen: &HashSet<SourceKey>) -> Vec<WorkloadKey> {
        let here = |key: &&SourceKey| key.kind == kind && namespace.is_none_or(|namespace| key.namespace == namespace);
        let vanished: Vec<SourceKey> = self.sources.keys().filter(here).filter(|key| !seen.contains(*key)).cloned().collect();
        vanished.iter().flat_map(|key| self.remove_source(key)).collect()
    }

    /// Resolves the source's releases again.
    fn put_followers_together(&mut self, key: &SourceKey) -> Vec<WorkloadKey> {
        let followers: Vec<Arc<WorkloadKey>> = self.followers.get(key).into_iter().flatten().cloned().collect();
        for follower in &followers {
            if let Some(alone) = self.workloads.get(follower).and_then(|entry| entry.alone.clone()) {
                self.put_together(alone);
            }
        }
        followers.iter().map(|follower| (**follower).clone()).collect()
    }

    /// Marks releases as changed, for a caller that cannot requeue them.
    pub(crate) fn unsettle(&mut self, keys: Vec<WorkloadKey>) {
        self.dirty.extend(keys);
    }

    /// Returns and clears the releases that changed because others were added or removed. The feeds of the index
    /// requeue them.
    pub(crate) fn take_unsettled(&mut self) -> HashSet<WorkloadKey> {
        std::mem::take(&mut self.dirty)
    }

    /// Adds the release to the followers of the source.
    pub(super) fn follow(&mut self, source: &SourceKey, key: &WorkloadKey) {
        let shared = self.is_shared(source);
        self.followers.entry(source.clone()).or_default().insert(Arc::new(key.clone()));
        self.share(source, shared);
    }

    /// Removes the release from the followers of the source.
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

    /// Returns true if more than one release takes its version from the source's tag.
    fn is_shared(&self, source: &SourceKey) -> bool {
        source.kind == SourceKind::OciRepository && self.followers.get(source).is_some_and(|followers| followers.len() > 1)
    }

    /// Resolves the followers of a source again if it became shared or is no longer shared. Among many, one more or
    /// less changes nothing, so a thousand followers are not resolved a thousand times.
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
