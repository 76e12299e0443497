//! The metrics. Each component counts with its own clone.
//!
//! Numbers of objects (watched, pending) are read from the state at scrape time, so they cannot drift. Labels have a
//! bounded set of values.

mod counts;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use headwind_core::artifact::ArtifactKind;
use headwind_core::reason::Reason;
use headwind_webhook::senders::IgnoredReason;
use parking_lot::Mutex;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::exemplar::HistogramWithExemplars;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Metric, Registry};

use self::counts::Counts;
use crate::observe::state::State;
use crate::report::channel::Channel;

/// A reason, as a label.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct ReasonLabel {
    reason: &'static str,
}

/// An error's class, as a label.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct ClassLabel {
    pub(crate) class: &'static str,
}

/// The ID of a trace, as the label of an exemplar. Its number of values has no limit, so it is never a label of a series.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct TraceLabel {
    pub(crate) trace_id: String,
}

/// Every handle.
#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    /// Events received by webhook.
    pub(crate) webhook_events: Counter,
    /// Webhook events that were processed. Its public name lacks the suffix `_total`, which this library adds to every
    /// counter, so it is a gauge that only increases.
    pub(crate) webhook_events_processed: Gauge<u64, AtomicU64>,
    pub(crate) webhook_ignored: Family<ReasonLabel, Counter>,
    updates_approved: Counter,
    updates_rejected: Counter,
    updates_applied: Counter,
    pub(crate) update_delay: HistogramWithExemplars<TraceLabel>,
    pub(crate) updates_failed: Counter,
    pub(crate) updates_skipped_interval: Counter,
    pub(crate) rollbacks: Counter,
    pub(crate) rollbacks_manual: Counter,
    pub(crate) rollbacks_automatic: Counter,
    pub(crate) rollbacks_failed: Counter,
    /// The public names say "deployment", but these metrics count every kind.
    pub(crate) health_checks: Counter,
    pub(crate) health_failures: Counter,
    pub(crate) updates_refused: Family<ReasonLabel, Counter>,
    pub(crate) recording_failures: Family<ClassLabel, Counter>,
    pub(crate) reconcile_duration: Histogram,
    pub(crate) reconcile_errors: Family<ClassLabel, Counter>,
    pub(crate) events_dropped: Counter,
    pub(crate) request_names_taken: Counter,
    pub(crate) settings_changes: Counter,
    pub(crate) settings_invalid: Gauge,
    pub(crate) polling_cycles: Counter,
    pub(crate) polling_errors: Family<ClassLabel, Counter>,
    pub(crate) polling_images_checked: Counter,
    pub(crate) polling_new_tags_found: Counter,
    pub(crate) polling_resources_filtered: Counter,
    pub(crate) polling_lateness: Histogram,
    pub(crate) polling_scans_running: Gauge,
    pub(crate) polling_interval: Gauge,
    pub(crate) polling_helm_charts_checked: Counter,
    pub(crate) polling_helm_new_versions_found: Counter,
    pub(crate) helm: Helm,
    pub(crate) notifications: Notifications,
    registry: Arc<Mutex<Registry>>,
}

/// The metrics of charts, in addition to those of all updates.
#[derive(Debug, Clone)]
pub(crate) struct Helm {
    pub(crate) versions_checked: Counter,
    pub(crate) updates_found: Counter,
    updates_approved: Counter,
    updates_rejected: Counter,
    updates_applied: Counter,
    pub(crate) repository_queries: Counter,
    pub(crate) repository_errors: Family<ClassLabel, Counter>,
    pub(crate) repository_query_duration: Histogram,
}

impl Helm {
    fn new(registry: &mut Registry) -> Self {
        // From 5 ms to 3 minutes: the time for a large index from a slow server.
        let query = Histogram::new(exponential_buckets(0.005, 2.0, 16));
        Self {
            versions_checked: register(
                registry,
                Counter::default(),
                "helm_chart_versions_checked",
                "Chart versions evaluated, once for each release and scan",
            ),
            updates_found: register(registry, Counter::default(), "helm_updates_found", "Chart updates proposed"),
            updates_approved: register(
                registry,
                Counter::default(),
                "helm_updates_approved",
                "Chart updates approved, by a person or by policy",
            ),
            updates_rejected: register(registry, Counter::default(), "helm_updates_rejected", "Chart updates rejected by a person"),
            updates_applied: register(registry, Counter::default(), "helm_updates_applied", "Chart updates applied to a release"),
            repository_queries: register(
                registry,
                Counter::default(),
                "helm_repository_queries",
                "Queries for the versions of a chart, to classic and OCI repositories",
            ),
            repository_errors: register(
                registry,
                Family::default(),
                "helm_repository_errors",
                "Failed queries for the versions of a chart, by class of error",
            ),
            repository_query_duration: register(
                registry,
                query,
                "helm_repository_query_duration_seconds",
                "Duration of a query for the versions of a chart, in seconds",
            ),
        }
    }
}

