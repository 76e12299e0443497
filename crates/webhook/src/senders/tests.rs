use proptest::prelude::*;
use rstest::rstest;
use serde_json::{Value, json};

use super::*;

const DIGEST: &str = "sha256:fea8895f450959fa676bcc1df0611ea93823a735a01205fd8622846041d0c7cf";

fn read(body: &[u8], sender: Option<Sender>, registry: Option<&str>) -> Result<Decoded, DecodeError> {
    decode(&Envelope { sender, registry, header: &|_| None, body })
}

fn summary(decoded: &Decoded) -> Vec<String> {
    decoded
        .events
        .iter()
        .map(|event| {
            format!(
                "{}:{}{}",
                event.origin,
                event.tag.as_deref().unwrap_or_default(),
                event.digest.as_ref().map(|digest| format!("@{digest}")).unwrap_or_default()
            )
        })
        .collect()
}

fn reasons(decoded: &Decoded) -> Vec<IgnoredReason> {
    decoded.ignored.iter().map(|ignored| ignored.reason).collect()
}

#[expect(clippy::needless_pass_by_value, reason = "reads better where it is called")]
fn push(host: Value, repository: &str, tag: Value) -> Value {
    json!({"action": "push", "target": {"mediaType": "application/vnd.oci.image.index.v1+json", "digest": DIGEST, "repository": repository, "tag": tag, "url": "http://from-url:5000/v2/x"}, "request": {"host": host}})
}

#[test]
fn the_published_payloads() {
    let decoded = read(include_bytes!("../../tests/payloads/distribution/push.json"), None, None).unwrap();
    assert_eq!(decoded.sender, Sender::Distribution);
    assert_eq!(summary(&decoded), [format!("registry.example:5000/library/test:1.2.3@{DIGEST}")]);
    assert_eq!(reasons(&decoded), [IgnoredReason::NotAPush, IgnoredReason::NotAManifest]);
    let decoded = read(include_bytes!("../../tests/payloads/docker_hub/push.json"), None, None).unwrap();
    assert_eq!((decoded.sender, summary(&decoded)), (Sender::DockerHub, vec!["docker.io/svendowideit/testhook:1.4.0".to_owned()]));
}

#[rstest]
#[case::from_request(push(json!("h:1"), "a/b", json!("1")), "h:1/a/b:1")]
#[case::from_url(push(Value::Null, "a/b", json!("1")), "from-url:5000/a/b:1")]
#[case::no_host(push(json!("bad host"), "a/b", json!("1")), "from-url:5000/a/b:1")]
#[case::path_is_no_host(push(json!("h"), "localhost/x", json!("1")), "h/localhost/x:1")]
#[case::dots_are_no_host(push(json!("h"), "a.b/c", json!("1")), "h/a.b/c:1")]
#[case::hub(push(json!("index.docker.io"), "nginx", json!("1")), "docker.io/library/nginx:1")]
fn hosts(#[case] event: Value, #[case] expected: &str) {
    let decoded = read(json!({"events": [event]}).to_string().as_bytes(), None, Some("fallback")).unwrap();
    assert_eq!(summary(&decoded), [format!("{expected}@{DIGEST}")]);
}

#[rstest]
#[case::delete(json!({"action": "delete", "target": {"repository": "a"}}), IgnoredReason::NotAPush)]
#[case::null_tag(push(json!("h"), "a", Value::Null), IgnoredReason::NoTag)]
#[case::digest_as_tag(push(json!("h"), "a", json!(DIGEST)), IgnoredReason::NoTag)]
#[case::bad_tag(push(json!("h"), "a", json!("a b")), IgnoredReason::BadTag)]
#[case::bad_repository(push(json!("h"), "A", json!("1")), IgnoredReason::BadRepository)]
#[case::no_target(json!({"action": "push"}), IgnoredReason::BadEvent)]
#[case::wrong_type(json!({"action": 7}), IgnoredReason::BadEvent)]
#[case::no_host(json!({"action": "push", "target": {"repository": "a", "tag": "1"}}), IgnoredReason::NoHost)]
#[case::layer(json!({"action": "push", "target": {"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "repository": "a", "tag": "1"}, "request": {"host": "h"}}), IgnoredReason::NotAManifest)]
#[case::no_repository(json!({"action": "push", "target": {"tag": "1"}, "request": {"host": "h"}}), IgnoredReason::BadEvent)]
fn ignored_beside_a_good_one(#[case] event: Value, #[case] reason: IgnoredReason) {
    let body = json!({"events": [event, push(json!("h"), "good", json!("1"))]}).to_string();
    let decoded = read(body.as_bytes(), None, None).unwrap();
    assert_eq!(reasons(&decoded), [reason]);
    assert_eq!(summary(&decoded), [format!("h/good:1@{DIGEST}")], "one bad event spoils no other");
}

