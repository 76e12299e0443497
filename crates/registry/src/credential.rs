//! Credentials: what a pull secret holds, and which of it an image may be asked for with.
//!
//! Keys are read, matched and ordered as the kubelet does it (`pkg/credentialprovider/keyring.go`
//! of Kubernetes 1.34): secrets in the order of the pod, the keys of one secret in reverse
//! alphabetical order so that longer paths come first, hosts part by part with wildcards, ports
//! equal, paths as prefixes. Beyond the kubelet, Docker Hub's several names are one.

pub mod cloud;
mod docker_config;
mod pattern;

use std::fmt;
use std::sync::Arc;

use headwind_core::artifact::reference::RepositoryKey;
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};

pub use docker_config::{Fault, Format};
use pattern::Pattern;

use crate::route::Route;
use crate::transport::{self, SecretError, Transport};

/// What proves to a registry who asks. It does not print.
#[derive(Clone)]
pub struct Credential(Arc<Inner>);

struct Inner {
    proof: Proof,
    fingerprint: [u8; 32],
}

/// The forms that a pull secret knows.
pub(crate) enum Proof {
    /// A user name and a password.
    Login {
        /// May be empty.
        username: String,
        /// A password or a token in its place.
        password: SecretString,
    },
    /// `identitytoken`: a refresh token for the issuer of tokens (OAuth 2.0).
    Identity(SecretString),
    /// `registrytoken`: a bearer token for the registry itself.
    Token(SecretString),
    /// The cloud that the process runs in gives a login for its own registries.
    Cloud(Arc<dyn cloud::Exchange>),
}

impl Credential {
    /// A user name and a password.
    pub fn login(username: &str, password: &str) -> Self {
        Self::new(Proof::Login { username: username.to_owned(), password: password.to_owned().into() })
    }

    /// A cloud's own login.
    pub fn cloud(exchange: Arc<dyn cloud::Exchange>) -> Self {
        Self::new(Proof::Cloud(exchange))
    }

    pub(crate) fn new(proof: Proof) -> Self {
        let mut hash = Sha256::new();
        let mut part = |text: &str| {
            hash.update(text.len().to_be_bytes());
            hash.update(text.as_bytes());
        };
        match &proof {
            Proof::Login { username, password } => {
                part("login");
                part(username);
                part(password.expose_secret());
            }
            Proof::Identity(token) => {
                part("identity");
                part(token.expose_secret());
            }
            Proof::Token(token) => {
                part("token");
                part(token.expose_secret());
            }
            Proof::Cloud(exchange) => {
                part("cloud");
                part(exchange.name());
            }
        }
        let fingerprint = hash.finalize().into();
        Self(Arc::new(Inner { proof, fingerprint }))
    }

    pub(crate) fn proof(&self) -> &Proof {
        &self.0.proof
    }

    /// What tells credentials apart, in memory only.
    pub(crate) fn fingerprint(&self) -> [u8; 32] {
        self.0.fingerprint
    }
}

impl PartialEq for Credential {
    fn eq(&self, other: &Self) -> bool {
        self.0.fingerprint == other.0.fingerprint
    }
}

impl Eq for Credential {}

impl std::hash::Hash for Credential {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.fingerprint.hash(state);
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0.proof {
            Proof::Login { .. } => "Credential(login)",
            Proof::Identity(_) => "Credential(identity token)",
            Proof::Token(_) => "Credential(registry token)",
            Proof::Cloud(_) => "Credential(cloud)",
        })
    }
}

/// The credentials of a workload or a source, in the order in which they are tried, and the way
/// that a source says it is reached by.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Keyring {
    shelves: Vec<Vec<(Pattern, Credential)>>,
    transport: Option<Arc<Transport>>,
}

impl Keyring {
    /// Reads one pull secret. What cannot be used of it is told and left out; the rest counts.
    pub fn read(format: Format, bytes: &[u8]) -> (Self, Vec<Fault>) {
        let (entries, faults) = docker_config::read(format, bytes);
        let mut shelf: Vec<(Pattern, Credential)> = entries;
        shelf.sort_by(|(a, _), (b, _)| b.as_str().cmp(a.as_str()));
        (Self { shelves: vec![shelf], transport: None }, faults)
    }

    /// One credential for everything on a host.
    pub fn of(host: &str, credential: Credential) -> Self {
        Self::holding(Pattern::read(host), credential)
    }

    /// A user name and a password for one host, with its port: an OCI registry's or a chart
    /// repository's. Wildcards are none here.
    pub fn basic(host: &str, username: &str, password: &str) -> Self {
        Self::holding(Pattern::exact(host), Credential::login(username, password))
    }

    /// The same out of a secret with `username` and `password` (Flux: `secretRef`); `None` where
    /// it holds neither. `value` gives the secret's value under a key.
    ///
    /// # Errors
    /// See [`SecretError`].
    pub fn from_login<'a>(host: &str, value: impl Fn(&str) -> Option<&'a [u8]>) -> Result<Option<Self>, SecretError> {
        Ok(transport::login(value)?.map(|(username, password)| Self::basic(host, username, password)))
    }

    fn holding(pattern: Option<Pattern>, credential: Credential) -> Self {
        let shelves = pattern.map(|pattern| vec![vec![(pattern, credential)]]).unwrap_or_default();
        Self { shelves, transport: None }
    }

    /// The same credentials, used on the way that the source says.
    #[must_use]
    pub fn with_transport(mut self, transport: Transport) -> Self {
        self.transport = Some(Arc::new(transport)).filter(|transport| **transport != Transport::default());
        self
    }

    /// Whose word it is how the place is reached.
    pub(crate) fn route(&self) -> Route {
        self.transport.clone().map_or(Route::Administrator, Route::Tenant)
    }

    /// The way that the source says; `None` where it is reached as its host is.
    pub(crate) fn transport(&self) -> Option<&Arc<Transport>> {
        self.transport.as_ref()
    }

    /// Puts another's credentials behind one's own. The way stays one's own.
    pub fn extend(&mut self, other: &Self) {
        self.shelves.extend(other.shelves.iter().cloned());
    }

    /// Whether it holds no credential.
    pub fn is_empty(&self) -> bool {
        self.shelves.iter().all(Vec::is_empty)
    }

    /// The credentials that may be used for a repository, each once, in the order in which they
    /// are tried.
    pub fn lookup(&self, repository: &RepositoryKey) -> Vec<Credential> {
        let mut found: Vec<Credential> = Vec::new();
        for (_, credential) in self.shelves.iter().flatten().filter(|(pattern, _)| pattern.matches(repository)) {
            if !found.contains(credential) {
                found.push(credential.clone());
            }
        }
        found
    }

    /// The credential for a chart repository's host: a user name and a password that are for this
    /// host by name, not by a wildcard.
    pub(crate) fn of_host(&self, host: &str) -> Option<&Credential> {
        let own = Pattern::exact(host)?;
        let entries = self.shelves.iter().flatten().filter(|(pattern, _)| *pattern == own);
        entries.map(|(_, credential)| credential).find(|credential| matches!(credential.proof(), Proof::Login { .. }))
    }
}

#[cfg(test)]
mod tests;
