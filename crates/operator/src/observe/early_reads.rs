//! Reads of a namespace's annotations that start before they are needed.
//!
//! A Role cannot grant a watch on a Namespace, so Headwind reads its annotations before it applies an update. For an
//! update that needs no approval, this read runs while the request is created, so nobody waits for it.
//!
//! Such a read counts only for the version of the workload that the request was made from: the patch tests that version,
//! so there was a moment at which workload and Namespace both allowed the update.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use headwind_core::settings::Annotations;
use headwind_core::workload::Workload;
use parking_lot::Mutex;
use tokio::task::JoinHandle;

use crate::cluster::{ClusterClient, Failure};

/// Maximum age of a read when it is taken, and maximum time to wait for its answer then.
const FRESH: Duration = Duration::from_secs(1);

/// The namespace and name of a request.
type RequestKey = (String, String);

/// A read in progress, or its result.
struct Read {
    started: Instant,
    /// The workload that the request was made from.
    uid: String,
    resource_version: String,
    answer: JoinHandle<Result<Annotations, Failure>>,
}

impl Read {
    fn is_fresh(&self) -> bool {
        self.started.elapsed() < FRESH
    }

    fn counts_for(&self, workload: &Workload) -> bool {
        self.is_fresh() && self.uid == workload.uid && self.resource_version == workload.resource_version
    }
}

/// Reads of namespaces, each for one request that is being created.
pub(crate) struct EarlyReads {
    cluster: ClusterClient,
    reads: Mutex<HashMap<RequestKey, Read>>,
}

impl EarlyReads {
    pub(crate) fn new(cluster: ClusterClient) -> Self {
        Self { cluster, reads: Mutex::default() }
    }

    /// Starts to read the namespace of the workload, for a request that is about to be created. Does nothing if Headwind
    /// watches Namespaces.
    pub(crate) fn start(&self, workload: &Workload, request: &str) {
        if !self.cluster.is_limited() {
            return;
        }
        let namespace = &workload.key.namespace;
        let (cluster, name) = (self.cluster.clone(), namespace.clone());
        let read = Read {
            started: Instant::now(),
            uid: workload.uid.clone(),
            resource_version: workload.resource_version.clone(),
            answer: tokio::spawn(async move { cluster.defaults(&name).await }),
        };
        let mut reads = self.reads.lock();
        reads.retain(|_, read| read.is_fresh());
        reads.insert((namespace.clone(), request.to_owned()), read);
    }

    /// Returns the annotations of the workload's namespace, to apply these requests: from the reads that started with
    /// them, if each has one, or from a new read.
    ///
    /// # Errors
    /// If the API server does not answer the new read, or refuses it.
    pub(crate) async fn defaults(&self, workload: &Workload, requests: impl Iterator<Item = &str>) -> Result<Annotations, Failure> {
        let namespace = &workload.key.namespace;
        let taken: Option<Vec<Read>> = {
            let mut reads = self.reads.lock();
            requests
                .map(|request| reads.remove(&(namespace.clone(), request.to_owned())).filter(|read| read.counts_for(workload)))
                .collect()
        };
        if let Some(Read { answer, .. }) = taken.into_iter().flatten().max_by_key(|read| read.started)
            && let Ok(Ok(Ok(defaults))) = tokio::time::timeout(FRESH, answer).await
        {
            return Ok(defaults);
        }
        self.cluster.defaults(namespace).await
    }

