//! The time windows in which updates may start (`headwind.sh/update-window` and `headwind.sh/update-window-deny`).
//!
//! A window is a time of the day on some days of the week, as the clocks of its time zone show it. It therefore follows
//! daylight saving: a time that the clocks skip does not occur, and one that they repeat occurs twice.
//!
//! ```text
//! annotation ─> parse ─> Windows ─┬─> Schedule ─> open at this time? when does that change? (change)
//!                        Windows ─┘ (deny)
//! ```

mod change;
mod parse;
mod zone;

use std::fmt;

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// Seconds of a day.
const DAY: i64 = 24 * 60 * 60;
/// The days, Monday first.
const DAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

/// One or more windows. Displays as the text that it was parsed from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Windows {
    text: String,
    windows: Vec<Window>,
}

/// A time of the day on some days of the week.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Window {
    days: Days,
    /// The second of the day at which it starts.
    start: i64,
    /// The second of the day before which it ends. If that is not after the start, it ends on the next day.
    end: i64,
    zone: TimeZone,
}

/// Days of the week, one bit for each, Monday first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Days(u8);

/// The windows that apply to an update: those in which it may start, and those in which it may not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Schedule {
    /// The windows in which updates may start; `None` means at any time.
    pub allow: Option<Windows>,
    /// The windows in which updates may not start. They take precedence.
    pub deny: Option<Windows>,
}

impl Days {
    const ALL: Self = Self(0b111_1111);

    /// Returns true if it contains the day with that number, counted from 1970-01-01.
    fn contains(self, day: i64) -> bool {
        // 1970-01-01 was a Thursday.
        self.0 >> (day + 3).rem_euclid(7) & 1 == 1
    }
}

impl Window {
    /// Returns true if the clocks of the zone are in the window. `local` is what they show, in seconds since 1970-01-01.
    fn contains(&self, local: i64) -> bool {
        let (day, second) = (local.div_euclid(DAY), local.rem_euclid(DAY));
        if self.start < self.end {
            return self.days.contains(day) && (self.start..self.end).contains(&second);
        }
        (self.days.contains(day) && second >= self.start) || (self.days.contains(day - 1) && second < self.end)
    }
}

impl Windows {
    /// Returns true if the time is in one of the windows.
    pub fn contain(&self, at: Timestamp) -> bool {
        self.windows.iter().any(|window| window.contains(second(at) + offset(&window.zone, at)))
    }
}

impl Schedule {
    /// Returns true if updates may start at that time.
    pub fn is_open(&self, at: Timestamp) -> bool {
        self.allow.as_ref().is_none_or(|windows| windows.contain(at)) && !self.deny.as_ref().is_some_and(|windows| windows.contain(at))
    }
}

impl fmt::Display for Windows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Returns the whole second that contains the time.
fn second(at: Timestamp) -> i64 {
    at.as_second() - i64::from(at.subsec_nanosecond() < 0)
}

/// Returns the offset of the zone from UTC at that time, in seconds.
fn offset(zone: &TimeZone, at: Timestamp) -> i64 {
    i64::from(zone.to_offset(at).seconds())
}

#[cfg(test)]
mod tests;
