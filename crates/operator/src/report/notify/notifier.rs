//! Queues the notifications of each transition for the channels that want them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use headwind_core::notification::Notice;
use headwind_core::settings::{Annotations, Settings as WorkloadSettings};
use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc, watch};

use super::progress::AllProgress;
use super::queue::Queue;
use super::settings::{Common, Settings};
use super::slack::board::Board;
use crate::observe::state::State;
use crate::report::channel::Channel;
use crate::report::entry::ReportEntry;
use crate::report::marks::Marks;
use crate::report::metrics::Metrics;

/// Queues notifications. Cheap to clone, never blocks.
#[derive(Clone)]
pub(crate) struct Notifier(Arc<Inner>);

struct Inner {
    settings: watch::Receiver<Arc<Settings>>,
    state: Arc<State>,
    metrics: Metrics,
    outboxes: Mutex<Outboxes>,
    board: Board,
    takeover: mpsc::Sender<Takeover>,
}

#[derive(Default)]
struct Outboxes {
    by_channel: BTreeMap<Channel, Outbox>,
    stage: Stage,
}

/// The progress of this process in taking over from the previous leader.
#[derive(Default)]
enum Stage {
    /// It does not lead.
    #[default]
    Standby,
    /// It sends notifications, and looks for those that the previous leader did not deliver.
    CatchingUp(AllProgress),
    /// Everything that the previous leader did not deliver is queued.
    CaughtUp,
}

/// The queue of a channel, shared with the task that delivers it.
#[derive(Clone, Default)]
pub(super) struct Outbox {
    pub(super) queue: Arc<Mutex<Queue>>,
    pub(super) wake: Arc<Notify>,
}

/// The work that a new leader takes over.
pub(super) struct Takeover {
    /// The progress of the previous leader.
    pub(super) inherited: AllProgress,
    /// The transitions that this process remembers from the time before it led.
    pub(super) remembered: Vec<Arc<ReportEntry>>,
}

impl Notifier {
    /// Creates the notifier and the receiver of its takeover.
    pub(super) fn new(settings: watch::Receiver<Arc<Settings>>, state: Arc<State>, metrics: Metrics) -> (Self, mpsc::Receiver<Takeover>) {
        let (takeover, receiver) = mpsc::channel(1);
        let notifier = Self(Arc::new(Inner { settings, state, metrics, outboxes: Mutex::default(), board: Board::default(), takeover }));
        notifier.update();
        (notifier, receiver)
    }

