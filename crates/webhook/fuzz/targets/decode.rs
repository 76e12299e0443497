//! Any body, with a given sender or without: the decoder never panics, and every event has a valid repository and tag.
//!
//! The first byte selects the sender (a value beyond the last one means none), whether the caller names the registry,
//! and whether the headers are those of a CloudEvent. The variable `HEADWIND_FUZZ_SENDER` sets the sender, so that each
//! decoder has its own run.

#![no_main]

use std::sync::OnceLock;

use headwind_core::artifact::Origin;
use headwind_core::artifact::chart::ChartRepository;
use headwind_core::artifact::reference::{RepositoryKey, is_tag};
use headwind_core::artifact::version::parse_chart;
use headwind_webhook::senders::{Envelope, Sender, decode};
use libfuzzer_sys::fuzz_target;

fn fixed() -> Option<Sender> {
    static SENDER: OnceLock<Option<Sender>> = OnceLock::new();
    *SENDER.get_or_init(|| std::env::var("HEADWIND_FUZZ_SENDER").ok().map(|name| name.parse().expect("a sender")))
}

fuzz_target!(|data: &[u8]| {
    let Some((first, body)) = data.split_first() else { return };
    let sender = fixed().or_else(|| Sender::ALL.get(usize::from(*first) % (Sender::ALL.len() + 1)).copied());
    let registry = (first & 0x80 != 0).then_some("registry.example");
    // The attributes of a CloudEvent in binary mode, as zot sends them.
    let header = |name: &str| match name {
        "ce-type" if first & 0x40 != 0 => Some("zotregistry.image.updated"),
        "ce-source" if first & 0x40 != 0 => Some("https://registry.example"),
        _ => None,
    };
    if let Ok(decoded) = decode(&Envelope { sender, registry, header: &header, body }) {
        for event in decoded.events {
            match &event.origin {
                Origin::Registry(repository) => {
                    assert_eq!(RepositoryKey::from_parts(repository.registry(), repository.path()).as_ref(), Ok(repository));
                    assert!(event.chart.is_none() && event.tag.as_deref().is_some_and(is_tag));
                }
                Origin::Charts(repository) => {
                    assert_eq!(ChartRepository::parse(repository.as_str()).as_ref(), Ok(repository));
                    assert!(event.chart.is_some() && event.tag.as_deref().is_some_and(|version| parse_chart(version).is_some()));
                }
            }
        }
    }
});
