//! The UpdateRequests, from the watch and from this process's own writes.
//!
//! As in the index, an object is never replaced by an older version. Requests are stored by workload for decisions, and
//! found by name for people. An open request is stored complete, except for unused fields. Of a finished request, only
//! the fields that the rules use are stored ([`Finished`]).
//!
//! ```text
//! by_name: hash of namespace and name ─> workload ┐
//!                                                 v
//! by_workload:                          workload ─> open: objects, finished: records
//! ```

mod facts;
mod finished;
mod page;
mod phases;
mod rollouts;
mod texts;

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;

use hashbrown::HashTable;
use headwind_core::request::{Phase, Request};
use headwind_core::workload::WorkloadKey;
use headwind_k8s::update_request::{PROPOSED_AT, UpdateRequest};

pub(crate) use self::finished::Finished;
pub use self::page::Filter;
pub(crate) use self::page::Listing;
pub use self::phases::PhaseCounts;
use self::rollouts::KnownRollouts;
pub(crate) use self::rollouts::Waits;
use crate::cluster::object::{ObjectVersion, is_newer};

/// Namespace and name.
pub(crate) type Name = (String, String);

/// Maximum size, in bytes, of a message, and of the labels and annotations together, that the store keeps of a request.
/// Other writers can set them.
const FOREIGN: usize = 2048;

/// The store.
#[derive(Debug, Default)]
pub(crate) struct Requests {
    by_workload: HashMap<Arc<WorkloadKey>, OfWorkload>,
    /// The workload of each request. The requests contain the names.
    by_name: HashTable<(u64, Arc<WorkloadKey>)>,
    hasher: RandomState,
    rollouts: KnownRollouts,
}

/// The requests of one workload.
#[derive(Debug, Default)]
struct OfWorkload {
    open: Vec<Arc<UpdateRequest>>,
    finished: Vec<Finished>,
}

/// One request.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Held<'a> {
    /// An open request.
    Open(&'a Arc<UpdateRequest>),
    /// A finished request.
    Finished(&'a Finished),
}

impl Held<'_> {
    /// Returns the request for the rules.
    pub(crate) fn read(self) -> Request {
        match self {
            Held::Open(request) => request.read(),
            Held::Finished(request) => request.read(),
        }
    }

    /// Returns its phase.
    pub(crate) fn phase(self) -> Phase {
        match self {
            Held::Open(request) => request.phase(),
            Held::Finished(request) => request.phase(),
        }
    }

    /// Returns the identity of the object and of its version.
    pub(crate) fn version(self) -> ObjectVersion {
        match self {
            Held::Open(request) => ObjectVersion::of(request),
            Held::Finished(request) => request.version(),
        }
    }
}

/// A newer version of a request.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    /// The request before; `None` if it was unknown.
    pub(crate) before: Option<Request>,
    /// The object after.
    pub(crate) after: Arc<UpdateRequest>,
}

impl OfWorkload {
    fn find(&self, name: &str) -> Option<Held<'_>> {
        let open = self.open.iter().find(|request| request.metadata.name.as_deref() == Some(name)).map(Held::Open);
        open.or_else(|| self.finished.iter().find(|request| request.name() == name).map(Held::Finished))
    }

    fn all(&self) -> impl Iterator<Item = Held<'_>> {
        self.open.iter().map(Held::Open).chain(self.finished.iter().map(Held::Finished))
    }
}