/// The metrics of notifications.
#[derive(Debug, Clone)]
pub(crate) struct Notifications {
    sent: Family<ChannelLabel, Counter>,
    failed: Family<ChannelLabel, Counter>,
    dropped: Family<ChannelLabel, Counter>,
    slack_sent: Counter,
    teams_sent: Counter,
    webhook_sent: Counter,
}

/// A channel, as a label.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct ChannelLabel {
    channel: &'static str,
}

impl Notifications {
    fn new(registry: &mut Registry) -> Self {
        let new = Self {
            sent: register(registry, Family::default(), "notifications_sent", "Notifications delivered, by channel"),
            failed: register(
                registry,
                Family::default(),
                "notifications_failed",
                "Notifications given up after errors of the channel, by channel",
            ),
            dropped: register(
                registry,
                Family::default(),
                "notifications_dropped",
                "Notifications dropped because the queue of the channel was full, by channel",
            ),
            slack_sent: register(registry, Counter::default(), "notifications_slack_sent", "Notifications delivered to Slack"),
            teams_sent: register(registry, Counter::default(), "notifications_teams_sent", "Notifications delivered to Microsoft Teams"),
            webhook_sent: register(registry, Counter::default(), "notifications_webhook_sent", "Notifications delivered to the webhook"),
        };
        // Each series exists from the start, so that an alert can compare it with zero.
        for channel in Channel::ALL {
            for family in [&new.sent, &new.failed, &new.dropped] {
                let _created = family.get_or_create(&ChannelLabel { channel: channel.as_str() });
            }
        }
        new
    }

    /// Counts delivered notifications.
    pub(crate) fn sent(&self, channel: Channel, count: usize) {
        let count = count as u64;
        self.sent.get_or_create(&ChannelLabel { channel: channel.as_str() }).inc_by(count);
        let own = match channel {
            Channel::Slack => &self.slack_sent,
            Channel::Teams => &self.teams_sent,
            Channel::Webhook => &self.webhook_sent,
            Channel::Discord | Channel::Mattermost | Channel::Mail => return,
        };
        own.inc_by(count);
    }

    /// Counts notifications that were given up.
    pub(crate) fn failed(&self, channel: Channel, count: usize) {
        self.failed.get_or_create(&ChannelLabel { channel: channel.as_str() }).inc_by(count as u64);
    }

    /// Counts a notification that was dropped.
    pub(crate) fn dropped(&self, channel: Channel) {
        self.dropped.get_or_create(&ChannelLabel { channel: channel.as_str() }).inc();
    }
}

fn register<M: Metric + Clone>(registry: &mut Registry, metric: M, name: &str, help: &str) -> M {
    registry.register(name, help, metric.clone());
    metric
}

