//! Pauses between attempts: doubled after each failure, up to a maximum.

use std::time::Duration;

/// Maximum number of doublings. More of them exceed every maximum.
const DOUBLINGS: u32 = 20;

/// The pauses between attempts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// The pause after the first failure.
    pub min: Duration,
    /// The maximum pause.
    pub max: Duration,
}

impl Backoff {
    /// Creates a back-off from `min` to `max`.
    pub const fn new(min: Duration, max: Duration) -> Self {
        Self { min, max }
    }

    /// Returns the pause before the next attempt. `earlier` is the number of failures before the last one.
    pub fn pause(self, earlier: u32) -> Duration {
        self.min.saturating_mul(2_u32.saturating_pow(earlier.min(DOUBLINGS))).min(self.max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_doubles_up_to_the_maximum() {
        let backoff = Backoff::new(Duration::from_secs(2), Duration::from_mins(5));
        let pauses = [0, 1, 2, 7, 8, u32::MAX].map(|earlier| backoff.pause(earlier).as_secs());
        assert_eq!(pauses, [2, 4, 8, 256, 300, 300]);
    }
}
