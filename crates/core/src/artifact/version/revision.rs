//! Revisions of tags: the number of a build of one version.

use super::Number;
use super::cursor::{at_boundary, eat, number};

/// What stands before the number of a last segment that is a revision.
const WORDS: &[&str] = &["build.", "build", "rev", "ls", "r", "p"];

/// Takes a revision directly behind the version: `-7`, `_7`, `p9`.
pub(super) fn attached(rest: &mut &str) -> Option<Number> {
    ["-", "_", "p"].iter().find_map(|style| {
        let mut at = *rest;
        let number = eat(&mut at, style).then(|| number(&mut at)).flatten().filter(|_| at_boundary(at))?;
        *rest = at;
        Some(number)
    })
}

/// Takes the last segment of a suffix, if it is a revision: `-r4`, `-ls12`, `-build.3`. Of `.N` behind a word of
/// letters (`-dev.12`) it takes the number and leaves the word. What remains of the suffix is the variant.
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
