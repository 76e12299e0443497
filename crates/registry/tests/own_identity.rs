//! Headwind's own identity (cloud logins, client certificates of entries) is never sent over a transport that the owner
//! of a source configured.

#![allow(clippy::unwrap_used, reason = "a test may")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use headwind_core::artifact::reference::RepositoryKey;
use headwind_registry::credential::cloud::{Exchange, Login, LoginFuture};
use headwind_registry::{Class, Client, HostSettings, Hosts, Keep, Keyring, Rules, Timeouts, Transport};
use headwind_testbed::{Demand, FakeRegistry, TenantProxy};
use rstest::rstest;

const CANARY: &str = "canary-5c1d";
const ECR: &str = "123456789012.dkr.ecr.us-east-1.amazonaws.com";

/// The clouds' logins, each for its own hosts, with the number of queries.
#[derive(Default)]
struct Cloud {
    asked: AtomicUsize,
    also: Option<String>,
}

impl Exchange for Cloud {
    fn name(&self) -> &'static str {
        "cloud"
    }

    fn serves(&self, host: &str) -> bool {
        [ECR, "europe-docker.pkg.dev", "team.azurecr.io"].contains(&host) || self.also.as_deref() == Some(host)
    }

    fn login<'a>(&'a self, _: &'a str) -> LoginFuture<'a> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        Box::pin(async { Ok(Login { username: "own".to_owned(), password: CANARY.to_owned().into(), lasts: Duration::from_mins(1) }) })
    }
}

fn client(entries: Vec<HostSettings>, cloud: &Arc<Cloud>) -> Client {
    rustls::crypto::ring::default_provider().install_default().ok();
    let hosts = Hosts::new(entries, Rules::default(), &Timeouts::default()).unwrap();
    Client::new(hosts, vec![Arc::clone(cloud) as Arc<dyn Exchange>])
}

fn through(proxy: &TenantProxy) -> Transport {
    let address = format!("http://{}", proxy.addr());
    Transport::default().with_proxy(|key| (key == "address").then_some(address.as_bytes())).unwrap()
}

/// Plain HTTP through the tenant's proxy, and HTTPS through it with the tenant's CA.
#[rstest]
#[case::ecr(ECR)]
#[case::google("europe-docker.pkg.dev")]
#[case::azure("team.azurecr.io")]
#[tokio::test]
async fn a_tenants_proxy_never_sees_it(#[case] host: &str) {
    let (proxy, cloud) = (TenantProxy::start().await.unwrap(), Arc::new(Cloud::default()));
    let client = client(Vec::new(), &cloud);
    let image = RepositoryKey::from_parts(host, "any/thing").unwrap();
    let ca = proxy.ca().to_owned();
    let own_ca = |key: &str| (key == "ca.crt").then_some(ca.as_bytes());
    for (transport, heads) in [(through(&proxy).with_plain_http(true), 1), (through(&proxy).with_certificates(own_ca).unwrap(), 2)] {
        let keyring = Keyring::default().with_transport(transport.clone());
        for _ in 0..2 {
            let error = client.tags(&image, &keyring, None, &Keep::everything()).await.unwrap_err();
            assert!(error.class == Class::Denied && error.message.contains("none is configured for it"), "{error}");
        }
        let seen = proxy.take_heads();
        assert_eq!(seen.len(), 2 * heads, "{seen:?}");
        assert!(seen.iter().all(|head| !head.to_ascii_lowercase().contains("authorization")), "{seen:?}");

        // The owner's own password may be sent there.
        let keyring = Keyring::basic(host, "tenant", "own").with_transport(transport);
        assert_eq!(client.tags(&image, &keyring, None, &Keep::everything()).await.unwrap().tags().collect::<Vec<_>>(), ["1.0.0"]);
        assert!(proxy.take_heads().iter().any(|head| head.to_ascii_lowercase().contains("authorization: basic")));
    }
    assert_eq!(cloud.asked.load(Ordering::Relaxed), 0, "no login was asked for");
}

/// Plain HTTP in a source, and a redirect: the same registry gets the login only over the administrator's transport.
#[tokio::test]
async fn it_goes_where_the_administrator_says() {
    let registry = FakeRegistry::start().await.unwrap();
    registry.push("web", "1", "x");
    registry.demand(Demand::Basic("own".to_owned(), CANARY.to_owned()));
    let cloud = Arc::new(Cloud { also: Some(registry.host()), ..Cloud::default() });
    let image = RepositoryKey::from_parts(&registry.host(), "web").unwrap();
    let client = client(vec![HostSettings { plain_http: Some(true), ..HostSettings::of(&registry.host()) }], &cloud);
    assert!(client.digest(&image, "1", &Keyring::default()).await.unwrap().is_some());
    assert!(registry.saw(CANARY));
    registry.take_log();
    for transport in [Transport::default().with_plain_http(true), Transport::default().with_passed_credentials(true)] {
        let keyring = Keyring::default().with_transport(transport);
        assert_eq!(client.digest(&image, "1", &keyring).await.unwrap_err().class, Class::Denied);
        assert_ne!(client.access(&image, &keyring), client.access(&image, &Keyring::default()));
    }
    assert!(!registry.saw(CANARY));
}
