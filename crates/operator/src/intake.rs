//! The bounded way in for events.
//!
//! An event for a repository that nobody uses ends at once, in the caller's own task, with one
//! look-up. Every other one takes a place of a fixed number; where none is free the sender is
//! told to come again. Events of one repository are handled in the order they came; a request
//! that cannot be written now is tried again for as long as the process lives, its place taken.
//!
//! ```text
//! offer ──look-up──> not used: done
//!            └─place─> lane (by repository) ─> record ─┬─> done
//!                        ^────────── later ────────────┘ the API server would not
//! ```

use std::convert::Infallible;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
use std::time::Duration;

use headwind_core::event::{Event, Trigger};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::metrics::Metrics;
use crate::record::Recording;
use crate::shared::State;

/// How many events may be under way. At some 300 bytes each they take less than 4 MiB.
pub(crate) const PLACES: usize = 10_000;
/// How many lanes; each handles one event at a time.
const LANES: usize = 16;
/// The first and the longest pause before a request is tried again.
const PAUSE: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(30));

/// An event with its place.
#[derive(Debug)]
struct Placed {
    event: Event,
    tries: u32,
    _place: OwnedSemaphorePermit,
}

/// No place is free.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many events are under way")]
pub struct Busy;

/// What became of the events of one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Offered {
    /// Events for repositories that some workload uses: they are looked at now.
    pub taken: usize,
    /// Events for repositories that nobody uses.
    pub unused: usize,
}

/// The way in.
#[derive(Debug, Clone)]
pub(crate) struct Intake {
    places: Arc<Semaphore>,
    lanes: Arc<[mpsc::UnboundedSender<Placed>]>,
    state: Arc<State>,
    metrics: Metrics,
}

/// The lanes' other ends.
#[derive(Debug)]
pub(crate) struct Lanes(Vec<mpsc::UnboundedReceiver<Placed>>);

impl Intake {
    pub(crate) fn new(state: Arc<State>, metrics: Metrics) -> (Self, Lanes) {
        let (senders, receivers): (Vec<_>, Vec<_>) = (0..LANES).map(|_| mpsc::unbounded_channel()).unzip();
        (Self { places: Arc::new(Semaphore::new(PLACES)), lanes: senders.into(), state, metrics }, Lanes(receivers))
    }

    /// Takes all of the events or none.
    pub(crate) fn offer(&self, events: Vec<Event>) -> Result<Offered, Busy> {
        let all = events.len();
        // Before the caches are whole nobody can say that a repository is not used.
        let used: Vec<Event> = if self.state.readiness.synced() {
            let index = self.state.index.read();
            events.into_iter().filter(|event| index.is_used(&event.origin)).collect()
        } else {
            events
        };
        let mut places = Vec::with_capacity(used.len());
        for _ in &used {
            places.push(Arc::clone(&self.places).try_acquire_owned().map_err(|_| Busy)?);
        }
        let offered = Offered { taken: used.len(), unused: all - used.len() };
        self.metrics.webhook_events.inc_by(all as u64);
        self.metrics.webhook_events_processed.inc_by(offered.unused as u64);
        for (event, place) in used.into_iter().zip(places) {
            self.send(Placed { event, tries: 0, _place: place });
        }
        Ok(offered)
    }

    fn send(&self, placed: Placed) {
        let mut hash = DefaultHasher::new();
        placed.event.origin.hash(&mut hash);
        let lane = usize::try_from(hash.finish() % LANES as u64).unwrap_or_default();
        if let Some(lane) = self.lanes.get(lane)
            && lane.send(placed).is_err()
        {
            tracing::warn!("an event came after the end; the poller or the next push repairs it");
        }
    }

    /// Waits until no event is under way.
    pub(crate) async fn drained(&self) {
        // A closed semaphore would mean the same.
        let all = u32::try_from(PLACES).unwrap_or(u32::MAX);
        drop(self.places.acquire_many(all).await);
    }
}

impl Lanes {
    /// Handles events until `stop`.
    pub(crate) async fn run(self, intake: Intake, recording: Recording, stop: CancellationToken) -> Result<(), Infallible> {
        let lanes = TaskTracker::new();
        for receiver in self.0 {
            let (intake, recording, stop) = (intake.clone(), recording.clone(), stop.clone());
            lanes.spawn(async move {
                stop.run_until_cancelled(Box::pin(lane(receiver, intake, recording))).await;
            });
        }
        lanes.close();
        lanes.wait().await;
        Ok(())
    }
}

async fn lane(mut receiver: mpsc::UnboundedReceiver<Placed>, intake: Intake, recording: Recording) {
    intake.state.readiness.until_synced().await;
    while let Some(mut placed) = receiver.recv().await {
        match recording.event(&placed.event).await {
            Ok(()) => {
                if placed.event.trigger == Trigger::Webhook {
                    intake.metrics.webhook_events_processed.inc();
                }
            }
            Err(failure) => {
                let pause = failure.retry_after.unwrap_or_else(|| (PAUSE.0 * 2_u32.saturating_pow(placed.tries.min(16))).min(PAUSE.1));
                if placed.tries == 0 {
                    tracing::warn!(image.repository = %placed.event.origin, error = %failure, "a request could not be made; trying again until it can");
                }
                placed.tries = placed.tries.saturating_add(1);
                let intake = intake.clone();
                tokio::spawn(async move {
                    tokio::time::sleep(pause).await;
                    intake.send(placed);
                });
            }
        }
    }
}
