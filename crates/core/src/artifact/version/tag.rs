//! The grammar of tags, which must match the whole tag.

use super::cursor::{eat, number};
use super::{Number, Version, pre_release, revision};

/// Maximum count of numbers in a version.
const NUMBERS: usize = 4;

/// Parses a tag as a version; `None` if it is not one.
pub fn parse(tag: &str) -> Option<Version> {
    if is_hash(tag) {
        return None;
    }
    let mut rest = tag;
    let prefixed = eat(&mut rest, "v");
    let numbers = match date(&mut rest) {
        // `2025-08-05.1`: a month with a variant `05.1` would be read into it.
        Some(month) if month.len() == 2 && has_dotted_day(rest) => return None,
        Some(date) => date,
        None => numbers(&mut rest)?,
    };
    let pre = pre_release::pre_release(&mut rest);
    let attached = revision::attached(&mut rest);
    let (mut suffix, metadata) = split_metadata(rest)?;
    let revision = attached.or_else(|| revision::last_segment(&mut suffix));
    let variant = suffix.strip_prefix('-').unwrap_or(suffix);
    if variant.is_empty() && !suffix.is_empty() {
        return None;
    }
    Some(Version { prefixed, numbers, pre, revision, variant: variant.to_owned(), metadata: metadata.to_owned() })
}

/// Splits the text after the version into the variant's suffix and the build metadata; `None` if it is neither.
fn split_metadata(rest: &str) -> Option<(&str, &str)> {
    let (suffix, metadata) = match rest.bytes().next() {
        None => return Some(("", "")),
        // After `_`, a number is a revision.
        Some(b'_') => ("", rest.get(1..).filter(|metadata| !metadata.starts_with(|c: char| c.is_ascii_digit()))?),
        // In a variant, `_` belongs to its name (`linux_amd64`); `+` never does.
        Some(b'-' | b'+') => match rest.split_once('+') {
            Some(parts) => parts,
            None => return Some((rest, "")),
        },
        Some(_) => return None,
    };
    (!metadata.is_empty()).then_some((suffix, metadata))
}

/// Returns true if the tag is a signature, an attestation or a bill of materials (cosign's and the OCI referrers' tag
/// schema: `sha256-<hex>`, with or without a suffix).
pub fn is_artefact(tag: &str) -> bool {
    tag.split_once('-').is_some_and(|(algorithm, rest)| {
        let hex = rest.split('.').next().unwrap_or_default();
        matches!(algorithm, "sha256" | "sha384" | "sha512") && hex.len() >= 64 && hex.bytes().all(|byte| byte.is_ascii_hexdigit())
    })
}

/// Returns true if the tag is a commit hash: seven or more hexadecimal digits with at least one letter.
fn is_hash(tag: &str) -> bool {
    let first = tag.split(['-', '_', '+', '.']).next().unwrap_or_default();
    first.len() >= 7 && first.bytes().all(|byte| byte.is_ascii_hexdigit()) && first.bytes().any(|byte| byte.is_ascii_alphabetic())
}

/// Consumes `N[.N[.N[.N]]]`.
fn numbers(rest: &mut &str) -> Option<Vec<Number>> {
    let mut all = vec![number(rest)?];
    while all.len() < NUMBERS {
        let Some(mut after) = rest.strip_prefix('.') else { break };
        let Some(number) = number(&mut after) else { break };
        all.push(number);
        *rest = after;
    }
    Some(all)
}

/// Consumes a date with hyphens, `2025-08-05` or `2025-08`.
fn date(rest: &mut &str) -> Option<Vec<Number>> {
    let mut at = *rest;
    let year = number(&mut at).filter(|year| year.as_written().len() == 4 && year.is_calendar())?;
    let mut all = vec![year];
    while all.len() < 3 {
        let Some(mut after) = at.strip_prefix('-') else { break };
        let Some(part) = number(&mut after).filter(|part| part.as_written().len() == 2 && !after.starts_with('.')) else { break };
        all.push(part);
        at = after;
    }
    (all.len() > 1).then(|| {
        *rest = at;
        all
    })
}

/// Returns true if the text starts with a day that a dot follows.
fn has_dotted_day(rest: &str) -> bool {
    let Some(mut after) = rest.strip_prefix('-') else { return false };
    number(&mut after).is_some_and(|day| day.as_written().len() == 2) && after.starts_with('.')
}
