//! Any proof for any body: no panic, and only the secret is accepted.

#![no_main]

use headwind_webhook::proof::google::{Expected, Keys, verify as verify_token};
use headwind_webhook::proof::{Secret, verify};
use libfuzzer_sys::fuzz_target;

const HEADERS: [&str; 6] =
    ["authorization", "x-hub-signature-256", "x-headwind-signature", "x-nexus-webhook-signature", "x-jfrog-event-auth", "x-gitlab-token"];

fuzz_target!(|data: &[u8]| {
    let Some((first, rest)) = data.split_first() else { return };
    let Ok(text) = std::str::from_utf8(rest) else { return };
    let (value, body) = text.split_once('\n').unwrap_or((text, ""));
    let name = HEADERS[usize::from(*first) % HEADERS.len()];
    let secret = "a secret that a fuzzer does not find";
    let believed = verify(&Secret::new(secret), &|asked| (asked == name).then_some(value), None, body.as_bytes()).is_ok();
    assert!(!believed || value.contains(secret));
    let expected = Expected { audience: "a".to_owned(), email: "b".to_owned() };
    let keys = Keys::read(body.as_bytes()).unwrap_or_default();
    let _ = verify_token(value, &keys, &expected, 0);
});
