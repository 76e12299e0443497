//! Custom CAs and client certificates, with servers that demand both: from the host's entry, and from a source.

#![allow(clippy::unwrap_used, reason = "a test may")]

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use headwind_core::artifact::chart::ChartRepository;
use headwind_core::artifact::reference::RepositoryKey;
use headwind_registry::{Class, Client, HostSettings, Hosts, Keyring, Rules, SecretError, Timeouts, Transport};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

const DIGEST: &str = "sha256:8a9e9863dbb6e10edb5adfe917c00da84e1700fa76e7ed02476aa6e6fb8ee0d8";

type Issuer = CertifiedIssuer<'static, KeyPair>;

fn issuer() -> Issuer {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn leaf(issuer: &Issuer, purpose: ExtendedKeyUsagePurpose) -> (rcgen::Certificate, KeyPair) {
    let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    params.extended_key_usages = vec![purpose];
    let key = KeyPair::generate().unwrap();
    (params.signed_by(&key, issuer).unwrap(), key)
}

fn response(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\n{headers}content-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
}

/// Starts a server that responds with a digest to clients whose certificate `issuer` has signed.
async fn serve(issuer: &Issuer) -> (String, tokio::task::JoinHandle<()>) {
    answering(issuer, true, |_| response("200 OK", &format!("docker-content-digest: {DIGEST}\r\n"), "")).await
}

/// Serves requests, only of clients that `issuer` has signed if that is demanded.
async fn answering(
    issuer: &Issuer,
    demands: bool,
    answer: impl Fn(&str) -> String + Send + 'static,
) -> (String, tokio::task::JoinHandle<()>) {
    let (certificate, key) = leaf(issuer, ExtendedKeyUsagePurpose::ServerAuth);
    let mut roots = rustls::RootCertStore::empty();
    roots.add(issuer.der().clone()).unwrap();
    let clients = rustls::server::WebPkiClientVerifier::builder(Arc::new(roots));
    let clients = if demands { clients } else { clients.allow_unauthenticated() }.build().unwrap();
    let config = rustls::ServerConfig::builder()
        .with_client_cert_verifier(clients)
        .with_single_cert(vec![certificate.der().clone()], PrivateKeyDer::Pkcs8(key.serialize_der().into()))
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let host = listener.local_addr().unwrap().to_string();
    let server = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let mut request = [0; 2048];
            if let Ok(read @ 1..) = stream.read(&mut request).await {
                let answer = answer(&String::from_utf8_lossy(&request[..read]));
                stream.write_all(answer.as_bytes()).await.ok();
                stream.shutdown().await.ok();
            }
        }
    });
    (host, server)
}

fn file(content: &str) -> (tempfile::NamedTempFile, PathBuf) {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(content.as_bytes()).unwrap();
    let path = file.path().to_owned();
    (file, path)
}

#[tokio::test]
async fn own_roots_and_a_client_certificate() {
    rustls::crypto::ring::default_provider().install_default().ok();
    let (ours, theirs) = (issuer(), issuer());
    let (host, _server) = serve(&ours).await;
    let (_ca, ca) = file(&ours.pem());
    let (_other, other) = file(&theirs.pem());
    let (certificate, key) = leaf(&ours, ExtendedKeyUsagePurpose::ClientAuth);
    let (_client, client_file) = file(&format!("{}{}", certificate.pem(), key.serialize_pem()));
    let ask = |ca: Option<PathBuf>, client: Option<PathBuf>| {
        let entry = HostSettings { ca_file: ca, client_certificate_file: client, ..HostSettings::of(&host) };
        let client = Client::new(Hosts::new(vec![entry], Rules::default(), &Timeouts::default()).unwrap(), Vec::new());
        let key = RepositoryKey::from_parts(&host, "web").unwrap();
        async move { client.digest(&key, "1", &Keyring::default()).await }
    };
    let digest = ask(Some(ca.clone()), Some(client_file.clone())).await.unwrap().unwrap();
    assert_eq!(digest.as_str(), DIGEST);
    for (ca, client) in [(None, Some(client_file.clone())), (Some(other), Some(client_file)), (Some(ca), None)] {
        let error = ask(ca, client).await.unwrap_err();
        assert_eq!(error.class, Class::Unreachable, "{error}");
    }
}

