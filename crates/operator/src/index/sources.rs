//! The sources of charts, and the releases that follow them.
//!
//! The half of the index that is about Flux: fed by the watches on `HelmRepositories` and `OCIRepositories`.
//! A release follows the source that it names, whether that is there or not, and is put together with it
//! anew when either changes; those that follow the same `OCIRepository` count each other.

use std::collections::HashSet;
use std::sync::Arc;

use headwind_core::release;
use headwind_core::source::{Named, Source, SourceKey, SourceKind};
use headwind_core::target::{Target, TargetKey};

use super::{Index, is_newer};

pub(super) fn source_of(target: &Target) -> Option<&SourceKey> {
    match &target.release.as_ref()?.source {
        Named::Source(key) => Some(key),
        Named::Other(_) | Named::Nothing => None,
    }
}

impl Index {
    /// Leaves releases alone whose source is in another namespace, whatever Flux allows. For an empty index.
    pub(crate) fn forbid_cross_namespace_refs(&mut self) {
        self.own_namespace_only = true;
    }

    /// Takes in a source of charts as it was read. Answers the releases that mean something else now.
    pub(crate) fn apply_source(&mut self, source: Source) -> Vec<TargetKey> {
        let key = source.key.clone();
        if let Some(held) = self.sources.get(&key)
            && held.uid == source.uid
            && !is_newer(&source.resource_version, &held.resource_version)
        {
            return Vec::new();
        }
        self.sources.insert(key.clone(), source);
        self.follow(&key)
    }

    /// Forgets a source. Answers the releases that mean something else now.
    pub(crate) fn remove_source(&mut self, key: &SourceKey) -> Vec<TargetKey> {
        if self.sources.remove(key).is_none() {
            return Vec::new();
        }
        self.follow(key)
    }

    /// After a whole list of sources: forgets those that were not on it.
    pub(crate) fn sweep_sources(&mut self, kind: SourceKind, namespace: Option<&str>, seen: &HashSet<SourceKey>) -> Vec<TargetKey> {
        let here = |key: &&SourceKey| key.kind == kind && namespace.is_none_or(|namespace| key.namespace == namespace);
        let vanished: Vec<SourceKey> = self.sources.keys().filter(here).filter(|key| !seen.contains(*key)).cloned().collect();
        vanished.iter().flat_map(|key| self.remove_source(key)).collect()
    }

    /// Puts the source's releases together anew.
    fn follow(&mut self, key: &SourceKey) -> Vec<TargetKey> {
        let followers: Vec<Arc<TargetKey>> = self.followers.get(key).into_iter().flatten().cloned().collect();
        for follower in &followers {
            if let Some(alone) = self.targets.get(follower).and_then(|entry| entry.alone.clone()) {
                self.put_together(alone);
            }
        }
        followers.iter().map(|follower| (**follower).clone()).collect()
    }

    /// Who follows the same tag counts those that do.
    pub(super) fn share(&mut self, key: &SourceKey) {
        if key.kind == SourceKind::OciRepository {
            let touched = self.follow(key);
            self.unsettled.extend(touched);
        }
    }

    /// These mean something else now, and who found it out cannot have them looked at.
    pub(crate) fn unsettle(&mut self, keys: Vec<TargetKey>) {
        self.unsettled.extend(keys);
    }

    /// The releases that mean something else since others came or went: for whoever feeds the index.
    pub(crate) fn take_unsettled(&mut self) -> HashSet<TargetKey> {
        std::mem::take(&mut self.unsettled)
    }

    pub(super) fn unfollow(&mut self, source: &SourceKey, key: &TargetKey) {
        if let Some(followers) = self.followers.get_mut(source) {
            followers.remove(key);
            if followers.is_empty() {
                self.followers.remove(source);
            }
        }
    }

    pub(super) fn put_together(&mut self, alone: Arc<Target>) {
        let named = source_of(&alone);
        let source = named.and_then(|key| self.sources.get(key));
        let followers = named.and_then(|key| self.followers.get(key)).map_or(0, HashSet::len);
        let target = release::resolve(&alone, source, followers);
        let target = if self.own_namespace_only { release::confine(target) } else { target };
        self.put(target, Some(alone));
    }
}
