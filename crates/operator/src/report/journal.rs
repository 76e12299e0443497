//! The journal: every transition of every request, once.
//!
//! The request store notifies it of each change, by any writer. It passes the change on to log lines, metrics,
//! Kubernetes Events and subscribers. Only the leader reports; subscribers are notified on every replica.
//!
//! ```text
//! request store ──Changed──> transition ○ ──┬──> subscribers
//!                                           └leader──> log, metrics, Events (in order) ──> marks ──> Lease
//! ```
//!
//! A transition that was written and not reported before a crash is reported by the next leader: the Lease records how
//! far the previous leader reported ([`Marks`]). So a transition may be reported twice. The names of its Events follow
//! from the transition, so each Event exists once.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::time::{Duration, Instant};

use headwind_core::reason::{Reason, Reasoned};
use headwind_core::request::{ChangeKind, Phase};
use headwind_core::transition::{ApprovalChange, Weight};
use headwind_core::workload::WorkloadKey;
use parking_lot::Mutex;
use tokio::sync::broadcast;

use super::entry::ReportEntry;
use super::events::EventRecorder;
use super::marks::{Marks, REPORTED};
use super::metrics::{Metrics, TraceLabel};
use super::notify::{NOTIFIED, Notifier, POSTED};
use super::trace::Traces;
use crate::observe::requests::Held;
use crate::observe::state::{News, State};

/// Maximum number of transitions that a replica remembers while it does not lead, in case it takes over.
const REMEMBERED: usize = 1024;
/// Maximum number of transitions that a slow subscriber may lag behind.
const BACKLOG: usize = 256;
/// The same for changes, which are more frequent.
const CHANGES: usize = 1024;
/// The time after which a change that was stored before the catch-up ended has reached the journal.
const SETTLED: Duration = Duration::from_secs(30);

/// A change of a request, including changes that are no transition, such as the progress of a rollout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestChange {
    /// The namespace of the request.
    pub namespace: String,
    /// The name of the request.
    pub name: String,
    /// True if the request was not known before.
    pub is_new: bool,
}

/// The journal.
#[derive(Clone)]
pub(crate) struct Journal(Arc<Inner>);

struct Inner {
    state: Arc<State>,
    events: EventRecorder,
    notifier: Notifier,
    metrics: Metrics,
    traces: Traces,
    subscribers: broadcast::Sender<Arc<ReportEntry>>,
    changes: broadcast::Sender<RequestChange>,
    progress: Mutex<Progress>,
}

#[derive(Default)]
struct Progress {
    /// True if this process reports.
    reports: bool,
    /// The marks of the previous leader.
    inherited: Marks,
    /// The progress of the channels of the previous leader.
    notified: Option<String>,
    /// The places of the previous leader's messages in Slack.
    posted: Option<String>,
    /// The marks of the changes that the watches delivered.
    delivered: Marks,
    /// Transitions that the previous leader may not have reported, oldest first.
    unreported: VecDeque<Arc<ReportEntry>>,
    /// The transitions reported while this process takes over, by whichever of the catch-up and a change was first.
    handover: Handover,
}

/// Reports a transition once although two report it: the catch-up of a new leader, which reads the stored requests, and
/// the change of such a request, which may be under way at that moment.
#[derive(Default)]
struct Handover {
    /// Fingerprints of the reported transitions.
    reported: HashSet<u64>,
    hasher: RandomState,
    /// True while the catch-up reads.
    reads: bool,
    /// When the catch-up ended.
    ended: Option<Instant>,
}

impl Handover {
    fn fingerprint(&self, entry: &ReportEntry) -> u64 {
        self.hasher.hash_one((&entry.uid, &entry.transition.id))
    }

    /// Returns true if the catch-up is the first to report the transition.
    fn is_first(&mut self, entry: &ReportEntry) -> bool {
        self.reported.insert(self.fingerprint(entry))
    }

    /// Returns true if a change is the first to report the transition.
    fn is_first_as_change(&mut self, entry: &ReportEntry) -> bool {
        if self.reads {
            return self.is_first(entry);
        }
        self.reported.is_empty() || !self.reported.remove(&self.fingerprint(entry))
    }