impl Requests {
    /// Stores a request. Returns `None` if it is not newer than the stored one.
    pub(crate) fn apply(&mut self, mut request: UpdateRequest) -> Option<Change> {
        let name = key(&request)?;
        let new = ObjectVersion::of(&request);
        let held = self.get(&name.0, &name.1).map(|held| (held.version(), held)).filter(|(version, _)| version.uid == new.uid);
        if let Some((version, _)) = &held
            && !is_newer(&new.resource_version, &version.resource_version)
        {
            return None;
        }
        let before = held.map(|(_, held)| held.read());
        self.remove(&name);
        // The data of server-side apply is half of the object.
        request.metadata.managed_fields = None;
        let phase = request.phase();
        let workload = self.shared(request.workload_key());
        let hash = self.hash(&name);
        self.by_name.insert_unique(hash, (hash, Arc::clone(&workload)), |(hash, _)| *hash);
        let of = self.by_workload.entry(Arc::clone(&workload)).or_default();
        slim(&mut request);
        self.rollouts.apply(&name, &request.workload_key(), &request.read());
        let after = Arc::new(request);
        if phase.is_open() {
            of.open.push(Arc::clone(&after));
        } else {
            let uid = after.spec.target_ref.uid.as_str();
            let shared = of.finished.iter().map(Finished::target_uid).find(|known| &***known == uid);
            let finished = Finished::of(&after, shared.map_or_else(|| uid.into(), Arc::clone));
            of.finished.reserve_exact(1);
            of.finished.push(finished);
        }
        self.place_in_queue(&workload);
        Some(Change { before, after })
    }

    /// Gives the waiting requests of the workload their places in the queue for a rollout. The place depends on the requests
    /// that they replaced.
    fn place_in_queue(&mut self, workload: &Arc<WorkloadKey>) {
        let Self { by_workload, rollouts, .. } = self;
        let Some(of) = by_workload.get(workload) else { return };
        let names = of.open.iter().filter_map(|request| Some((request, key(request)?)));
        let waiting: Vec<_> = names.filter(|(_, name)| rollouts.waits(name)).collect();
        if waiting.is_empty() {
            return;
        }
        let superseded = of.finished.iter().filter(|request| request.phase() == Phase::Superseded);
        let replaced: Vec<Request> = superseded.map(Finished::read).collect();
        for (request, name) in waiting {
            rollouts.place(&name, request.read().queued_since(&replaced));
        }
    }

    /// Returns one shared copy of a key for all requests of the workload.
    fn shared(&self, workload: WorkloadKey) -> Arc<WorkloadKey> {
        self.by_workload.get_key_value(&workload).map_or_else(|| Arc::new(workload), |(known, _)| Arc::clone(known))
    }

    fn hash(&self, name: &Name) -> u64 {
        self.hasher.hash_one(name)
    }

    /// Removes a request. Returns its workload.
    pub(crate) fn remove(&mut self, name: &Name) -> Option<WorkloadKey> {
        self.rollouts.remove(name);
        let hash = self.hash(name);
        let Self { by_workload, by_name, .. } = self;
        let is_it = |(other, workload): &(u64, Arc<WorkloadKey>)| *other == hash && holds(by_workload, workload, name).is_some();
        let ((_, workload), _) = by_name.find_entry(hash, is_it).ok()?.remove();
        let of = by_workload.get_mut(&workload)?;
        of.open.retain(|request| request.metadata.name.as_deref() != Some(&name.1));
        of.finished.retain(|request| request.name() != name.1);
        if of.open.is_empty() && of.finished.is_empty() {
            by_workload.remove(&workload);
        }
        Some((*workload).clone())
    }

    /// Removes the requests that are not in the complete list.
    pub(crate) fn sweep(&mut self, namespace: Option<&str>, seen: &HashSet<Name>) -> Vec<WorkloadKey> {
        let here = |key: &Arc<WorkloadKey>| namespace.is_none_or(|namespace| key.namespace == namespace);
        let all = self.by_workload.iter().filter(|(key, _)| here(key));
        let names = all.flat_map(|(key, of)| of.all().map(|held| (key.namespace.clone(), name_of(held))));
        let gone: Vec<Name> = names.filter(|name| !seen.contains(name)).collect();
        gone.iter().filter_map(|name| self.remove(name)).collect()
    }

    /// Returns the facts that the limits on updates need.
    pub(crate) fn rollouts(&self) -> &KnownRollouts {
        &self.rollouts
    }

