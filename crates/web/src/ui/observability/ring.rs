//! The metrics of this process over the last 24 hours, one sample a minute.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use headwind_operator::Handle;
use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use super::figures::{Figures, Quantity};

/// Time between two samples.
const STEP: Duration = Duration::from_mins(1);
/// Maximum number of steps of a chart.
const STEPS: usize = 48;
/// Number of samples that are kept.
const KEPT: usize = 24 * 60 + 1;

/// The values of one sample. Most are counters.
#[derive(Debug, Clone, PartialEq, Default)]
pub(in crate::ui) struct Sample {
    pub(in crate::ui) at: Timestamp,
    pub(in crate::ui) applied: f64,
    pub(in crate::ui) failed: f64,
    pub(in crate::ui) rollbacks: f64,
    pub(in crate::ui) webhooks: f64,
    pub(in crate::ui) ignored: f64,
    pub(in crate::ui) scans: f64,
    pub(in crate::ui) scan_errors: f64,
    /// A gauge.
    pub(in crate::ui) pending: f64,
    /// Duration of a pass: upper bound in seconds and cumulative count of each bucket.
    pub(in crate::ui) reconcile: Vec<(f64, f64)>,
}

impl Sample {
    /// Reads the OpenMetrics text. Series of a metric with labels are added up.
    pub(in crate::ui) fn read(text: &str, at: Timestamp) -> Self {
        let mut sample = Self { at, ..Self::default() };
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let Some((series, value)) = line.split_once(' ') else { continue };
            let (name, labels) = series.split_once('{').map_or((series, ""), |(name, labels)| (name, labels));
            let value: f64 = value.split(' ').next().and_then(|value| value.parse().ok()).unwrap_or_default();
            match name.strip_prefix("headwind_") {
                Some("updates_applied_total") => sample.applied += value,
                Some("updates_failed_total") => sample.failed += value,
                Some("rollbacks_total") => sample.rollbacks += value,
                Some("webhook_events_total") => sample.webhooks += value,
                Some("webhook_ignored_total") => sample.ignored += value,
                Some("polling_images_checked_total" | "polling_helm_charts_checked_total") => sample.scans += value,
                Some("polling_errors_total") => sample.scan_errors += value,
                Some("updates_pending") => sample.pending += value,
                Some("reconcile_duration_seconds_bucket") => {
                    let bound = labels.split("le=\"").nth(1).and_then(|rest| rest.split('"').next());
                    let bound = bound.map(|bound| if bound == "+Inf" { f64::INFINITY } else { bound.parse().unwrap_or(f64::INFINITY) });
                    sample.reconcile.extend(bound.map(|bound| (bound, value)));
                }
                _ => {}
            }
        }
        sample
    }
}

/// Estimates the 95th percentile of the passes between two samples, in milliseconds. 0 if there were none.
fn percentile(before: &Sample, after: &Sample) -> f64 {
    let count = |sample: &Sample, bound: f64| {
        sample.reconcile.iter().find(|(one, _)| one.total_cmp(&bound).is_eq()).map_or(0.0, |(_, count)| *count)
    };
    let buckets: Vec<(f64, f64)> =
        after.reconcile.iter().map(|(bound, value)| (*bound, (value - count(before, *bound)).max(0.0))).collect();
    let total = buckets.last().map_or(0.0, |(_, count)| *count);
    if total <= 0.0 {
        return 0.0;
    }
    let finite = |bound: f64| if bound.is_finite() { bound } else { 0.0 };
    let found = buckets.iter().find(|(_, count)| *count >= total * 0.95).map_or(0.0, |(bound, _)| finite(*bound));
    let largest = buckets.iter().map(|(bound, _)| finite(*bound)).fold(0.0, f64::max);
    if found > 0.0 { found * 1000.0 } else { largest * 1000.0 }
}

/// Returns the growth of a counter. A counter never decreases in one process.
fn growth(before: &Sample, after: &Sample, of: Quantity) -> f64 {
    let grown = |read: fn(&Sample) -> f64| (read(after) - read(before)).max(0.0);
    match of {
        Quantity::Applied => grown(|one| one.applied),
        Quantity::Failed => grown(|one| one.failed),
        Quantity::Rollbacks => grown(|one| one.rollbacks),
        Quantity::Webhooks => grown(|one| one.webhooks),
        Quantity::Ignored => grown(|one| one.ignored),
        Quantity::Scans => grown(|one| one.scans),
        Quantity::ScanErrors => grown(|one| one.scan_errors),
        Quantity::Pending => after.pending,
        Quantity::Reconcile => percentile(before, after),
    }
}

