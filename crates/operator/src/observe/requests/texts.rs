//! Texts packed into one allocation. They keep the record of a finished request small.
//!
//! A UID and a digest are stored in binary form. A text that begins like the previous one (the new image like the
//! current one) is stored as the difference. Any other text is stored unchanged.

/// Maximum length that is stored in one byte. Higher values are markers.
const SHORT: u8 = 0xEF;
/// Four bytes of length follow.
const LONG: u8 = 0xF0;
/// The 16 bytes of a uid follow.
const UID: u8 = 0xF1;
/// The 32 bytes of a digest follow, then the text before it.
const DIGEST: u8 = 0xF2;
/// No text.
const NONE: u8 = 0xF3;
/// The number of bytes that the text shares with the one before it follows, then the rest.
const SHARED: u8 = 0xF4;
/// Minimum number of shared bytes for which sharing saves memory.
const LEAST_SHARED: usize = 4;

const SHA256: &str = "sha256:";

/// Packs texts, in order.
#[derive(Debug, Default)]
pub(super) struct Packer {
    bytes: Vec<u8>,
    before: String,
}

impl Packer {
    /// Adds a text.
    pub(super) fn put(&mut self, text: Option<&str>) -> &mut Self {
        let Some(text) = text else {
            self.bytes.push(NONE);
            return self;
        };
        if let Some(uid) = uid(text) {
            self.bytes.push(UID);
            self.bytes.extend(uid);
        } else if let Some((prefix, digest)) = digest(text) {
            self.bytes.push(DIGEST);
            self.bytes.extend(digest);
            self.plain(prefix);
        } else {
            self.plain(text);
        }
        self
    }

    fn plain(&mut self, text: &str) {
        let same = self.before.bytes().zip(text.bytes()).take(usize::from(u8::MAX)).take_while(|(a, b)| a == b).count();
        let shared = (0..=same).rev().find(|end| text.is_char_boundary(*end)).unwrap_or_default();
        let mut rest = text;
        if let Some(different) = text.get(shared..).filter(|_| shared >= LEAST_SHARED)
            && let Ok(shared) = u8::try_from(shared)
        {
            self.bytes.extend([SHARED, shared]);
            rest = different;
        }
        match u8::try_from(rest.len()) {
            Ok(length) if length <= SHORT => self.bytes.push(length),
            _ => {
                self.bytes.push(LONG);
                self.bytes.extend(u32::try_from(rest.len()).unwrap_or(u32::MAX).to_le_bytes());
            }
        }
        self.bytes.extend(rest.as_bytes());
        text.clone_into(&mut self.before);
    }

    /// Returns the packed texts.
    pub(super) fn pack(&mut self) -> Box<[u8]> {
        std::mem::take(&mut self.bytes).into_boxed_slice()
    }
}

/// Reads packed texts, in order.
#[derive(Debug)]
pub(super) struct Texts<'a> {
    bytes: &'a [u8],
    before: String,
}

impl<'a> Texts<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, before: String::new() }
    }

    /// Returns the next text; `None` if none was stored.
    pub(super) fn take(&mut self) -> Option<String> {
        match self.byte()? {
            NONE => None,
            UID => Some(spell_uid(self.slice(16)?)),
            DIGEST => {
                let digest = hex(self.slice(32)?);
                let mark = self.byte()?;
                let mut text = self.plain(mark)?;
                text.push_str(SHA256);
                text.push_str(&digest);
                Some(text)
            }
            mark => self.plain(mark),
        }
    }

    fn plain(&mut self, mark: u8) -> Option<String> {
        let (mut text, mark) = if mark == SHARED {
            let shared = usize::from(self.byte()?);
            (self.before.get(..shared)?.to_owned(), self.byte()?)
        } else {
            (String::new(), mark)
        };
        let length = match mark {
            LONG => u32::from_le_bytes(self.slice(4)?.try_into().ok()?) as usize,
            short => usize::from(short),
        };
        text.push_str(std::str::from_utf8(self.slice(length)?).ok()?);
        self.before.clone_from(&text);
        Some(text)
    }

    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.bytes.split_first()?;
        self.bytes = rest;
        Some(*first)
    }

    fn slice(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.bytes.split_at_checked(length)?;
        self.bytes = rest;
        Some(taken)
    }
}

