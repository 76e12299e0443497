//! The client with a fake registry that logs requests and misbehaves. The tests compare requests line by line, so an
//! unnecessary request is a failure.

#![allow(clippy::unwrap_used, reason = "a test may")]

use std::time::{Duration, Instant};

use headwind_core::artifact::reference::RepositoryKey;
use headwind_registry::{Class, Client, Credential, Error, HostSettings, Hosts, Keep, Keyring, Listing, Rules, Timeouts};
use headwind_testbed::{Demand, FakeRegistry, Fault};
use rstest::rstest;

const CANARY: &str = "canary-7f3a";

fn entry(host: &str) -> HostSettings {
    HostSettings::read(&format!("registries: [{{host: '{host}', plainHttp: true}}]")).unwrap().remove(0)
}

fn client_of(entries: Vec<HostSettings>, timeouts: &Timeouts) -> Client {
    rustls::crypto::ring::default_provider().install_default().ok();
    Client::new(Hosts::new(entries, Rules::default(), timeouts).unwrap(), Vec::new())
}

fn client(registry: &FakeRegistry) -> Client {
    client_of(vec![entry(&registry.host())], &Timeouts::default())
}

fn key(registry: &FakeRegistry, path: &str) -> RepositoryKey {
    RepositoryKey::from_parts(&registry.host(), path).unwrap()
}

fn login(registry: &FakeRegistry, password: &str) -> Keyring {
    Keyring::of(&registry.host(), Credential::login("user", password))
}

fn user() -> (String, String) {
    ("user".to_owned(), CANARY.to_owned())
}

fn bearer() -> Demand {
    Demand::Bearer { realm: None, login: Some(user()), expires_in: Some(300) }
}

fn tags(listing: &Listing) -> Vec<&str> {
    listing.tags().collect()
}

#[tokio::test]
async fn digests_by_head_and_tags_by_one_request() {
    let registry = FakeRegistry::start().await.unwrap();
    let digest = registry.push("a/web", "1.0", "one");
    let (client, key, none) = (client(&registry), key(&registry, "a/web"), Keyring::default());
    assert_eq!(client.digest(&key, "1.0", &none).await.unwrap().unwrap().as_str(), digest);
    assert_eq!(client.digest(&key, "1.1", &none).await.unwrap(), None);
    assert_eq!(tags(&client.tags(&key, &none, None, &Keep::everything()).await.unwrap()), ["1.0"]);
    let log = registry.take_log();
    let accept = &log[0].raw;
    for form in ["oci.image.index.v1", "oci.image.manifest.v1", "distribution.manifest.list.v2", "distribution.manifest.v2"] {
        assert!(accept.contains(form), "{accept}");
    }
    let lines: Vec<String> = log.iter().map(ToString::to_string).collect();
    assert_eq!(lines, ["HEAD /v2/a/web/manifests/1.0 - 200", "HEAD /v2/a/web/manifests/1.1 - 404", "GET /v2/a/web/tags/list?n=1000 - 200"]);
}

#[tokio::test]
async fn a_missing_digest_is_computed() {
    let registry = FakeRegistry::start().await.unwrap();
    let digest = registry.push("web", "1", "one");
    registry.misbehave(|_| Some(Fault::Without("docker-content-digest")));
    let (client, key) = (client(&registry), key(&registry, "web"));
    assert_eq!(client.digest(&key, "1", &Keyring::default()).await.unwrap().unwrap().as_str(), digest);
    registry.misbehave(|seen| (seen.method == "HEAD").then(|| Fault::Answer(405, Vec::new(), String::new())));
    assert_eq!(client.digest(&key, "1", &Keyring::default()).await.unwrap().unwrap().as_str(), digest);
    assert_eq!(
        registry.take_lines(),
        [
            "HEAD /v2/web/manifests/1 - 200",
            "GET /v2/web/manifests/1 - 200",
            "HEAD /v2/web/manifests/1 - 405",
            "GET /v2/web/manifests/1 - 200"
        ]
    );
}

#[tokio::test]
async fn the_challenge_is_learnt_once_and_the_token_kept() {
    let registry = FakeRegistry::start().await.unwrap();
    registry.push("web", "1", "one");
    registry.demand(bearer());
    let (client, key, keyring) = (client(&registry), key(&registry, "web"), login(&registry, CANARY));
    for _ in 0..3 {
        client.digest(&key, "1", &keyring).await.unwrap();
        client.tags(&key, &keyring, None, &Keep::everything()).await.unwrap();
    }
    let token = "GET /token?service=fake&scope=repository%3Aweb%3Apull basic 200";
    let (head, list) = ("HEAD /v2/web/manifests/1 bearer 200", "GET /v2/web/tags/list?n=1000 bearer 200");
    assert_eq!(registry.take_lines(), ["HEAD /v2/web/manifests/1 - 401", token, head, list, head, list, head, list]);

    // A token that the registry no longer accepts is replaced once.
    registry.revoke_tokens();
    client.digest(&key, "1", &keyring).await.unwrap();
    assert_eq!(registry.take_lines(), ["HEAD /v2/web/manifests/1 bearer 401", token, head]);
}

