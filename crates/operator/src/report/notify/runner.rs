//! Runs a task for each channel, and catches up after a change of leader.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use headwind_core::notification::Notice;
use jiff::Timestamp;
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use super::delivery::Delivery;
use super::http;
use super::message;
use super::notifier::{Notifier, Outbox, Takeover};
use super::progress::AllProgress;
use super::queue;
use super::settings::Settings;
use super::slack::board::Keeper;
use crate::cluster::{Class, ClusterClient};
use crate::observe::requests::Held;
use crate::observe::state::State;
use crate::report::channel::Channel;
use crate::report::entry::ReportEntry;
use crate::report::metrics::Metrics;
use crate::report::trace::Traces;

/// Number of requests that are read concurrently while catching up.
const AT_ONCE: usize = 4;
/// Pause before a request is read again.
const PAUSE: Duration = Duration::from_secs(2);
/// Number of refusals after which a request is not read again.
const REFUSALS: u32 = 3;

/// The tasks of the channels.
pub(crate) struct Runner {
    notifier: Notifier,
    settings: watch::Receiver<Arc<Settings>>,
    takeover: mpsc::Receiver<Takeover>,
    cluster: ClusterClient,
    metrics: Metrics,
    traces: Traces,
    running: BTreeMap<Channel, Running>,
}

struct Running {
    /// The settings of this channel only.
    settings: Arc<Settings>,
    leave: CancellationToken,
    task: JoinHandle<()>,
}

/// Creates the notifier and its tasks.
pub(crate) fn notifier(
    settings: watch::Receiver<Arc<Settings>>,
    state: Arc<State>,
    cluster: ClusterClient,
    metrics: Metrics,
    traces: Traces,
) -> (Notifier, Runner) {
    let (notifier, takeover) = Notifier::new(settings.clone(), state, metrics.clone());
    (notifier.clone(), Runner { notifier, settings, takeover, cluster, metrics, traces, running: BTreeMap::new() })
}

impl Runner {
    /// Runs until `stop`, then delivers what is queued, as far as the channels accept it.
    pub(crate) async fn run(mut self, stop: CancellationToken) -> Result<(), Infallible> {
        let drain = CancellationToken::new();
        // Dropped, they end.
        let mut background = JoinSet::new();
        let keeper = Keeper {
            board: self.notifier.board().clone(),
            settings: self.settings.clone(),
            state: Arc::clone(self.notifier.state()),
            cluster: self.cluster.clone(),
        };
        background.spawn(keeper.run());
        loop {
            self.apply(&drain);
            let Self { settings, takeover, .. } = &mut self;
            let takeover = tokio::select! {
                () = stop.cancelled() => break,
                changed = settings.changed() => if changed.is_ok() {
                    None
                } else {
                    // Nobody can change them.
                    tokio::select! {
                        () = stop.cancelled() => break,
                        takeover = takeover.recv() => takeover,
                    }
                },
                takeover = takeover.recv() => takeover,
            };
            if let Some(takeover) = takeover {
                let catch_up = CatchUp { notifier: self.notifier.clone(), cluster: self.cluster.clone() };
                background.spawn(catch_up.run(takeover));
            }
        }
        drop(background);
        drain.cancel();
        for (_, running) in self.running {
            let _ended = running.task.await;
        }
        Ok(())
    }

    /// Starts, restarts and ends tasks, so that they run with the current settings.
    fn apply(&mut self, drain: &CancellationToken) {
        drop(self.settings.borrow_and_update());
        let (settings, outboxes) = self.notifier.update();
        let gone: Vec<Channel> = self.running.keys().copied().filter(|channel| !outboxes.contains_key(channel)).collect();
        for channel in gone {
            if let Some(running) = self.running.remove(&channel) {
                running.leave.cancel();
                tracing::info!(notification.channel = %channel, "notifications are off");
            }
        }
        if outboxes.is_empty() {
            return;
        }
        let client = http::client();
        if let Err(problem) = &client {
            tracing::error!(problem, "failed to set up HTTPS for notifications");
        }
        for (channel, outbox) in outboxes {
            let own = Arc::new(settings.only(channel));
            let before = self.running.remove(&channel);
            if let Some(running) = before.as_ref().filter(|running| running.settings == own) {
                let Running { settings, leave, .. } = running;
                let (settings, leave) = (Arc::clone(settings), leave.clone());
                if let Some(Running { task, .. }) = before {
                    self.running.insert(channel, Running { settings, leave, task });
                }
                continue;
            }
            let running = self.start(channel, own, outbox, client.clone(), drain, before);
            self.running.insert(channel, running);
        }
    }

    fn start(
        &self,
        channel: Channel,
        settings: Arc<Settings>,
        outbox: Outbox,
        client: Result<reqwest::Client, String>,
        drain: &CancellationToken,
        before: Option<Running>,
    ) -> Running {
        let leave = CancellationToken::new();
        let delivery = Delivery {
            channel,
            settings: Arc::clone(&settings),
            outbox,
            board: self.notifier.board().clone(),
            client,
            metrics: self.metrics.clone(),
            traces: self.traces.clone(),
            leave: leave.clone(),
            drain: drain.clone(),
        };
        let task = tokio::spawn(async move {
            // One task at a time takes from the queue.
            if let Some(before) = before {
                before.leave.cancel();
                let _ended = before.task.await;
            }
            delivery.run().await;
        });
        tracing::info!(notification.channel = %channel, "notifications are on");
        Running { settings, leave, task }
    }
}

