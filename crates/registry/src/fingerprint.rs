//! Fingerprints of credentials and transports, and of several of them together.

use std::fmt;

use sha2::{Digest as _, Sha256};

/// A SHA-256 hash that tells two ways of access apart without holding a secret. It is kept in memory only, and a log
/// shows its first four bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// Returns the fingerprint of a sequence of parts. Each part is hashed with its length, so two different sequences
    /// do not become the same text.
    pub fn of<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut hash = Sha256::new();
        for part in parts {
            hash.update(part.len().to_be_bytes());
            hash.update(part);
        }
        Self(hash.finalize().into())
    }
}

impl AsRef<[u8]> for Fingerprint {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [one, two, three, four, ..] = self.0;
        write!(f, "Fingerprint({one:02x}{two:02x}{three:02x}{four:02x}…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_border_between_two_parts_counts() {
        let of = |parts: &[&str]| Fingerprint::of(parts.iter().map(|part| part.as_bytes()));
        assert_eq!(of(&["login", "a"]), of(&["login", "a"]));
        assert_ne!(of(&["login", "ab", "c"]), of(&["login", "a", "bc"]));
        assert_ne!(of(&["a", ""]), of(&["a"]));
        assert_ne!(of(&[]), Fingerprint::default());
    }
}
