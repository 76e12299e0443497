//! Requeues the updates that may start because a limit changed: a rollout ended, a freeze was lifted, updates were resumed.

use std::sync::Arc;
use std::time::Duration;

use headwind_core::workload::WorkloadKey;
use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;

use crate::clock::now;
use crate::observe::queue::Queue;
use crate::observe::state::State;
use crate::report::journal::Journal;

/// Several changes within this time are one.
const PAUSE: Duration = Duration::from_millis(100);
/// Interval for looking at the queue without a change of a request: a rollout may leave its slot because it is paused, or
/// because its workload is being deleted.
const PERIOD: Duration = Duration::from_secs(30);

/// Runs until `stop`.
pub(crate) async fn follow(state: Arc<State>, queue: Queue, journal: Journal, stop: CancellationToken) {
    let mut changes = journal.changes();
    let mut configured = state.limits.subscribe();
    let mut paused = state.paused_since(now());
    let mut period = tokio::time::interval(PERIOD);
    loop {
        let is_configured = tokio::select! {
            () = stop.cancelled() => return,
            news = configured.changed() => match news {
                Ok(()) => true,
                Err(_) => return,
            },
            change = changes.recv() => match change {
                Ok(_) | Err(RecvError::Lagged(_)) => false,
                Err(RecvError::Closed) => return,
            },
            () = state.limits.slot_freed() => false,
            _ = period.tick() => false,
        };
        if !is_configured {
            tokio::time::sleep(PAUSE).await;
            changes = changes.resubscribe();
        }
        let before = std::mem::replace(&mut paused, state.paused_since(now()));
        if is_configured || before != paused {
            // The limits of every update changed.
            let waiting: Vec<WorkloadKey> = state.requests.read().workloads().cloned().collect();
            for key in waiting.into_iter().filter(|key| state.concerns(key)) {
                queue.now(key);
            }
            if let (None, Some(since)) = (before, paused) {
                tracing::warn!(%since, "too many updates failed within an hour; updates that the policy approves are paused until a person resumes them");
            }
            continue;
        }
        let limits = state.current_limits(now());
        for turn in limits.rollouts.next {
            queue.now(turn.workload);
        }
    }
}