#[test]
fn files_without_what_they_should_have() {
    rustls::crypto::ring::default_provider().install_default().ok();
    let (_empty, empty) = file("no certificate");
    for entry in [
        HostSettings { ca_file: Some(empty.clone()), ..HostSettings::of("a.example") },
        HostSettings { client_certificate_file: Some(empty.clone()), ..HostSettings::of("a.example") },
    ] {
        let error = Hosts::new(vec![entry], Rules::default(), &Timeouts::default()).unwrap_err().to_string();
        assert!(error.contains("does not contain a PEM certificate"), "{error}");
    }
}

/// Returns a transport with these certificates of Flux.
fn way(entries: &[(&str, &str)]) -> Result<Transport, SecretError> {
    Transport::default().with_certificates(|key| entries.iter().find(|(name, _)| *name == key).map(|(_, value)| value.as_bytes()))
}

fn client(entries: Vec<HostSettings>) -> Client {
    rustls::crypto::ring::default_provider().install_default().ok();
    Client::new(Hosts::new(entries, Rules::default(), &Timeouts::default()).unwrap(), Vec::new())
}

#[tokio::test]
async fn a_source_brings_its_own_certificates() {
    let (ours, theirs) = (issuer(), issuer());
    let (certificate, key) = leaf(&ours, ExtendedKeyUsagePurpose::ClientAuth);
    let (certificate, key, ca, other) = (certificate.pem(), key.serialize_pem(), ours.pem(), theirs.pem());
    let (host, _server) = serve(&ours).await;
    let image = RepositoryKey::from_parts(&host, "web").unwrap();
    let both = way(&[("ca.crt", &ca), ("tls.crt", &certificate), ("tls.key", &key)]).unwrap();
    let bare = client(Vec::new());
    let digest = bare.digest(&image, "1", &Keyring::default().with_transport(both)).await.unwrap().unwrap();
    assert_eq!(digest.as_str(), DIGEST);
    for way in [
        way(&[("ca.crt", &ca)]).unwrap(),
        way(&[("ca.crt", &other), ("tls.crt", &certificate), ("tls.key", &key)]).unwrap(),
        way(&[("tls.crt", &certificate), ("tls.key", &key)]).unwrap(),
        Transport::default(),
    ] {
        let error = bare.digest(&image, "1", &Keyring::default().with_transport(way)).await.unwrap_err();
        assert_eq!(error.class, Class::Unreachable, "{error}");
    }

    // The source overrides the host's entry.
    let (_ca, ca_file) = file(&ca);
    let of_entry = client(vec![HostSettings { ca_file: Some(ca_file), ..HostSettings::of(&host) }]);
    let own = way(&[("tls.crt", &certificate), ("tls.key", &key)]).unwrap();
    assert!(of_entry.digest(&image, "1", &Keyring::default().with_transport(own)).await.unwrap().is_some());
}

#[tokio::test]
async fn a_chart_repository_with_an_own_authority() {
    let ours = issuer();
    let (host, _server) = answering(&ours, false, |_| response("200 OK", "", "entries: {a: [{version: 1.0.0}]}")).await;
    let repository = ChartRepository::parse(&format!("https://{host}/stable")).unwrap();
    let wanted = BTreeSet::from(["a".to_owned()]);
    let keyring = Keyring::default().with_transport(way(&[("caFile", &ours.pem())]).unwrap());
    assert!(client(Vec::new()).index(&repository, &wanted, &keyring, None).await.unwrap().has("a"));
    let error = client(Vec::new()).index(&repository, &wanted, &Keyring::default(), None).await.unwrap_err();
    assert!(error.class == Class::Unreachable && error.message.contains("certificate"), "{error}");
}

