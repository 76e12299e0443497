//! Every recorded payload: its sender, and the result of decoding it.

use proptest::prelude::*;
use rstest::rstest;
use serde_json::Value;

use super::*;

const DIGEST: &str = "sha256:8a9e9863dbb6e10edb5adfe917c00da84e1700fa76e7ed02476aa6e6fb8ee0d8";

macro_rules! payloads {
    ($($name:literal),+ $(,)?) => {
        const PAYLOADS: &[(&str, &str)] = &[$(($name, include_str!(concat!("../../tests/payloads/", $name, ".json")))),+];
    };
}

payloads![
    "distribution/push",
    "docker_hub/push",
    "harbor/push",
    "harbor/scan",
    "harbor/upload_chart",
    "harbor/replication",
    "harbor/cloudevent",
    "harbor/cloudevent_pull",
    "quay/push",
    "quay/push_old",
    "quay/vulnerability",
    "quay/build",
    "github/registry_package",
    "github/package_platform",
    "github/package_npm",
    "github/ping",
    "gitlab/pipeline",
    "gitlab/system",
    "gitlab/registry",
    "azure/push",
    "azure/delete",
    "azure/chart_push",
    "azure/ping",
    "azure/quarantine",
    "google/insert",
    "google/gcr",
    "google/delete",
    "google/unwrapped",
    "ecr/push",
    "ecr/delete",
    "ecr/scan",
    "ecr/pull_through_cache",
    "ecr/replication",
    "ecr/sns",
    "ecr/sns_confirmation",
    "jfrog/push",
    "jfrog/deleted",
    "jfrog/artifact",
    "jfrog/promoted",
    "nexus/component",
    "nexus/npm",
    "nexus/asset",
    "nexus/audit",
    "aliyun/push",
    "cloudevents/ecr",
    "cloudevents/event_grid",
    "cloudevents/distribution",
    "gitea/package",
    "gitea/manifest",
    "gitea/deleted",
    "gitea/npm",
    "zot/image_updated",
    "zot/default_source",
    "zot/deleted",
    "zot/repository_created",
    "cloudevents/plain",
    "cloudevents/plain_deleted",
    "jfrog/nested",
    "jfrog/self_hosted",
    "docker_hub/namespace",
    "docker_hub/official",
    "harbor/several",
    "github/version_name",
    "github/other_url",
    "azure/no_digest",
    "azure/bare_ping",
    "google/cut_digest",
    "native/image",
    "native/images",
    "native/chart",
];

fn payload(name: &str) -> &'static str {
    PAYLOADS.iter().find(|(one, _)| *one == name).unwrap().1
}

fn read(body: &str, sender: Option<Sender>, registry: Option<&str>) -> Result<Decoded, DecodeError> {
    decode(&Envelope { sender, registry, header: &|_| None, body: body.as_bytes() })
}

/// Returns the events as references, and the reasons of ignored parts.
fn summary(decoded: &Decoded) -> (Vec<String>, Vec<IgnoredReason>) {
    let event = |event: &Claim| {
        let digest = event.digest.as_ref().map(|digest| format!("@{digest}")).unwrap_or_default();
        let chart = event.chart.as_ref().map(|chart| format!(" {chart}")).unwrap_or_default();
        format!("{}{chart}:{}{digest}", event.origin, event.tag.as_deref().unwrap_or_default())
    };
    (decoded.events.iter().map(event).collect(), decoded.ignored.iter().map(|ignored| ignored.reason).collect())
}