    /// Forgets the reads of these requests, because they are not applied now.
    pub(crate) fn forget<'a>(&self, namespace: &str, requests: impl Iterator<Item = &'a str>) {
        let mut reads = self.reads.lock();
        if reads.is_empty() {
            return;
        }
        for request in requests {
            reads.remove(&(namespace.to_owned(), request.to_owned()));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use headwind_core::workload::{Kind, WorkloadKey};
    use http::{Request, Response};
    use kube::client::Body;
    use serde_json::json;

    use super::*;
    use crate::cluster::served_versions::ServedVersions;

    /// Returns the reads of an API server that counts them, and the counter. Each answer has the number of its read.
    fn counted(limited: bool) -> (EarlyReads, Arc<AtomicUsize>) {
        let count = Arc::new(AtomicUsize::new(0));
        let service = tower::service_fn({
            let count = Arc::clone(&count);
            move |_: Request<Body>| {
                let nth = count.fetch_add(1, Ordering::SeqCst) + 1;
                let namespace = json!({
                    "apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata",
                    "metadata": {"name": "shop", "annotations": {"headwind.sh/freeze": nth.to_string()}},
                });
                async move { Ok::<_, Infallible>(Response::new(Body::from(namespace.to_string().into_bytes()))) }
            }
        });
        let client = kube::Client::new(service, "shop");
        (EarlyReads::new(ClusterClient::new(client, Arc::new(ServedVersions::default()), limited)), count)
    }

    /// Returns a workload of namespace `shop` with this version.
    fn workload(resource_version: &str) -> Workload {
        let key = WorkloadKey { kind: Kind::Deployment, namespace: "shop".to_owned(), name: "web".to_owned() };
        Workload { uid: "u".to_owned(), resource_version: resource_version.to_owned(), ..Workload::new(key, Vec::new()) }
    }

    /// Returns the number of the read that serves these requests.
    async fn read(reads: &EarlyReads, version: &str, requests: &[&str]) -> String {
        let defaults = reads.defaults(&workload(version), requests.iter().copied()).await.unwrap();
        defaults.get("headwind.sh/freeze").cloned().unwrap_or_default()
    }

    #[tokio::test]
    async fn a_read_serves_the_request_that_it_started_with_and_only_once() {
        let (reads, _) = counted(true);
        reads.start(&workload("1"), "a");
        assert_eq!(read(&reads, "1", &["a"]).await, "1");
        assert_eq!(read(&reads, "1", &["a"]).await, "2", "a retry reads again");
    }

    #[rstest::rstest]
    #[case::another_request("1", &["b"])]
    #[case::a_request_without_a_read_too("1", &["a", "b"])]
    #[case::the_workload_changed("2", &["a"])]
    #[tokio::test]
    async fn a_read_is_repeated(#[case] version: &str, #[case] requests: &[&str]) {
        let (reads, count) = counted(true);
        reads.start(&workload("1"), "a");
        tokio::task::yield_now().await;
        read(&reads, version, requests).await;
        assert_eq!(count.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn the_newest_read_of_a_patch_counts() {
        let (reads, count) = counted(true);
        for request in ["a", "b"] {
            reads.start(&workload("1"), request);
            tokio::task::yield_now().await;
        }
        assert_eq!(read(&reads, "1", &["b", "a"]).await, "2");
        assert_eq!(count.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn a_request_that_waits_loses_its_read() {
        let (reads, _) = counted(true);
        reads.start(&workload("1"), "a");
        tokio::task::yield_now().await;
        reads.forget("shop", ["b", "a"].into_iter());
        assert_eq!(read(&reads, "1", &["a"]).await, "2");
    }

    #[tokio::test]
    async fn an_old_read_is_repeated() {
        let (reads, _) = counted(true);
        reads.start(&workload("1"), "a");
        for read in reads.reads.lock().values_mut() {
            read.started = read.started.checked_sub(FRESH).unwrap();
        }
        tokio::task::yield_now().await;
        assert_eq!(read(&reads, "1", &["a"]).await, "2");
        reads.start(&workload("1"), "b");
        assert_eq!(reads.reads.lock().len(), 1, "old reads do not pile up");
    }

    #[tokio::test]
    async fn watched_namespaces_are_not_read_early() {
        let (reads, count) = counted(false);
        reads.start(&workload("1"), "a");
        tokio::task::yield_now().await;
        assert_eq!(count.load(Ordering::SeqCst), 0);
    }
}