impl Metrics {
    #[expect(clippy::too_many_lines, reason = "one entry for each metric, and nothing else")]
    pub(crate) fn new() -> Self {
        let mut registry = Registry::with_prefix("headwind");
        macro_rules! register {
            ($metric:expr, $name:literal, $help:literal) => {{ register(&mut registry, $metric, $name, $help) }};
        }
        let build = vec![("version", env!("CARGO_PKG_VERSION")), ("commit", option_env!("HEADWIND_COMMIT").unwrap_or("unknown"))];
        registry.register("build", "Version and commit of the binary", Info::new(build));
        // From 0.5 ms (a pass that only reads) to 16 s (a pass that waited for the API server).
        let lateness = Histogram::new(exponential_buckets(0.1, 2.0, 14));
        let seconds = Histogram::new(exponential_buckets(0.0005, 2.0, 16));
        Self {
            webhook_events: register!(Counter::default(), "webhook_events", "Events received by webhook"),
            webhook_events_processed: register!(Gauge::default(), "webhook_events_processed", "Webhook events processed"),
            webhook_ignored: register!(
                Family::default(),
                "webhook_ignored",
                "Webhook entries that are not the push of a tag (pulls, deletes, layers, invalid entries), by reason"
            ),
            updates_approved: register!(Counter::default(), "updates_approved", "Updates approved, by a person or by policy"),
            updates_rejected: register!(Counter::default(), "updates_rejected", "Updates rejected by a person"),
            updates_applied: register!(Counter::default(), "updates_applied", "Updates applied to a workload"),
            update_delay: register!(
                // From 50 ms to 14 minutes.
                HistogramWithExemplars::new(exponential_buckets(0.05, 2.0, 15)),
                "update_apply_delay_seconds",
                "Time from the arrival of the webhook or the scan to the patch, for updates that need no approval, in seconds"
            ),
            updates_failed: register!(Counter::default(), "updates_failed", "Updates that failed"),
            updates_skipped_interval: register!(
                Counter::default(),
                "updates_skipped_interval",
                "Times that an approved update had to wait for min-update-interval"
            ),
            rollbacks: register!(Counter::default(), "rollbacks", "Rollbacks, automatic and manual"),
            rollbacks_manual: register!(Counter::default(), "rollbacks_manual", "Rollbacks requested by a person"),
            rollbacks_automatic: register!(Counter::default(), "rollbacks_automatic", "Automatic rollbacks after a failed rollout"),
            rollbacks_failed: register!(
                Counter::default(),
                "rollbacks_failed",
                "Rollbacks that the API server rejected, or whose pods failed too"
            ),
            health_checks: register!(
                Counter::default(),
                "deployment_health_checks",
                "Checks of the pods of a workload (of any kind) during a rollout"
            ),
            health_failures: register!(Counter::default(), "deployment_health_failures", "Failed checks of a rollout"),
            updates_refused: register!(
                Family::default(),
                "updates_refused",
                "Events that led to no update of a container that uses the repository, by reason"
            ),
            recording_failures: register!(
                Family::default(),
                "update_recording_failures",
                "Failed attempts to create an UpdateRequest, by class of error"
            ),
            reconcile_duration: register!(
                seconds,
                "reconcile_duration_seconds",
                "Duration of the reconciliation of one workload, in seconds"
            ),
            reconcile_errors: register!(Family::default(), "reconcile_errors", "Failed reconciliations of a workload, by class of error"),
            events_dropped: register!(
                Counter::default(),
                "kubernetes_events_dropped",
                "Kubernetes Events dropped because too many were waiting"
            ),
            request_names_taken: register!(
                Counter::default(),
                "request_names_taken",
                "Proposals not recorded because a request for another change has the same name"
            ),
            settings_changes: register!(
                Counter::default(),
                "settings_changes",
                "Times that a change of the ConfigMap or the Secret headwind took effect in this process"
            ),
            settings_invalid: register!(
                Gauge::default(),
                "settings_invalid",
                "Entries of the ConfigMap and the Secret headwind that have no effect"
            ),
            polling_cycles: register!(Counter::default(), "polling_cycles", "Successful scans of a repository with a credential"),
            polling_errors: register!(Family::default(), "polling_errors", "Failed scans of a repository, by class of error"),
            polling_images_checked: register!(Counter::default(), "polling_images_checked", "Containers evaluated in successful scans"),
            polling_new_tags_found: register!(
                Counter::default(),
                "polling_new_tags_found",
                "Updates proposed by scans: a better tag, or a new digest behind the same tag"
            ),
            polling_resources_filtered: register!(
                Counter::default(),
                "polling_resources_filtered",
                "Containers of a scanned repository whose event-source does not include polling"
            ),
            polling_lateness: register!(lateness, "polling_lateness_seconds", "Delay of scans after their due time, in seconds"),
            polling_scans_running: register!(Gauge::default(), "polling_scans_running", "Scans running now"),
            polling_interval: register!(
                Gauge::default(),
                "polling_interval_seconds",
                "Default polling interval in seconds; 0 if polling is off"
            ),
            polling_helm_charts_checked: register!(
                Counter::default(),
                "polling_helm_charts_checked",
                "Helm releases evaluated in successful scans"
            ),
            polling_helm_new_versions_found: register!(
                Counter::default(),
                "polling_helm_new_versions_found",
                "Chart updates proposed by scans"
            ),
            helm: Helm::new(&mut registry),
            notifications: Notifications::new(&mut registry),
            registry: Arc::new(Mutex::new(registry)),
        }
    }

    /// Adds the metrics that are read from the state at scrape time.
    pub(crate) fn watch(&self, state: Arc<State>) {
        self.collect(Box::new(Counts(state)));
    }

    /// Adds a collector that reads its values at scrape time.
    pub(crate) fn collect(&self, collector: Box<dyn Collector>) {
        self.registry.lock().register_collector(collector);
    }

    /// Counts a proposed update.
    pub(crate) fn proposed(&self, artifacts: ArtifactKind) {
        if artifacts == ArtifactKind::Chart {
            self.helm.updates_found.inc();
        }
    }

    /// Counts an update that a person or the policy approved.
    pub(crate) fn approved(&self, artifacts: ArtifactKind) {
        self.updates_approved.inc();
        if artifacts == ArtifactKind::Chart {
            self.helm.updates_approved.inc();
        }
    }

    /// Counts an update that a person rejected.
    pub(crate) fn rejected(&self, artifacts: ArtifactKind) {
        self.updates_rejected.inc();
        if artifacts == ArtifactKind::Chart {
            self.helm.updates_rejected.inc();
        }
    }

    /// Counts an update that was written into a workload.
    pub(crate) fn applied(&self, artifacts: ArtifactKind) {
        self.updates_applied.inc();
        if artifacts == ArtifactKind::Chart {
            self.helm.updates_applied.inc();
        }
    }

    pub(crate) fn ignored(&self, reason: IgnoredReason) {
        self.webhook_ignored.get_or_create(&ReasonLabel { reason: reason.code() }).inc();
    }

    pub(crate) fn refused(&self, reason: Reason) {
        self.updates_refused.get_or_create(&ReasonLabel { reason: reason.code() }).inc();
    }

    /// Returns all metrics in the OpenMetrics text format.
    pub(crate) fn encode(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry.lock())?;
        Ok(text)
    }
}
