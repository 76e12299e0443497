//! The grammar of tags, read from the left, nothing left over.

use super::{Identifier, Number, Revision, Version};

/// The words that lead up to a release, the longer before those they begin with.
const PRE_RELEASE: &[&str] = &["milestone", "preview", "alpha", "beta", "pre", "rc", "cr", "ea", "a", "b", "c", "m"];
/// What stands before the number of a last segment that counts builds.
const REVISION: &[&str] = &["build.", "build", "rev", "ls", "r", "p"];
/// How many numbers a version has at most.
const NUMBERS: usize = 4;

/// Reads a tag as a version; `None` where it is not one.
pub fn parse(tag: &str) -> Option<Version> {
    if is_hash(tag) {
        return None;
    }
    let mut rest = tag;
    let prefixed = eat(&mut rest, "v");
    let numbers = numbers(&mut rest)?;
    let pre = pre_release(&mut rest);
    let bare = bare_revision(&mut rest);
    let (mut suffix, metadata) = match rest.bytes().next() {
        None => ("", ""),
        Some(b'_' | b'+') => ("", rest.get(1..)?),
        // In a variant an underscore belongs to its name (`linux_amd64`); `+` never does.
        Some(b'-') => rest.split_once('+').unwrap_or((rest, "")),
        Some(_) => return None,
    };
    let revision = bare.or_else(|| last_revision(&mut suffix));
    let variant = suffix.strip_prefix('-').unwrap_or(suffix);
    if suffix.len() == 1 {
        return None;
    }
    Some(Version { prefixed, numbers, pre, revision, variant: variant.to_owned(), metadata: metadata.to_owned() })
}

/// Whether the tag is a signature, an attestation or a bill of materials (cosign's and the OCI
/// referrers' tag schema: `sha256-<hex>`, with or without an ending).
pub fn is_artefact(tag: &str) -> bool {
    tag.split_once('-').is_some_and(|(algorithm, rest)| {
        let hex = rest.split('.').next().unwrap_or_default();
        matches!(algorithm, "sha256" | "sha384" | "sha512") && hex.len() >= 64 && hex.bytes().all(|byte| byte.is_ascii_hexdigit())
    })
}

/// A commit's hash: seven or more hexadecimal digits with a letter among them.
fn is_hash(tag: &str) -> bool {
    let first = tag.split(['-', '_', '+', '.']).next().unwrap_or_default();
    first.len() >= 7 && first.bytes().all(|byte| byte.is_ascii_hexdigit()) && first.bytes().any(|byte| byte.is_ascii_alphabetic())
}

fn eat(rest: &mut &str, prefix: &str) -> bool {
    rest.strip_prefix(prefix).map(|after| *rest = after).is_some()
}

/// Takes a run of digits off the front.
fn digits(rest: &mut &str) -> Option<Number> {
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let (run, after) = rest.split_at(end);
    let number = Number::new(run)?;
    *rest = after;
    Some(number)
}

fn numbers(rest: &mut &str) -> Option<Vec<Number>> {
    let mut all = vec![digits(rest)?];
    while all.len() < NUMBERS {
        let Some(mut after) = rest.strip_prefix('.') else { break };
        let Some(number) = digits(&mut after) else { break };
        all.push(number);
        *rest = after;
    }
    Some(all)
}

/// `[-.]word[[-.]N[.N]…]`, then what `git describe` prints: `-N-gHASH`.
fn pre_release(rest: &mut &str) -> Vec<Identifier> {
    let mut all = Vec::new();
    let mut at = *rest;
    let _ = eat(&mut at, "-") || eat(&mut at, ".");
    if let Some(word) = word(&mut at) {
        all.push(Identifier::Word(word));
        *rest = at;
        let separated = eat(&mut at, "-") || eat(&mut at, ".");
        // `-rc-18-gabc` is a release candidate and 18 commits, not the 18th candidate.
        let describes = separated && describe(&mut format!("-{at}").as_str()).is_some();
        if !describes && let Some(number) = digits(&mut at) {
            all.push(Identifier::Number(number));
            *rest = at;
            while let Some(number) = at.strip_prefix('.').and_then(|mut after| digits(&mut after).map(|number| (number, after))) {
                all.push(Identifier::Number(number.0));
                at = number.1;
                *rest = at;
            }
        }
    }
    all.extend(describe(rest).into_iter().flatten());
    all
}

/// One of the words, if it ends there: what follows is no letter.
fn word(rest: &mut &str) -> Option<String> {
    let letters = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
    let (found, after) = rest.split_at(letters);
    let found = found.to_ascii_lowercase();
    PRE_RELEASE.contains(&found.as_str()).then(|| {
        *rest = after;
        found
    })
}

/// `-18-g1abb7b5dd`: commits since the tag, and the commit.
fn describe(rest: &mut &str) -> Option<[Identifier; 2]> {
    let mut at = rest.strip_prefix('-')?;
    let commits = digits(&mut at)?;
    let hash = at.strip_prefix("-g")?;
    let end = hash.find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(hash.len());
    let (hash, after) = hash.split_at(end);
    if !(4..=64).contains(&hash.len()) || !(after.is_empty() || after.starts_with(['-', '_', '+'])) {
        return None;
    }
    *rest = after;
    Some([Identifier::Number(commits), Identifier::Word(format!("g{hash}"))])
}

/// A bare number right behind the version: `-7`.
fn bare_revision(rest: &mut &str) -> Option<Revision> {
    let mut at = rest.strip_prefix('-')?;
    let number = digits(&mut at)?;
    (at.is_empty() || at.starts_with(['-', '_', '+'])).then(|| {
        *rest = at;
        Revision { style: "-".to_owned(), number }
    })
}

/// A last segment that counts builds: `-r4`, `-ls12`, `-build.3`; or `.N` behind a variant of
/// letters only: `-dev.12`. What is left of the suffix is the variant.
fn last_revision(suffix: &mut &str) -> Option<Revision> {
    let whole = *suffix;
    let (before, last) = whole.rsplit_once('-')?;
    for style in REVISION {
        if let Some(number) = last.strip_prefix(style).and_then(Number::new) {
            *suffix = before;
            return Some(Revision { style: format!("-{style}"), number });
        }
    }
    let (variant, number) = whole.rsplit_once('.')?;
    let letters = variant.strip_prefix('-')?;
    let number = Number::new(number)?;
    (!letters.is_empty() && letters.bytes().all(|byte| byte.is_ascii_alphabetic())).then(|| {
        *suffix = variant;
        Revision { style: ".".to_owned(), number }
    })
}
