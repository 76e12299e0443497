//! When an update may be applied in the next days, if nothing changes but the time.

use jiff::{SignedDuration, Timestamp};

use super::{Facts, Gate, Waiting, check};
use crate::settings::Settings;

/// The time that the outlook covers.
const AHEAD: SignedDuration = SignedDuration::from_hours(7 * 24);
/// Maximum number of spans.
const SPANS: usize = 64;

/// A time in which an update may be applied, or waits for one reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// When it begins.
    pub from: Timestamp,
    /// When it ends; `None` if that is not known, or later than the days that are looked at.
    pub until: Option<Timestamp>,
    /// The reason why an update waits in this time; `None` if it may be applied.
    pub waiting: Option<Waiting>,
}

/// Returns the spans of the next seven days, one after the other.
pub fn outlook(settings: &Settings, facts: &Facts<'_>, now: Timestamp) -> Vec<Span> {
    let end = now.checked_add(AHEAD).unwrap_or(Timestamp::MAX);
    let (mut spans, mut from) = (Vec::new(), now);
    // Nobody knows which rollouts are in progress later.
    let later = Facts { turn: None, ..facts.clone() };
    while from < end && spans.len() < SPANS {
        let gate = check(settings, if from == now { facts } else { &later }, from);
        let until = match &gate {
            Gate::Wait(waiting) => waiting.until,
            Gate::Open => settings.schedule.next_change(from),
        };
        let until = until.filter(|until| *until < end && *until > from);
        let waiting = gate.waiting().cloned();
        spans.push(Span { from, until, waiting });
        let Some(next) = until else { break };
        from = next;
    }
    spans
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::gate::{Freeze, Limits, Rollouts, Turn};
    use crate::reason::Reason;
    use crate::workload::Kind;

    fn at(hour: i64) -> Timestamp {
        Timestamp::from_second(hour * 3600).unwrap()
    }

    /// Returns the spans with their starts in hours.
    fn spans(settings: &Settings, facts: &Facts<'_>) -> Vec<(i64, Option<Reason>)> {
        let spans = outlook(settings, facts, at(0));
        assert!(spans.windows(2).all(|two| two[0].until == Some(two[1].from)), "without gaps: {spans:?}");
        spans.iter().map(|span| (span.from.as_second() / 3600, span.waiting.as_ref().map(|waiting| waiting.reason))).collect()
    }

    /// 1970-01-01 was a Thursday.
    #[test]
    fn windows_and_a_freeze() {
        let mut settings = Settings { min_update_interval: Duration::ZERO, ..Settings::default() };
        assert_eq!(spans(&settings, &Facts::default()), [(0, None)]);
        settings.schedule.allow = Some("Fri-Sat 06:00-08:00".parse().unwrap());
        let window = Some(Reason::UpdateWindow);
        assert_eq!(spans(&settings, &Facts::default()), [(0, window), (30, None), (32, window), (54, None), (56, window)]);
        let limits = Limits { freeze: Some(Freeze { until: Some(at(31)), reason: None }), ..Limits::default() };
        let facts = Facts { limits: Some(&limits), ..Facts::default() };
        assert_eq!(spans(&settings, &facts), [(0, Some(Reason::Frozen)), (31, None), (32, window), (54, None), (56, window)]);
        settings.frozen = Some(crate::settings::Place::Workload);
        assert_eq!(spans(&settings, &facts), [(0, Some(Reason::Frozen))], "nobody knows when it ends");
    }

    #[test]
    fn rollouts_of_others_say_nothing_about_later() {
        let key = |name: &str| crate::testing::key(Kind::Deployment, name);
        let rollouts = Rollouts { limit: Some(1), running: [key("other")].into(), ..Rollouts::default() };
        let limits = Limits { rollouts, ..Limits::default() };
        let turn = Some(Turn { since: at(0), workload: key("me") });
        let facts = Facts { limits: Some(&limits), turn, ..Facts::default() };
        let settings = Settings::default();
        assert_eq!(spans(&settings, &facts), [(0, Some(Reason::TooManyRollouts))]);
    }
}
