//! The parser of windows: `Mon-Fri 09:00-17:00 Europe/Berlin; Sat 10:00-12:00`.

use std::str::FromStr;

use jiff::tz::TimeZone;

use super::zone::zone;
use super::{DAY, DAYS, Days, Window, Windows};

/// Maximum number of windows in one list.
const WINDOWS: usize = 32;
/// Maximum length of a list in bytes.
const LENGTH: usize = 1024;
/// An example for messages.
const EXAMPLE: &str = "Mon-Fri 09:00-17:00 Europe/Berlin";

impl FromStr for Windows {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::parse([text])
    }
}

impl Windows {
    /// Parses lists of windows that are separated by `;`.
    ///
    /// # Errors
    /// A sentence that states what is wrong in which window, and what is expected.
    pub fn parse<'a>(lists: impl IntoIterator<Item = &'a str>) -> Result<Self, String> {
        let text = lists.into_iter().collect::<Vec<_>>().join("; ");
        if text.len() > LENGTH {
            return Err(format!("must have at most {LENGTH} bytes"));
        }
        let mut windows = Vec::new();
        for part in text.split(';').map(str::trim).filter(|part| !part.is_empty()) {
            if windows.len() == WINDOWS {
                return Err(format!("must have at most {WINDOWS} windows"));
            }
            windows.push(window(part)?);
        }
        if windows.is_empty() {
            return Err(format!("must have at least one window such as {EXAMPLE}"));
        }
        Ok(Self { text, windows })
    }
}

fn window(text: &str) -> Result<Window, String> {
    let dense = without_space_around(without_space_around(text.to_owned(), '-'), ',');
    let mut words = dense.split_whitespace().peekable();
    let is_days = |word: &&str| !word.contains(':') && !word.starts_with(|letter: char| letter.is_ascii_digit());
    let days = words.next_if(is_days).map_or(Ok(Days::ALL), days).map_err(|why| within(text, &why))?;
    let times = words.next().ok_or_else(|| within(text, &format!("the times are missing; use a window like {EXAMPLE}")))?;
    let (start, end) = times_of(times).map_err(|why| within(text, &why))?;
    let zone = words.next().map_or(Ok(TimeZone::UTC), zone_of).map_err(|why| within(text, &why))?;
    match words.next() {
        Some(more) => Err(within(text, &format!("{more:?} is unexpected; use a window like {EXAMPLE}, and ; between windows"))),
        None => Ok(Window { days, start, end, zone }),
    }
}

/// Names the window in the message.
fn within(window: &str, why: &str) -> String {
    format!("window {window:?}: {why}")
}

fn without_space_around(text: String, separator: char) -> String {
    if !text.contains(separator) {
        return text;
    }
    text.split(separator).map(str::trim).collect::<Vec<_>>().join(&separator.to_string())
}

fn days(text: &str) -> Result<Days, String> {
    let mut days = 0;
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (mut at, last) = (day(first)?, day(last)?);
        days |= 1 << at;
        while at != last {
            at = (at + 1) % DAYS.len();
            days |= 1 << at;
        }
    }
    Ok(Days(days))
}

/// Returns the number of the day that the text names, by its first three letters or more.
fn day(text: &str) -> Result<usize, String> {
    let names = |day: &&str| day.get(..text.len()).is_some_and(|start| start.eq_ignore_ascii_case(text));
    let found = if text.len() < 3 { None } else { DAYS.iter().position(names) };
    found.ok_or_else(|| format!("{text:?} is not a day; use Mon, Tue, Wed, Thu, Fri, Sat or Sun, with , and - between days"))
}

fn times_of(text: &str) -> Result<(i64, i64), String> {
    let (start, end) = text.split_once('-').ok_or_else(|| format!("{text:?} has no end; use times like 09:00-17:00"))?;
    let (start, end) = (time(start)?, time(end)?);
    // 23:59 is the last time of the day that can be written.
    let end = if end == DAY - 60 { DAY } else { end };
    if start == end {
        return Err(format!("{text:?} starts and ends at the same time; use 00:00-23:59 for the whole day"));
    }
    Ok((start, end))
}

/// Returns the second of the day.
fn time(text: &str) -> Result<i64, String> {
    let number = |digits: &str, lengths: &[usize], limit: i64| {
        let valid = lengths.contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
        digits.parse::<i64>().ok().filter(|number| valid && *number < limit)
    };
    let parts = text.split_once(':');
    let found = parts.and_then(|(hours, minutes)| Some(number(hours, &[1, 2], 24)? * 3600 + number(minutes, &[2], 60)? * 60));
    found.ok_or_else(|| format!("{text:?} is not a time; use HH:MM from 00:00 to 23:59; the end 23:59 includes the last minute"))
}

fn zone_of(name: &str) -> Result<TimeZone, String> {
    zone(name).ok_or_else(|| format!("{name:?} is not a time zone of the IANA database, such as Europe/Berlin or UTC"))
}