/// `D` stands for the recorded digest.
#[rstest]
#[case("harbor/push", Sender::Harbor, &["hub.harbor.com/test-webhook/debian:1.4.0@D"], &[])]
#[case("harbor/scan", Sender::Harbor, &[], &[IgnoredReason::NotAPush])]
#[case("harbor/upload_chart", Sender::Harbor, &["https://hub.harbor.com/chartrepo/test-webhook podinfo:0.2.0"], &[])]
#[case("native/chart", Sender::Native, &["https://charts.example/stable podinfo:0.2.0"], &[])]
#[case("harbor/cloudevent", Sender::Harbor, &["harbor.dev/library/alpine:3.17@D"], &[IgnoredReason::NoTag])]
#[case("harbor/cloudevent_pull", Sender::Harbor, &[], &[IgnoredReason::NotAPush])]
#[case("quay/push", Sender::Quay, &["quay.io/mynamespace/repository:latest", "quay.io/mynamespace/repository:1.2.0"], &[])]
#[case("quay/push_old", Sender::Quay, &["quay.io/mynamespace/repository:1.2.0"], &[])]
#[case("quay/vulnerability", Sender::Quay, &[], &[IgnoredReason::NotAPush])]
#[case("github/registry_package", Sender::GitHub, &["ghcr.io/octo-org/hello-world:1.2.0@D"], &[])]
#[case("github/package_platform", Sender::GitHub, &[], &[IgnoredReason::NoTag])]
#[case("github/package_npm", Sender::GitHub, &[], &[IgnoredReason::NotAManifest])]
#[case("github/ping", Sender::GitHub, &[], &[IgnoredReason::NotAPush])]
#[case("gitlab/pipeline", Sender::GitLab, &[], &[IgnoredReason::NotAPush])]
#[case("gitlab/registry", Sender::Distribution, &["registry.gitlab.example/group/project/web:1.4.0@D"], &[])]
#[case("azure/push", Sender::Azure, &["myregistry.azurecr.io/hello-world:1.2.0@D"], &[])]
#[case("azure/delete", Sender::Azure, &[], &[IgnoredReason::NotAPush])]
#[case("azure/chart_push", Sender::Azure, &[], &[IgnoredReason::NotAPush])]
#[case("azure/ping", Sender::Azure, &[], &[IgnoredReason::NotAPush])]
#[case("google/insert", Sender::Google, &["us-east1-docker.pkg.dev/my-project/my-repo/hello-world:1.1@D"], &[])]
#[case("google/gcr", Sender::Google, &["gcr.io/my-project/hello-world:1.1@D"], &[])]
#[case("google/delete", Sender::Google, &[], &[IgnoredReason::NotAPush])]
#[case("google/unwrapped", Sender::Google, &["gcr.io/my-project/hello-world:1.1@D"], &[])]
#[case("ecr/push", Sender::Ecr, &["123456789012.dkr.ecr.us-west-2.amazonaws.com/my-repository-name:1.2.0@D"], &[])]
#[case("ecr/delete", Sender::Ecr, &[], &[IgnoredReason::NotAPush])]
#[case("ecr/scan", Sender::Ecr, &[], &[IgnoredReason::NotAPush])]
#[case("ecr/sns", Sender::Ecr, &["123456789012.dkr.ecr.us-west-2.amazonaws.com/my-repository-name:1.2.0@D"], &[])]
#[case("ecr/sns_confirmation", Sender::Ecr, &[], &[])]
#[case("jfrog/push", Sender::JFrog, &["example.jfrog.io/docker-local/library/ubuntu:1.2.0@D"], &[])]
#[case("jfrog/deleted", Sender::JFrog, &[], &[IgnoredReason::NotAPush])]
#[case("jfrog/artifact", Sender::JFrog, &[], &[IgnoredReason::NotAPush])]
#[case("nexus/component", Sender::Nexus, &[], &[IgnoredReason::NoHost])]
#[case("nexus/npm", Sender::Nexus, &[], &[IgnoredReason::NotAManifest])]
#[case("nexus/asset", Sender::Nexus, &[], &[IgnoredReason::NotAManifest])]
#[case("aliyun/push", Sender::Aliyun, &["registry.cn-hangzhou.aliyuncs.com/namespace/repotest:1.2.0@D"], &[])]
#[case("docker_hub/push", Sender::DockerHub, &["docker.io/svendowideit/testhook:1.4.0"], &[])]
#[case("cloudevents/ecr", Sender::CloudEvents, &["123456789012.dkr.ecr.us-west-2.amazonaws.com/my-repository-name:1.2.0@D"], &[])]
#[case("cloudevents/distribution", Sender::CloudEvents, &["registry.example/a/web:1.2.0@D"], &[])]
#[case("cloudevents/event_grid", Sender::CloudEvents, &["myregistry.azurecr.io/hello-world:v1@sha256:80f0d5c8786bb9e621a45ece0db56d11cdc624ad20da9fe62e9d25490f331d7d"], &[])]
#[case("harbor/replication", Sender::Harbor, &[], &[IgnoredReason::NotAPush])]
#[case("quay/build", Sender::Quay, &[], &[IgnoredReason::NotAPush])]
#[case("gitlab/system", Sender::GitLab, &[], &[IgnoredReason::NotAPush])]
#[case("azure/quarantine", Sender::Azure, &[], &[IgnoredReason::NotAPush])]
#[case("ecr/pull_through_cache", Sender::Ecr, &[], &[IgnoredReason::NotAPush])]
#[case("ecr/replication", Sender::Ecr, &[], &[IgnoredReason::NotAPush])]
#[case("jfrog/promoted", Sender::JFrog, &[], &[IgnoredReason::NotAPush])]
#[case("nexus/audit", Sender::Nexus, &[], &[IgnoredReason::NotAPush])]
#[case("gitea/package", Sender::Gitea, &["git.example:3000/shop/team/web:1.2.0"], &[])]
#[case("gitea/manifest", Sender::Gitea, &[], &[IgnoredReason::NoTag])]
#[case("gitea/deleted", Sender::Gitea, &[], &[IgnoredReason::NotAPush])]
#[case("gitea/npm", Sender::Gitea, &[], &[IgnoredReason::NotAManifest])]
#[case("zot/image_updated", Sender::Zot, &["registry.example:5000/shop/web:1.2.0@D"], &[])]
#[case("zot/default_source", Sender::Zot, &[], &[IgnoredReason::NoHost])]
#[case("zot/deleted", Sender::Zot, &[], &[IgnoredReason::NotAPush])]
#[case("zot/repository_created", Sender::Zot, &[], &[IgnoredReason::NotAPush])]
#[case("cloudevents/plain", Sender::CloudEvents, &["registry.example/shop/web:1.2.0@D"], &[])]
#[case("cloudevents/plain_deleted", Sender::CloudEvents, &[], &[IgnoredReason::NotAPush])]
#[case("jfrog/nested", Sender::JFrog, &["example.jfrog.io/docker-local/team/shop/web:1.2.0@D"], &[])]
#[case("jfrog/self_hosted", Sender::JFrog, &[], &[IgnoredReason::NoHost])]
#[case("docker_hub/namespace", Sender::DockerHub, &["docker.io/svendowideit/testhook:1.4.0"], &[])]
#[case("docker_hub/official", Sender::DockerHub, &["docker.io/library/nginx:1.27"], &[])]
#[case("harbor/several", Sender::Harbor, &["hub.harbor.com/test-webhook/debian:1.4.0", "hub.harbor.com/test-webhook/debian:1.4"], &[IgnoredReason::NoTag])]
#[case("github/version_name", Sender::GitHub, &["ghcr.io/octo-org/hello-world:1.2.0@D"], &[])]
#[case("github/other_url", Sender::GitHub, &["ghcr.io/octo-org/hello-world:1.2.0@D"], &[])]
#[case("azure/no_digest", Sender::Azure, &["myregistry.azurecr.io/hello-world:1.2.0"], &[])]
#[case("azure/bare_ping", Sender::Azure, &[], &[IgnoredReason::NotAPush])]
#[case("google/cut_digest", Sender::Google, &["us-east1-docker.pkg.dev/my-project/my-repo/hello-world:1.1"], &[])]
#[case("native/image", Sender::Native, &["registry.example:5000/shop/web:1.2.0"], &[])]
#[case("native/images", Sender::Native, &["docker.io/library/nginx:1.27", "ghcr.io/acme/web:2.0.0@D"], &[])]
fn recorded(#[case] name: &str, #[case] sender: Sender, #[case] events: &[&str], #[case] ignored: &[IgnoredReason]) {
    let decoded = read(payload(name), None, None).unwrap();
    let events: Vec<String> = events.iter().map(|event| event.replace("@D", &format!("@{DIGEST}"))).collect();
    assert_eq!((decoded.sender, summary(&decoded)), (sender, (events, ignored.to_vec())));
    // A route that names the sender gives the same result.
    assert_eq!(read(payload(name), Some(sender), None), Ok(decoded));
}

