//! Reads of a namespace's annotations that start before they are needed.
//!
//! A Role cannot grant a watch on a Namespace, so Headwind reads its annotations before it applies an update. For an
//! update that needs no approval, this read runs while the request is created: it is as new as the request, and nobody
//! waits for it.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use headwind_core::settings::Annotations;
use parking_lot::Mutex;
use tokio::task::JoinHandle;

use crate::cluster::{ClusterClient, Failure};

/// Maximum age of a read when it is used. An older one is repeated.
const FRESH: Duration = Duration::from_secs(1);

/// The namespace and name of a request.
type RequestKey = (String, String);

/// A read in progress, or its result, and when it started.
struct Read {
    started: Instant,
    answer: JoinHandle<Result<Annotations, Failure>>,
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

    /// Starts to read the namespace of a request that is about to be created. Does nothing if Headwind watches
    /// Namespaces.
    pub(crate) fn start(&self, namespace: &str, request: &str) {
        if !self.cluster.is_limited() {
            return;
        }
        let (cluster, name) = (self.cluster.clone(), namespace.to_owned());
        let read = Read { started: Instant::now(), answer: tokio::spawn(async move { cluster.defaults(&name).await }) };
        let mut reads = self.reads.lock();
        // Nobody takes the read of an update that waits for something.
        reads.retain(|_, read| read.started.elapsed() < FRESH);
        reads.insert((namespace.to_owned(), request.to_owned()), read);
    }

    /// Returns the annotations of a namespace, to apply these requests: from a read that started with one of them, or
    /// from a new one.
    ///
    /// # Errors
    /// If the API server does not answer the new read, or refuses it.
    pub(crate) async fn defaults(&self, namespace: &str, requests: impl Iterator<Item = &str>) -> Result<Annotations, Failure> {
        let newest = {
            let mut reads = self.reads.lock();
            let taken = requests.filter_map(|request| reads.remove(&(namespace.to_owned(), request.to_owned())));
            taken.filter(|read| read.started.elapsed() < FRESH).max_by_key(|read| read.started)
        };
        if let Some(Read { answer, .. }) = newest
            && let Ok(Ok(defaults)) = answer.await
        {
            return Ok(defaults);
        }
        self.cluster.defaults(namespace).await
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

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

    async fn freeze(reads: &EarlyReads, request: &str) -> Option<String> {
        reads.defaults("shop", std::iter::once(request)).await.unwrap().get("headwind.sh/freeze").cloned()
    }

    #[tokio::test]
    async fn a_read_serves_the_request_that_it_started_with_and_only_once() {
        let (reads, count) = counted(true);
        reads.start("shop", "a");
        assert_eq!(freeze(&reads, "a").await.as_deref(), Some("1"));
        assert_eq!(freeze(&reads, "a").await.as_deref(), Some("2"), "a retry reads again");
        reads.start("shop", "b");
        assert_eq!(freeze(&reads, "c").await.as_deref(), Some("3"), "the read of another request is not used");
        assert_eq!(count.load(Ordering::SeqCst), 4);
    }

    #[tokio::test]
    async fn an_old_read_is_repeated() {
        let (reads, _) = counted(true);
        reads.start("shop", "a");
        for read in reads.reads.lock().values_mut() {
            read.started = read.started.checked_sub(FRESH).unwrap();
        }
        tokio::task::yield_now().await;
        assert_eq!(freeze(&reads, "a").await.as_deref(), Some("2"));
        reads.start("shop", "b");
        assert_eq!(reads.reads.lock().len(), 1, "old reads do not pile up");
    }

    #[tokio::test]
    async fn watched_namespaces_are_not_read_early() {
        let (reads, count) = counted(false);
        reads.start("shop", "a");
        tokio::task::yield_now().await;
        assert_eq!(count.load(Ordering::SeqCst), 0);
    }
}