/// Catches up with what the previous leader did not deliver.
struct CatchUp {
    notifier: Notifier,
    cluster: ClusterClient,
}

impl CatchUp {
    /// Queues what the previous leader did not deliver.
    async fn run(self, takeover: Takeover) {
        let Takeover { inherited, remembered } = takeover;
        let channels: Vec<Channel> = inherited.channels.keys().copied().collect();
        if !channels.is_empty() {
            let whole = stream::iter(candidates(&inherited, self.notifier.state()));
            let whole: Vec<Arc<ReportEntry>> = whole
                .map(|(namespace, name)| self.read(namespace, name))
                .buffer_unordered(AT_ONCE)
                .filter_map(|entry| async { entry })
                .collect()
                .await;
            let mut lacking = lacking(&inherited, &channels, &remembered, &whole);
            // In the order of the events, as far as their times tell.
            lacking.sort_by_key(|(_, _, notice)| notice.at.map(Timestamp::as_second));
            let count = lacking.len();
            for (channel, entry, notice) in &lacking {
                self.notifier.queue(entry, &[(*channel, notice)]);
            }
            if count > 0 {
                tracing::info!(notifications = count, "queued the notifications that the previous leader did not deliver");
            }
        }
        self.notifier.caught_up();
    }

    /// Reads a whole request. Tries again until the API server answers. An answer that will not change soon ends it.
    async fn read(&self, namespace: String, name: String) -> Option<Arc<ReportEntry>> {
        let mut refusals = 0;
        loop {
            let error = match self.cluster.request(&namespace, &name).await {
                Ok(request) => return ReportEntry::whole(&request?).map(Arc::new),
                Err(error) => error,
            };
            refusals += u32::from(is_refusal(error.class));
            if refusals == REFUSALS {
                tracing::warn!(%error, request.namespace = namespace, request.name = name, "failed to read a request; notifications about it may be lost");
                return None;
            }
            tracing::debug!(%error, request.namespace = namespace, request.name = name, "failed to read a request");
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// Returns true if the API server answered, and a repeated call is likely to get the same answer.
fn is_refusal(class: Class) -> bool {
    match class {
        Class::NotFound | Class::Invalid | Class::Forbidden => true,
        Class::Conflict | Class::Busy | Class::NoAnswer => false,
    }
}

/// Returns the requests of which a channel may lack a notification, the newest first: at most as many as the queue of a
/// channel holds.
fn candidates(inherited: &AllProgress, state: &State) -> Vec<(String, String)> {
    let requests = state.requests.read();
    let changed = |held: &Held<'_>| match held {
        Held::Open(object) => headwind_core::notification::notices(&object.read()).iter().map(|notice| notice.at).max().flatten(),
        Held::Finished(finished) => finished.finished_at(),
    };
    let mut all: Vec<(Option<Timestamp>, &str, Held<'_>)> = Vec::new();
    for (workload, held) in requests.all() {
        let (namespace, changed) = (workload.namespace.as_str(), changed(&held));
        let Ok(version) = held.version().resource_version.parse() else { continue };
        if inherited.channels.keys().any(|channel| inherited.may_lack(*channel, namespace, version, changed)) {
            all.push((changed, namespace, held));
        }
    }
    all.sort_by_key(|(changed, _, _)| std::cmp::Reverse(*changed));
    if all.len() > queue::CAPACITY {
        tracing::warn!(requests = all.len(), "too many requests changed while no process led; notifications about the oldest are lost");
        all.truncate(queue::CAPACITY);
    }
    all.into_iter().map(|(_, namespace, held)| (namespace.to_owned(), held.read().name)).collect()
}

/// Returns what each channel lacks: of the remembered transitions, and of the requests as they are.
fn lacking<'a>(
    inherited: &AllProgress,
    channels: &[Channel],
    remembered: &'a [Arc<ReportEntry>],
    whole: &'a [Arc<ReportEntry>],
) -> Vec<(Channel, &'a Arc<ReportEntry>, &'a Notice)> {
    let id = |entry: &ReportEntry, notice: &Notice| message::id(&entry.uid, notice);
    let mut all = Vec::new();
    for channel in channels {
        for entry in remembered {
            let namespace = &entry.workload.namespace;
            if inherited.lacks(*channel, namespace, entry.resource_version) {
                let unsent = entry.notices.iter().filter(|notice| !inherited.was_sent(*channel, &id(entry, notice)));
                all.extend(unsent.map(|notice| (*channel, entry, notice)));
            }
        }
        for entry in whole {
            let namespace = &entry.workload.namespace;
            let lacks = inherited.lacking(*channel, namespace, entry.resource_version, &entry.notices, |notice| id(entry, notice));
            all.extend(lacks.into_iter().map(|notice| (*channel, entry, notice)));
        }
    }
    all
}

#[cfg(test)]
mod tests;