    /// Forgets the transitions once no change that was under way can arrive any more.
    fn tidy(&mut self) {
        if self.ended.is_some_and(|ended| ended.elapsed() > SETTLED) {
            self.reported = HashSet::new();
        }
    }
}

impl Journal {
    /// Listens to the state's changes.
    pub(crate) fn new(state: &Arc<State>, events: EventRecorder, notifier: Notifier, metrics: Metrics, traces: Traces) -> Self {
        let inner = Inner {
            state: Arc::clone(state),
            events,
            notifier,
            metrics,
            traces,
            subscribers: broadcast::Sender::new(BACKLOG),
            changes: broadcast::Sender::new(CHANGES),
            progress: Mutex::default(),
        };
        let journal = Self(Arc::new(inner));
        // A weak reference: the state must not own itself.
        let listener = Arc::downgrade(&journal.0);
        state.listen(move |news| {
            if let Some(inner) = listener.upgrade() {
                inner.hear(news);
            }
        });
        journal
    }

    /// Subscribes to every transition from now on.
    pub(crate) fn subscribe(&self) -> broadcast::Receiver<Arc<ReportEntry>> {
        self.0.subscribers.subscribe()
    }

    /// Subscribes to every change of a request from now on.
    pub(crate) fn changes(&self) -> broadcast::Receiver<RequestChange> {
        self.0.changes.subscribe()
    }

    /// Stores how far the previous leader reported, from the annotations of its Lease.
    pub(crate) fn inherit(&self, annotations: Option<&BTreeMap<String, String>>) {
        let mut progress = self.0.progress.lock();
        if !progress.reports {
            let value = |name: &str| annotations.and_then(|all| all.get(name));
            progress.inherited = value(REPORTED).map(|text| Marks::parse(text)).unwrap_or_default();
            progress.notified = value(NOTIFIED).cloned();
            progress.posted = value(POSTED).cloned();
        }
    }

    /// Writes how far this process has reported into the annotations of the Lease. Until it reports, what the previous
    /// leader wrote stays.
    pub(crate) fn note(&self, annotations: &mut BTreeMap<String, String>) {
        let mut progress = self.0.progress.lock();
        progress.handover.tidy();
        if progress.reports
            && let Some(marks) = self.0.events.reported()
        {
            annotations.insert(REPORTED.to_owned(), marks);
        }
        if progress.reports {
            let posted = self.0.notifier.posted();
            if posted.is_empty() {
                annotations.remove(POSTED)
            } else {
                annotations.insert(POSTED.to_owned(), posted)
            };
        }
        match self.0.notifier.progress(&progress.delivered) {
            Some(notified) if notified.is_empty() => {
                annotations.remove(NOTIFIED);
            }
            Some(notified) => {
                annotations.insert(NOTIFIED.to_owned(), notified);
            }
            None => {}
        }
    }

    /// Starts reporting, first the transitions that the previous leader did not report. Called when this process leads
    /// and its copy of the requests is complete. Later calls do nothing.
    pub(crate) fn begin(&self) {
        self.0.begin();
    }
}

impl Inner {
    fn hear(&self, news: News) {
        match news {
            News::Changed(change) => {
                let metadata = &change.after.metadata;
                if let (Some(namespace), Some(name)) = (&metadata.namespace, &metadata.name) {
                    let is_new = change.before.is_none();
                    let _receivers = self.changes.send(RequestChange { namespace: namespace.clone(), name: name.clone(), is_new });
                }
                let Some(entry) = ReportEntry::of(&change).map(Arc::new) else { return };
                // There may be no subscriber.
                let _receivers = self.subscribers.send(Arc::clone(&entry));
                if self.is_due(&entry) {
                    self.report(&entry);
                    self.notifier.offer(&entry);
                }
            }
            News::Delivered(namespace, version) => {
                let reports = {
                    let mut progress = self.progress.lock();
                    progress.delivered.advance(namespace.clone(), version);
                    // Until the catch-up ends, the next leader would miss what it has not reached.
                    progress.reports && !progress.handover.reads
                };
                if reports {
                    self.events.mark(namespace, version);
                }
            }
        }
    }

