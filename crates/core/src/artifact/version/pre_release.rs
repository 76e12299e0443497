//! Pre-releases of tags: the words for the stages before a release, and the output of `git describe`.

use super::Identifier;
use super::cursor::{at_boundary, eat, number};

/// The stages before a release.
const WORDS: &[&str] = &["alpha", "a", "beta", "b", "c", "rc", "cr", "pre", "preview", "m", "milestone", "ea"];

/// Consumes `[-.]word[[-.]N[.N]…]`, then `-N-gHASH`. Empty if neither is there.
pub(super) fn pre_release(rest: &mut &str) -> Vec<Identifier> {
    let mut all = stage(rest);
    all.extend(described(rest).into_iter().flatten());
    all
}

fn stage(rest: &mut &str) -> Vec<Identifier> {
    let mut at = *rest;
    let _ = eat(&mut at, "-") || eat(&mut at, ".");
    let Some(word) = word(&mut at) else { return Vec::new() };
    let mut all = vec![Identifier::Word(word)];
    *rest = at;
    // `-rc-18-g1abb7b5` is a release candidate plus 18 commits, not candidate 18.
    if described(&mut { at }).is_some() {
        return all;
    }
    let _ = eat(&mut at, "-") || eat(&mut at, ".");
    while let Some(number) = number(&mut at) {
        all.push(Identifier::Number(number));
        *rest = at;
        if !eat(&mut at, ".") {
            break;
        }
    }
    all
}

/// Consumes one of the words, if no letter follows it.
fn word(rest: &mut &str) -> Option<String> {
    let letters = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
    let (found, after) = rest.split_at(letters);
    let found = WORDS.iter().find(|word| word.eq_ignore_ascii_case(found))?;
    *rest = after;
    Some((*found).to_owned())
}

/// Consumes `-18-g1abb7b5dd`: the number of commits since the tag, and the commit.
fn described(rest: &mut &str) -> Option<[Identifier; 2]> {
    let mut at = rest.strip_prefix('-')?;
    let commits = number(&mut at)?;
    let hash = at.strip_prefix("-g")?;
    let end = hash.find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(hash.len());
    let (hash, after) = hash.split_at(end);
    if !(4..=64).contains(&hash.len()) || !at_boundary(after) {
        return None;
    }
    *rest = after;
    Some([Identifier::Number(commits), Identifier::Word(format!("g{hash}"))])
}
