//! The reconciler's queue: each workload once, at its earliest time, one pass at a time.

use std::collections::HashSet;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, Stream as _, StreamExt as _};
use headwind_core::workload::WorkloadKey;
use kube::runtime::scheduler::{ScheduleRequest, scheduler};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// The sender for workloads that need a pass.
#[derive(Debug, Clone)]
pub(crate) struct Queue(mpsc::UnboundedSender<ScheduleRequest<WorkloadKey>>);

/// The receiver.
#[derive(Debug)]
pub(crate) struct Pending(mpsc::UnboundedReceiver<ScheduleRequest<WorkloadKey>>);

/// Creates a queue of workloads. Its length is bounded by the number of workloads, because each is in it once.
pub(crate) fn queue() -> (Queue, Pending) {
    let (sender, receiver) = mpsc::unbounded_channel();
    (Queue(sender), Pending(receiver))
}

impl Queue {
    /// Requests a pass over the workload as soon as possible.
    pub(crate) fn now(&self, key: WorkloadKey) {
        self.after(key, Duration::ZERO);
    }

    /// Requests a pass over the workload after that time.
    pub(crate) fn after(&self, key: WorkloadKey, wait: Duration) {
        // A closed queue means that the process is ending. Its successor starts with a complete list.
        self.0.send(ScheduleRequest { message: key, run_at: Instant::now() + wait }).ok();
    }
}

impl Pending {
    /// Runs passes, at most `at_once` concurrently and never two over one workload, until it is stopped. Then waits for
    /// the running passes.
    pub(crate) async fn run<F: Future<Output = Option<Duration>>>(
        self,
        queue: Queue,
        at_once: usize,
        stop: CancellationToken,
        pass: impl Fn(WorkloadKey) -> F,
    ) {
        let incoming =
            futures_util::stream::unfold(self.0, |mut receiver| async { receiver.recv().await.map(|request| (request, receiver)) });
        let mut waiting = pin!(scheduler(incoming));
        let mut busy: HashSet<WorkloadKey> = HashSet::new();
        let mut passes = FuturesUnordered::new();
        loop {
            tokio::select! {
                biased;
                Some((key, again)) = passes.next(), if !passes.is_empty() => {
                    busy.remove(&key);
                    if let Some(wait) = again {
                        queue.after(key, wait);
                    }
                }
                () = stop.cancelled() => break,
                next = poll_fn(|context| pin!(waiting.as_mut().hold_unless(|key| !busy.contains(key))).poll_next(context)), if busy.len() < at_once => {
                    let Some(key) = next else { break };
                    busy.insert(key.clone());
                    let pass = pass(key.clone());
                    passes.push(async move { (key, pass.await) });
                }
            }
        }
        while passes.next().await.is_some() {}
    }
}
