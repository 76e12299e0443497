//! The feeds of the watches on workloads and UpdateRequests.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use headwind_core::reason::Reason;
use headwind_core::workload::{Workload, WorkloadKey};
use headwind_k8s::kinds::SlimWorkload;
use headwind_k8s::update_request::UpdateRequest;
use kube::core::ObjectMeta;

use crate::cluster::object::Undecodable;
use crate::observe::queue::Queue;
use crate::observe::requests::{Name, key};
use crate::observe::state::{News, State, WatchedNamespace};
use crate::observe::watch::Feed;

/// Feeds workloads of one kind into the index.
pub(crate) struct Targets {
    pub(crate) state: Arc<State>,
    pub(crate) queue: Queue,
    /// The watched namespace, or all.
    pub(crate) namespace: Option<String>,
}

impl Targets {
    /// Requeues the releases whose sharing of a tag with this one changed.
    fn others(&self) {
        let touched = self.state.index.write().take_unsettled();
        for key in touched.into_iter().filter(|key| self.state.concerns(key)) {
            self.queue.now(key);
        }
    }
}

impl<K: SlimWorkload> Feed<K> for Targets {
    type Key = WorkloadKey;

    fn apply(&self, object: K, first: bool) -> Option<WorkloadKey> {
        let workload = object.read()?;
        let key = workload.key.clone();
        let finished = !self.state.requests.read().finished_of(&key).is_empty();
        let before = self.state.index.read().workload(&key).filter(|_| finished);
        let same = before.is_some_and(|before| means_the_same(&before, &workload));
        let news = self.state.index.write().apply(workload);
        if news && !first {
            if self.state.concerns(&key) || (finished && !same) {
                self.queue.now(key.clone());
            }
            self.others();
        }
        Some(key)
    }

    fn delete(&self, object: K) {
        if let Some(workload) = object.read() {
            self.state.index.write().remove(&workload.key);
            self.queue.now(workload.key);
            self.others();
        }
    }

    fn delete_odd(&self, metadata: &ObjectMeta) {
        if let Some(key) = key_of::<K>(metadata) {
            self.state.index.write().remove(&key);
            self.queue.now(key);
            self.others();
        }
    }

    fn odd(&self, metadata: &ObjectMeta, problem: &str) -> Option<WorkloadKey> {
        let key = key_of::<K>(metadata)?;
        tracing::warn!(workload.kind = %key.kind, workload.namespace = key.namespace, workload.name = key.name, reason = Reason::InvalidObject.code(), "failed to decode the object; skipped: {problem}");
        let odd = Undecodable {
            api_version: K::api_version(&()).into_owned(),
            uid: metadata.uid.clone().unwrap_or_default(),
            problem: problem.to_owned(),
        };
        self.state.index.write().set_odd(key.clone(), odd);
        self.queue.now(key.clone());
        self.others();
        Some(key)
    }

    fn sweep(&self, seen: &HashSet<WorkloadKey>) {
        let vanished = self.state.index.write().sweep(K::KIND, self.namespace.as_deref(), seen);
        for key in vanished.into_iter().chain(seen.iter().filter(|key| self.state.concerns(key)).cloned()) {
            self.queue.now(key);
        }
        self.others();
    }
}

/// Returns true if finished requests need no pass for the newer copy. They depend only on the current images of the
/// workload and on Headwind's annotations. The counts of a rollout include only open requests.
fn means_the_same(before: &Workload, after: &Workload) -> bool {
    before.uid == after.uid && before.annotations == after.annotations && before.containers == after.containers
}

fn key_of<K: SlimWorkload>(metadata: &ObjectMeta) -> Option<WorkloadKey> {
    Some(WorkloadKey { kind: K::KIND, namespace: metadata.namespace.clone()?, name: metadata.name.clone()? })
}

/// Feeds UpdateRequests into the store.
pub(crate) struct RequestFeed {
    state: Arc<State>,
    queue: Queue,
    /// The watched namespace, or all.
    scope: WatchedNamespace,
    /// True once the first list is complete: later changes are reported.
    complete: AtomicBool,
}

impl RequestFeed {
    pub(crate) fn new(state: Arc<State>, queue: Queue, namespace: Option<&str>) -> Self {
        Self { state, queue, scope: namespace.map(Arc::from), complete: AtomicBool::new(false) }
    }
}

impl Feed<UpdateRequest> for RequestFeed {
    type Key = Name;

    fn apply(&self, request: UpdateRequest, first: bool) -> Option<Name> {
        let (name, workload) = (key(&request)?, request.workload_key());
        let version = request.metadata.resource_version.as_deref().and_then(|version| version.parse().ok());
        let news = if self.complete.load(Ordering::Acquire) {
            self.state.record(request)
        } else {
            self.state.requests.write().apply(request).is_some()
        };
        if let Some(version) = version {
            self.state.publish(News::Delivered(self.scope.clone(), version));
        }
        if news && !first {
            self.queue.now(workload);
        }
        Some(name)
    }

