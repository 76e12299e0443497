//! Numbers of any length that preserve their spelling.

use std::cmp::Ordering;
use std::hash::{Hash, Hasher};

/// A run of decimal digits, compared by value: `007` equals `7`.
#[derive(Debug, Clone, Default)]
pub struct Number(Box<str>);

impl Number {
    /// Parses a run of digits; `None` for any other text.
    pub fn new(digits: &str) -> Option<Self> {
        (!digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())).then(|| Self(digits.into()))
    }

    /// Returns the digits as written.
    pub fn as_written(&self) -> &str {
        &self.0
    }

    /// Returns true if it looks like a year, a date or a build number: 19xx, 20xx, or five and more digits.
    pub fn is_calendar(&self) -> bool {
        let digits = self.significant();
        digits.len() >= 5 || digits.len() == 4 && (digits.starts_with("19") || digits.starts_with("20"))
    }

    fn significant(&self) -> &str {
        self.0.trim_start_matches('0')
    }
}

impl PartialEq for Number {
    fn eq(&self, other: &Self) -> bool {
        self.significant() == other.significant()
    }
}

impl Eq for Number {}

impl Hash for Number {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.significant().hash(state);
    }
}

impl Ord for Number {
    fn cmp(&self, other: &Self) -> Ordering {
        let (a, b) = (self.significant(), other.significant());
        a.len().cmp(&b.len()).then_with(|| a.cmp(b))
    }
}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
