//! Unique names.

use std::sync::atomic::{AtomicU32, Ordering};

use jiff::Timestamp;

static NAMES: AtomicU32 = AtomicU32::new(0);

/// Returns a valid name from a hint, with a suffix that no other test has.
pub(crate) fn unique(hint: &str) -> String {
    let legal: String = hint.to_lowercase().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).take(40).collect();
    let legal = legal.trim_matches('-');
    let number = NAMES.fetch_add(1, Ordering::Relaxed);
    let moment = Timestamp::now().as_millisecond().rem_euclid(1_000_000_000);
    format!("{}-{moment}-{number}", if legal.is_empty() { "test" } else { legal })
}

#[cfg(test)]
mod tests {
    use super::unique;

    #[test]
    fn names_are_legal_and_unique() {
        let names = [unique("It's a Hint_"), unique(""), unique(&"x".repeat(90))];
        for name in &names {
            assert!(name.len() <= 63 && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'), "{name}");
            assert!(name.starts_with(|c: char| c.is_ascii_alphanumeric()), "{name}");
        }
        assert_ne!(unique("a"), unique("a"));
    }
}