/// Only its sender claims a payload, so the order in which shapes are tried does not matter.
#[test]
fn each_is_claimed_by_one() {
    for (name, body) in PAYLOADS {
        let claims = |sender: &Sender| read(body, Some(*sender), None).is_ok();
        let mut claimed: Vec<&str> = Sender::ALL.iter().copied().filter(claims).map(Sender::as_str).collect();
        // The CloudEvents of Harbor and of zot are CloudEvents too; their senders come first.
        let own = name.starts_with("harbor/cloudevent") || name.starts_with("zot/");
        claimed.retain(|sender| !(own && *sender == "cloudevents"));
        assert_eq!(claimed.len(), 1, "{name}: {claimed:?}");
    }
    let folders: std::collections::BTreeSet<&str> = PAYLOADS.iter().map(|(name, _)| name.split('/').next().unwrap()).collect();
    assert_eq!(folders.len(), Sender::ALL.len(), "every sender has its payloads");
}

#[rstest]
#[case("nexus/component", "nexus.example:8443", "nexus.example:8443/acme/web:1.2.0")]
#[case("jfrog/push", "artifactory.example", "artifactory.example/docker-local/library/ubuntu:1.2.0@D")]
#[case("jfrog/push", "docker-local.example.com", "docker-local.example.com/library/ubuntu:1.2.0@D")]
#[case("aliyun/push", "mine.example", "mine.example/namespace/repotest:1.2.0@D")]
#[case("docker_hub/push", "proxy:5000", "proxy:5000/svendowideit/testhook:1.4.0")]
fn the_caller_names_the_host(#[case] name: &str, #[case] registry: &str, #[case] event: &str) {
    let decoded = read(payload(name), None, Some(registry)).unwrap();
    assert_eq!(summary(&decoded).0, [event.replace("@D", &format!("@{DIGEST}"))]);
}

