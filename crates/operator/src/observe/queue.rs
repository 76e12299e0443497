//! The reconciler's queue: one pass over a workload at a time, first come, first served.
//!
//! Each pass is a task of its own, so that a pass that computes for a long time, or panics, affects only its workload.
//!
//! A pass that is wanted now does not go through the timers, which round up to milliseconds.

use std::collections::{HashMap, HashSet, VecDeque};
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::time::Duration;

use futures_util::stream::{self, Stream as _};
use headwind_core::workload::WorkloadKey;
use kube::runtime::scheduler::{ScheduleRequest, scheduler};
use tokio::sync::mpsc;
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Time after which a workload whose pass panicked gets another pass.
const AFTER_PANIC: Duration = Duration::from_mins(1);

/// The sender for workloads that need a pass.
#[derive(Debug, Clone)]
pub(crate) struct Queue {
    now: mpsc::UnboundedSender<WorkloadKey>,
    later: mpsc::UnboundedSender<ScheduleRequest<WorkloadKey>>,
}

/// The receiver.
#[derive(Debug)]
pub(crate) struct Pending {
    now: mpsc::UnboundedReceiver<WorkloadKey>,
    later: mpsc::UnboundedReceiver<ScheduleRequest<WorkloadKey>>,
}

/// Creates a queue of workloads. Its length is bounded by the number of workloads: each is in it at most twice, once for
/// now and once for later.
pub(crate) fn queue() -> (Queue, Pending) {
    let ((now, due), (later, timed)) = (mpsc::unbounded_channel(), mpsc::unbounded_channel());
    (Queue { now, later }, Pending { now: due, later: timed })
}

impl Queue {
    /// Requests a pass over the workload as soon as possible.
    pub(crate) fn now(&self, key: WorkloadKey) {
        // A closed queue means that the process is ending. Its successor starts with a complete list.
        self.now.send(key).ok();
    }

    /// Requests a pass over the workload after that time. The earliest time of several counts.
    pub(crate) fn after(&self, key: WorkloadKey, wait: Duration) {
        self.later.send(ScheduleRequest { message: key, run_at: Instant::now() + wait }).ok();
    }
}

/// The workloads whose pass is due, each once.
#[derive(Debug, Default)]
struct Due {
    order: VecDeque<WorkloadKey>,
    known: HashSet<WorkloadKey>,
}

impl Due {
    fn add(&mut self, key: WorkloadKey) {
        if self.known.insert(key.clone()) {
            self.order.push_back(key);
        }
    }

    /// Takes the first workload without a running pass.
    fn take(&mut self, busy: &HashSet<WorkloadKey>) -> Option<WorkloadKey> {
        let place = self.order.iter().position(|key| !busy.contains(key))?;
        let key = self.order.remove(place)?;
        self.known.remove(&key);
        Some(key)
    }
}

impl Pending {
    /// Returns the workloads that are due now.
    #[cfg(test)]
    pub(crate) fn take_due(&mut self) -> Vec<WorkloadKey> {
        std::iter::from_fn(|| self.now.try_recv().ok()).collect()
    }

