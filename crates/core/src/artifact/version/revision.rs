//! Revisions of tags: the build number of one version.

use super::Number;
use super::cursor::{at_boundary, eat, number};

/// The words before the number of a revision in the last segment.
const WORDS: &[&str] = &["build.", "build", "rev", "ls", "r", "p"];

/// Consumes a revision directly after the version: `-7`, `_7`, `p9`.
pub(super) fn attached(rest: &mut &str) -> Option<Number> {
    ["-", "_", "p"].iter().find_map(|style| {
        let mut at = *rest;
        let number = eat(&mut at, style).then(|| number(&mut at)).flatten().filter(|_| at_boundary(at))?;
        *rest = at;
        Some(number)
    })
}

/// Consumes the last segment of a suffix, if it is a revision: `-r4`, `-ls12`, `-build.3`. From `.N` after a word of
/// letters (`-dev.12`) it consumes the number and keeps the word. The rest of the suffix is the variant.
pub(super) fn last_segment(suffix: &mut &str) -> Option<Number> {
    let whole = *suffix;
    let (before, last) = whole.rsplit_once('-')?;
    if let Some(number) = WORDS.iter().find_map(|word| last.strip_prefix(word).and_then(Number::new)) {
        *suffix = before;
        return Some(number);
    }
    let (word, digits) = last.split_once('.')?;
    let number = Number::new(digits).filter(|_| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphabetic()))?;
    *suffix = whole.strip_suffix(digits)?.strip_suffix('.')?;
    Some(number)
}