    /// Returns true if the entry is to be reported now. Otherwise it is remembered.
    fn is_due(&self, entry: &Arc<ReportEntry>) -> bool {
        let mut progress = self.progress.lock();
        if progress.reports {
            return progress.handover.is_first_as_change(entry);
        }
        if progress.unreported.len() >= REMEMBERED {
            progress.unreported.pop_front();
        }
        progress.unreported.push_back(Arc::clone(entry));
        false
    }

    fn begin(&self) {
        let (inherited, remembered) = {
            let mut progress = self.progress.lock();
            if progress.reports {
                return;
            }
            progress.reports = true;
            progress.handover.reads = true;
            if let Some(posted) = progress.posted.take() {
                self.notifier.inherit_posted(&posted);
            }
            let remembered: Vec<Arc<ReportEntry>> = std::mem::take(&mut progress.unreported).into();
            // The progress of the channels differs from that of the Events.
            self.notifier.begin(progress.notified.take().as_deref(), remembered.clone());
            (std::mem::take(&mut progress.inherited), remembered)
        };
        let mut count = 0;
        for entry in remembered.iter().filter(|entry| inherited.lacks(&entry.workload.namespace, entry.resource_version)) {
            count += usize::from(self.catch_up(entry));
        }
        // One workload at a time: nobody bounds the number of requests that changed while no process led.
        let workloads = self.state.requests.read().shared_workloads();
        for workload in &workloads {
            for entry in self.unreported(workload, &inherited) {
                count += usize::from(self.catch_up(&entry));
            }
        }
        if count > 0 {
            tracing::info!(transitions = count, "reported the transitions that the previous leader did not report");
        }
        let delivered = {
            let mut progress = self.progress.lock();
            progress.handover.reads = false;
            progress.handover.ended = Some(Instant::now());
            progress.delivered.clone()
        };
        for (namespace, version) in delivered.iter() {
            self.events.mark(namespace.clone(), version);
        }
    }

    /// Returns the latest transitions of a workload's requests that the previous leader did not report.
    fn unreported(&self, workload: &WorkloadKey, inherited: &Marks) -> Vec<ReportEntry> {
        let requests = self.state.requests.read();
        let lacks =
            |held: &Held<'_>| held.version().resource_version.parse().is_ok_and(|version| inherited.lacks(&workload.namespace, version));
        requests.of(workload).filter(lacks).filter_map(|held| ReportEntry::latest(workload, held)).collect()
    }

    /// Reports a transition of the previous leader's time. Returns false if it was reported meanwhile.
    fn catch_up(&self, entry: &ReportEntry) -> bool {
        let is_first = self.progress.lock().handover.is_first(entry);
        if is_first {
            self.report(entry);
        }
        is_first
    }

    fn report(&self, entry: &ReportEntry) {
        log(entry, self.traces.id(&entry.uid).as_deref());
        self.traces.moved(entry);
        self.count(entry);
        self.record(entry);
    }