#[rstest]
#[case("harbor/push", "evil/../x")]
#[case("quay/push", "a b")]
#[case("ecr/push", "../other")]
#[case("aliyun/push", "a/../b")]
fn a_repository_that_is_none(#[case] name: &str, #[case] repository: &str) {
    let body = payload(name);
    for field in ["test-webhook/debian", "mynamespace/repository", "my-repository-name", "namespace/repotest"] {
        let body = body.replace(&format!("\": \"{field}\""), &format!("\": \"{repository}\""));
        let decoded = read(&body, None, None).unwrap();
        assert!(decoded.events.is_empty() || summary(&decoded) == summary(&read(payload(name), None, None).unwrap()), "{decoded:?}");
    }
}

#[rstest]
#[case::sns("https://sns.us-west-2.amazonaws.com/?Action=ConfirmSubscription&TopicArn=TOPIC&Token=x", true)]
#[case::encoded(
    "https://sns.us-west-2.amazonaws.com/?Action=ConfirmSubscription&TopicArn=arn%3Aaws%3asns:us-west-2:123456789012:MyTopic",
    true
)]
#[case::no_topic("https://sns.us-west-2.amazonaws.com/?Action=ConfirmSubscription&Token=x", false)]
#[case::other_topic(
    "https://sns.us-west-2.amazonaws.com/?Action=ConfirmSubscription&TopicArn=arn:aws:sns:us-west-2:999999999999:Theirs",
    false
)]
#[case::two_topics(
    "https://sns.us-west-2.amazonaws.com/?Action=ConfirmSubscription&TopicArn=TOPIC&TopicArn=arn:aws:sns:us-west-2:999999999999:Theirs",
    false
)]
#[case::china("https://sns.us-west-2.amazonaws.com.cn/?Action=ConfirmSubscription&TopicArn=TOPIC", true)]
#[case::other_region("https://sns.us-east-1.amazonaws.com/?Action=ConfirmSubscription&TopicArn=TOPIC", false)]
#[case::other_action("https://sns.us-west-2.amazonaws.com/?Action=Publish&TopicArn=TOPIC", false)]
#[case::other_path("https://sns.us-west-2.amazonaws.com/x?Action=ConfirmSubscription&TopicArn=TOPIC", false)]
#[case::plain("http://sns.us-west-2.amazonaws.com/?Action=ConfirmSubscription&TopicArn=TOPIC", false)]
#[case::elsewhere("https://evil.example/sns.us-west-2.amazonaws.com", false)]
#[case::suffix("https://sns.us-west-2.amazonaws.com.evil.example/?Action=ConfirmSubscription&TopicArn=TOPIC", false)]
#[case::user("https://sns.us-west-2.amazonaws.com@evil.example/?Action=ConfirmSubscription&TopicArn=TOPIC", false)]
#[case::user_before("https://evil@sns.us-west-2.amazonaws.com/?Action=ConfirmSubscription&TopicArn=TOPIC", false)]
#[case::port("https://sns.us-west-2.amazonaws.com:444/?Action=ConfirmSubscription&TopicArn=TOPIC", false)]
#[case::label("https://sns.a.b.amazonaws.com/?Action=ConfirmSubscription&TopicArn=TOPIC", false)]
#[case::backslash("https://sns.us-west-2.amazonaws.com\\@evil.example/", false)]
#[case::metadata("https://169.254.169.254/latest", false)]
fn what_may_be_confirmed(#[case] url: &str, #[case] may: bool) {
    let mut body: Value = serde_json::from_str(payload("ecr/sns_confirmation")).unwrap();
    body["SubscribeURL"] = url.replace("TOPIC", "arn:aws:sns:us-west-2:123456789012:MyTopic").into();
    let decoded = read(&body.to_string(), None, None).unwrap();
    assert_eq!((decoded.subscription.is_some(), decoded.ignored.len()), (may, usize::from(!may)));
}