    fn delete(&self, request: UpdateRequest) {
        if let Some(name) = key(&request) {
            let mut requests = self.state.requests.write();
            // Another request may have the name by now.
            if requests.get(&name.0, &name.1).is_some_and(|held| Some(held.version().uid) == request.metadata.uid) {
                requests.remove(&name);
            }
            drop(requests);
            self.queue.now(request.workload_key());
        }
    }

    fn delete_odd(&self, _: &ObjectMeta) {}

    fn odd(&self, metadata: &ObjectMeta, problem: &str) -> Option<Name> {
        let name = (metadata.namespace.clone()?, metadata.name.clone()?);
        tracing::warn!(
            request.namespace = name.0,
            request.name = name.1,
            reason = Reason::InvalidObject.code(),
            "failed to decode the UpdateRequest; skipped: {problem}"
        );
        self.state.requests.write().remove(&name);
        Some(name)
    }

    fn sweep(&self, seen: &HashSet<Name>) {
        let gone = self.state.requests.write().sweep(self.scope.as_deref(), seen);
        self.complete.store(true, Ordering::Release);
        let all: HashSet<WorkloadKey> = self.state.requests.read().workloads().cloned().collect();
        for key in all.into_iter().chain(gone) {
            self.queue.now(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use headwind_core::workload::Kind;
    use headwind_k8s::kinds::SlimDeployment;
    use serde_json::{Value, json};

    use super::*;
    use crate::observe::queue::{Pending, queue};
    use crate::observe::requests::tests::request;

    fn targets() -> (Targets, Pending) {
        let (queue, due) = queue();
        (Targets { state: Arc::default(), queue, namespace: None }, due)
    }

    fn key() -> WorkloadKey {
        headwind_core::testing::key(Kind::Deployment, "t")
    }

    fn deployment(version: &str, image: &str, ready: u32) -> SlimDeployment {
        let object: Value = json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "t", "namespace": "n", "uid": "u", "resourceVersion": version, "annotations": {"headwind.sh/policy": "minor"}},
            "spec": {
                "replicas": 2, "selector": {"matchLabels": {"app": "t"}},
                "template": {"metadata": {"labels": {"app": "t"}}, "spec": {"containers": [{"name": "web", "image": image}]}},
            },
            "status": {"readyReplicas": ready},
        });
        serde_json::from_value(object).unwrap()
    }

    /// The status of a workload changes many times during a rollout. Finished requests do not depend on it.
    #[rstest::rstest]
    #[case::finished_and_status("Completed", "a:2", 2, 0)]
    #[case::finished_and_image("Completed", "a:3", 1, 1)]
    #[case::open_and_status("Pending", "a:2", 2, 1)]
    fn which_events_start_a_pass(#[case] phase: &str, #[case] image: &str, #[case] ready: u32, #[case] passes: usize) {
        let (targets, mut due) = targets();
        targets.apply(deployment("1", "a:2", 1), true);
        targets.state.record(request("r", "1", phase));
        assert_eq!(due.take_due(), []);
        targets.apply(deployment("2", image, ready), false);
        assert_eq!(due.take_due(), vec![key(); passes]);
    }

    /// The event of a deletion may come after the request was created again.
    #[test]
    fn a_late_deletion_leaves_the_new_request() {
        let (queue, _due) = queue();
        let feed = RequestFeed::new(Arc::default(), queue, None);
        let held = || feed.state.requests.read().get("n", "r").is_some();
        let mut old = request("r", "1", "Superseded");
        old.metadata.uid = Some("old".to_owned());
        feed.state.record(request("r", "2", "Approved"));
        feed.delete(old);
        assert!(held());
        feed.delete(request("r", "2", "Approved"));
        assert!(!held());
    }

    #[test]
    fn a_deleted_object_is_not_reported_as_undecodable() {
        let (targets, mut due) = targets();
        let metadata =
            ObjectMeta { name: Some("t".to_owned()), namespace: Some("n".to_owned()), uid: Some("u".to_owned()), ..ObjectMeta::default() };
        let feed: &dyn Feed<SlimDeployment, Key = WorkloadKey> = &targets;
        assert_eq!(feed.odd(&metadata, "spec is missing"), Some(key()));
        let odd = || targets.state.index.read().needs_attention().cloned().collect::<Vec<_>>();
        assert_eq!(odd(), [key()]);
        feed.delete_odd(&metadata);
        assert_eq!((odd(), due.take_due()), (vec![], vec![key(), key()]));
    }
}
