//! The wildcards in one part of a host: `*`, `?` and `[…]`, as in Go's `path.Match`, which the kubelet uses.
//!
//! `!` negates a class like `^`. A match allocates nothing, and takes at most as many steps as the product of the two
//! lengths.

/// Returns true if a text contains a wildcard.
pub(super) fn is_wild(text: &str) -> bool {
    text.contains(['*', '?', '['])
}

/// Returns true if a pattern is well-formed: each class is closed, and each range is in ascending order.
pub(super) fn is_valid(pattern: &str) -> bool {
    let mut rest = pattern;
    while !rest.is_empty() {
        let Some(after) = rest.strip_prefix('*').or_else(|| term(rest, ' ').map(|(_, after)| after)) else { return false };
        rest = after;
    }
    true
}

/// Returns true if the whole text matches. A malformed pattern does not match.
pub(super) fn matches(pattern: &str, text: &str) -> bool {
    let (mut pattern, mut text) = (pattern, text);
    // The pattern after the last `*`, and where it was last tried. An earlier `*` never has to take more characters.
    let mut last: Option<(&str, &str)> = None;
    loop {
        let mut chars = text.chars();
        if let Some(after) = pattern.strip_prefix('*') {
            pattern = after;
            last = Some((after, text));
        } else if let Some(c) = chars.next() {
            match (term(pattern, c), last) {
                (Some((true, after)), _) => (pattern, text) = (after, chars.as_str()),
                (_, Some((after, from))) => {
                    let mut chars = from.chars();
                    chars.next();
                    (pattern, text) = (after, chars.as_str());
                    last = Some((pattern, text));
                }
                (_, None) => return false,
            }
        } else {
            return pattern.is_empty();
        }
    }
}

/// Returns true if the first term of a pattern, which is not `*`, matches the character, and the rest of the pattern;
/// `None` if the pattern is empty or malformed.
fn term(pattern: &str, c: char) -> Option<(bool, &str)> {
    if let Some(rest) = pattern.strip_prefix('?') {
        return Some((true, rest));
    }
    if let Some(rest) = pattern.strip_prefix('[') {
        return class(rest, c);
    }
    let (own, rest) = character(pattern)?;
    Some((own == c, rest))
}

/// Returns the same for a class. `text` begins after its opening bracket.
fn class(text: &str, c: char) -> Option<(bool, &str)> {
    let (negated, mut rest) = text.strip_prefix(['^', '!']).map_or((false, text), |rest| (true, rest));
    let mut contained = false;
    loop {
        let (low, high, after) = range(rest)?;
        contained |= (low..=high).contains(&c);
        match after.strip_prefix(']') {
            Some(after) => return Some((contained != negated, after)),
            None => rest = after,
        }
    }
}

/// Returns the first range of a class, and the rest. A single character is a range of one.
fn range(text: &str) -> Option<(char, char, &str)> {
    let (low, rest) = character(text)?;
    // A hyphen before the closing bracket is a character.
    let Some(after) = rest.strip_prefix('-').filter(|after| !after.starts_with(']')) else { return Some((low, low, rest)) };
    let (high, rest) = character(after)?;
    (low <= high).then_some((low, high, rest))
}

/// Returns the first character, which may be escaped, and the rest.
fn character(text: &str) -> Option<(char, &str)> {
    let mut chars = text.strip_prefix('\\').unwrap_or(text).chars();
    chars.next().map(|c| (c, chars.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    // The cases of Go's `TestMatch` that have no separator, and those of negation with `!`.
    #[rstest]
    #[case("abc", "abc", true)]
    #[case("*", "abc", true)]
    #[case("*", "", true)]
    #[case("", "", true)]
    #[case("", "a", false)]
    #[case("*c", "abc", true)]
    #[case("a*", "a", true)]
    #[case("a*", "abc", true)]
    #[case("a*b*c*d*e*", "axbxcxdxe", true)]
    #[case("a*b*c*d*e*", "axbxcxdxexxx", true)]
    #[case("a*b?c*x", "abxbbxdbxebxczzx", true)]
    #[case("a*b?c*x", "abxbbxdbxebxczzy", false)]
    #[case("ab[c]", "abc", true)]
    #[case("ab[b-d]", "abc", true)]
    #[case("ab[e-g]", "abc", false)]
    #[case("ab[^c]", "abc", false)]
    #[case("ab[^b-d]", "abc", false)]
    #[case("ab[^e-g]", "abc", true)]
    #[case("ab[!c]", "abc", false)]
    #[case("ab[!e-g]", "abc", true)]
    #[case("ab[xyc]", "abc", true)]
    #[case("ab[a-]", "ab-", true)]
    #[case("ab[-a]", "ab-", true)]
    #[case("a\\*b", "a*b", true)]
    #[case("a\\*b", "ab", false)]
    #[case("a?b", "a☺b", true)]
    #[case("a[^a]b", "a☺b", true)]
    #[case("a???b", "a☺b", false)]
    #[case("[a-ζ]*", "α", true)]
    #[case("*[a-ζ]", "A", false)]
    #[case("*x", "xxx", true)]
    #[case("?", "", false)]
    fn wildcards(#[case] pattern: &str, #[case] text: &str, #[case] expected: bool) {
        assert!(is_valid(pattern));
        assert_eq!(matches(pattern, text), expected);
    }

    #[rstest]
    #[case("[")]
    #[case("[]")]
    #[case("[^")]
    #[case("[^bc")]
    #[case("[b-a]")]
    #[case("[a-")]
    #[case("a[")]
    #[case("*[a")]
    #[case("a\\")]
    #[case("[\\")]
    fn malformed_patterns(#[case] pattern: &str) {
        assert!(!is_valid(pattern));
        assert!(!matches(pattern, "a") && !matches(pattern, "ab"));
    }

    #[test]
    fn long_patterns_are_cheap() {
        let text = "a".repeat(10_000);
        for pattern in [format!("{}b", "*a".repeat(5000)), format!("*{}b", "a".repeat(5000))] {
            assert!(is_valid(&pattern) && !matches(&pattern, &text));
            assert!(matches(&pattern, &format!("{text}b")));
        }
    }

    proptest::proptest! {
        #[test]
        fn wildcards_match_as_in_globset(pattern in "([ab*?]|\\[[!^]?[ab](-b)?\\]){0,12}", text in "[abc]{0,12}") {
            let expected = globset::Glob::new(&pattern).unwrap().compile_matcher().is_match(&text);
            proptest::prop_assert!(is_valid(&pattern));
            proptest::prop_assert_eq!(matches(&pattern, &text), expected);
        }

        #[test]
        fn no_pattern_breaks_it(pattern in ".{0,80}", text in ".{0,80}") {
            proptest::prop_assert!(is_valid(&pattern) || !matches(&pattern, &text));
        }
    }
}
