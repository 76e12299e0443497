//! The numbers that are read from the state at scrape time.

use std::sync::Arc;

use headwind_core::request::Phase;
use headwind_core::workload::Kind;
use headwind_k8s::kinds::facts;
use jiff::Timestamp;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};

use super::ReasonLabel;
use crate::observe::requests::Held;
use crate::observe::state::State;
use crate::observe::visible::Visible;

/// The collector.
pub(super) struct Counts(pub(super) Arc<State>);

impl std::fmt::Debug for Counts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Counts")
    }
}

/// The reasons why open requests wait.
#[derive(Default)]
struct Waits {
    /// The age of the oldest request in phase Pending, in seconds.
    oldest: i64,
    by_reason: Family<ReasonLabel, Gauge>,
}

impl Waits {
    fn of(state: &State, now: Timestamp) -> Self {
        let mut waits = Self::default();
        for (_, held) in state.requests.read().all() {
            let Held::Open(request) = held else { continue };
            if held.phase() == Phase::Pending {
                waits.oldest = waits.oldest.max(now.duration_since(held.created()).as_secs());
            }
            if let Some(waiting) = request.read().status.waiting {
                waits.by_reason.get_or_create(&ReasonLabel { reason: waiting.reason.code() }).inc();
            }
        }
        waits
    }
}

impl Collector for Counts {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let mut gauge = |name: &str, help: &str, value: i64| {
            let gauge = ConstGauge::new(value);
            gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)
        };
        let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        {
            let index = self.0.index.read();
            for kind in Kind::ALL {
                gauge(facts(*kind).watched_metric, &format!("{kind}s watched"), number(index.count(*kind)))?;
            }
            gauge("invalid_annotations", "Workloads with an annotation that has an invalid value", number(index.faulty().count()))?;
        }
        let pending = self.0.requests.read().count_phases(&Visible::All).of(Phase::Pending);
        gauge("updates_pending", "UpdateRequests in phase Pending", number(pending))?;
        let Waits { oldest, by_reason } = Waits::of(&self.0, Timestamp::now());
        gauge(
            "updates_pending_oldest_seconds",
            "Age of the oldest UpdateRequest in phase Pending, in seconds; 0 if there is none",
            oldest,
        )?;
        gauge("leader", "1 if this replica is the leader, else 0", i64::from(self.0.leadership.leads()))?;
        let help = "Approved updates that wait, by reason";
        by_reason.encode(encoder.encode_descriptor("updates_waiting", help, None, by_reason.metric_type())?)
    }
}

#[cfg(test)]
mod tests {
    use headwind_k8s::update_request::UpdateRequest;
    use jiff::SignedDuration;
    use serde_json::json;

    use super::super::Metrics;
    use super::*;
    use crate::observe::requests::tests::request;

    fn waiting(name: &str, reason: &str) -> UpdateRequest {
        let request = request(name, "5", "Approved");
        let mut value = serde_json::to_value(&request).unwrap();
        value["status"]["conditions"] = json!([{
            "type": "Waiting", "status": "True", "reason": reason, "message": "m", "lastTransitionTime": "2026-01-01T00:00:00Z",
        }]);
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn waiting_requests_are_counted_by_reason_and_the_oldest_pending_one_has_an_age() {
        let state = Arc::<State>::default();
        let metrics = Metrics::new();
        metrics.watch(Arc::clone(&state));
        assert!(metrics.encode().unwrap().contains("headwind_updates_pending_oldest_seconds 0"));
        let now = Timestamp::now();
        for (name, seconds) in [("old", 7200), ("new", 60)] {
            let mut pending = request(name, "5", "Pending");
            let created = now.checked_sub(SignedDuration::from_secs(seconds)).unwrap();
            pending.metadata.creation_timestamp = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(created));
            state.record(pending);
        }
        for (name, reason) in [("a", "MinUpdateInterval"), ("b", "MinUpdateInterval"), ("c", "Suspended")] {
            state.record(waiting(name, reason));
        }
        let text = metrics.encode().unwrap();
        let oldest = text.lines().find_map(|line| line.strip_prefix("headwind_updates_pending_oldest_seconds ")).unwrap();
        assert!((7200..7260).contains(&oldest.parse::<i64>().unwrap()), "{oldest}");
        assert!(text.contains("headwind_updates_waiting{reason=\"MinUpdateInterval\"} 2"), "{text}");
        assert!(text.contains("headwind_updates_waiting{reason=\"Suspended\"} 1"), "{text}");
        assert!(text.contains("headwind_build_info{version=\"") && text.contains("commit=\""), "{text}");
    }
}