    /// Runs passes, at most `at_once` concurrently and never two over one workload, until it is stopped. Then waits for
    /// the running passes. Dropping the future stops them at their next pause.
    pub(crate) async fn run<F: Future<Output = Option<Duration>> + Send + 'static>(
        mut self,
        queue: Queue,
        at_once: usize,
        stop: CancellationToken,
        pass: impl Fn(WorkloadKey) -> F,
    ) {
        let incoming = stream::unfold(self.later, |mut receiver| async { receiver.recv().await.map(|request| (request, receiver)) });
        let mut timed = pin!(scheduler(incoming));
        let mut due = Due::default();
        let mut busy: HashSet<WorkloadKey> = HashSet::new();
        let mut running: HashMap<Id, WorkloadKey> = HashMap::new();
        let mut passes: JoinSet<Option<Duration>> = JoinSet::new();
        loop {
            while busy.len() < at_once
                && let Some(key) = due.take(&busy)
            {
                busy.insert(key.clone());
                let task = passes.spawn(pass(key.clone()));
                running.insert(task.id(), key);
            }
            tokio::select! {
                biased;
                Some(ended) = passes.join_next_with_id(), if !passes.is_empty() => {
                    let id = ended.as_ref().map_or_else(JoinError::id, |(id, _)| *id);
                    let Some(key) = running.remove(&id) else { continue };
                    busy.remove(&key);
                    let again = match ended {
                        Ok((_, again)) => again,
                        Err(error) => {
                            tracing::error!(workload.kind = %key.kind, workload.namespace = key.namespace, workload.name = key.name, %error, "internal error: a pass over the workload failed; retrying");
                            Some(AFTER_PANIC)
                        }
                    };
                    if let Some(wait) = again {
                        queue.after(key, wait);
                    }
                }
                () = stop.cancelled() => break,
                Some(key) = self.now.recv() => due.add(key),
                Some(key) = poll_fn(|context| pin!(timed.as_mut().hold_unless(|_| true)).poll_next(context)) => due.add(key),
            }
        }
        while passes.join_next().await.is_some() {}
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use headwind_core::workload::Kind;
    use parking_lot::Mutex;
    use tokio::sync::Semaphore;

    use super::*;

    fn key(name: &str) -> WorkloadKey {
        WorkloadKey { kind: Kind::Deployment, namespace: "n".to_owned(), name: name.to_owned() }
    }

    const DEADLINE: Duration = Duration::from_secs(10);

    /// A queue whose passes end when they are let.
    struct Site {
        queue: Queue,
        ends: Arc<Semaphore>,
        /// The workloads, in the order in which their passes began.
        begun: Arc<Mutex<Vec<String>>>,
        stop: CancellationToken,
    }

    impl Site {
        /// `again` is what a pass returns.
        fn new(at_once: usize, again: Option<Duration>) -> Self {
            let (queue, pending) = queue();
            let (ends, begun, stop) = (Arc::new(Semaphore::new(0)), Arc::<Mutex<Vec<String>>>::default(), CancellationToken::new());
            let (permits, log) = (Arc::clone(&ends), Arc::clone(&begun));
            let pass = move |key: WorkloadKey| {
                log.lock().push(key.name);
                let permits = Arc::clone(&permits);
                async move {
                    permits.acquire().await.unwrap().forget();
                    again
                }
            };
            tokio::spawn(pending.run(queue.clone(), at_once, stop.clone(), pass));
            Self { queue, ends, begun, stop }
        }

        /// Waits until so many passes have begun, and until the queue has nothing more to start.
        async fn began(&self, count: usize) -> Vec<String> {
            let enough = async {
                while self.begun.lock().len() < count {
                    tokio::task::yield_now().await;
                }
            };
            tokio::time::timeout(DEADLINE, enough).await.unwrap();
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
            self.begun.lock().clone()
        }
    }

    impl Drop for Site {
        fn drop(&mut self) {
            self.stop.cancel();
        }
    }

    #[tokio::test]
    async fn first_come_first_served_and_each_workload_once() {
        let site = Site::new(2, None);
        for name in ["a", "b", "c", "c", "d", "c"] {
            site.queue.now(key(name));
        }
        assert_eq!(site.began(2).await, ["a", "b"], "two at once");
        site.ends.add_permits(10);
        assert_eq!(site.began(4).await, ["a", "b", "c", "d"]);
    }

    #[tokio::test]
    async fn a_change_during_a_pass_starts_another_one_after_it() {
        let site = Site::new(8, None);
        site.queue.now(key("a"));
        site.began(1).await;
        site.queue.now(key("a"));
        site.queue.now(key("a"));
        assert_eq!(site.began(1).await, ["a"], "never two over one workload");
        site.ends.add_permits(10);
        assert_eq!(site.began(2).await, ["a", "a"]);
    }

    #[tokio::test]
    async fn the_earliest_time_counts_and_now_does_not_wait_for_it() {
        let site = Site::new(8, None);
        site.ends.add_permits(10);
        let sent = Instant::now();
        for millis in [100_000, 100, 50_000] {
            site.queue.after(key("a"), Duration::from_millis(millis));
        }
        site.queue.now(key("b"));
        assert_eq!(site.began(2).await, ["b", "a"]);
        assert!(sent.elapsed() >= Duration::from_millis(100));
    }

    /// A pass that computes without a pause does not stop the passes over other workloads.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_long_computation_delays_only_its_workload() {
        let (queue, pending) = queue();
        let (stop, other_ran) = (CancellationToken::new(), Arc::new(AtomicBool::new(false)));
        let (sender, mut ended) = mpsc::unbounded_channel();
        let ran = Arc::clone(&other_ran);
        let pass = move |key: WorkloadKey| {
            let (ran, sender) = (Arc::clone(&ran), sender.clone());
            async move {
                let began = Instant::now();
                while key.name == "slow" && !ran.load(Ordering::SeqCst) && began.elapsed() < DEADLINE {
                    std::thread::sleep(Duration::from_millis(1));
                }
                sender.send(key.name).ok();
                ran.store(true, Ordering::SeqCst);
                None
            }
        };
        queue.now(key("slow"));
        queue.now(key("other"));
        let running = tokio::spawn(pending.run(queue.clone(), 2, stop.clone(), pass));
        assert_eq!([ended.recv().await.unwrap(), ended.recv().await.unwrap()], ["other", "slow"]);
        stop.cancel();
        running.await.unwrap();
    }

    #[tokio::test]
    async fn a_pass_that_panics_affects_only_its_workload() {
        let (queue, pending) = queue();
        let (stop, begun) = (CancellationToken::new(), Arc::<Mutex<Vec<String>>>::default());
        let log = Arc::clone(&begun);
        let pass = move |key: WorkloadKey| {
            log.lock().push(key.name.clone());
            async move {
                assert!(key.name != "bad", "a bug");
                None
            }
        };
        let running = tokio::spawn(pending.run(queue.clone(), 1, stop.clone(), pass));
        for (count, name) in ["bad", "good", "bad"].into_iter().enumerate() {
            queue.now(key(name));
            let begins = async {
                while begun.lock().len() <= count {
                    tokio::task::yield_now().await;
                }
            };
            tokio::time::timeout(DEADLINE, begins).await.unwrap();
        }
        assert_eq!(*begun.lock(), ["bad", "good", "bad"]);
        stop.cancel();
        running.await.unwrap();
    }

    #[tokio::test]
    async fn a_pass_says_when_the_next_one_is_due() {
        let site = Site::new(1, Some(Duration::from_millis(30)));
        site.ends.add_permits(3);
        site.queue.now(key("a"));
        assert_eq!(site.began(4).await, ["a"; 4]);
    }
}
