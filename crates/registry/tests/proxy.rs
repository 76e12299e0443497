//! Queries through a proxy of a source, and plain HTTP that a source allows.

#![allow(clippy::unwrap_used, reason = "a test may")]

mod site;

use std::collections::BTreeSet;
use std::sync::Arc;

use headwind_core::artifact::reference::RepositoryKey;
use headwind_registry::{Class, Client, HostSettings, Hosts, Keep, Keyring, Lane, Rules, Timeouts, Transport};
use headwind_testbed::FakeRegistry;
use parking_lot::Mutex;
use site::{Site, answer, basic};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

const CANARY: &str = "canary-7f3a";

fn client() -> Client {
    rustls::crypto::ring::default_provider().install_default().ok();
    Client::new(Hosts::new(Vec::new(), Rules::default(), &Timeouts::default()).unwrap(), Vec::new())
}

/// A forward proxy that requires authentication, and logs the first lines of requests.
async fn proxy(proof: &'static str) -> (String, Arc<Mutex<Vec<String>>>, tokio::task::JoinHandle<()>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let lines = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&lines);
    let server = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") && stream.read_buf(&mut head).await.is_ok_and(|read| read > 0) {}
            let text = String::from_utf8_lossy(&head).into_owned();
            let line = text.lines().next().unwrap_or_default().to_owned();
            log.lock().push(line.clone());
            let sent = text.lines().find_map(|line| line.to_ascii_lowercase().starts_with("proxy-authorization: ").then(|| &line[21..]));
            if sent.map(basic).unwrap_or_default() != proof {
                stream
                    .write_all(b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
                    .await
                    .ok();
                continue;
            }
            let target = line.split(' ').nth(1).unwrap_or_default();
            let host = target.trim_start_matches("http://").split('/').next().unwrap_or_default();
            let Ok(mut upstream) = TcpStream::connect(host).await else { continue };
            if line.starts_with("CONNECT") {
                stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.ok();
            } else {
                upstream.write_all(&head).await.ok();
            }
            tokio::spawn(async move { tokio::io::copy_bidirectional(&mut stream, &mut upstream).await });
        }
    });
    (address, lines, server)
}

fn through(address: &str, login: Option<(&str, &str)>) -> Transport {
    let address = format!("http://{address}");
    let value = |key: &str| match key {
        "address" => Some(address.as_bytes()),
        "username" => login.map(|(username, _)| username.as_bytes()),
        "password" => login.map(|(_, password)| password.as_bytes()),
        _ => None,
    };
    Transport::default().with_proxy(value).unwrap()
}

#[tokio::test]
async fn every_question_goes_through_the_proxy_of_the_source() {
    let (address, lines, _proxy) = proxy("me:canary-7f3a").await;
    let site = Site::start(|_| answer(200, &[], "entries: {a: [{version: 1.0.0}]}")).await;
    let registry = FakeRegistry::start().await.unwrap();
    registry.push("web", "1", "x");
    let (client, wanted) = (client(), BTreeSet::from(["a".to_owned()]));
    let way = through(&address, Some(("me", CANARY))).with_plain_http(true);
    let keyring = Keyring::basic(&site.address.to_string(), "user", "secret").with_transport(way);

    assert!(client.index(&site.repository(), &wanted, &keyring, None).await.unwrap().has("a"));
    let image = RepositoryKey::from_parts(&registry.host(), "web").unwrap();
    assert_eq!(client.tags(&image, &keyring, None, &Keep::everything()).await.unwrap().tags().collect::<Vec<_>>(), ["1"]);
    // The proxy's login is sent to the proxy, the repository's to the repository.
    assert_eq!(site.take_lines(), [format!("http://{}/index.yaml user:secret - 200", site.address)]);
    assert!(registry.take_lines()[0].ends_with(" - 200"));
    let (of_site, of_registry) = (site.address.to_string(), registry.host());
    assert_eq!(
        *lines.lock(),
        [format!("GET http://{of_site}/index.yaml HTTP/1.1"), format!("GET http://{of_registry}/v2/web/tags/list?n=1000 HTTP/1.1")]
    );

    // Without the source's configuration nothing is sent there.
    assert!(client.index(&site.repository(), &wanted, &Keyring::default(), None).await.unwrap().has("a"));
    assert_eq!(lines.lock().len(), 2);
}

#[tokio::test]
async fn a_refusal_by_a_proxy_is_reported() {
    let (address, lines, _proxy) = proxy("me:right").await;
    let image = RepositoryKey::from_parts("registry.example", "web").unwrap();
    let keyring = Keyring::default().with_transport(through(&address, Some(("me", CANARY))));
    let error = client().digest(&image, "1", &keyring).await.unwrap_err();
    assert_eq!(error.class, Class::Unreachable, "{error}");
    assert!(error.message.contains("proxy") && !error.message.contains(CANARY), "{error}");
    assert_eq!(*lines.lock(), ["CONNECT registry.example:443 HTTP/1.1"]);
}