#[tokio::test]
async fn the_issuer_of_tokens_is_reached_the_same_way() {
    let ours = issuer();
    let (issuing, _issuer) = answering(&ours, false, |_| response("200 OK", "", r#"{"token":"t"}"#)).await;
    let challenge = format!("www-authenticate: Bearer realm=\"https://{issuing}/token\"\r\n");
    let (host, _server) = answering(&ours, false, move |request| {
        if request.to_ascii_lowercase().contains("authorization: bearer t") {
            response("200 OK", &format!("docker-content-digest: {DIGEST}\r\n"), "")
        } else {
            response("401 Unauthorized", &challenge, "")
        }
    })
    .await;
    let image = RepositoryKey::from_parts(&host, "web").unwrap();
    let keyring = Keyring::default().with_transport(way(&[("ca.crt", &ours.pem())]).unwrap());
    let entry = HostSettings { token_issuers: vec![issuing], ..HostSettings::of(&host) };
    assert!(client(vec![entry]).digest(&image, "1", &keyring).await.unwrap().is_some());
}

/// Somebody who can read the traffic under a source's own CA does not get the client certificate of the host's entry,
/// and neither does the host of a redirect.
#[tokio::test]
async fn a_client_certificate_is_for_its_own_host() {
    let ours = issuer();
    let (certificate, key) = leaf(&ours, ExtendedKeyUsagePurpose::ClientAuth);
    let (_ca, ca) = file(&ours.pem());
    let (_client, own) = file(&format!("{}{}", certificate.pem(), key.serialize_pem()));
    let (host, _server) = serve(&ours).await;
    let image = RepositoryKey::from_parts(&host, "web").unwrap();
    let entry =
        |host: &str| HostSettings { ca_file: Some(ca.clone()), client_certificate_file: Some(own.clone()), ..HostSettings::of(host) };
    let configured = client(vec![entry(&host)]);
    assert!(configured.digest(&image, "1", &Keyring::default()).await.unwrap().is_some());
    for transport in [way(&[("ca.crt", &ours.pem())]).unwrap(), Transport::default().with_passed_credentials(true)] {
        let error = configured.digest(&image, "1", &Keyring::default().with_transport(transport)).await.unwrap_err();
        assert_eq!(error.class, Class::Unreachable, "{error}");
    }

    let location = format!("location: https://{host}/v2/web/manifests/1\r\n");
    let (redirecting, _server) = answering(&ours, true, move |_| response("307 Temporary Redirect", &location, "")).await;
    let image = RepositoryKey::from_parts(&redirecting, "web").unwrap();
    let both = way(&[("ca.crt", &ours.pem()), ("tls.crt", &certificate.pem()), ("tls.key", &key.serialize_pem())]).unwrap();
    for (client, keyring) in
        [(client(vec![entry(&redirecting)]), Keyring::default()), (client(Vec::new()), Keyring::default().with_transport(both))]
    {
        let error = client.digest(&image, "1", &keyring).await.unwrap_err();
        assert!(error.class == Class::Unreachable && error.message.contains(&format!("redirects to {host}")), "{error}");
    }
}

#[tokio::test]
async fn invalid_certificates_are_reported() {
    let ours = issuer();
    let (certificate, _) = leaf(&ours, ExtendedKeyUsagePurpose::ClientAuth);
    let (_, key) = leaf(&ours, ExtendedKeyUsagePurpose::ClientAuth);
    let image = RepositoryKey::from_parts("registry.example", "web").unwrap();
    let broken = "-----BEGIN CERTIFICATE-----\nY2FuYXJ5LTdmM2E=\n-----END CERTIFICATE-----\n";
    for (way, words) in [
        (way(&[("ca.crt", broken)]), "the CA certificate of its source cannot be used"),
        (
            way(&[("tls.crt", &certificate.pem()), ("tls.key", &key.serialize_pem())]),
            "the client certificate of its source cannot be used, or the key does not belong to it",
        ),
    ] {
        let error = client(Vec::new()).digest(&image, "1", &Keyring::default().with_transport(way.unwrap())).await.unwrap_err();
        assert_eq!((error.class, error.message.as_str()), (Class::Denied, words));
    }
}
