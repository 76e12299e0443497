//! When a schedule opens or closes next.
//!
//! Between two changes of the offset of a time zone, windows repeat every week. The search therefore looks at one week
//! of each such period, and at the changes of offset themselves. It sorts the starts and ends of the windows and counts
//! how many windows are open: a schedule that never opens must not cost much, because anybody may write one.

use jiff::{SignedDuration, Timestamp};

use super::{DAY, Schedule, Window, offset, second};

/// The time that the search covers: three years. Windows that open at all open within one, even if they depend on
/// daylight saving.
const HORIZON: SignedDuration = SignedDuration::from_hours(3 * 366 * 24);
/// The part of a period that the search looks at, in seconds: a week and a day.
const PERIOD: i64 = 8 * DAY;

/// A window with the offset of its time zone during a period.
struct Zoned<'a> {
    window: &'a Window,
    /// True if updates may not start in the window.
    denies: bool,
    /// The offset, in seconds.
    ahead: i64,
    /// When the offset changes next.
    until: Option<Timestamp>,
}

/// The number of open windows, of those in which updates may start and of those in which they may not.
#[derive(Default)]
struct Open {
    allowing: i32,
    denying: i32,
}

impl Schedule {
    /// Returns when [`Schedule::is_open`] changes after that time; `None` if it does not change within three years.
    pub fn next_change(&self, at: Timestamp) -> Option<Timestamp> {
        let open = self.is_open(at);
        let horizon = at.checked_add(HORIZON).unwrap_or(Timestamp::MAX);
        let mut from = at;
        let mut windows: Vec<Zoned<'_>> = self.zoned(at).collect();
        loop {
            let shifted = windows.iter().filter_map(|window| window.until).min();
            let until = shifted.map_or(horizon, |shifted| shifted.min(horizon));
            let found = self.change_between(&windows, open, from, until);
            if found.is_some() || until == horizon {
                return found;
            }
            for window in windows.iter_mut().filter(|window| window.until == Some(until)) {
                *window = Zoned::of(window.window, window.denies, until);
            }
            if self.is_open(until) != open {
                return Some(until);
            }
            from = until;
        }
    }

    fn zoned(&self, at: Timestamp) -> impl Iterator<Item = Zoned<'_>> {
        let of = move |denies| move |window| Zoned::of(window, denies, at);
        let allowing = self.allow.iter().flat_map(|windows| &windows.windows).map(of(false));
        allowing.chain(self.deny.iter().flat_map(|windows| &windows.windows).map(of(true)))
    }

    /// Returns the first change within a week after `from` and before `until`. No offset changes between the two.
    fn change_between(&self, windows: &[Zoned<'_>], open: bool, from: Timestamp, until: Timestamp) -> Option<Timestamp> {
        let end = second(until).min(second(from) + PERIOD);
        let mut now = Open::default();
        let mut edges: Vec<(i64, bool, i32)> = Vec::new();
        for window in windows {
            let local = second(from) + window.ahead;
            now.add(window.denies, i32::from(window.window.contains(local)));
            let all = window.window.edges(local, end + window.ahead);
            edges.extend(all.map(|(edge, change)| (edge - window.ahead, window.denies, change)));
        }
        edges.retain(|(edge, _, _)| second(from) < *edge && *edge < end);
        edges.sort_unstable();
        for same in edges.chunk_by(|one, next| one.0 == next.0) {
            let edge = same.first().and_then(|(edge, _, _)| Timestamp::from_second(*edge).ok())?;
            for (_, denies, change) in same {
                now.add(*denies, *change);
            }
            let is_open = (self.allow.is_none() || now.allowing > 0) && now.denying == 0;
            if is_open != open {
                return Some(edge);
            }
        }
        None
    }
}

impl<'a> Zoned<'a> {
    fn of(window: &'a Window, denies: bool, at: Timestamp) -> Self {
        let until = window.zone.following(at).next().map(|shift| shift.timestamp());
        Self { window, denies, ahead: offset(&window.zone, at), until }
    }
}

impl Open {
    fn add(&mut self, denies: bool, change: i32) {
        if denies {
            self.denying += change;
        } else {
            self.allowing += change;
        }
    }
}

impl Window {
    /// Returns its starts (1) and ends (-1) between these local times, and some around them.
    fn edges(&self, from: i64, until: i64) -> impl Iterator<Item = (i64, i32)> {
        let (first, last) = (from.div_euclid(DAY) - 1, until.div_euclid(DAY));
        let end = if self.start < self.end { self.end } else { self.end + DAY };
        let days = (first..=last).filter(|day| self.days.contains(*day));
        days.flat_map(move |day| [(day * DAY + self.start, 1), (day * DAY + end, -1)])
    }
}
