//! Chart versions: SemVer 2 as Helm parses it (`Masterminds/semver`, `NewVersion`).

use super::{Identifier, Number, Version};

/// Count of numbers in a complete version.
const NUMBERS: usize = 3;

/// Parses a chart's version: a leading `v` and missing numbers are accepted, every suffix is a pre-release. `None` for
/// versions that Helm rejects: numbers over 64 bits, and pre-release numbers with a leading zero.
pub fn parse(text: &str) -> Option<Version> {
    let bare = text.strip_prefix('v').unwrap_or(text);
    let (rest, metadata) = bare.split_once('+').unwrap_or((bare, ""));
    let (numbers, pre) = rest.split_once('-').map_or((rest, None), |(numbers, pre)| (numbers, Some(pre)));
    let mut numbers: Vec<Number> = numbers.split('.').map(number).collect::<Option<_>>()?;
    if numbers.len() > NUMBERS || (bare.contains('+') && !are_identifiers(metadata)) {
        return None;
    }
    numbers.resize_with(NUMBERS, || Number::new("0").unwrap_or_default());
    let pre = match pre {
        None => Vec::new(),
        Some(pre) if are_identifiers(pre) => pre.split('.').map(identifier).collect::<Option<_>>()?,
        Some(_) => return None,
    };
    Some(Version { prefixed: false, numbers, pre, revision: None, variant: String::new(), metadata: metadata.to_owned() })
}

fn number(digits: &str) -> Option<Number> {
    Number::new(digits).filter(|_| digits.parse::<u64>().is_ok())
}

fn identifier(part: &str) -> Option<Identifier> {
    match Number::new(part) {
        Some(_) if part.len() > 1 && part.starts_with('0') => None,
        Some(number) => Some(Identifier::Number(number)),
        None => Some(Identifier::Word(part.to_owned())),
    }
}

fn are_identifiers(text: &str) -> bool {
    text.split('.').all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-'))
}

/// Returns true if the text is a range of versions, which Flux resolves: empty, a wildcard, or with an operator.
pub fn is_range(text: &str) -> bool {
    let text = text.trim();
    if text.is_empty() || text.contains(['<', '>', '=', '~', '^', '*', '|', ',', ' ', '!']) {
        return true;
    }
    let bare = text.strip_prefix('v').unwrap_or(text);
    let numbers = bare.split(['-', '+']).next().unwrap_or_default();
    numbers.split('.').any(|part| part.eq_ignore_ascii_case("x"))
}

/// Returns true if Flux treats the version in a release as a range. This includes versions with fewer than three
/// numbers (`1.2` is `~1.2`: Masterminds/semver, "Checking Version Constraints").
pub fn is_constraint(text: &str) -> bool {
    let bare = text.trim().trim_start_matches('v');
    let numbers = bare.split(['-', '+']).next().unwrap_or_default();
    let number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    is_range(text) || numbers.split('.').count() < 3 && numbers.split('.').all(number)
}
