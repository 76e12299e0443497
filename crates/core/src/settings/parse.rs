//! Parsers for the values of annotations, one function per form. Each error states what is expected.

use std::str::FromStr;
use std::time::Duration;

use super::{Channel, DigestUpdate, EventSource, GitOps, Platforms};

/// Maximum time span: ten years.
const LONGEST: u64 = 10 * 365 * 24 * 60 * 60;

pub(super) fn word<T: FromStr<Err: ToString>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|error: T::Err| error.to_string())
}

pub(super) fn boolean(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err("must be true or false".to_owned()),
    }
}

pub(super) fn count(text: &str) -> Result<u32, String> {
    text.parse::<u32>().ok().filter(|count| (1..=1000).contains(count)).ok_or_else(|| "must be a whole number from 1 to 1000".to_owned())
}

/// Maximum number of people who must approve.
const PEOPLE: u32 = 20;

pub(super) fn people(text: &str) -> Result<u32, String> {
    let wanted = || format!("must be a whole number from 1 to {PEOPLE}");
    text.parse::<u32>().ok().filter(|people| (1..=PEOPLE).contains(people)).ok_or_else(wanted)
}

/// Maximum number of entries in a list.
const ENTRIES: usize = 64;

pub(super) fn list(text: &str) -> Result<Vec<String>, String> {
    let entries: Vec<String> = words(text).map(str::to_owned).collect();
    match entries.len() {
        0 => Err("must name at least one container or image".to_owned()),
        1..=ENTRIES => Ok(entries),
        _ => Err(format!("must have at most {ENTRIES} entries")),
    }
}

pub(super) fn event_source(text: &str) -> Result<EventSource, String> {
    match text {
        "webhook" => Ok(EventSource::Webhook),
        "polling" => Ok(EventSource::Polling),
        "both" => Ok(EventSource::Both),
        "none" => Ok(EventSource::None),
        _ => Err("must be webhook, polling, both or none".to_owned()),
    }
}

pub(super) fn digest_update(text: &str) -> Result<DigestUpdate, String> {
    match text {
        "auto" => Ok(DigestUpdate::Auto),
        "restart" => Ok(DigestUpdate::Restart),
        "pin" => Ok(DigestUpdate::Pin),
        _ => Err("must be auto, restart or pin".to_owned()),
    }
}

pub(super) fn gitops(text: &str) -> Result<GitOps, String> {
    match text {
        "auto" => Ok(GitOps::Auto),
        "refuse" => Ok(GitOps::Refuse),
        "propose" => Ok(GitOps::Propose),
        "patch" => Ok(GitOps::Patch),
        _ => Err("must be auto, refuse, propose or patch".to_owned()),
    }
}

pub(super) fn platforms(text: &str) -> Result<Platforms, String> {
    match text {
        "any" => return Ok(Platforms::Any),
        "cluster" => return Ok(Platforms::Cluster),
        _ => {}
    }
    let wanted = |_| "must be any, cluster, or a comma-separated list like linux/amd64,linux/arm64".to_owned();
    let parsed: Result<Vec<_>, _> = list(text).map_err(wanted)?.iter().map(|one| one.parse().map_err(|_| wanted(String::new()))).collect();
    parsed.map(Platforms::List)
}

/// The value of `notify` that chooses no channel.
pub(super) const NO_CHANNEL: &str = "none";

/// Checks the channels of `notify`.
pub(super) fn channels(text: &str) -> Result<(), String> {
    let words: Vec<&str> = words(text).collect();
    match words.as_slice() {
        [] => {
            let known: Vec<&str> = Channel::ALL.iter().map(|channel| channel.as_str()).collect();
            Err(format!("must be {NO_CHANNEL}, or a comma-separated list of these channels: {}", known.join(", ")))
        }
        [NO_CHANNEL] => Ok(()),
        several if several.contains(&NO_CHANNEL) => Err(format!("{NO_CHANNEL} must be the only word")),
        several => several.iter().try_for_each(|one| one.parse::<Channel>().map(|_| ()).map_err(|error| error.to_string())),
    }
}

/// Returns the words of a comma-separated list.
pub(super) fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|word| !word.is_empty())
}

pub(super) fn positive_duration(text: &str) -> Result<Duration, String> {
    duration(text).and_then(|span| if span.is_zero() { Err("must be greater than zero".to_owned()) } else { Ok(span) })
}

/// Parses a time span: whole seconds (`300`), or numbers with units in descending order (`5m`, `1h30m`, `90s`, `1d`);
/// at most ten years.
///
/// # Errors
/// A sentence that states what is expected.
pub fn duration(text: &str) -> Result<Duration, String> {
    let wanted = || "must be whole seconds or a value like 90s, 5m, 1h30m or 1d, at most ten years".to_owned();
    let number = |digits: &str| {
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) { None } else { digits.parse::<u64>().ok() }
    };
    let seconds = match number(text) {
        Some(seconds) => seconds,
        None => with_units(text, number).ok_or_else(wanted)?,
    };
    if seconds > LONGEST { Err(wanted()) } else { Ok(Duration::from_secs(seconds)) }
}

fn with_units(text: &str, number: impl Fn(&str) -> Option<u64>) -> Option<u64> {
    const UNITS: [(char, u64); 4] = [('d', 86_400), ('h', 3_600), ('m', 60), ('s', 1)];
    let mut rest = text;
    let mut seconds = 0_u64;
    let mut units = UNITS.iter();
    while !rest.is_empty() {
        let at = rest.find(|c: char| !c.is_ascii_digit())?;
        let (digits, after) = rest.split_at(at);
        let letter = after.chars().next()?;
        // The remaining units shrink, so each occurs once and in descending order.
        let (_, worth) = units.find(|(unit, _)| *unit == letter)?;
        seconds = seconds.checked_add(number(digits)?.checked_mul(*worth)?)?;
        rest = after.get(letter.len_utf8()..)?;
    }
    (!text.is_empty()).then_some(seconds)
}
