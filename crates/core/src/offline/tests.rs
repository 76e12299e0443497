use serde_json::json;

use super::*;

fn digest(letter: char) -> Digest {
    Digest::parse(&format!("sha256:{}", letter.to_string().repeat(64))).unwrap()
}

fn ask(question: serde_json::Value) -> Result<PolicyAnswer, String> {
    answer(&serde_json::from_value(question).unwrap())
}

#[test]
fn answers_of_the_command_line() {
    let got = ask(json!({"current": "nginx:1.25", "policy": "minor", "candidates": ["1.26", "2.0"]})).unwrap();
    assert_eq!((got.chosen.as_deref(), got.image.as_deref()), (Some("1.26"), Some("nginx:1.26")));
    let pinned = format!("nginx:1.25@{}", digest('a'));
    let got = ask(json!({"current": pinned, "policy": "minor", "candidates": ["1.26"]})).unwrap();
    assert_eq!((got.chosen.as_deref(), got.image.as_deref()), (Some("1.26"), Some("nginx:1.26")));
    assert_eq!(got.open.map(|open| open.tag).as_deref(), Some("1.26"));
    assert!(got.candidates[0].message.contains("looks up its digest"), "{}", got.candidates[0].message);
    let got = ask(json!({"current": pinned, "policy": "minor", "candidates": ["1.26"], "digests": {"1.26": digest('b')}})).unwrap();
    assert_eq!(got.image, Some(format!("nginx:1.26@{}", digest('b'))));
    let got = ask(json!({"current": "1.2.3", "policy": "patch", "kind": "chart", "candidates": ["1.2.4"]})).unwrap();
    assert_eq!(got.image.as_deref(), Some("1.2.4"));
    // Flux reads it as `~1.2`.
    let got = ask(json!({"current": "1.2", "policy": "minor", "kind": "chart", "candidates": ["1.3.0"]})).unwrap();
    assert_eq!((got.chosen, got.candidates[0].reason), (None, Reason::VersionRange));
    assert!(ask(json!({"current": "nginx/X:1", "policy": "minor", "candidates": []})).is_err());
    assert!(ask(json!({"current": "nginx:1", "policy": "glob", "pattern": "[", "candidates": []})).is_err());
}

/// The answer is what the operator would write: under policy force, the tag with its digest.
#[test]
fn force_pins_the_digest_as_the_operator_does() {
    let question =
        |digests: serde_json::Value| json!({"current": "nginx:latest", "policy": "force", "candidates": ["latest"], "digests": digests});
    let known = ask(question(json!({"latest": digest('b')}))).unwrap();
    assert_eq!((known.image, known.open), (Some(format!("nginx:latest@{}", digest('b'))), None));
    let unknown = ask(question(json!({}))).unwrap();
    assert_eq!((unknown.chosen.as_deref(), unknown.image.as_deref()), (Some("latest"), Some("nginx:latest")));
    assert_eq!(unknown.open.map(|open| open.tag).as_deref(), Some("latest"));
    assert!(unknown.candidates[0].message.contains("looks up its digest"), "{}", unknown.candidates[0].message);
    let digest_alone = format!("nginx@{}", digest('a'));
    let unknown = ask(json!({"current": digest_alone, "policy": "force", "candidates": ["edge"]})).unwrap();
    assert_eq!((unknown.chosen.as_deref(), unknown.image, unknown.open.is_some()), (Some("edge"), None, true));
    let other = ask(json!({"current": "nginx:latest", "policy": "force", "candidates": ["edge"]})).unwrap();
    assert_eq!((other.image.as_deref(), other.open), (Some("nginx:edge"), None));
}
