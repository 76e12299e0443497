//! HTTPS: the certificate and its key, which are read again when the files change.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

/// Interval at which the files are checked for changes.
const PERIOD: Duration = Duration::from_secs(10);

/// Files that contain no usable certificate.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read {0}: {1}")]
    Unreadable(PathBuf, std::io::Error),
    /// A file has invalid content.
    #[error("{0} contains no {1} in PEM format: {2}")]
    Unusable(PathBuf, &'static str, rustls::pki_types::pem::Error),
    /// Certificate and key do not match, or have an unsupported format.
    #[error("certificate {0} and key {1} cannot be used: {2}")]
    Refused(PathBuf, PathBuf, rustls::Error),
}

/// The content of the files.
#[derive(PartialEq, Eq)]
struct Pem {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

/// The certificate that ports present.
#[derive(Clone)]
pub struct Tls(Arc<Files>);

struct Files {
    certificate: PathBuf,
    key: PathBuf,
    current: RwLock<(Pem, Arc<ServerConfig>)>,
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Tls").field(&self.0.certificate).finish()
    }
}

impl Tls {
    /// Reads the certificate chain and its key, both in PEM format.
    ///
    /// # Errors
    /// See [`TlsError`].
    pub fn read(certificate: &Path, key: &Path) -> Result<Self, TlsError> {
        let pem = read(certificate, key)?;
        let config = config(certificate, key, &pem)?;
        Ok(Self(Arc::new(Files { certificate: certificate.to_owned(), key: key.to_owned(), current: RwLock::new((pem, config)) })))
    }

    /// Returns the TLS configuration for the next connection.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.0.current.read().1))
    }

    /// Reads the files again. If they are invalid, the current certificate is kept. Returns true if it changed.
    ///
    /// # Errors
    /// See [`TlsError`].
    pub fn refresh(&self) -> Result<bool, TlsError> {
        let Files { certificate, key, current } = &*self.0;
        let pem = read(certificate, key)?;
        if current.read().0 == pem {
            return Ok(false);
        }
        let config = config(certificate, key, &pem)?;
        *current.write() = (pem, config);
        Ok(true)
    }

    /// Checks the files periodically, until `stop`.
    pub async fn watch(self, stop: CancellationToken) {
        while tokio::time::timeout(PERIOD, stop.cancelled()).await.is_err() {
            match self.refresh() {
                Ok(true) => tracing::info!(certificate = %self.0.certificate.display(), "reloaded the certificate"),
                Ok(false) => {}
                Err(error) => tracing::warn!(%error, "failed to reload the certificate; keeping the current one"),
            }
        }
    }
}

fn read(certificate: &Path, key: &Path) -> Result<Pem, TlsError> {
    let bytes = |path: &Path| std::fs::read(path).map_err(|error| TlsError::Unreadable(path.to_owned(), error));
    Ok(Pem { certificate: bytes(certificate)?, key: bytes(key)? })
}

fn config(certificate: &Path, key: &Path, pem: &Pem) -> Result<Arc<ServerConfig>, TlsError> {
    let chain: Result<Vec<CertificateDer<'static>>, _> = CertificateDer::pem_slice_iter(&pem.certificate).collect();
    let chain = chain.map_err(|error| TlsError::Unusable(certificate.to_owned(), "certificate", error))?;
    let private = PrivateKeyDer::from_pem_slice(&pem.key);
    let private = private.map_err(|error| TlsError::Unusable(key.to_owned(), "private key", error))?;
    let refused = |error| TlsError::Refused(certificate.to_owned(), key.to_owned(), error);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().map_err(refused)?;
    let mut config = builder.with_no_client_auth().with_single_cert(chain, private).map_err(refused)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

#[cfg(test)]
mod tests;
