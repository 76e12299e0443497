//! Addresses that the client refuses to connect to, from every source of an address.

#![allow(clippy::unwrap_used, reason = "a test may")]

use headwind_core::artifact::reference::RepositoryKey;
use headwind_registry::{Class, Client, Error, HostSettings, Hosts, Keep, Keyring, Rules, Timeouts, Transport};
use headwind_testbed::{Demand, FakeRegistry, Fault};
use rstest::rstest;

fn client(entries: Vec<HostSettings>, rules: Rules) -> Client {
    rustls::crypto::ring::default_provider().install_default().ok();
    Client::new(Hosts::new(entries, rules, &Timeouts::default()).unwrap(), Vec::new())
}

async fn ask(client: &Client, host: &str, keyring: &Keyring) -> Result<(), Error> {
    let image = RepositoryKey::from_parts(host, "web").unwrap();
    client.tags(&image, keyring, None, &Keep::everything()).await.map(|_| ())
}

fn refused(asked: Result<(), Error>, expected: &str) {
    let error = asked.unwrap_err();
    assert!(error.class == Class::Refused && error.message.contains(expected), "{error:?}");
}

#[rstest]
#[case::metadata("169.254.169.254", "link-local")]
#[case::mapped("[::ffff:169.254.169.254]", "link-local")]
#[case::amazon("[fd00:ec2::254]", "metadata service")]
#[case::unspecified("0.0.0.0:5000", "unspecified")]
#[tokio::test]
async fn an_image_names_it(#[case] host: &str, #[case] expected: &str) {
    refused(ask(&client(Vec::new(), Rules::default()), host, &Keyring::default()).await, expected);
    // Also if the administrator's entry names the host.
    refused(ask(&client(vec![HostSettings::of(host)], Rules::default()), host, &Keyring::default()).await, expected);
}

#[tokio::test]
async fn a_redirect_an_issuer_or_a_proxy_names_it() {
    let registry = FakeRegistry::start().await.unwrap();
    registry.push("web", "1", "x");
    let client = client(Vec::new(), Rules::default());
    for location in ["http://169.254.169.254/latest/meta-data", "http://[::ffff:a9fe:a9fe]/"] {
        registry.misbehave(move |_| Some(Fault::redirect(location)));
        refused(ask(&client, &registry.host(), &Keyring::default()).await, "link-local");
    }
    registry.behave();
    registry.demand(Demand::Bearer { realm: Some("http://169.254.169.254/token".to_owned()), login: None, expires_in: None });
    let error = ask(&client, &registry.host(), &Keyring::default()).await.unwrap_err();
    assert!(error.class == Class::Denied && error.message.contains("is not queried"), "{error}");

    let proxy = |key: &str| (key == "address").then_some(b"http://169.254.169.254:3128".as_slice());
    let keyring = Keyring::default().with_transport(Transport::default().with_proxy(proxy).unwrap());
    refused(ask(&client, "registry.example", &keyring).await, "the proxy of its source: 169.254.169.254:3128 resolves to a link-local");
}

/// A name is refused because of the addresses that it resolves to, when the connection is made.
#[tokio::test]
async fn loopback_in_a_cluster() {
    let registry = FakeRegistry::start().await.unwrap();
    registry.push("web", "1", "x");
    let by_name = registry.host().replace("127.0.0.1", "localhost");
    let inside = || Rules::default().in_cluster(true);
    for host in [&registry.host(), &by_name] {
        ask(&client(Vec::new(), Rules::default()), host, &Keyring::default()).await.unwrap();
        registry.take_log();
        refused(ask(&client(Vec::new(), inside()), host, &Keyring::default()).await, "resolves to loopback; in a cluster");
        assert!(registry.take_log().is_empty(), "nothing is sent");
        ask(&client(vec![HostSettings::of(host)], inside()), host, &Keyring::default()).await.unwrap();
    }
    // Only that port of an allowed host.
    let other = FakeRegistry::start().await.unwrap();
    let other_by_name = other.host().replace("127.0.0.1", "localhost");
    let named = client(vec![HostSettings::of(&by_name)], inside());
    refused(ask(&named, &other_by_name, &Keyring::default()).await, "resolves to loopback");
    registry.misbehave(move |_| Some(Fault::redirect(format!("http://{other_by_name}/"))));
    refused(ask(&named, &by_name, &Keyring::default()).await, "resolves to loopback");
    assert!(other.take_log().is_empty(), "nothing is sent");
}

#[tokio::test]
async fn the_list_of_hosts() {
    let (registry, other) = (FakeRegistry::start().await.unwrap(), FakeRegistry::start().await.unwrap());
    registry.push("web", "1", "x");
    let allowed = registry.host();
    let client = client(Vec::new(), Rules::default().allowing([allowed.as_str(), "*.example.com"]).unwrap());
    ask(&client, &allowed, &Keyring::default()).await.unwrap();
    refused(ask(&client, &other.host(), &Keyring::default()).await, "HEADWIND_REGISTRY_ALLOW");
    let location = format!("http://{}/", other.host());
    registry.misbehave(move |_| Some(Fault::redirect(location.clone())));
    refused(ask(&client, &allowed, &Keyring::default()).await, "HEADWIND_REGISTRY_ALLOW");
    let address = format!("http://{}", other.host());
    let transport = Transport::default().with_proxy(|key| (key == "address").then_some(address.as_bytes())).unwrap();
    refused(ask(&client, &allowed, &Keyring::default().with_transport(transport)).await, "HEADWIND_REGISTRY_ALLOW");
    assert!(other.take_log().is_empty(), "nothing is sent");
}

/// A registry that names an internal service as its token issuer does not get that service's token.
#[tokio::test]
async fn a_token_is_not_reflected() {
    const CANARY: &str = "INTERNAL-ONLY-TOKEN";
    let (registry, internal) = (FakeRegistry::start().await.unwrap(), FakeRegistry::start().await.unwrap());
    registry.push("web", "1", "x");
    internal.misbehave(|_| Some(Fault::Answer(200, Vec::new(), format!(r#"{{"token":"{CANARY}"}}"#))));
    let realm = format!("http://{}/internal/secret", internal.host());
    registry.demand(Demand::Bearer { realm: Some(realm), login: None, expires_in: None });
    let error = ask(&client(Vec::new(), Rules::default()), &registry.host(), &Keyring::default()).await.unwrap_err();
    assert!(error.class == Class::Denied && error.message.contains("tokenIssuers"), "{error}");
    assert!(internal.take_log().is_empty() && !registry.saw(CANARY));

    // After a redirect: the challenge of another host does not count as the registry's.
    let elsewhere = format!("http://{}/", internal.host());
    registry.demand(Demand::Nothing);
    registry.misbehave(move |_| Some(Fault::redirect(elsewhere.clone())));
    let challenge = format!("Bearer realm=\"http://{}/token\"", internal.host());
    internal.misbehave(move |seen| {
        let token = seen.path.starts_with("/token");
        let refusal = Fault::Answer(401, vec![("www-authenticate", challenge.clone())], String::new());
        Some(if token { Fault::Answer(200, Vec::new(), format!(r#"{{"token":"{CANARY}"}}"#)) } else { refusal })
    });
    let error = ask(&client(Vec::new(), Rules::default()), &registry.host(), &Keyring::default()).await.unwrap_err();
    assert!(error.class == Class::Denied && error.message.contains(&format!("redirects to {}", internal.host())), "{error}");
    assert!(!registry.saw(CANARY) && internal.take_lines().iter().all(|line| !line.contains("/token")));
}
