//! Every recorded payload: who claims it, and what is made of it.

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

/// The events as references, the reasons of what was ignored.
fn told(decoded: &Decoded) -> (Vec<String>, Vec<IgnoredReason>) {
    let event = |event: &Event| {
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
#[case("native/image", Sender::Native, &["registry.example:5000/shop/web:1.2.0"], &[])]
#[case("native/images", Sender::Native, &["docker.io/library/nginx:1.27", "ghcr.io/acme/web:2.0.0@D"], &[])]
fn recorded(#[case] name: &str, #[case] sender: Sender, #[case] events: &[&str], #[case] ignored: &[IgnoredReason]) {
    let decoded = read(payload(name), None, None).unwrap();
    let events: Vec<String> = events.iter().map(|event| event.replace("@D", &format!("@{DIGEST}"))).collect();
    assert_eq!((decoded.sender, told(&decoded)), (sender, (events, ignored.to_vec())));
    // The route that names the sender reads the same.
    assert_eq!(read(payload(name), Some(sender), None), Ok(decoded));
}

/// Nobody but its sender claims a payload, so the order in which shapes are tried does not matter.
#[test]
fn each_is_claimed_by_one() {
    for (name, body) in PAYLOADS {
        let claims = |sender: &Sender| read(body, Some(*sender), None).is_ok();
        let mut claimed: Vec<&str> = Sender::ALL.iter().copied().filter(claims).map(Sender::as_str).collect();
        // Harbor's own CloudEvents are CloudEvents too; Harbor is asked first.
        claimed.retain(|sender| !(name.starts_with("harbor/cloudevent") && *sender == "cloudevents"));
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
    assert_eq!(told(&decoded).0, [event.replace("@D", &format!("@{DIGEST}"))]);
}

#[rstest]
#[case("harbor/push", "evil/../x")]
#[case("quay/push", "a b")]
#[case("ecr/push", "../other")]
#[case("aliyun/push", "UPPER")]
fn a_repository_that_is_none(#[case] name: &str, #[case] repository: &str) {
    let body = payload(name);
    for field in ["test-webhook/debian", "mynamespace/repository", "my-repository-name", "namespace/repotest"] {
        let body = body.replace(&format!("\": \"{field}\""), &format!("\": \"{repository}\""));
        let decoded = read(&body, None, None).unwrap();
        assert!(decoded.events.is_empty() || told(&decoded) == told(&read(payload(name), None, None).unwrap()), "{decoded:?}");
    }
}

#[rstest]
#[case::sns("https://sns.us-west-2.amazonaws.com/?Action=ConfirmSubscription&Token=x", true)]
#[case::china("https://sns.us-west-2.amazonaws.com.cn/?Action=ConfirmSubscription", true)]
#[case::other_region("https://sns.us-east-1.amazonaws.com/?Action=ConfirmSubscription", false)]
#[case::other_action("https://sns.us-west-2.amazonaws.com/?Action=Publish", false)]
#[case::other_path("https://sns.us-west-2.amazonaws.com/x?Action=ConfirmSubscription", false)]
#[case::plain("http://sns.us-west-2.amazonaws.com/?Action=ConfirmSubscription", false)]
#[case::elsewhere("https://evil.example/sns.us-west-2.amazonaws.com", false)]
#[case::suffix("https://sns.us-west-2.amazonaws.com.evil.example/?Action=ConfirmSubscription", false)]
#[case::user("https://sns.us-west-2.amazonaws.com@evil.example/?Action=ConfirmSubscription", false)]
#[case::user_before("https://evil@sns.us-west-2.amazonaws.com/?Action=ConfirmSubscription", false)]
#[case::port("https://sns.us-west-2.amazonaws.com:444/?Action=ConfirmSubscription", false)]
#[case::label("https://sns.a.b.amazonaws.com/?Action=ConfirmSubscription", false)]
#[case::backslash("https://sns.us-west-2.amazonaws.com\\@evil.example/", false)]
#[case::metadata("https://169.254.169.254/latest", false)]
fn what_may_be_confirmed(#[case] url: &str, #[case] may: bool) {
    let mut body: Value = serde_json::from_str(payload("ecr/sns_confirmation")).unwrap();
    body["SubscribeURL"] = url.into();
    let decoded = read(&body.to_string(), None, None).unwrap();
    assert_eq!((decoded.subscription.is_some(), decoded.ignored.len()), (may, usize::from(!may)));
}

#[test]
fn headers_tell_what_the_body_does_not() {
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

#[test]
fn envelopes_are_opened_once() {
    let inner: Value = serde_json::from_str(payload("cloudevents/ecr")).unwrap();
    let twice = serde_json::json!({"specversion": "1.0", "type": "x", "data": inner});
    assert_eq!(told(&read(&twice.to_string(), None, None).unwrap()), (vec![], vec![IgnoredReason::BadEvent]));
}

#[test]
fn no_payload_has_more_events_than_may_be() {
    let tags: Vec<String> = (0..=EVENTS).map(|number| format!("t{number}")).collect();
    let quay = serde_json::json!({"docker_url": "quay.io/a/b", "repository": "a/b", "updated_tags": tags});
    assert_eq!(read(&quay.to_string(), None, None), Err(DecodeError::TooMany));
}

/// Puts something else in one place of a value.
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
    /// Whatever stands in a payload, an event names a legal repository and a legal tag.
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
