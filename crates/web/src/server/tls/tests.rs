use std::net::SocketAddr;

use axum::Router;
use axum::routing::get;

use super::super::{Limits, Port};
use super::*;

/// Writes a certificate for localhost and its key, and returns the certificate.
fn write(folder: &Path) -> reqwest::Certificate {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(folder.join("tls.crt"), made.cert.pem()).unwrap();
    std::fs::write(folder.join("tls.key"), made.signing_key.serialize_pem()).unwrap();
    reqwest::Certificate::from_pem(made.cert.pem().as_bytes()).unwrap()
}

async fn ask(address: SocketAddr, trusted: &reqwest::Certificate) -> Result<String, reqwest::Error> {
    let client = reqwest::Client::builder().tls_certs_only([trusted.clone()]).resolve("localhost", address).build()?;
    client.get(format!("https://localhost:{}/", address.port())).send().await?.text().await
}

#[tokio::test]
async fn a_port_serves_https_and_takes_a_new_certificate() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key) = (folder.path().join("tls.crt"), folder.path().join("tls.key"));
    let old = write(folder.path());
    let tls = Tls::read(&certificate, &key).unwrap();
    let port = Port::bind("test", "127.0.0.1:0".parse().unwrap(), Limits::PUBLIC).await.unwrap().with_tls(Some(&tls));
    let address = port.address();
    let router = Router::new().route("/", get(async || "secure"));
    tokio::spawn(port.serve(router, CancellationToken::new()));
    assert_eq!(ask(address, &old).await.unwrap(), "secure");
    assert!(reqwest::get(format!("http://{address}/")).await.is_err(), "plain HTTP");
    assert!(!tls.refresh().unwrap());

    std::fs::write(&key, "no key").unwrap();
    assert!(tls.refresh().is_err());
    assert_eq!(ask(address, &old).await.unwrap(), "secure", "files that cannot be used change nothing");
    let new = write(folder.path());
    assert!(tls.refresh().unwrap());
    assert_eq!(ask(address, &new).await.unwrap(), "secure");
    assert!(ask(address, &old).await.is_err());
}

#[test]
fn files_that_cannot_be_used() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path());
    let (certificate, key) = (folder.path().join("tls.crt"), folder.path().join("tls.key"));
    assert!(matches!(Tls::read(&certificate, &folder.path().join("missing")), Err(TlsError::Unreadable(..))));
    assert!(matches!(Tls::read(&certificate, &certificate), Err(TlsError::Unusable(..))));
    assert!(Tls::read(&key, &key).is_err(), "no certificate");
    let other = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(&key, other.signing_key.serialize_pem()).unwrap();
    assert!(matches!(Tls::read(&certificate, &key), Err(TlsError::Refused(..))), "another one's key");
}
