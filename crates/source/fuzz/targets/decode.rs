//! Any body, for any sender or for nobody in particular: nothing panics, and whatever comes out
//! names a legal repository and a legal tag.
//!
//! The first byte chooses the sender (one beyond the last is nobody); the variable
//! `HEADWIND_FUZZ_SENDER` fixes it, so that each decoder has a run of its own.

#![no_main]

use std::sync::OnceLock;

use headwind_core::reference::{RepositoryKey, is_tag};
use headwind_source::webhook::{Envelope, Sender, decode};
use libfuzzer_sys::fuzz_target;

fn fixed() -> Option<Sender> {
    static SENDER: OnceLock<Option<Sender>> = OnceLock::new();
    *SENDER.get_or_init(|| std::env::var("HEADWIND_FUZZ_SENDER").ok().map(|name| name.parse().expect("a sender")))
}

fuzz_target!(|data: &[u8]| {
    let Some((first, body)) = data.split_first() else { return };
    let sender = fixed().or_else(|| Sender::ALL.get(usize::from(*first) % (Sender::ALL.len() + 1)).copied());
    let registry = (first & 0x80 != 0).then_some("registry.example");
    if let Ok(decoded) = decode(&Envelope { sender, registry, header: &|_| None, body }) {
        for event in decoded.events {
            let again = RepositoryKey::from_parts(event.repository.registry(), event.repository.path());
            assert_eq!(again.as_ref(), Ok(&event.repository));
            assert!(event.tag.as_deref().is_some_and(is_tag));
        }
    }
});