/// Returns the bytes of a UID in its usual form.
fn uid(text: &str) -> Option<[u8; 16]> {
    let digits: String = text.split('-').collect();
    let bytes: [u8; 16] = unhex(&digits)?;
    (spell_uid(&bytes) == text).then_some(bytes)
}

fn spell_uid(bytes: &[u8]) -> String {
    let mut text = hex(bytes);
    for at in [8, 13, 18, 23] {
        text.insert(at, '-');
    }
    text
}

/// Returns the part before the digest at the end of the text, and the digest's bytes.
fn digest(text: &str) -> Option<(&str, [u8; 32])> {
    let (prefix, digits) = text.rsplit_once(SHA256)?;
    let bytes: [u8; 32] = unhex(digits)?;
    (hex(&bytes) == digits).then_some((prefix, bytes))
}

fn unhex<const N: usize>(digits: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    if digits.len() != 2 * N {
        return None;
    }
    for (place, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(digits.get(2 * place..2 * place + 2)?, 16).ok()?;
    }
    Some(bytes)
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(2 * bytes.len() + 4), |mut text, byte| {
        // Writing to a string never fails.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn back(texts: &[Option<&str>]) -> (Vec<Option<String>>, usize) {
        let mut packer = Packer::default();
        for text in texts {
            packer.put(*text);
        }
        let bytes = packer.pack();
        let mut reader = Texts::new(&bytes);
        (texts.iter().map(|_| reader.take()).collect(), bytes.len())
    }

    #[test]
    fn what_is_packed_comes_back_and_is_small() {
        let digest = format!("sha256:{}", "0123456789abcdef".repeat(4));
        let pinned = format!("registry.example/team/app:1.0.0@{digest}");
        let newer = format!("registry.example/team/app:1.1.0@{digest}");
        let uid = "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0";
        let texts = [Some(uid), None, Some(""), Some(&*pinned), Some(&*newer), Some(&*digest), Some("sha256:short")];
        let (read, size) = back(&texts);
        assert_eq!(read, texts.map(|text| text.map(str::to_owned)));
        assert_eq!(size, 17 + 1 + 1 + (33 + 33) + (33 + 2 + 1 + 4) + 34 + 13);
    }

    #[test]
    fn other_spellings_are_kept_as_they_are() {
        let upper = "0F1E2D3C-4B5A-6978-8796-A5B4C3D2E1F0";
        let shifted = "0f1e2d3c4-b5a-6978-8796-a5b4c3d2e1f0";
        let long = "ä".repeat(700);
        let alike = format!("{}b", "ä".repeat(699));
        let shouted = format!("sha256:{}", "A".repeat(64));
        let signed = format!("sha256:+1{}", "a".repeat(62));
        let texts = [Some(upper), Some(shifted), Some(&*long), Some(&*alike), Some(&*shouted), Some(&*signed)];
        assert_eq!(back(&texts).0, texts.map(|text| text.map(str::to_owned)));
    }

    proptest! {
        #[test]
        fn anything_comes_back(texts in proptest::collection::vec(proptest::option::of("(sha256:)?\\PC{0,300}(@sha256:[0-9a-f]{64})?"), 0..8)) {
            let given: Vec<Option<&str>> = texts.iter().map(Option::as_deref).collect();
            prop_assert_eq!(back(&given).0, texts);
        }

        #[test]
        fn no_bytes_break_the_reader(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut reader = Texts::new(&bytes);
            for _ in 0..300 {
                reader.take();
            }
        }
    }
}