    /// Returns the request with that name.
    pub(crate) fn get(&self, namespace: &str, name: &str) -> Option<Held<'_>> {
        self.find(namespace, name).map(|(_, held)| held)
    }

    /// Returns the request with that name, and its workload.
    pub(crate) fn find(&self, namespace: &str, name: &str) -> Option<(&WorkloadKey, Held<'_>)> {
        let name = (namespace.to_owned(), name.to_owned());
        let hash = self.hash(&name);
        let is_it = |(other, workload): &(u64, Arc<WorkloadKey>)| *other == hash && holds(&self.by_workload, workload, &name).is_some();
        let (_, workload) = self.by_name.find(hash, is_it)?;
        Some((&**workload, holds(&self.by_workload, workload, &name)?))
    }

    /// Returns the open request with that name.
    pub(crate) fn open(&self, namespace: &str, name: &str) -> Option<Arc<UpdateRequest>> {
        match self.get(namespace, name)? {
            Held::Open(request) => Some(Arc::clone(request)),
            Held::Finished(_) => None,
        }
    }

    /// Returns every request of the workload.
    pub(crate) fn of(&self, workload: &WorkloadKey) -> impl Iterator<Item = Held<'_>> {
        self.by_workload.get(workload).into_iter().flat_map(OfWorkload::all)
    }

    /// Returns the open requests of the workload.
    pub(crate) fn open_of(&self, workload: &WorkloadKey) -> &[Arc<UpdateRequest>] {
        self.by_workload.get(workload).map_or(&[], |of| of.open.as_slice())
    }

    /// Returns the finished requests of the workload.
    pub(crate) fn finished_of(&self, workload: &WorkloadKey) -> &[Finished] {
        self.by_workload.get(workload).map_or(&[], |of| of.finished.as_slice())
    }

    /// Returns every request, in no particular order.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&WorkloadKey, Held<'_>)> {
        self.by_workload.iter().flat_map(|(key, of)| of.all().map(|held| (&**key, held)))
    }

    /// Returns the workloads that have requests.
    pub(crate) fn workloads(&self) -> impl Iterator<Item = &WorkloadKey> {
        self.by_workload.keys().map(|key| &**key)
    }

    /// Returns the same for use without the lock.
    pub(crate) fn shared_workloads(&self) -> Vec<Arc<WorkloadKey>> {
        self.by_workload.keys().map(Arc::clone).collect()
    }
}

fn holds<'a>(by_workload: &'a HashMap<Arc<WorkloadKey>, OfWorkload>, workload: &Arc<WorkloadKey>, name: &Name) -> Option<Held<'a>> {
    by_workload.get(workload).filter(|_| workload.namespace == name.0)?.find(&name.1)
}

pub(crate) fn name_of(held: Held<'_>) -> String {
    match held {
        Held::Open(request) => request.metadata.name.clone().unwrap_or_default(),
        Held::Finished(request) => request.name(),
    }
}

/// Drops unused fields of an open request, and bounds the data of other writers.
fn slim(request: &mut UpdateRequest) {
    let size = |map: &Option<std::collections::BTreeMap<String, String>>| -> usize {
        map.iter().flatten().map(|(key, value)| key.len() + value.len()).sum()
    };
    if size(&request.metadata.annotations) + size(&request.metadata.labels) > FOREIGN {
        request.metadata.labels = None;
        request.metadata.annotations.iter_mut().for_each(|all| all.retain(|key, _| key == PROPOSED_AT));
    }
    if let Some(status) = &mut request.status {
        cut(status.message.as_mut());
        status.conditions.truncate(8);
        status.conditions.iter_mut().for_each(|condition| cut(Some(&mut condition.message)));
    }
}

fn cut(text: Option<&mut String>) {
    if let Some(text) = text
        && text.len() > FOREIGN
    {
        let end = (0..=FOREIGN).rev().find(|end| text.is_char_boundary(*end)).unwrap_or_default();
        text.truncate(end);
        text.shrink_to_fit();
    }
}

/// Returns the request's key. An object from the API server has one.
pub(crate) fn key(request: &UpdateRequest) -> Option<Name> {
    Some((request.metadata.namespace.clone()?, request.metadata.name.clone()?))
}

#[cfg(test)]
pub(crate) mod tests;
