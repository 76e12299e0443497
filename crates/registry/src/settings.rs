//! The administrator's settings for hosts: one entry per host in a file (`HEADWIND_REGISTRY_CONFIG`).
//!
//! An entry sets plain HTTP, an own CA, a client certificate, mirrors, token issuers on other hosts, and the number of
//! concurrent requests. Headwind queries a host without an entry over HTTPS with the system's roots, and loopback over
//! plain HTTP, like container engines.

use std::path::{Path, PathBuf};

use headwind_core::artifact::reference::RepositoryKey;
use reqwest::{Certificate, Identity};
use serde::Deserialize;

use crate::transport;

/// One host's entry.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HostSettings {
    /// The host as in image references, with its port.
    pub host: String,
    /// Use plain HTTP (true) or HTTPS (false). Plain HTTP sends credentials unencrypted. Default: true for loopback
    /// without certificates in the entry, else false.
    #[serde(default)]
    pub plain_http: Option<bool>,
    /// A PEM file with additional roots to trust for this host.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// A PEM file with the client's certificate and its private key.
    #[serde(default)]
    pub client_certificate_file: Option<PathBuf>,
    /// Mirrors to query first: `host[:port][/path]`, in this order, each with its own credential.
    #[serde(default)]
    pub mirrors: Vec<String>,
    /// Other hosts (with port) that issue this registry's tokens and may receive its credential.
    #[serde(default)]
    pub token_issuers: Vec<String>,
    /// Maximum number of concurrent requests, at least 1. Default: 4.
    #[serde(default)]
    pub max_concurrent_requests: Option<usize>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    registries: Vec<HostSettings>,
}

/// The settings are invalid.
#[derive(Debug, thiserror::Error)]
pub enum HostsError {
    /// The document has another shape.
    #[error("{0}")]
    Document(String),
    /// A host has two entries.
    #[error("{0} is listed twice")]
    Twice(String),
    /// A host or mirror is not a valid registry name in an image reference.
    #[error("{0:?} is not a valid registry")]
    NoRegistry(String),
    /// A file cannot be read or parsed.
    #[error("{host}: {}: {reason}", .file.display())]
    File {
        /// The host whose entry names it.
        host: String,
        /// The file.
        file: PathBuf,
        /// The error.
        reason: String,
    },
    /// No HTTP client can be built.
    #[error("failed to build an HTTP client: {0}")]
    Client(String),
}

impl HostSettings {
    /// Creates an entry without settings.
    pub fn of(host: &str) -> Self {
        Self {
            host: host.to_owned(),
            plain_http: None,
            ca_file: None,
            client_certificate_file: None,
            mirrors: Vec::new(),
            token_issuers: Vec::new(),
            max_concurrent_requests: None,
        }
    }

    /// Parses the document with the entries (YAML or JSON: `registries: [{host: …}, …]`).
    ///
    /// # Errors
    /// If it has another shape.
    pub fn read(text: &str) -> Result<Vec<Self>, HostsError> {
        let Document { registries } = serde_saphyr::from_str(text).map_err(|error| HostsError::Document(error.to_string()))?;
        Ok(registries)
    }

    /// Reads the certificates that the entry names; `None` if it names none.
    pub(crate) fn certificates(&self, name: &str) -> Result<Option<Own>, HostsError> {
        let roots = match &self.ca_file {
            Some(file) => transport::roots(&read(name, file)?).ok_or_else(|| bad(name, file, "it does not contain a PEM certificate"))?,
            None => Vec::new(),
        };
        let identity = match &self.client_certificate_file {
            Some(file) => {
                let identity = Identity::from_pem(&read(name, file)?);
                Some(identity.map_err(|_| bad(name, file, "it does not contain a PEM certificate and its private key"))?)
            }
            None => None,
        };
        Ok((!roots.is_empty() || identity.is_some()).then_some(Own { roots, identity }))
    }
}

/// The certificates of a host's entry.
#[derive(Debug)]
pub(crate) struct Own {
    roots: Vec<Certificate>,
    pub(crate) identity: Option<Identity>,
}

impl Own {
    /// Adds the roots, which are not secret.
    pub(crate) fn trust(&self, http: reqwest::ClientBuilder) -> reqwest::ClientBuilder {
        http.tls_certs_merge(self.roots.iter().cloned())
    }
}

/// Normalises the name of a host like the reference parser.
pub(crate) fn host_name(text: &str) -> Result<String, HostsError> {
    let key = RepositoryKey::from_parts(text, "x/x").map_err(|_| HostsError::NoRegistry(text.to_owned()))?;
    Ok(key.registry().to_owned())
}

/// Parses a mirror's host and the path before its repositories.
pub(crate) fn mirror_place(text: &str) -> Result<(String, String), HostsError> {
    let (host, prefix) = text.split_once('/').unwrap_or((text, ""));
    let prefix = prefix.trim_matches('/');
    let path = if prefix.is_empty() { "x/x".to_owned() } else { format!("{prefix}/x") };
    let key = RepositoryKey::from_parts(host, &path).map_err(|_| HostsError::NoRegistry(text.to_owned()))?;
    Ok((key.registry().to_owned(), prefix.to_owned()))
}

fn read(host: &str, file: &Path) -> Result<Vec<u8>, HostsError> {
    std::fs::read(file).map_err(|error| bad(host, file, &error.to_string()))
}

fn bad(host: &str, file: &Path, reason: &str) -> HostsError {
    HostsError::File { host: host.to_owned(), file: file.to_owned(), reason: reason.to_owned() }
}
