//! Detects steps of the wall clock by comparing it with the monotonic clock.
//!
//! The duration of a rollout or a request is computed from stored timestamps. After the clock was set, these are
//! useless: timestamps from before and after the step cannot be compared.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use parking_lot::Mutex;

/// A smaller difference is not a step: clocks are slewed, and a process may be stopped for a moment between two
/// readings.
const TOLERANCE: Duration = Duration::from_secs(10);

/// Detects when the wall clock steps.
#[derive(Debug)]
pub(crate) struct SteppedClock {
    origin: Instant,
    seen: Mutex<Seen>,
}

#[derive(Debug, Clone, Copy)]
struct Seen {
    elapsed: Duration,
    wall: Timestamp,
    stepped: Option<Timestamp>,
}

impl Default for SteppedClock {
    fn default() -> Self {
        let seen = Seen { elapsed: Duration::ZERO, wall: Timestamp::now(), stepped: None };
        Self { origin: Instant::now(), seen: Mutex::new(seen) }
    }
}

impl SteppedClock {
    /// Returns the time of the last step, by the clock after the step. `now` is the current wall clock time.
    pub(crate) fn stepped(&self, now: Timestamp) -> Option<Timestamp> {
        self.seen.lock().next(self.origin.elapsed(), now)
    }
}

impl Seen {
    fn next(&mut self, elapsed: Duration, wall: Timestamp) -> Option<Timestamp> {
        let passed = elapsed.saturating_sub(self.elapsed);
        let shown = wall.duration_since(self.wall);
        let off = shown.checked_sub(jiff::SignedDuration::try_from(passed).unwrap_or(jiff::SignedDuration::MAX));
        if off.is_none_or(|off| off.unsigned_abs() > TOLERANCE) {
            tracing::warn!(clock.before = %self.wall, clock.now = %wall, elapsed_ms = u64::try_from(passed.as_millis()).unwrap_or(u64::MAX), "the clock was set; the timeouts of rollouts and requests start again");
            self.stepped = Some(wall);
        }
        *self = Self { elapsed, wall, ..*self };
        self.stepped
    }
}

/// Returns the time, to the millisecond, as in annotations.
pub(crate) fn now() -> Timestamp {
    let now = Timestamp::now();
    Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_seen_in_both_directions_and_time_that_passes_is_none() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let mut seen = Seen { elapsed: Duration::ZERO, wall: at(1000), stepped: None };
        assert_eq!(seen.next(Duration::from_hours(1), at(4600)), None, "an hour in which nothing happened");
        assert_eq!(seen.next(Duration::from_secs(3605), at(4613)), None, "slewed");
        assert_eq!(seen.next(Duration::from_secs(3606), at(5214)), Some(at(5214)), "ten minutes ahead");
        assert_eq!(seen.next(Duration::from_secs(3706), at(5314)), Some(at(5214)), "it is remembered");
        assert_eq!(seen.next(Duration::from_secs(3707), at(4715)), Some(at(4715)), "and set back");
    }
}
