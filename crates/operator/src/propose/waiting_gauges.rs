//! The numbers of waiting proposals, read at scrape time.

use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::gauge::ConstGauge;

use super::Inbox;

/// The collector.
#[derive(Debug)]
pub(crate) struct WaitingGauges(pub(crate) Arc<Inbox>);

impl Collector for WaitingGauges {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let (claims, unrecorded) = self.0.waiting();
        let mut gauge = |name: &str, help: &str, value: usize| {
            let gauge = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
            gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)
        };
        gauge("webhook_claims_waiting", "Claims from webhooks that wait for a worker or for their registry", claims)?;
        gauge("updates_unrecorded", "Containers whose latest update is not recorded yet", unrecorded)
    }
}
