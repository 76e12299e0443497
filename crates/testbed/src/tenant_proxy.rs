//! A proxy as a malicious tenant would run it: it responds for every host, and logs what it receives.
//!
//! It responds to a plain request as the registry in the request would. For `CONNECT` it plays the host itself, with a
//! certificate from its own authority. In both cases the response is a 401 that demands a password, and a list of tags
//! for a request with one.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use parking_lot::Mutex;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

/// Maximum size of the head of a request, in bytes.
const HEAD: usize = 64 * 1024;

/// The proxy. It ends when the value is dropped.
pub struct TenantProxy {
    address: String,
    inner: Arc<Inner>,
    server: JoinHandle<()>,
}

struct Inner {
    issuer: Issuer<'static, KeyPair>,
    ca: String,
    heads: Mutex<Vec<String>>,
}

impl Drop for TenantProxy {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl TenantProxy {
    /// Starts a proxy with its own authority.
    ///
    /// # Errors
    /// If no port is free.
    pub async fn start() -> Result<Self> {
        crate::provide_tls();
        let mut params = CertificateParams::new(Vec::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate()?;
        let ca = params.self_signed(&key)?.pem();
        let inner = Arc::new(Inner { issuer: Issuer::new(params, key), ca, heads: Mutex::default() });
        let listener = crate::port::listen().await?;
        let address = listener.local_addr()?.to_string();
        let server = {
            let inner = Arc::clone(&inner);
            tokio::spawn(async move {
                while let Ok((stream, _)) = listener.accept().await {
                    let inner = Arc::clone(&inner);
                    tokio::spawn(async move { inner.serve(stream).await });
                }
            })
        };
        Ok(Self { address, inner, server })
    }

    /// Returns its `127.0.0.1:PORT`.
    pub fn addr(&self) -> &str {
        &self.address
    }

    /// Returns the certificate of its authority, in PEM format.
    pub fn ca(&self) -> &str {
        &self.inner.ca
    }

    /// Returns and clears the heads of every request so far, including those inside of `CONNECT`.
    pub fn take_heads(&self) -> Vec<String> {
        std::mem::take(&mut self.inner.heads.lock())
    }
}

impl Inner {
    /// Serves one connection. The caller ignores errors.
    async fn serve(&self, mut stream: TcpStream) -> Result<()> {
        let head = self.head(&mut stream).await?;
        let Some(target) = head.strip_prefix("CONNECT ") else { return answer(&mut stream, &head).await };
        let host = target.split(':').next().unwrap_or_default().to_owned();
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?;
        let mut stream = TlsAcceptor::from(Arc::new(self.tls(&host)?)).accept(stream).await?;
        let head = self.head(&mut stream).await?;
        answer(&mut stream, &head).await
    }

    async fn head(&self, stream: &mut (impl AsyncRead + Unpin)) -> Result<String> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") && head.len() < HEAD {
            anyhow::ensure!(stream.read_buf(&mut head).await? > 0, "the connection ended");
        }
        let head = String::from_utf8_lossy(&head).into_owned();
        self.heads.lock().push(head.clone());
        Ok(head)
    }

    fn tls(&self, host: &str) -> Result<rustls::ServerConfig> {
        let key = KeyPair::generate()?;
        let certificate = CertificateParams::new(vec![host.to_owned()])?.signed_by(&key, &self.issuer)?;
        let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
        let config = rustls::ServerConfig::builder().with_no_client_auth();
        config.with_single_cert(vec![certificate.der().clone()], key).context("the certificate of the proxy")
    }
}

async fn answer(stream: &mut (impl AsyncWrite + Unpin), head: &str) -> Result<()> {
    let is_proven = head.lines().any(|line| line.to_ascii_lowercase().starts_with("authorization:"));
    let (status, header, body) = if is_proven {
        ("200 OK", "", r#"{"tags":["1.0.0"]}"#)
    } else {
        ("401 Unauthorized", "www-authenticate: Basic realm=\"registry\"\r\n", "")
    };
    let answer = format!("HTTP/1.1 {status}\r\n{header}content-length: {}\r\nconnection: close\r\n\r\n{body}", body.len());
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await?;
    Ok(())
}
