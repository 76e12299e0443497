//! Parsing steps over a text from the left. A step advances only if it succeeds.

use super::Number;

/// Skips `prefix`. Returns true if it was there.
pub(super) fn eat(rest: &mut &str, prefix: &str) -> bool {
    rest.strip_prefix(prefix).map(|after| *rest = after).is_some()
}

/// Consumes a run of decimal digits.
pub(super) fn number(rest: &mut &str) -> Option<Number> {
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let (run, after) = rest.split_at(end);
    let number = Number::new(run)?;
    *rest = after;
    Some(number)
}

/// Returns true if a part of a version may end here: at the end, or before the next part.
pub(super) fn at_boundary(rest: &str) -> bool {
    rest.is_empty() || rest.starts_with(['-', '_', '+'])
}
