//! When a schedule opens or closes next.
//!
//! Between two changes of the offset of a time zone, windows repeat every week. The search therefore looks at one week
//! of each such period, and at the changes of offset themselves.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};

use super::{DAY, Schedule, Window, offset, second};

/// The time that the search covers: three years. Windows that open at all open within one, even if they depend on
/// daylight saving.
const HORIZON: SignedDuration = SignedDuration::from_hours(3 * 366 * 24);
/// Days of a period that the search looks at: a week, and one day because a window may be over midnight.
const PERIOD: i64 = 8;

impl Schedule {
    /// Returns when [`Schedule::is_open`] changes after that time; `None` if it does not change within three years.
    pub fn next_change(&self, at: Timestamp) -> Option<Timestamp> {
        let open = self.is_open(at);
        let horizon = at.checked_add(HORIZON).unwrap_or(Timestamp::MAX);
        let mut from = at;
        loop {
            let shifted = self.windows().filter_map(|window| window.zone.following(from).next()).map(|shift| shift.timestamp()).min();
            let until = shifted.map_or(horizon, |shifted| shifted.min(horizon));
            let found = self.edges(from).into_iter().take_while(|edge| *edge < until).find(|edge| self.is_open(*edge) != open);
            if found.is_some() {
                return found;
            }
            if until == horizon {
                return None;
            }
            if self.is_open(until) != open {
                return Some(until);
            }
            from = until;
        }
    }

    /// Returns every start and end of a window within a week after that time, as if no zone changed its offset.
    fn edges(&self, from: Timestamp) -> BTreeSet<Timestamp> {
        let edges = self.windows().flat_map(|window| {
            let ahead = offset(&window.zone, from);
            window.edges(second(from) + ahead).map(move |local| local - ahead)
        });
        edges.filter_map(|edge| Timestamp::from_second(edge).ok()).filter(|edge| *edge > from).collect()
    }
}

impl Window {
    /// Returns its starts and ends around and after that local time.
    fn edges(&self, local: i64) -> impl Iterator<Item = i64> {
        let today = local.div_euclid(DAY);
        let end = if self.start < self.end { self.end } else { self.end + DAY };
        let days = (today - 1..=today + PERIOD).filter(|day| self.days.contains(*day));
        days.flat_map(move |day| [day * DAY + self.start, day * DAY + end])
    }
}