    fn count(&self, entry: &ReportEntry) {
        let (metrics, artifacts, transition) = (&self.metrics, entry.artifacts(), &entry.transition);
        match transition.approval {
            Some(ApprovalChange::Proposed) => metrics.proposed(artifacts),
            Some(ApprovalChange::ProposedAndApproved) => {
                metrics.proposed(artifacts);
                metrics.approved(artifacts);
            }
            Some(ApprovalChange::Approved) => metrics.approved(artifacts),
            Some(ApprovalChange::Rejected) => metrics.rejected(artifacts),
            Some(ApprovalChange::Reopened) | None => {}
        }
        match transition.applied {
            Some(ChangeKind::Update) => {
                metrics.applied(artifacts);
                // The time that a person takes is not Headwind's.
                if let Some(applied) = entry.request.status.applied_at.filter(|_| !entry.request.needs_approval()) {
                    let arrived = entry.request.proposed.min(entry.request.created);
                    let delay = applied.duration_since(arrived).as_secs_f64().max(0.0);
                    let exemplar = self.traces.id(&entry.uid).map(|trace_id| TraceLabel { trace_id });
                    metrics.update_delay.observe(delay, exemplar, Some(applied.into()));
                }
            }
            Some(ChangeKind::ManualRollback) => {
                metrics.rollbacks.inc();
                metrics.rollbacks_manual.inc();
            }
            Some(ChangeKind::AutomaticRollback) => {
                metrics.rollbacks.inc();
                metrics.rollbacks_automatic.inc();
            }
            None => {}
        }
        if transition.failed_check.is_some() {
            metrics.health_failures.inc();
        }
        if transition.waits_for_interval {
            metrics.updates_skipped_interval.inc();
        }
        if transition.rollback_failed {
            metrics.rollbacks_failed.inc();
        }
        if transition.update_failed {
            metrics.updates_failed.inc();
        }
    }

    /// Records Kubernetes Events: a proposal and a change on the workload, other transitions on the request.
    fn record(&self, entry: &ReportEntry) {
        let ReportEntry { workload, request, transition, .. } = entry;
        let workload = self.state.index.read().workload(workload).filter(|workload| workload.uid == request.target_uid);
        let proposed = matches!(transition.approval, Some(ApprovalChange::Proposed | ApprovalChange::ProposedAndApproved));
        if let Some(workload) = &workload {
            if proposed {
                self.events.about_workload(entry, &transition.id, workload, Reason::Proposed, &entry.proposal());
            }
            if let Some(applied) = transition.applied {
                let Reasoned { reason, message: change } = entry.change(applied);
                self.events.about_workload(entry, &entry.change_id(applied), workload, reason, &change);
            }
            if let Some(Reasoned { reason, message }) = transition.failed_check.as_ref().filter(|_| transition.weight == Weight::Detail) {
                self.events.warn(workload, *reason, &request.name, message);
            }
        }
        if let Some(reason) = transition.reason.filter(|_| transition.weight > Weight::Detail && !proposed) {
            self.events.about_request(entry, reason);
        }
    }
}

/// Writes the log lines. `trace_id` is that of the trace of the update, if tracing is on.
fn log(entry: &ReportEntry, trace_id: Option<&str>) {
    let ReportEntry { workload, request, transition, .. } = entry;
    let (kind, namespace, workload, name) = (workload.kind, &workload.namespace, &workload.name, &request.name);
    let reason = transition.reason.map(Reason::code);
    let from = transition.from.map(Phase::as_str);
    let container = request.spec.container.as_deref();
    if matches!(transition.approval, Some(ApprovalChange::Proposed | ApprovalChange::ProposedAndApproved)) {
        tracing::info!(
            workload.kind = %kind, workload.namespace = namespace, workload.name = workload, request.name = name, container,
            image.current = request.spec.current_image, image.new = request.spec.new_image, policy = %request.spec.policy,
            approval = request.spec.require_approval, trace_id, "update proposed"
        );
        return;
    }
    if let Some(applied) = transition.applied {
        let what = match applied {
            ChangeKind::Update => "update applied",
            ChangeKind::ManualRollback => "rollback applied, as a person requested",
            ChangeKind::AutomaticRollback => "rollback applied",
        };
        let change = entry.change(applied).message;
        tracing::info!(workload.kind = %kind, workload.namespace = namespace, workload.name = workload, request.name = name, container, change, trace_id, "{what}");
    }
    if transition.weight > Weight::Detail {
        tracing::info!(
            workload.kind = %kind, workload.namespace = namespace, workload.name = workload, request.name = name, container,
            phase.from = from, phase.to = transition.to.as_str(), reason, trace_id, "{}", transition.message
        );
    } else {
        tracing::debug!(
            workload.kind = %kind, workload.namespace = namespace, workload.name = workload, request.name = name, container, reason,
            trace_id, "{}", transition.message
        );
    }
}

#[cfg(test)]
mod tests;
