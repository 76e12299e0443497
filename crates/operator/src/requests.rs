//! The UpdateRequests as the watch and this process's own writes show them.
//!
//! Like the index, an object never goes back to an older version of itself. Kept by target, which
//! is how they are decided about, and found by name, which is how people ask for them.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use headwind_core::request::Phase;
use headwind_core::target::TargetKey;
use headwind_k8s::update_request::UpdateRequest;
use kube::ResourceExt as _;

use crate::index::is_newer;

/// Namespace and name.
pub(crate) type Name = (String, String);

/// The store.
#[derive(Debug, Default)]
pub(crate) struct Requests {
    by_name: BTreeMap<Name, Arc<UpdateRequest>>,
    by_target: HashMap<TargetKey, Vec<Name>>,
    pending: usize,
}

/// What taking in an object changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moved {
    /// The phase it had here before; `None` for one that was not known.
    pub(crate) before: Option<Phase>,
    /// The phase it has now.
    pub(crate) after: Phase,
}

impl Requests {
    /// Takes in a request. `None` when it was not news.
    pub(crate) fn apply(&mut self, mut request: UpdateRequest) -> Option<Moved> {
        let name = key(&request)?;
        let held = self.by_name.get(&name);
        if let Some(held) = held
            && held.uid() == request.uid()
            && !is_newer(&request.resource_version()?, &held.resource_version()?)
        {
            return None;
        }
        let moved = Moved { before: held.filter(|held| held.uid() == request.uid()).map(|held| held.phase()), after: request.phase() };
        self.remove(&name);
        // What the server keeps for server-side apply is half of the object, and nothing here reads it.
        request.metadata.managed_fields = None;
        self.pending += usize::from(moved.after == Phase::Pending);
        self.by_target.entry(request.target()).or_default().push(name.clone());
        self.by_name.insert(name, Arc::new(request));
        Some(moved)
    }

    /// Forgets a request. Answers whose it was.
    pub(crate) fn remove(&mut self, name: &Name) -> Option<TargetKey> {
        let request = self.by_name.remove(name)?;
        self.pending -= usize::from(request.phase() == Phase::Pending);
        let target = request.target();
        if let Some(names) = self.by_target.get_mut(&target) {
            names.retain(|held| held != name);
            if names.is_empty() {
                self.by_target.remove(&target);
            }
        }
        Some(target)
    }

    /// After a whole list: forgets what was not on it.
    pub(crate) fn sweep(&mut self, namespace: Option<&str>, seen: &HashSet<Name>) -> Vec<TargetKey> {
        let gone: Vec<Name> = self
            .by_name
            .keys()
            .filter(|name| namespace.is_none_or(|namespace| name.0 == namespace) && !seen.contains(*name))
            .cloned()
            .collect();
        gone.iter().filter_map(|name| self.remove(name)).collect()
    }

    /// The request of that name.
    pub(crate) fn get(&self, namespace: &str, name: &str) -> Option<Arc<UpdateRequest>> {
        self.by_name.get(&(namespace.to_owned(), name.to_owned())).cloned()
    }

    /// Every request of the target.
    pub(crate) fn of(&self, target: &TargetKey) -> Vec<Arc<UpdateRequest>> {
        self.by_target.get(target).into_iter().flatten().filter_map(|name| self.by_name.get(name).cloned()).collect()
    }

    /// The targets that have requests.
    pub(crate) fn targets(&self) -> impl Iterator<Item = &TargetKey> {
        self.by_target.keys()
    }

    /// Every request after that name, in the order of namespace and name.
    pub(crate) fn after<'a>(&'a self, name: Option<&Name>) -> impl Iterator<Item = &'a Arc<UpdateRequest>> + use<'a> {
        use std::ops::Bound::{Excluded, Unbounded};
        let from = name.map_or(Unbounded, |name| Excluded(name.clone()));
        self.by_name.range((from, Unbounded)).map(|(_, request)| request)
    }

    /// How many wait for an answer or for their turn.
    pub(crate) fn pending(&self) -> usize {
        self.pending
    }
}

/// The request's key; an object that the API server served has one.
pub(crate) fn key(request: &UpdateRequest) -> Option<Name> {
    Some((request.metadata.namespace.clone()?, request.metadata.name.clone()?))
}

#[cfg(test)]
mod tests;