    /// Creates a notifier without channels.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn off(state: &Arc<State>, metrics: &Metrics) -> Self {
        Self::new(watch::channel(Arc::default()).1, Arc::clone(state), metrics.clone()).0
    }

    /// Creates the queues of newly enabled channels, and removes those of disabled ones. Returns the outboxes.
    pub(super) fn update(&self) -> (Arc<Settings>, BTreeMap<Channel, Outbox>) {
        let settings = Arc::clone(&self.0.settings.borrow());
        let by_channel = &mut self.0.outboxes.lock().by_channel;
        by_channel.retain(|channel, _| settings.common(*channel).is_some());
        for channel in Channel::ALL.iter().filter(|channel| settings.common(**channel).is_some()) {
            by_channel.entry(*channel).or_default();
        }
        (settings, by_channel.clone())
    }

    /// Returns the state of the operator.
    pub(super) fn state(&self) -> &Arc<State> {
        &self.0.state
    }

    /// Returns the record of the messages of the Slack bot.
    pub(super) fn board(&self) -> &Board {
        &self.0.board
    }

    /// Queues the notifications of a transition.
    pub(crate) fn offer(&self, entry: &Arc<ReportEntry>) {
        self.0.board.changed(entry);
        if entry.notices.is_empty() || self.0.outboxes.lock().by_channel.is_empty() {
            return;
        }
        let finished = entry.request.status.finished_at;
        let pauses_updates = finished.is_some() && self.0.state.paused_since(crate::clock::now()) == finished;
        let paused = pauses_updates.then(|| Arc::new(ReportEntry { pauses_updates, ..(**entry).clone() }));
        let entry = paused.as_ref().unwrap_or(entry);
        let wanted: Vec<_> = Channel::ALL.iter().flat_map(|channel| entry.notices.iter().map(|notice| (*channel, notice))).collect();
        self.queue(entry, &wanted);
    }

    /// Queues these notifications of a request, as far as the settings and the annotation of the workload want them.
    pub(super) fn queue(&self, entry: &Arc<ReportEntry>, wanted: &[(Channel, &Notice)]) {
        let settings = Arc::clone(&self.0.settings.borrow());
        let only = self.chosen(entry);
        let now = Timestamp::now();
        let outboxes = self.0.outboxes.lock();
        for (channel, notice) in wanted {
            let Some((outbox, common)) = outboxes.by_channel.get(channel).zip(settings.common(*channel)) else { continue };
            if !wants(common, &entry.workload.namespace, notice) || only.as_ref().is_some_and(|only| !only.contains(channel)) {
                continue;
            }
            let dropped = outbox.queue.lock().push(entry, notice, now);
            if dropped > 0 {
                self.0.metrics.notifications.dropped(*channel);
                tracing::warn!(notification.channel = %channel, "the queue is full; the oldest notification is dropped");
            }
            outbox.wake.notify_one();
        }
    }

    /// Returns the channels that the annotation of the workload or of its namespace chooses.
    fn chosen(&self, entry: &ReportEntry) -> Option<BTreeSet<Channel>> {
        let index = self.0.state.index.read();
        let namespace = index.defaults(&entry.workload.namespace);
        let workload = index.workload(&entry.workload);
        let unknown = Annotations::new();
        let own = workload.as_ref().map_or(&unknown, |workload| &workload.annotations);
        WorkloadSettings::channels(&namespace, own, entry.request.spec.container.as_deref())
    }

    /// Takes over where the previous leader's messages in Slack are, from the annotation of the Lease.
    pub(crate) fn inherit_posted(&self, text: &str) {
        self.0.board.inherit(text, &self.0.state);
    }

    /// Returns where the messages in Slack are, for the Lease.
    pub(crate) fn posted(&self) -> String {
        self.0.board.text()
    }

    /// Starts the catching up with what the previous leader did not deliver.
    pub(crate) fn begin(&self, inherited: Option<&str>, remembered: Vec<Arc<ReportEntry>>) {
        // The settings may be newer than the queues.
        self.update();
        let inherited = inherited.map(AllProgress::parse).unwrap_or_default();
        {
            let (mut outboxes, now) = (self.0.outboxes.lock(), Timestamp::now());
            for (channel, progress) in &inherited.channels {
                if let Some(outbox) = outboxes.by_channel.get(channel) {
                    outbox.queue.lock().inherit(progress, now);
                }
            }
            outboxes.stage = Stage::CatchingUp(inherited.clone());
        }
        // Called once in the life of the process.
        let _sent = self.0.takeover.try_send(Takeover { inherited, remembered });
    }

    /// Records that everything that the previous leader did not deliver is queued.
    pub(super) fn caught_up(&self) {
        self.0.outboxes.lock().stage = Stage::CaughtUp;
    }

    /// Returns the progress of the channels, for the Lease: empty if there is no channel, `None` if the record of the
    /// previous leader stays. `read` has the resource versions up to which the watches were read.
    pub(crate) fn progress(&self, read: &Marks) -> Option<String> {
        let outboxes = self.0.outboxes.lock();
        let nothing = AllProgress::default();
        let inherited = match &outboxes.stage {
            Stage::Standby => return None,
            Stage::CatchingUp(inherited) => inherited,
            Stage::CaughtUp => &nothing,
        };
        if outboxes.by_channel.is_empty() {
            return Some(String::new());
        }
        let now = Timestamp::now();
        let of_channel = |(channel, outbox): (&Channel, &Outbox)| {
            let queue = outbox.queue.lock();
            // Until everything is queued, the next leader has to look for the same again, except for what was sent since.
            let before = inherited.channels.get(channel);
            (*channel, before.map_or_else(|| queue.progress(read, now), |before| queue.progress_since(before)))
        };
        let channels = outboxes.by_channel.iter().map(of_channel).collect();
        let read = if inherited.channels.is_empty() { read } else { &inherited.read };
        Some(AllProgress { read: read.clone(), channels }.text())
    }
}

fn wants(common: &Common, namespace: &str, notice: &Notice) -> bool {
    (common.events.is_empty() || common.events.contains(&notice.event))
        && (common.namespaces.is_empty() || common.namespaces.contains(namespace))
}
