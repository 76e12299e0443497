//! The remaining quota of each registry, read at scrape time.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric as _};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

/// A registry's host, as a label.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RegistryLabel {
    registry: String,
}

/// The collector. `F` returns the hosts whose quota is known, and the quotas.
pub(crate) struct QuotaGauge<F>(pub(crate) F);

impl<F> fmt::Debug for QuotaGauge<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("QuotaGauge")
    }
}

impl<F: Fn() -> Vec<(String, u64)> + Send + Sync + 'static> Collector for QuotaGauge<F> {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let family = Family::<RegistryLabel, Gauge>::default();
        for (registry, remaining) in (self.0)() {
            family.get_or_create(&RegistryLabel { registry }).set(i64::try_from(remaining).unwrap_or(i64::MAX));
        }
        let help = "Requests that a registry still allows, as its latest response states it, by host";
        family.encode(encoder.encode_descriptor("registry_quota_remaining", help, None, family.metric_type())?)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use parking_lot::Mutex;

    use super::*;
    use crate::report::metrics::Metrics;

    #[test]
    fn a_registry_has_a_series_while_its_quota_is_known() {
        let (metrics, known) = (Metrics::new(), Arc::new(Mutex::new(vec![("docker.io".to_owned(), 76), ("ghcr.io".to_owned(), 0)])));
        let read = Arc::clone(&known);
        metrics.collect(Box::new(QuotaGauge(move || read.lock().clone())));
        let text = metrics.encode().unwrap();
        for line in ["headwind_registry_quota_remaining{registry=\"docker.io\"} 76", "{registry=\"ghcr.io\"} 0"] {
            assert!(text.contains(line), "{text}");
        }
        known.lock().clear();
        assert!(!metrics.encode().unwrap().contains("registry=\""));
    }
}