#[test]
fn headers_complete_the_body() {
    let call = |name: &'static str, value: &'static str, body: &str| {
        let header = move |asked: &str| (asked == name).then_some(value);
        decode(&Envelope { sender: None, registry: None, header: &header, body: body.as_bytes() })
    };
    assert_eq!(call("x-github-event", "star", "{}").unwrap().ignored[0].reason, IgnoredReason::NotAPush);
    assert_eq!(call("x-gitlab-event", "Tag Push Hook", "{}").unwrap().sender, Sender::GitLab);
    let whole: Value = serde_json::from_str(payload("harbor/cloudevent")).unwrap();
    let binary = call("ce-type", "harbor.artifact.pushed", &whole["data"].to_string()).unwrap();
    assert_eq!((binary.sender, binary.events.len()), (Sender::Harbor, 1));
}

/// Gitea and Forgejo also send GitHub's headers.
#[rstest]
#[case("x-gitea-event")]
#[case("x-forgejo-event")]
#[case("x-gogs-event")]
fn gitea_is_not_github(#[case] own: &'static str) {
    let call = |body: &'static str, event: &'static str| {
        let header = move |name: &str| (name == own || name == "x-github-event").then_some(event);
        decode(&Envelope { sender: None, registry: None, header: &header, body: body.as_bytes() })
    };
    let push = call(r#"{"ref":"refs/heads/main","commits":[]}"#, "push").unwrap();
    assert_eq!((push.sender, summary(&push)), (Sender::Gitea, (vec![], vec![IgnoredReason::NotAPush])), "the test delivery");
    let package = call(payload("gitea/package"), "package").unwrap();
    assert_eq!((package.sender, package.events.len()), (Sender::Gitea, 1));
}

/// The attributes of a CloudEvent in headers, its data as the body.
#[rstest]
#[case::zot("zotregistry.image.updated", "zotregistry.dev", "zot/image_updated", Some("r.example"), Sender::Zot, &["r.example/shop/web:1.2.0"])]
#[case::own_prefix("com.example.image.updated", "https://r.example/zot", "zot/image_updated", None, Sender::Zot, &["r.example/shop/web:1.2.0"])]
#[case::no_host("zotregistry.image.updated", "zotregistry.dev", "zot/image_updated", None, Sender::Zot, &[])]
#[case::other("zotregistry.image.deleted", "zotregistry.dev", "zot/deleted", Some("r.example"), Sender::Zot, &[])]
#[case::plain("com.example.pushed", "https://r.example", "cloudevents/plain", None, Sender::CloudEvents, &["r.example/shop/web:1.2.0"])]
#[case::plain_deleted("com.example.deleted", "https://r.example", "cloudevents/plain", None, Sender::CloudEvents, &[])]
fn binary_mode(
    #[case] kind: &'static str,
    #[case] source: &'static str,
    #[case] name: &str,
    #[case] registry: Option<&str>,
    #[case] sender: Sender,
    #[case] expected: &[&str],
) {
    let whole: Value = serde_json::from_str(payload(name)).unwrap();
    let header = |name: &str| match name {
        "ce-type" => Some(kind),
        "ce-source" => Some(source),
        _ => None,
    };
    let decoded = decode(&Envelope { sender: None, registry, header: &header, body: whole["data"].to_string().as_bytes() }).unwrap();
    let expected: Vec<String> = expected.iter().map(|event| format!("{event}@{DIGEST}")).collect();
    assert_eq!((decoded.sender, summary(&decoded).0), (sender, expected));
}

/// A malformed or missing field does not affect the others: the tag is still decoded.
#[rstest]
#[case("distribution/push", "/events/1/target/digest")]
#[case("distribution/push", "/events/1/target/url")]
#[case("distribution/push", "/events/1/request/addr")]
#[case("azure/push", "/target/digest")]
#[case("azure/push", "/request/id")]
#[case("harbor/push", "/event_data/resources/0/digest")]
#[case("harbor/push", "/event_data/repository/repo_full_name")]
#[case("github/registry_package", "/registry_package/package_version/container_metadata")]
#[case("github/registry_package", "/registry_package/package_version/package_url")]
#[case("google/unwrapped", "/digest")]
#[case("ecr/push", "/detail/image-digest")]
#[case("jfrog/push", "/data/sha256")]
#[case("jfrog/push", "/data/path")]
#[case("jfrog/push", "/data/image_name")]
#[case("aliyun/push", "/push_data/digest")]
#[case("docker_hub/push", "/repository/repo_name")]
#[case("docker_hub/push", "/push_data/pusher")]
#[case("zot/image_updated", "/data/digest")]
#[case("zot/image_updated", "/data/mediaType")]
#[case("cloudevents/plain", "/data/digest")]
fn a_malformed_field_affects_only_itself(#[case] name: &str, #[case] field: &str) {
    let whole: Value = serde_json::from_str(payload(name)).unwrap();
    let event = |body: &Value| {
        let decoded = read(&body.to_string(), None, None).unwrap();
        decoded.events.first().map(|event| (event.origin.clone(), event.tag.clone()))
    };
    for with in [Value::from("sha256:abc123"), Value::from(7), Value::Null, serde_json::json!({"a": []})] {
        let mut body = whole.clone();
        *body.pointer_mut(field).unwrap_or_else(|| panic!("{name} has {field}")) = with.clone();
        let odd_text = with.is_string() && !field.contains("igest") && !field.contains("sha256");
        assert!(odd_text || event(&body) == event(&whole), "{name} with {with} at {field}: {:?}", event(&body));
    }
}

#[test]
fn envelopes_are_opened_once() {
    let inner: Value = serde_json::from_str(payload("cloudevents/ecr")).unwrap();
    let twice = serde_json::json!({"specversion": "1.0", "type": "x", "data": inner});
    assert_eq!(summary(&read(&twice.to_string(), None, None).unwrap()), (vec![], vec![IgnoredReason::BadEvent]));
}

#[test]
fn no_payload_has_more_events_than_may_be() {
    let tags: Vec<String> = (0..=EVENTS).map(|number| format!("t{number}")).collect();
    let quay = serde_json::json!({"docker_url": "quay.io/a/b", "repository": "a/b", "updated_tags": tags});
    assert_eq!(read(&quay.to_string(), None, None), Err(DecodeError::TooMany));
}

/// Replaces one place of a value.
fn mutate(value: &mut Value, place: usize, with: &Value) {
    let mut left = place;
    let mut open = vec![value];
    while let Some(value) = open.pop() {
        if left == 0 {
            *value = with.clone();
            return;
        }
        left -= 1;
        match value {
            Value::Object(map) => open.extend(map.values_mut()),
            Value::Array(list) => open.extend(list.iter_mut()),
            _ => {}
        }
    }
}

fn odd() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        Just(serde_json::json!([])),
        Just(serde_json::json!({})),
        Just(serde_json::json!(-1)),
        Just(serde_json::json!(["a", null, {"a": 1}])),
        ".{0,30}".prop_map(Value::from),
        "[a-z0-9./:@-]{0,40}".prop_map(Value::from),
        Just(Value::from("x".repeat(1000))),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    /// Whatever a payload contains, an event names a legal repository and a valid tag.
    #[test]
    fn mutations(which in 0..PAYLOADS.len(), places in prop::collection::vec((0_usize..40, odd()), 1..4), registry in prop::option::of("[a-z.:/@]{0,12}")) {
        let mut body: Value = serde_json::from_str(PAYLOADS[which].1).unwrap();
        for (place, with) in &places {
            mutate(&mut body, *place, with);
        }
        if let Ok(decoded) = read(&body.to_string(), None, registry.as_deref()) {
            for event in decoded.events {
                match &event.origin {
                    Origin::Registry(repository) => {
                        prop_assert!(RepositoryKey::from_parts(repository.registry(), repository.path()).is_ok_and(|read| read == *repository));
                        prop_assert!(event.chart.is_none() && event.tag.as_deref().is_some_and(is_tag));
                    }
                    Origin::Charts(repository) => {
                        prop_assert!(ChartRepository::parse(repository.as_str()).is_ok_and(|read| read == *repository));
                        prop_assert!(event.chart.is_some() && event.tag.as_deref().is_some_and(|version| parse_chart(version).is_some()));
                    }
                }
            }
        }
    }

    #[test]
    fn no_sender_breaks_on_any_text(body in ".{0,200}", which in 0..Sender::ALL.len()) {
        let _ = read(&body, Some(Sender::ALL[which]), None);
    }
}