#[rstest]
#[case::short(json!("sha256:x"))]
#[case::number(json!(7))]
#[case::null(Value::Null)]
fn a_bad_digest_costs_the_digest_alone(#[case] digest: Value) {
    let mut event = push(json!("h"), "a", json!("1"));
    event["target"]["digest"] = digest;
    let decoded = read(json!({"events": [event]}).to_string().as_bytes(), None, None).unwrap();
    assert_eq!((summary(&decoded), decoded.ignored.len()), (vec!["h/a:1".to_owned()], 0));
}

#[test]
fn the_same_event_counts_once() {
    let event = push(json!("h"), "a", json!("1"));
    let decoded = read(json!({"events": [event, event]}).to_string().as_bytes(), None, None).unwrap();
    assert_eq!(decoded.events.len(), 1);
}

#[test]
fn docker_hub_needs_two_fields_and_takes_a_proxy() {
    let body = br#"{"push_data":{"tag":"1.2"},"repository":{"repo_name":"nginx"},"callback_url":null}"#;
    assert_eq!(summary(&read(body, Some(Sender::DockerHub), None).unwrap()), ["docker.io/library/nginx:1.2"]);
    assert_eq!(summary(&read(body, Some(Sender::DockerHub), Some("proxy:5000")).unwrap()), ["proxy:5000/nginx:1.2"]);
    assert_eq!(read(br#"{"push_data":{}}"#, Some(Sender::DockerHub), None), Err(DecodeError::UnknownShape(Some(Sender::DockerHub))));
}

#[rstest]
#[case::empty(b"" as &[u8], true)]
#[case::half(br#"{"events":["#, true)]
#[case::not_utf8(b"{\"events\":[\"\xff\"]}", true)]
#[case::other(br#"{"hello":1}"#, false)]
#[case::list(b"[]", false)]
#[case::fields_as_a_list(b"[[]]", false)]
#[case::wrong_events(br#"{"events":{}}"#, false)]
#[case::text(b"\"x\"", false)]
fn unreadable(#[case] body: &[u8], #[case] malformed: bool) {
    let error = read(body, None, None).unwrap_err();
    assert_eq!(matches!(error, DecodeError::Malformed(_)), malformed, "{error}");
}

#[test]
fn bombs() {
    let deep = "[".repeat(200_000);
    assert!(matches!(read(deep.as_bytes(), None, None), Err(DecodeError::Malformed(_))));
    let many = format!("{{\"events\":[{}1]}}", "1,".repeat(EVENTS));
    assert_eq!(read(many.as_bytes(), None, None), Err(DecodeError::TooMany));
    assert!(read(b"\xef\xbb\xbf{\"events\":[]}", None, None).unwrap().events.is_empty(), "a byte order mark");
}

proptest! {
    #[test]
    fn nothing_breaks_it(body in prop::collection::vec(any::<u8>(), 0..300)) {
        for sender in [None, Some(Sender::Distribution), Some(Sender::DockerHub)] {
            let _ = read(&body, sender, Some("h"));
        }
    }

    #[test]
    fn what_was_sent_is_read_in_order(all in prop::collection::vec(("[a-z]{1,8}(/[a-z]{1,8})?", "[a-z0-9][a-z0-9._-]{0,10}"), 0..20)) {
        let events: Vec<Value> = all.iter().map(|(repository, tag)| push(json!("h:5000"), repository, json!(tag))).collect();
        let decoded = read(json!({"events": events}).to_string().as_bytes(), None, None).unwrap();
        let mut expected: Vec<String> = Vec::new();
        for (repository, tag) in &all {
            let text = format!("h:5000/{repository}:{tag}@{DIGEST}");
            if !expected.contains(&text) {
                expected.push(text);
            }
        }
        prop_assert_eq!(summary(&decoded), expected);
    }
}