/// Returns the figures of samples, which are a minute apart.
pub(super) fn figures(samples: &[Sample]) -> Figures {
    let step = samples.len().div_ceil(STEPS).max(1);
    let mut ends: Vec<&Sample> = samples.iter().rev().step_by(step).collect();
    ends.reverse();
    let pairs: Vec<(&Sample, &Sample)> = ends.iter().copied().zip(ends.iter().copied().skip(1)).collect();
    let minutes = i64::try_from(step).unwrap_or(i64::MAX);
    let mut figures = Figures::new(pairs.iter().map(|(_, after)| after.at).collect(), SignedDuration::from_mins(minutes));
    for quantity in Quantity::ALL {
        for (place, (before, after)) in pairs.iter().enumerate() {
            figures.set(quantity, place, growth(before, after, quantity));
        }
        if let (Some(first), Some(last)) = (samples.first(), samples.last()) {
            figures.set_total(quantity, growth(first, last, quantity));
        }
    }
    figures
}

/// The samples.
#[derive(Debug, Default)]
pub(in crate::ui) struct Ring(Mutex<VecDeque<Sample>>);

impl Ring {
    /// Takes a sample every minute until the process stops.
    pub(in crate::ui) async fn run(self: Arc<Self>, handle: Handle, stop: CancellationToken) {
        let mut tick = tokio::time::interval(STEP);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = tick.tick() => {
                    if let Ok(text) = handle.metrics() {
                        self.push(Sample::read(&text, Timestamp::now()));
                    }
                }
            }
        }
    }

    fn push(&self, sample: Sample) {
        let mut kept = self.0.lock();
        if kept.len() >= KEPT {
            kept.pop_front();
        }
        kept.push_back(sample);
    }

    /// Returns the samples of the last `span`.
    pub(in crate::ui) fn last(&self, span: SignedDuration, now: Timestamp) -> Vec<Sample> {
        let begin = now.checked_sub(span).unwrap_or(Timestamp::MIN);
        self.0.lock().iter().filter(|sample| sample.at >= begin).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# TYPE headwind_updates_applied counter\n\
        headwind_updates_applied_total 14\n\
        headwind_webhook_ignored_total{reason=\"Pull\"} 3\n\
        headwind_webhook_ignored_total{reason=\"Ping\"} 2\n\
        headwind_updates_pending 7\n\
        headwind_reconcile_duration_seconds_bucket{le=\"0.01\"} 90\n\
        headwind_reconcile_duration_seconds_bucket{le=\"0.02\"} 99\n\
        headwind_reconcile_duration_seconds_bucket{le=\"+Inf\"} 100\n\
        # EOF\n";

    #[test]
    fn metrics_are_read() {
        let sample = Sample::read(TEXT, Timestamp::UNIX_EPOCH);
        let read = [sample.applied, sample.ignored, sample.pending, sample.failed];
        assert!(read.iter().zip([14.0, 5.0, 7.0, 0.0]).all(|(a, b)| (a - b).abs() < f64::EPSILON), "{read:?}");
        let nothing = Sample::default();
        assert!((percentile(&nothing, &sample) - 20.0).abs() < 0.001);
        assert!(percentile(&sample, &sample).abs() < f64::EPSILON, "no pass in between");
    }

    #[test]
    fn samples_become_figures() {
        let at = |minute: i64, applied: f64| Sample {
            at: Timestamp::from_second(1_800_000_000 + minute * 60).unwrap(),
            applied,
            pending: 10.0 - applied,
            ..Sample::default()
        };
        let figures = figures(&[at(0, 2.0), at(1, 5.0), at(2, 5.0)]);
        assert_eq!((figures.values(Quantity::Applied), figures.total(Quantity::Applied)), (vec![3.0, 0.0], 3.0));
        assert_eq!((figures.values(Quantity::Pending), figures.total(Quantity::Pending)), (vec![5.0, 5.0], 5.0));
        assert!(super::figures(&[]).times.is_empty());
    }

    #[test]
    fn a_day_is_kept() {
        let ring = Ring::default();
        let at = |minute: i64| Timestamp::from_second(1_800_000_000 + minute * 60).unwrap();
        for minute in 0..2000 {
            ring.push(Sample { at: at(minute), ..Sample::default() });
        }
        assert_eq!(ring.0.lock().len(), KEPT);
        assert_eq!(ring.last(SignedDuration::from_hours(1), at(1999)).len(), 61);
    }
}
