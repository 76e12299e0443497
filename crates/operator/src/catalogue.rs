//! All metrics, for the docs.

use std::sync::Arc;

use headwind_core::reason::Reason;
use headwind_webhook::senders::IgnoredReason;

use crate::propose::WaitingGauges;
use crate::registries::quota_gauge::QuotaGauge;
use crate::report::metrics::{ClassLabel, Metrics};

/// Encodes every metric with its type, help text and labels, as a new replica would. For the docs.
///
/// # Errors
/// If a metric cannot be encoded.
pub fn catalogue() -> Result<String, std::fmt::Error> {
    let metrics = Metrics::new();
    metrics.watch(Arc::default());
    metrics.collect(Box::new(WaitingGauges(Arc::default())));
    metrics.collect(Box::new(QuotaGauge(|| vec![("any".to_owned(), 0)])));
    // A metric with a label is encoded only if it has a series.
    metrics.ignored(IgnoredReason::NotAPush);
    metrics.refused(Reason::PolicyNone);
    let class = ClassLabel { class: "any" };
    for errors in [&metrics.recording_failures, &metrics.reconcile_errors, &metrics.polling_errors, &metrics.helm.repository_errors] {
        drop(errors.get_or_create(&class));
    }
    metrics.encode()
}
