//! The figures of the page, whatever source they come from.

use jiff::{SignedDuration, Timestamp};

/// A quantity that a card or a line of a chart shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Quantity {
    Applied,
    Failed,
    Rollbacks,
    Webhooks,
    Ignored,
    Scans,
    ScanErrors,
    /// A gauge.
    Pending,
    /// The 95th percentile of the duration of a reconcile pass, in milliseconds.
    Reconcile,
}

impl Quantity {
    pub(super) const ALL: [Self; 9] = [
        Self::Applied,
        Self::Failed,
        Self::Rollbacks,
        Self::Webhooks,
        Self::Ignored,
        Self::Scans,
        Self::ScanErrors,
        Self::Pending,
        Self::Reconcile,
    ];

    /// Returns the name in queries and their answers.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Failed => "failed",
            Self::Rollbacks => "rollbacks",
            Self::Webhooks => "webhooks",
            Self::Ignored => "ignored",
            Self::Scans => "scans",
            Self::ScanErrors => "scan_errors",
            Self::Pending => "pending",
            Self::Reconcile => "reconcile",
        }
    }

    /// Returns the counters whose growth it is, by their public names. Empty for a gauge and a histogram.
    pub(super) fn counters(self) -> &'static [&'static str] {
        match self {
            Self::Applied => &["headwind_updates_applied_total"],
            Self::Failed => &["headwind_updates_failed_total"],
            Self::Rollbacks => &["headwind_rollbacks_total"],
            Self::Webhooks => &["headwind_webhook_events_total"],
            Self::Ignored => &["headwind_webhook_ignored_total"],
            Self::Scans => &["headwind_polling_images_checked_total", "headwind_polling_helm_charts_checked_total"],
            Self::ScanErrors => &["headwind_polling_errors_total"],
            Self::Pending | Self::Reconcile => &[],
        }
    }
}

/// A range of time in steps of equal length. The last step ends at `end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) end: Timestamp,
    pub(super) step: SignedDuration,
    pub(super) steps: usize,
}

impl Span {
    /// Returns the span of the last hours.
    pub(super) fn last(hours: i64, now: Timestamp) -> Self {
        /// Maximum number of steps.
        const STEPS: i64 = 48;
        /// A shorter step holds too few samples of a source.
        const SHORTEST: i64 = 300;
        let seconds = hours * 3600;
        let step = (seconds / STEPS).max(SHORTEST);
        let end = Timestamp::from_second(now.as_second()).unwrap_or(now);
        Self { end, step: SignedDuration::from_secs(step), steps: usize::try_from(seconds / step).unwrap_or_default() }
    }

    /// Returns the end of each step.
    pub(super) fn times(&self) -> Vec<Timestamp> {
        let before = |back: usize| i64::try_from(back).ok().and_then(|back| self.step.as_secs().checked_mul(back));
        let at = |back: usize| self.end.checked_sub(SignedDuration::from_secs(before(back)?)).ok();
        (0..self.steps).rev().filter_map(at).collect()
    }

    /// Returns the number of the step that ends at that time, if there is one. Times are in seconds.
    pub(super) fn place(&self, seconds: f64) -> Option<usize> {
        #[expect(clippy::cast_precision_loss, reason = "seconds since 1970 are exact in a double")]
        let back = ((self.end.as_second() as f64 - seconds) / self.step.as_secs_f64()).round();
        let back = (0..self.steps).find(|number| u32::try_from(*number).is_ok_and(|number| (f64::from(number) - back).abs() < 0.5))?;
        Some(self.steps - 1 - back)
    }

    /// Returns the length of the whole span, in seconds.
    pub(super) fn seconds(&self) -> i64 {
        self.step.as_secs().saturating_mul(i64::try_from(self.steps).unwrap_or(i64::MAX))
    }
}

/// The values of each quantity in each step, and over the whole span.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Figures {
    /// The end of each step.
    pub(super) times: Vec<Timestamp>,
    /// The length of a step.
    pub(super) step: SignedDuration,
    /// The growth of a counter within the step; the value of a gauge at its end.
    values: [Vec<f64>; Quantity::ALL.len()],
    /// The growth of a counter over all steps; the last value of a gauge.
    totals: [f64; Quantity::ALL.len()],
}

impl Figures {
    pub(super) fn new(times: Vec<Timestamp>, step: SignedDuration) -> Self {
        let values = [(); Quantity::ALL.len()].map(|()| vec![0.0; times.len()]);
        Self { times, step, values, totals: [0.0; Quantity::ALL.len()] }
    }

    pub(super) fn values(&self, of: Quantity) -> Vec<f64> {
        self.values.get(of as usize).cloned().unwrap_or_default()
    }

    pub(super) fn total(&self, of: Quantity) -> f64 {
        self.totals.get(of as usize).copied().unwrap_or_default()
    }

    /// Sets the value of one step. A value that is not a number becomes 0.
    pub(super) fn set(&mut self, of: Quantity, step: usize, value: f64) {
        if let Some(slot) = self.values.get_mut(of as usize).and_then(|values| values.get_mut(step)) {
            *slot = if value.is_finite() { value.max(0.0) } else { 0.0 };
        }
    }

    pub(super) fn set_total(&mut self, of: Quantity, value: f64) {
        if let Some(slot) = self.totals.get_mut(of as usize) {
            *slot = if value.is_finite() { value.max(0.0) } else { 0.0 };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_has_steps_of_five_minutes_or_more() {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        for (hours, step, steps) in [(1, 300, 12), (6, 450, 48), (24, 1800, 48), (720, 54_000, 48)] {
            let span = Span::last(hours, now);
            assert_eq!((span.step.as_secs(), span.steps, span.seconds()), (step, steps, hours * 3600), "{hours} h");
            let times = span.times();
            assert_eq!((times.len(), times.last().copied()), (steps, Some(now)));
            assert_eq!(span.place(1_800_000_000.0), Some(steps - 1));
            assert_eq!(span.place(f64::from(i32::try_from(times[0].as_second()).unwrap())), Some(0));
            assert_eq!((span.place(0.0), span.place(1_900_000_000.0)), (None, None));
        }
    }

    #[test]
    fn what_is_no_number_is_nothing() {
        let mut figures = Figures::new(vec![Timestamp::UNIX_EPOCH; 2], SignedDuration::from_secs(300));
        figures.set(Quantity::Applied, 1, 3.0);
        figures.set(Quantity::Applied, 7, 3.0);
        figures.set(Quantity::Reconcile, 0, f64::NAN);
        assert_eq!(figures.values(Quantity::Applied), vec![0.0, 3.0]);
        assert_eq!(figures.values(Quantity::Reconcile), vec![0.0, 0.0]);
    }
}
