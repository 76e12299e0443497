//! Own roots and client certificates, against a server that demands both.

#![allow(clippy::unwrap_used, reason = "a test may")]

use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use headwind_core::reference::RepositoryKey;
use headwind_registry::{Class, Client, HostSettings, Hosts, Keyring, Limits};
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

/// Answers every request of a client that `issuer` has signed with a digest.
async fn serve(issuer: &Issuer) -> (String, tokio::task::JoinHandle<()>) {
    let (certificate, key) = leaf(issuer, ExtendedKeyUsagePurpose::ServerAuth);
    let mut roots = rustls::RootCertStore::empty();
    roots.add(issuer.der().clone()).unwrap();
    let clients = rustls::server::WebPkiClientVerifier::builder(Arc::new(roots)).build().unwrap();
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
            if stream.read(&mut request).await.is_ok_and(|read| read > 0) {
                let answer =
                    format!("HTTP/1.1 200 OK\r\ndocker-content-digest: {DIGEST}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
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
        let client = Client::new(Hosts::new(vec![entry], &Limits::default()).unwrap(), Vec::new());
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
        let error = Hosts::new(vec![entry], &Limits::default()).unwrap_err().to_string();
        assert!(error.contains("no PEM certificate"), "{error}");
    }
}
