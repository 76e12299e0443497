//! The characters of an index as it arrives.
//!
//! The download feeds the channel; a blocking thread waits here for the next chunk. Only the current chunk is in
//! memory. The characters since the parser's last event are counted: one endless text must not grow in memory up to the
//! limit of the whole body.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use granit_parser::ErrorKind;
use tokio::sync::mpsc::Receiver;

use super::share::Share;

/// Maximum length of a node with the text before it, in characters. Indexes contain icons in base64.
pub(super) const LONGEST: usize = 4 * 1024 * 1024;

/// The progress of the text, shared with the walk over it.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// Characters since the last event.
    pub(super) since: Cell<usize>,
    /// True if the text begins like a web page.
    pub(super) is_page: Cell<bool>,
}

/// An iterator over the characters.
pub(super) struct Chars {
    pieces: Receiver<Vec<u8>>,
    piece: Vec<u8>,
    at: usize,
    began: bool,
    progress: Rc<Progress>,
    share: Rc<RefCell<Share>>,
}

impl Chars {
    pub(super) fn new(pieces: Receiver<Vec<u8>>, progress: Rc<Progress>, share: Rc<RefCell<Share>>) -> Self {
        Self { pieces, piece: Vec::new(), at: 0, began: false, progress, share }
    }

    #[inline]
    fn peek(&mut self) -> Option<u8> {
        while self.at == self.piece.len() {
            let mut share = self.share.borrow_mut();
            share.rest();
            self.piece = self.pieces.blocking_recv()?;
            share.begin();
            self.at = 0;
        }
        self.piece.get(self.at).copied()
    }

    /// Decodes a character of several bytes, after its first byte. Invalid UTF-8 is replaced: it may be in the
    /// description of a chart that nobody uses.
    #[cold]
    fn wide(&mut self, first: u8) -> char {
        let length = match first {
            0xC2..=0xDF => 2,
            0xE0..=0xEF => 3,
            0xF0..=0xF4 => 4,
            _ => return char::REPLACEMENT_CHARACTER,
        };
        let mut bytes = [first, 0, 0, 0];
        for slot in bytes.iter_mut().take(length).skip(1) {
            match self.peek() {
                Some(byte @ 0x80..=0xBF) => *slot = byte,
                _ => return char::REPLACEMENT_CHARACTER,
            }
            self.at += 1;
        }
        let text = bytes.get(..length).and_then(|bytes| str::from_utf8(bytes).ok());
        text.and_then(|text| text.chars().next()).unwrap_or(char::REPLACEMENT_CHARACTER)
    }
}

impl Iterator for Chars {
    type Item = Result<char, ErrorKind>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let first = self.peek()?;
        self.at += 1;
        let since = self.progress.since.get() + 1;
        if since > LONGEST {
            return Some(Err(ErrorKind::InputByteLimitExceeded { limit: LONGEST }));
        }
        self.progress.since.set(since);
        let c = if first.is_ascii() { char::from(first) } else { self.wide(first) };
        if !self.began && !c.is_whitespace() && c != '\u{FEFF}' {
            self.began = true;
            self.progress.is_page.set(c == '<');
        }
        Some(Ok(c))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn read(pieces: &[&[u8]]) -> (Result<String, ErrorKind>, bool) {
        let (sender, receiver) = tokio::sync::mpsc::channel(pieces.len().max(1));
        for piece in pieces {
            sender.try_send(piece.to_vec()).unwrap();
        }
        drop(sender);
        let progress = Rc::<Progress>::default();
        let text = Chars::new(receiver, Rc::clone(&progress), Rc::new(RefCell::new(Share::alone()))).collect();
        (text, progress.is_page.get())
    }

    #[rstest]
    #[case::ascii(b"abc", "abc", false)]
    #[case::wide(b"a\xC3\xA4\xE2\x82\xAC\xF0\x9F\xA6\x80", "aä€🦀", false)]
    #[case::latin_1(b"H\xE4user", "H\u{FFFD}user", false)]
    #[case::stray(b"\x80\xFFa\xC3", "\u{FFFD}\u{FFFD}a\u{FFFD}", false)]
    #[case::surrogate(b"\xED\xA0\x80a", "\u{FFFD}a", false)]
    #[case::page(b"\xEF\xBB\xBF \n<!DOCTYPE html>", "\u{FEFF} \n<!DOCTYPE html>", true)]
    #[case::nothing(b"", "", false)]
    fn characters(#[case] bytes: &[u8], #[case] expected: &str, #[case] is_page: bool) {
        for piece in 1..=4 {
            let pieces: Vec<&[u8]> = bytes.chunks(piece).collect();
            assert_eq!(read(&pieces), (Ok(expected.to_owned()), is_page));
        }
    }

    #[test]
    fn a_text_without_end_has_one() {
        let piece = vec![b'x'; LONGEST / 2];
        assert_eq!(read(&[&piece, &piece]).0.map(|text| text.len()), Ok(LONGEST));
        assert_eq!(read(&[&piece, &piece, b"x"]).0, Err(ErrorKind::InputByteLimitExceeded { limit: LONGEST }));
    }
}