#[tokio::test]
async fn plain_http_where_the_source_allows_it() {
    let registry = FakeRegistry::start().await.unwrap();
    registry.push("web", "1", "x");
    registry.demand(headwind_testbed::Demand::Bearer { realm: None, login: None, expires_in: None });
    let image = RepositoryKey::from_parts(&registry.host(), "web").unwrap();
    let plain = Keyring::default().with_transport(Transport::default().with_plain_http(true));
    // Loopback uses plain HTTP unless its entry says otherwise.
    assert!(client().digest(&image, "1", &Keyring::default()).await.unwrap().is_some());
    let entry = HostSettings { plain_http: Some(false), ..HostSettings::of(&registry.host()) };
    let by_https = Client::new(Hosts::new(vec![entry], Rules::default(), &Timeouts::default()).unwrap(), Vec::new());
    assert!(by_https.digest(&image, "1", &plain).await.unwrap().is_some());
    let error = by_https.digest(&image, "1", &Keyring::default()).await.unwrap_err();
    assert!(error.class == Class::Unreachable && error.message.contains("it uses plain HTTP"), "{error}");
    assert!(error.message.contains("plainHttp: true") && error.message.contains("HEADWIND_REGISTRY_CONFIG"), "{error}");
    assert_ne!(by_https.access(&image, &plain), by_https.access(&image, &Keyring::default()));
}

#[tokio::test]
async fn each_transport_to_a_host_waits_for_itself() {
    let registry = FakeRegistry::start().await.unwrap();
    registry.misbehave(|_| Some(headwind_testbed::Fault::Answer(429, vec![("retry-after", "60".into())], String::new())));
    let image = RepositoryKey::from_parts(&registry.host(), "web").unwrap();
    let client = client();
    let plain = |passed| Keyring::default().with_transport(Transport::default().with_plain_http(true).with_passed_credentials(passed));
    let keyrings = [plain(false), plain(true), Keyring::default()];
    for keyring in keyrings.iter().chain(&keyrings) {
        assert_eq!(client.digest(&image, "1", keyring).await.unwrap_err().class, Class::Throttled);
    }
    assert_eq!(registry.take_lines().len(), keyrings.len());
    let lanes: std::collections::BTreeSet<Lane> = keyrings.iter().map(|keyring| Lane::of(&registry.host(), keyring)).collect();
    assert_eq!(lanes.len(), keyrings.len());
}

/// Queries over a proxy that hangs do not use up the permits of a host.
#[tokio::test]
async fn a_proxy_that_hangs_takes_no_permit_of_the_host() {
    let registry = FakeRegistry::start().await.unwrap();
    registry.push("web", "1", "x");
    let hanging = FakeRegistry::start().await.unwrap();
    hanging.misbehave(|_| Some(headwind_testbed::Fault::Hang));
    let image = RepositoryKey::from_parts(&registry.host(), "web").unwrap();
    let client = Arc::new(client());
    let proxied = Keyring::default().with_transport(through(&hanging.host(), None).with_plain_http(true));
    let mut waiting = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let (client, image, proxied) = (Arc::clone(&client), image.clone(), proxied.clone());
        waiting.spawn(async move { client.digest(&image, "1", &proxied).await });
    }
    let mut asked = 0;
    while asked < 4 {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        asked += hanging.take_lines().len();
    }
    let asked = tokio::time::timeout(std::time::Duration::from_secs(5), client.digest(&image, "1", &Keyring::default())).await;
    assert!(asked.unwrap().unwrap().is_some());
}

/// The owner of a proxy must not be able to stop other users' queries to a host.
#[tokio::test]
async fn a_proxy_shuts_its_own_way_alone() {
    let registry = FakeRegistry::start().await.unwrap();
    registry.push("web", "1", "x");
    let hostile = FakeRegistry::start().await.unwrap();
    hostile.misbehave(|_| Some(headwind_testbed::Fault::Answer(429, vec![("retry-after", "3600".into())], String::new())));
    let image = RepositoryKey::from_parts(&registry.host(), "web").unwrap();
    let client = client();
    let proxied = Keyring::default().with_transport(through(&hostile.host(), None).with_plain_http(true));
    for _ in 0..2 {
        assert_eq!(client.digest(&image, "1", &proxied).await.unwrap_err().class, Class::Throttled);
    }
    assert_eq!(hostile.take_lines().len(), 1, "that way waits");
    let plain = Keyring::default().with_transport(Transport::default().with_plain_http(true));
    assert!(client.digest(&image, "1", &plain).await.unwrap().is_some());
}