#[tokio::test]
async fn a_token_is_not_used_beyond_its_life() {
    let registry = FakeRegistry::start().await.unwrap();
    registry.push("web", "1", "one");
    registry.demand(Demand::Bearer { realm: None, login: None, expires_in: Some(1) });
    let (client, key) = (client(&registry), key(&registry, "web"));
    client.digest(&key, "1", &Keyring::default()).await.unwrap();
    let until = Instant::now() + Duration::from_secs(1);
    registry.take_lines();
    while Instant::now() < until {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    client.digest(&key, "1", &Keyring::default()).await.unwrap();
    assert_eq!(
        registry.take_lines(),
        ["GET /token?service=fake&scope=repository%3Aweb%3Apull - 200", "HEAD /v2/web/manifests/1 bearer 200"]
    );
}

#[tokio::test]
async fn many_waiters_are_one_request_for_a_token() {
    let registry = FakeRegistry::start().await.unwrap();
    registry.push("web", "1", "one");
    registry.demand(bearer());
    registry.misbehave(|seen| seen.path.starts_with("/token").then_some(Fault::Late(Duration::from_millis(200))));
    let (client, key, keyring) = (client(&registry), key(&registry, "web"), login(&registry, CANARY));
    let asked = futures_util::future::join_all((0..20).map(|_| client.digest(&key, "1", &keyring))).await;
    assert!(asked.iter().all(|answer| answer.as_ref().is_ok_and(Option::is_some)));
    let tokens = registry.take_lines().iter().filter(|line| line.starts_with("GET /token")).count();
    assert_eq!(tokens, 1);
}

#[tokio::test]
async fn basic_is_learnt_once() {
    let registry = FakeRegistry::start().await.unwrap();
    registry.push("web", "1", "one");
    registry.demand(Demand::Basic(user().0, user().1));
    let (client, key, keyring) = (client(&registry), key(&registry, "web"), login(&registry, CANARY));
    client.digest(&key, "1", &keyring).await.unwrap();
    client.digest(&key, "1", &keyring).await.unwrap();
    let head = "HEAD /v2/web/manifests/1 basic 200";
    assert_eq!(registry.take_lines(), ["HEAD /v2/web/manifests/1 - 401", head, head]);
}

#[tokio::test]
async fn an_identity_token_is_traded_by_post() {
    let registry = FakeRegistry::start().await.unwrap();
    registry.push("web", "1", "one");
    registry.demand(bearer());
    let secret = format!(r#"{{"{}":{{"identitytoken":"{CANARY}"}}}}"#, registry.host());
    let (keyring, _) = Keyring::read(headwind_registry::credential::Format::DockerCfg, secret.as_bytes());
    client(&registry).digest(&key(&registry, "web"), "1", &keyring).await.unwrap().unwrap();
    assert_eq!(registry.take_lines(), ["HEAD /v2/web/manifests/1 - 401", "POST /token - 200", "HEAD /v2/web/manifests/1 bearer 200"]);
}

#[rstest]
#[case::basic(Demand::Basic(user().0, user().1))]
#[case::bearer(bearer())]
#[tokio::test]
async fn several_credentials_are_tried_in_order_and_the_right_one_remembered(#[case] demand: Demand) {
    let registry = FakeRegistry::start().await.unwrap();
    registry.push("web", "1", "one");
    registry.demand(demand);
    let (client, key) = (client(&registry), key(&registry, "web"));
    let mut keyring = login(&registry, "wrong");
    keyring.extend(&login(&registry, CANARY));
    client.digest(&key, "1", &keyring).await.unwrap().unwrap();
    registry.take_lines();
    client.digest(&key, "1", &keyring).await.unwrap().unwrap();
    assert_eq!(registry.take_log().iter().filter(|seen| seen.status != 200).count(), 0);
}

/// A secret with many logins for one host must not make Headwind guess passwords.
#[tokio::test]
async fn a_query_tries_eight_credentials() {
    let registry = FakeRegistry::start().await.unwrap();
    registry.push("web", "1", "one");
    registry.demand(Demand::Basic(user().0, user().1));
    let mut keyring = Keyring::default();
    for number in 0..100 {
        keyring.extend(&login(&registry, &format!("wrong{number}")));
    }
    let error = client(&registry).digest(&key(&registry, "web"), "1", &keyring).await.unwrap_err();
    assert_eq!(error.class, Class::Denied);
    // The first request is without a credential.
    assert_eq!(registry.take_lines().len(), 9);
}

#[rstest]
#[case::none(Keyring::default(), "requires a credential, and none is configured")]
#[case::wrong(Keyring::of("*.*.*.*:*", Credential::login("u", "p")), "requires a credential, and none is configured")]
#[tokio::test]
async fn a_wrong_or_missing_credential_is_denied(#[case] keyring: Keyring, #[case] expected: &str) {
    let registry = FakeRegistry::start().await.unwrap();
    registry.push("web", "1", "one");
    registry.demand(Demand::Basic(user().0, user().1));
    let error = client(&registry).digest(&key(&registry, "web"), "1", &keyring).await.unwrap_err();
    assert!(error.class == Class::Denied && error.to_string().contains(expected), "{error}");
    let error = client(&registry).digest(&key(&registry, "web"), "1", &login(&registry, "wrong")).await.unwrap_err();
    assert!(error.class == Class::Denied && error.to_string().contains("rejected the credential"), "{error}");
}

#[tokio::test]
async fn ten_thousand_tags_over_many_pages() {
    let registry = FakeRegistry::start().await.unwrap();
    for number in 0..10_000 {
        registry.push("web", &format!("1.{number:05}"), "x");
    }
    registry.pages_of(Some(100));
    registry.demand(bearer());
    let (client, key, keyring) = (client(&registry), key(&registry, "web"), login(&registry, CANARY));
    let listing = client.tags(&key, &keyring, None, &Keep::everything()).await.unwrap();
    assert_eq!((listing.tags().count(), listing.tags().last()), (10_000, Some("1.09999")));
    let lines = registry.take_lines();
    assert_eq!((lines.len(), lines.last().map(String::as_str)), (102, Some("GET /v2/web/tags/list?last=1.09899&n=100 bearer 200")));

    // Now with ETags: the first read records them, the second finds no change.
    registry.etags(true);
    let known = client.tags(&key, &keyring, Some(&listing), &Keep::everything()).await.unwrap();
    assert!(known.is_worth_keeping() && !known.is_unchanged());
    registry.take_lines();
    let again = client.tags(&key, &keyring, Some(&known), &Keep::everything()).await.unwrap();
    assert!(again.is_unchanged());
    assert_eq!(tags(&again), tags(&listing));
    assert_eq!(registry.take_lines().iter().filter(|line| line.ends_with(" 304")).count(), 100);

    // A new tag on the last page is found, although the other pages return 304.
    registry.push("web", "2.0", "x");
    let moved = client.tags(&key, &keyring, Some(&again), &Keep::everything()).await.unwrap();
    assert_eq!((moved.is_unchanged(), moved.tags().last()), (false, Some("2.0")));
}

#[tokio::test]
async fn a_401_in_the_middle_of_a_list() {
    let registry = FakeRegistry::start().await.unwrap();
    for tag in ["1", "2", "3", "4"] {
        registry.push("web", tag, "x");
    }
    registry.pages_of(Some(1));
    registry.demand(bearer());
    let refused = std::sync::atomic::AtomicBool::new(false);
    registry.misbehave(move |seen| {
        let now = seen.path.contains("last=2") && !refused.swap(true, std::sync::atomic::Ordering::Relaxed);
        now.then(|| {
            let challenge = r#"Bearer realm="http://HOST/token",service="fake",scope="repository:web:pull",error="invalid_token""#;
            let host = seen.raw.split("\"host\": \"").nth(1).and_then(|rest| rest.split('"').next()).unwrap_or_default();
            Fault::Answer(401, vec![("www-authenticate", challenge.replace("HOST", host))], String::new())
        })
    });
    let listing = client(&registry).tags(&key(&registry, "web"), &login(&registry, CANARY), None, &Keep::everything()).await.unwrap();
    assert_eq!(tags(&listing), ["1", "2", "3", "4"]);
    let tokens = registry.take_lines().iter().filter(|line| line.starts_with("GET /token")).count();
    assert_eq!(tokens, 2);
}

/// A failure on the second page discards the whole list.
#[rstest]
#[case::elsewhere(Fault::Header("link", "<http://127.0.0.2:9/v2/web/tags/list?last=9>; rel=next".into()), Class::Refused)]
#[case::circle(Fault::Header("link", "</v2/web/tags/list?n=1000>; rel=next".into()), Class::Refused)]
#[case::other_list(Fault::Header("link", "</v2/secret/tags/list>; rel=next".into()), Class::Refused)]
#[case::unreadable(Fault::Header("link", "next please".into()), Class::Refused)]
#[case::too_long(Fault::Header("link", format!("</v2/web/tags/list?last={}>; rel=next", "x".repeat(5000))), Class::Refused)]
#[case::truncated(Fault::Truncated, Class::Broken)]
#[case::not_json(Fault::Answer(200, Vec::new(), "<html>".into()), Class::Broken)]
#[case::wrong_json(Fault::Answer(200, Vec::new(), r#"{"tags":[1]}"#.into()), Class::Broken)]
#[case::half_json(Fault::Answer(200, Vec::new(), r#"{"tags":["1""#.into()), Class::Broken)]
#[case::gigabyte(Fault::Huge(1 << 30), Class::Broken)]
#[case::drip(Fault::Drip(Duration::from_millis(50)), Class::TimedOut)]
#[case::hang(Fault::Hang, Class::TimedOut)]
#[case::gone(Fault::Answer(404, Vec::new(), String::new()), Class::NotFound)]
#[case::forbidden(Fault::Answer(403, Vec::new(), String::new()), Class::Denied)]
#[case::bad_gateway(Fault::Answer(502, Vec::new(), "<html>".into()), Class::Unavailable)]
#[case::teapot(Fault::Answer(418, Vec::new(), String::new()), Class::Broken)]
#[case::not_modified_unasked(Fault::Answer(304, Vec::new(), String::new()), Class::Broken)]
#[case::answer_in_errors(Fault::Answer(200, Vec::new(), r#"{"errors":[{"code":"DENIED"}]}"#.into()), Class::Broken)]
#[case::null(Fault::Answer(200, Vec::new(), "null".into()), Class::Broken)]
#[case::unauthorized_without_challenge(Fault::Answer(401, Vec::new(), String::new()), Class::Denied)]
#[case::unknown_challenge(Fault::Answer(401, vec![("www-authenticate", "Negotiate".into())], String::new()), Class::Denied)]
#[case::redirect_without_end(Fault::Answer(307, vec![("location", "?again".into())], String::new()), Class::Refused)]
#[case::redirect_to_a_file(Fault::Answer(307, vec![("location", "file:///etc/passwd".into())], String::new()), Class::Refused)]
#[tokio::test]
async fn a_second_page_with_bad_manners(#[case] fault: Fault, #[case] class: Class) {
    let registry = FakeRegistry::start().await.unwrap();
    for tag in ["1", "2", "3"] {
        registry.push("web", tag, "x");
    }
    registry.pages_of(Some(1));
    let fault = parking_lot::Mutex::new(Some(fault));
    let repeated = class == Class::Refused;
    registry.misbehave(move |seen| {
        if repeated && seen.path.contains("again") {
            return Some(Fault::Answer(307, vec![("location", "?again".into())], String::new()));
        }
        if seen.path.contains("last=1&") { fault.lock().take() } else { None }
    });
    let timeouts = Timeouts { connect: Duration::from_secs(2), request: Duration::from_secs(1), ..Timeouts::default() };
    let client = client_of(vec![entry(&registry.host())], &timeouts);
    let error = client.tags(&key(&registry, "web"), &Keyring::default(), None, &Keep::everything()).await.unwrap_err();
    assert_eq!(error.class, class, "{error}");
}

#[tokio::test]
async fn nobody_there_is_unreachable() {
    let host = FakeRegistry::start().await.unwrap().host();
    let client = client_of(vec![entry(&host)], &Timeouts::default());
    let error = client.digest(&RepositoryKey::from_parts(&host, "web").unwrap(), "1", &Keyring::default()).await.unwrap_err();
    assert_eq!(error.class, Class::Unreachable, "{error}");
}

#[rstest]
#[case::seconds(429, vec![("retry-after", "120")], "", Class::Throttled, Some(120))]
#[case::window(429, vec![("ratelimit-limit", "100;w=21600"), ("ratelimit-remaining", "0;w=21600")], "", Class::Throttled, Some(3600))]
#[case::body(429, vec![], r#"{"errors":[{"code":"TOOMANYREQUESTS","message":"retry after 60 seconds"}]}"#, Class::Throttled, Some(60))]
#[case::secondary_limit(403, vec![("retry-after", "60")], "", Class::Throttled, Some(60))]
#[case::maintenance(503, vec![("retry-after", "60")], "", Class::Unavailable, Some(60))]
#[case::nothing_said(429, vec![], "", Class::Throttled, None)]
#[tokio::test]
async fn a_host_that_asks_to_be_left_alone_is(
    #[case] status: u16,
    #[case] headers: Vec<(&'static str, &'static str)>,
    #[case] body: &'static str,
    #[case] class: Class,
    #[case] seconds: Option<u64>,
) {
    let registry = FakeRegistry::start().await.unwrap();
    registry.push("web", "1", "x");
    registry.misbehave(move |_| {
        let headers = headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        Some(Fault::Answer(status, headers, body.to_owned()))
    });
    let (client, key, none) = (client(&registry), key(&registry, "web"), Keyring::default());
    let error = client.tags(&key, &none, None, &Keep::everything()).await.unwrap_err();
    assert_eq!((error.class, error.wait), (class, seconds.map(Duration::from_secs)));
    let error = client.tags(&key, &none, None, &Keep::everything()).await.unwrap_err();
    let asked = registry.take_lines().len();
    if seconds.is_some() {
        assert_eq!((error.class, asked), (Class::Throttled, 1));
        assert!(error.wait.is_some_and(|wait| wait > Duration::from_secs(seconds.unwrap_or_default() - 5)));
    } else {
        assert_eq!(asked, 2);
    }
}

#[tokio::test]
async fn a_limit_that_is_used_up_is_kept() {
    let registry = FakeRegistry::start().await.unwrap();
    registry.push("web", "1", "x");
    registry.misbehave(|_| {
        Some(Fault::Answer(200, vec![("ratelimit-remaining", "0".into()), ("ratelimit-reset", "60".into())], r#"{"tags":["1"]}"#.into()))
    });
    let (client, key, none) = (client(&registry), key(&registry, "web"), Keyring::default());
    client.tags(&key, &none, None, &Keep::everything()).await.unwrap();
    let error = client.tags(&key, &none, None, &Keep::everything()).await.unwrap_err();
    assert_eq!((error.class, registry.take_lines().len()), (Class::Throttled, 1));
}

/// The remaining quota is the one of the latest response, whatever its status. A response of another host says nothing.
#[tokio::test]
async fn the_remaining_quota_is_what_the_registry_stated_last() {
    let (registry, other) = (FakeRegistry::start().await.unwrap(), FakeRegistry::start().await.unwrap());
    let states = |status: u16, remaining: &'static str| {
        move |_: &_| {
            let headers = vec![("ratelimit-limit", "100;w=21600".into()), ("ratelimit-remaining", remaining.into())];
            Some(Fault::Answer(status, headers, r#"{"tags":["1"]}"#.into()))
        }
    };
    let (client, key, none) = (client(&registry), key(&registry, "web"), Keyring::default());
    let ask = async || client.tags(&key, &none, None, &Keep::everything()).await.map(drop);
    assert_eq!(client.quotas(), []);
    for (status, remaining, expected) in [(200, "76;w=21600", 76), (404, "75;w=21600", 75), (429, "0;w=21600", 0)] {
        registry.misbehave(states(status, remaining));
        assert_eq!(ask().await.is_ok(), status == 200);
        assert_eq!(client.quotas(), [(registry.host(), expected)]);
    }
    let (client, location) = (self::client(&registry), format!("http://{}/v2/web/tags/list", other.host()));
    registry.misbehave(move |_| Some(Fault::redirect(location.clone())));
    other.misbehave(states(200, "5;w=21600"));
    client.tags(&key, &none, None, &Keep::everything()).await.unwrap();
    assert_eq!(client.quotas(), []);
}

#[tokio::test]
async fn another_host_never_sees_the_credential() {
    let (registry, other) = (FakeRegistry::start().await.unwrap(), FakeRegistry::start().await.unwrap());
    registry.push("web", "1", "x");
    other.push("web", "1", "x");
    let keyring = login(&registry, CANARY);
    let ask = |what: &'static str| {
        let (client, key, keyring) = (client(&registry), key(&registry, "web"), keyring.clone());
        async move {
            match what {
                "tags" => client.tags(&key, &keyring, None, &Keep::everything()).await.map(|_| ()),
                _ => client.digest(&key, "1", &keyring).await.map(|_| ()),
            }
        }
    };

    // A redirect with the credential already known.
    registry.demand(Demand::Basic(user().0, user().1));
    let location = format!("http://{}/v2/web/manifests/1", other.host());
    registry
        .misbehave(move |seen| (seen.proof == "basic").then(|| Fault::Answer(307, vec![("location", location.clone())], String::new())));
    ask("digest").await.unwrap();
    assert!(registry.saw(CANARY) && !other.saw(CANARY));
    assert_eq!(other.take_lines(), ["HEAD /v2/web/manifests/1 - 200"]);

    // A token issuer on another host is not queried, and the error says what to configure.
    registry.behave();
    other.demand(bearer());
    let realm = format!("http://{}/token", other.host());
    registry.demand(Demand::Bearer { realm: Some(realm.clone()), login: Some(user()), expires_in: None });
    let error = ask("digest").await.unwrap_err();
    assert!(error.class == Class::Denied && error.to_string().contains("tokenIssuers"), "{error}");
    assert_eq!(other.take_lines(), [""; 0]);

    // Configured as the registry's own issuer, it gets the credential.
    let mut trusting = entry(&registry.host());
    trusting.token_issuers = vec![other.host()];
    client_of(vec![trusting], &Timeouts::default()).digest(&key(&registry, "web"), "1", &keyring).await.unwrap_err();
    assert!(other.saw(CANARY));
    other.take_lines();

    // A next page on another host is not queried.
    registry.demand(Demand::Basic(user().0, user().1));
    let link = format!("<http://{}/v2/web/tags/list?last=1>; rel=next", other.host().replace("127.0.0.1", "localhost"));
    registry.misbehave(move |seen| (seen.proof == "basic").then(|| Fault::Header("link", link.clone())));
    assert_eq!(ask("tags").await.unwrap_err().class, Class::Refused);
    assert_eq!(other.take_lines(), [""; 0]);
}

#[tokio::test]
async fn a_registry_that_sends_the_credential_back_is_not_quoted() {
    let registry = FakeRegistry::start().await.unwrap();
    registry.misbehave(|seen| {
        let body = format!(r#"{{"errors":[{{"code":"{CANARY}","message":"{CANARY} {}"}}]}}"#, seen.raw.len());
        Some(Fault::Answer(
            if seen.proof == "-" { 401 } else { 403 },
            vec![("www-authenticate", format!(r#"Basic realm="{CANARY}""#))],
            body,
        ))
    });
    let error: Error = client(&registry).digest(&key(&registry, "web"), "1", &login(&registry, CANARY)).await.unwrap_err();
    assert!(!format!("{error} {error:?}").contains(CANARY), "{error}");
}

#[tokio::test]
async fn mirrors_are_asked_first_with_their_own_credential() {
    let (registry, mirror) = (FakeRegistry::start().await.unwrap(), FakeRegistry::start().await.unwrap());
    registry.push("web", "1", "x");
    let mirrored = mirror.push("hub/web", "1", "y");
    mirror.push("hub/web", "2", "y");
    mirror.pages_of(Some(1));
    let mut here = entry(&registry.host());
    here.mirrors = vec![format!("{}/hub", mirror.host())];
    let client = client_of(vec![here, entry(&mirror.host())], &Timeouts::default());
    registry.demand(Demand::Basic(user().0, user().1));
    let mut keyring = login(&registry, CANARY);
    keyring.extend(&Keyring::of(&format!("{}/hub", mirror.host()), Credential::login("mirror", "m")));
    mirror.demand(Demand::Basic("mirror".to_owned(), "m".to_owned()));
    let key = key(&registry, "web");
    assert_eq!(client.digest(&key, "1", &keyring).await.unwrap().unwrap().as_str(), mirrored);
    assert_eq!(tags(&client.tags(&key, &keyring, None, &Keep::everything()).await.unwrap()), ["1", "2"]);
    assert!(registry.take_lines().is_empty() && !mirror.saw(CANARY));

    // A mirror with a server error is skipped.
    mirror.misbehave(|_| Some(Fault::Answer(500, Vec::new(), String::new())));
    assert_eq!(tags(&client.tags(&key, &keyring, None, &Keep::everything()).await.unwrap()), ["1"]);
    assert!(!registry.take_lines().is_empty());
}

#[tokio::test]
async fn no_more_requests_at_once_than_permits() {
    let registry = FakeRegistry::start().await.unwrap();
    registry.push("web", "1", "x");
    registry.misbehave(|_| Some(Fault::Late(Duration::from_millis(100))));
    let mut narrow = entry(&registry.host());
    narrow.max_concurrent_requests = Some(2);
    let (client, key) = (client_of(vec![narrow], &Timeouts::default()), key(&registry, "web"));
    let begun = Instant::now();
    let none = Keyring::default();
    futures_util::future::join_all((0..8).map(|_| client.digest(&key, "1", &none))).await;
    assert!(begun.elapsed() >= Duration::from_millis(400));
    let mut at: Vec<Instant> = registry.take_log().iter().map(|seen| seen.at).collect();
    at.sort();
    assert!(at.windows(3).all(|three| three[2] - three[0] >= Duration::from_millis(90)), "{at:?}");
}

#[tokio::test]
async fn queries_are_distinguished_by_access() {
    let registry = FakeRegistry::start().await.unwrap();
    let (client, web) = (client(&registry), key(&registry, "web"));
    let one = client.access(&web, &login(&registry, "a"));
    assert_eq!(one, client.access(&web, &login(&registry, "a")));
    assert_ne!(one, client.access(&web, &login(&registry, "b")));
    assert_ne!(one, client.access(&web, &Keyring::default()));
    let elsewhere = Keyring::of("elsewhere.example", Credential::login("user", "x"));
    assert_eq!(client.access(&web, &elsewhere), client.access(&web, &Keyring::default()));
}

#[rstest]
#[case::no_yaml(": [", "")]
#[case::unknown_key("registries: [{host: a, plainHttp: true, insecure: true}]", "unknown field")]
#[case::missing_file("registries: [{host: a.b, caFile: /nowhere}]", "/nowhere")]
#[case::bad_host("registries: [{host: 'a b'}]", "is not a valid registry")]
#[case::twice("registries: [{host: a.b}, {host: A.B}]", "twice")]
#[case::bad_mirror("registries: [{host: a.b, mirrors: ['https://c']}]", "is not a valid registry")]
fn settings_that_cannot_be_used(#[case] text: &str, #[case] expected: &str) {
    rustls::crypto::ring::default_provider().install_default().ok();
    let made = HostSettings::read(text).and_then(|entries| Hosts::new(entries, Rules::default(), &Timeouts::default()));
    let error = made.unwrap_err().to_string();
    assert!(error.contains(expected), "{error}");
}

/// A registry that returns the same link with an empty last page without end, as some do.
#[tokio::test]
async fn a_link_that_repeats_on_an_empty_page_is_the_end() {
    let registry = FakeRegistry::start().await.unwrap();
    for tag in ["1", "2"] {
        registry.push("web", tag, "x");
    }
    registry.pages_of(Some(1));
    let link = || Fault::Header("link", "</v2/web/tags/list?last=9&n=1>; rel=\"next\"".into());
    registry.misbehave(move |seen| if seen.path.contains("last=9") || seen.path.contains("last=1") { Some(link()) } else { None });
    let client = client(&registry);
    let listing = client.tags(&key(&registry, "web"), &Keyring::default(), None, &Keep::everything()).await.unwrap();
    assert_eq!(tags(&listing), ["1", "2"]);
    assert_eq!(registry.take_lines().len(), 3, "the empty page is asked for once");
}

/// A proxy in front of the registry that returns wrong links with the right host name.
#[tokio::test]
async fn a_link_with_another_port_is_asked_of_the_own_address() {
    let registry = FakeRegistry::start().await.unwrap();
    for tag in ["1", "2"] {
        registry.push("web", tag, "x");
    }
    registry.pages_of(Some(1));
    registry.misbehave(|seen| {
        let first = seen.path.ends_with("n=1000");
        first.then(|| Fault::Header("link", "<https://127.0.0.1/v2/web/tags/list?last=1&n=1>; rel=next".into()))
    });
    let listing = client(&registry).tags(&key(&registry, "web"), &Keyring::default(), None, &Keep::everything()).await.unwrap();
    assert_eq!(tags(&listing), ["1", "2"]);
}

#[tokio::test]
async fn a_list_has_an_end_in_pages_and_in_time() {
    let registry = FakeRegistry::start().await.unwrap();
    for number in 0..250 {
        registry.push("web", &number.to_string(), "x");
    }
    registry.pages_of(Some(1));
    let error = client(&registry).tags(&key(&registry, "web"), &Keyring::default(), None, &Keep::everything()).await.unwrap_err();
    assert!(error.class == Class::Refused && error.message.contains("more than 200 pages"), "{error}");

    // Each page in time, one after the other: not a failure of the host, which would delay other queries.
    registry.misbehave(|_| Some(Fault::Late(Duration::from_millis(100))));
    let timeouts = Timeouts { list: Duration::from_secs(1), ..Timeouts::default() };
    let client = client_of(vec![entry(&registry.host())], &timeouts);
    let begun = Instant::now();
    let error = client.tags(&key(&registry, "web"), &Keyring::default(), None, &Keep::everything()).await.unwrap_err();
    assert!(!error.class.is_of_the_host() && error.message.contains("within 1s"), "{error}");
    assert!(begun.elapsed() < Duration::from_secs(3));
}

/// Pages that were filtered for other followers lack the tags that these would accept.
#[tokio::test]
async fn what_is_kept_follows_the_filter() {
    let registry = FakeRegistry::start().await.unwrap();
    for tag in ["1.0", "2.0", "nightly"] {
        registry.push("web", tag, "x");
    }
    registry.etags(true);
    let (client, key, none) = (client(&registry), key(&registry, "web"), Keyring::default());
    let ones = |tag: &str| tag.starts_with('1');
    let read = client.tags(&key, &none, None, &Keep::matching(1, &ones)).await.unwrap();
    assert_eq!(tags(&read), ["1.0"]);
    let again = client.tags(&key, &none, Some(&read), &Keep::matching(1, &ones)).await.unwrap();
    assert!(again.is_unchanged() && tags(&again) == ["1.0"]);
    let twos = |tag: &str| tag.starts_with('2');
    let other = client.tags(&key, &none, Some(&again), &Keep::matching(2, &twos)).await.unwrap();
    assert_eq!((other.is_unchanged(), tags(&other)), (false, vec!["2.0"]));
}

#[tokio::test]
async fn basic_is_tried_where_the_issuer_refuses_and_both_are_offered() {
    let registry = FakeRegistry::start().await.unwrap();
    registry.push("web", "1", "x");
    registry.demand(Demand::Basic(user().0, user().1));
    registry.misbehave(|seen| {
        let host = seen.headers.get("host").and_then(|host| host.to_str().ok()).unwrap_or_default();
        let both = format!(r#"Bearer realm="http://{host}/token",service="x", Basic realm="x""#);
        match (seen.path.starts_with("/token"), seen.proof.as_str()) {
            (true, _) => Some(Fault::Answer(401, Vec::new(), String::new())),
            (false, "-") => Some(Fault::Answer(401, vec![("www-authenticate", both)], String::new())),
            _ => None,
        }
    });
    let (client, key, keyring) = (client(&registry), key(&registry, "web"), login(&registry, CANARY));
    assert!(client.digest(&key, "1", &keyring).await.unwrap().is_some());
    registry.take_lines();
    assert!(client.digest(&key, "1", &keyring).await.unwrap().is_some());
    assert_eq!(registry.take_lines(), ["HEAD /v2/web/manifests/1 basic 200"], "what was right is remembered");
    let error = client.digest(&key, "1", &login(&registry, "wrong")).await.unwrap_err();
    assert!(error.class == Class::Denied && error.message.contains("rejected the credential"), "{error}");
}

/// The messages for a 401 and a 403 that Headwind cannot resolve.
#[rstest]
#[case::no_challenge(401, None, true, "supports no known authentication scheme (Basic, Bearer), so the credential was not sent (401)")]
#[case::no_challenge_and_no_credential(401, None, false, "requires a credential, and none is configured for it (401)")]
#[case::refused(401, Some("Basic"), true, "rejected the credential (401)")]
#[case::forbidden(403, None, true, "with this credential (403); the password lacks the permission or has expired")]
#[case::forbidden_to_anybody(403, None, false, "without a credential (403)")]
#[tokio::test]
async fn refusals_say_what_was_sent(
    #[case] status: u16,
    #[case] challenge: Option<&'static str>,
    #[case] proven: bool,
    #[case] expected: &str,
) {
    let registry = FakeRegistry::start().await.unwrap();
    registry.misbehave(move |_| {
        let challenge = challenge.map(|challenge| ("www-authenticate", challenge.to_owned()));
        Some(Fault::Answer(status, challenge.into_iter().collect(), String::new()))
    });
    let keyring = if proven { login(&registry, CANARY) } else { Keyring::default() };
    let error = client(&registry).digest(&key(&registry, "web"), "1", &keyring).await.unwrap_err();
    assert!(error.class == Class::Denied && error.message.contains(expected), "{error}");
}

/// An error names the host of a redirect if that one failed.
#[tokio::test]
async fn a_host_that_is_redirected_to_is_named() {
    let (registry, other) = (FakeRegistry::start().await.unwrap(), FakeRegistry::start().await.unwrap());
    let elsewhere = other.host();
    let location = format!("http://{elsewhere}/v2/web/manifests/1");
    registry.misbehave(move |_| Some(Fault::redirect(location.clone())));
    let named = format!("it redirects to {elsewhere}: ");
    let (client, key) = (client(&registry), key(&registry, "web"));
    for (fault, expected) in [
        (Fault::Answer(500, Vec::new(), String::new()), "server error (500)"),
        (Fault::Answer(403, Vec::new(), String::new()), "(403)"),
        (Fault::Answer(401, vec![("www-authenticate", "Basic".into())], String::new()), "a credential is sent only to its own host (401)"),
    ] {
        let fault = parking_lot::Mutex::new(Some(fault));
        other.misbehave(move |_| fault.lock().take());
        let error = client.digest(&key, "1", &login(&registry, CANARY)).await.unwrap_err();
        assert!(error.message.starts_with(&named) && error.message.contains(expected), "{error}");
    }
    assert!(!other.saw(CANARY));
    drop(other);
    let error = client.digest(&key, "1", &Keyring::default()).await.unwrap_err();
    assert!(error.message.starts_with(&named), "{error}");
}

/// Overlong parts of a registry's headers are not stored.
#[tokio::test]
async fn long_headers_are_passed_over() {
    let registry = FakeRegistry::start().await.unwrap();
    registry.push("web", "1", "x");
    registry.misbehave(|_| Some(Fault::Header("etag", format!("\"{}\"", "x".repeat(300)))));
    let (client, key, none) = (client(&registry), key(&registry, "web"), Keyring::default());
    assert!(!client.tags(&key, &none, None, &Keep::everything()).await.unwrap().is_worth_keeping());

    registry.misbehave(|seen| {
        let host = seen.headers.get("host").and_then(|host| host.to_str().ok()).unwrap_or_default();
        let challenge = format!(r#"Bearer realm="http://{host}/{}""#, "x".repeat(60_000));
        Some(Fault::Answer(401, vec![("www-authenticate", challenge)], String::new()))
    });
    assert_eq!(client.tags(&key, &none, None, &Keep::everything()).await.unwrap_err().class, Class::Denied);
    assert_eq!(registry.take_lines().iter().filter(|line| !line.starts_with("GET /v2/")).count(), 0);
}
