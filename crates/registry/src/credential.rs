//! Credentials: parsing pull secrets, and selecting the credentials for a repository.
//!
//! Keys are parsed, matched and ordered as the kubelet does it (`pkg/credentialprovider/keyring.go` of Kubernetes
//! 1.34): secrets in the order of the pod, the keys of one secret in reverse alphabetical order so that longer paths
//! come first, hosts part by part with wildcards, equal ports, paths as prefixes. Unlike the kubelet, Headwind treats
//! the names of Docker Hub as one host.
//!
//! The owner of a namespace writes the secrets, so everything is limited: the size of a secret, the length and number
//! of its keys, the number of entries of a keyring, and the number of credentials for one repository.

pub mod cloud;
mod docker_config;
mod glob;
mod pattern;

use std::fmt;
use std::sync::Arc;

use headwind_core::artifact::reference::RepositoryKey;
use secrecy::{ExposeSecret as _, SecretString};

pub use docker_config::{Fault, Format};
use pattern::Pattern;

use crate::fingerprint::Fingerprint;
use crate::route::Route;
use crate::transport::{self, SecretError, Transport};

/// Maximum number of entries of a keyring that are used.
const ENTRIES: usize = 1024;
/// Maximum number of credentials that are tried for one repository. Each one costs the registry a login.
const TRIED: usize = 8;

/// A credential for a registry. It cannot be printed.
#[derive(Clone)]
pub struct Credential(Arc<Inner>);

struct Inner {
    proof: Proof,
    fingerprint: Fingerprint,
}

/// The kinds of credentials.
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
    /// A login that the cloud provider of Headwind's own pod issues for its registries.
    Cloud(Arc<dyn cloud::Exchange>),
}

impl Credential {
    /// Creates a credential from a user name and a password.
    pub fn login(username: &str, password: &str) -> Self {
        Self::new(Proof::Login { username: username.to_owned(), password: password.to_owned().into() })
    }

    /// Creates a credential that gets its login from a cloud.
    pub fn cloud(exchange: Arc<dyn cloud::Exchange>) -> Self {
        Self::new(Proof::Cloud(exchange))
    }

    pub(crate) fn new(proof: Proof) -> Self {
        let fingerprint = match &proof {
            Proof::Login { username, password } => {
                Fingerprint::of([&b"login"[..], username.as_bytes(), password.expose_secret().as_bytes()])
            }
            Proof::Identity(token) => Fingerprint::of([&b"identity"[..], token.expose_secret().as_bytes()]),
            Proof::Token(token) => Fingerprint::of([&b"token"[..], token.expose_secret().as_bytes()]),
            Proof::Cloud(exchange) => Fingerprint::of([&b"cloud"[..], exchange.name().as_bytes()]),
        };
        Self(Arc::new(Inner { proof, fingerprint }))
    }

    pub(crate) fn proof(&self) -> &Proof {
        &self.0.proof
    }

    /// Returns a fingerprint that distinguishes credentials, in memory only.
    pub(crate) fn fingerprint(&self) -> Fingerprint {
        self.0.fingerprint
    }

    /// Returns its approximate size in memory, in bytes.
    fn size(&self) -> usize {
        let texts = match self.proof() {
            Proof::Login { username, password } => username.len() + password.expose_secret().len(),
            Proof::Identity(token) | Proof::Token(token) => token.expose_secret().len(),
            Proof::Cloud(_) => 0,
        };
        size_of::<Inner>() + texts
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

/// The entries of one secret. Keyrings share them.
type Shelf = Arc<[(Pattern, Credential)]>;

/// The credentials of a workload or a source, in the order in which they are tried, and the transport that a source
/// sets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Keyring {
    shelves: Vec<Shelf>,
    transport: Option<Arc<Transport>>,
}

impl Keyring {
    /// Parses one pull secret. Skips and reports unusable entries; the others apply.
    pub fn read(format: Format, bytes: &[u8]) -> (Self, Vec<Fault>) {
        let (mut shelf, faults) = docker_config::read(format, bytes);
        shelf.sort_by(|(a, _), (b, _)| b.as_str().cmp(a.as_str()));
        (Self { shelves: vec![shelf.into()], transport: None }, faults)
    }

    /// Creates a keyring with one credential for everything on a host.
    pub fn of(host: &str, credential: Credential) -> Self {
        Self::holding(Pattern::read(host).ok(), credential)
    }

    /// Creates a keyring with a user name and a password for one host and port: an OCI registry or a chart repository.
    /// The host has no wildcards.
    pub fn basic(host: &str, username: &str, password: &str) -> Self {
        Self::holding(Pattern::exact(host), Credential::login(username, password))
    }

    /// Creates a keyring from a secret with `username` and `password` (Flux: `secretRef`); `None` if it has neither.
    /// `value` returns the secret's value for a key.
    ///
    /// # Errors
    /// See [`SecretError`].
    pub fn from_login<'a>(host: &str, value: impl Fn(&str) -> Option<&'a [u8]>) -> Result<Option<Self>, SecretError> {
        Ok(transport::login(value)?.map(|(username, password)| Self::basic(host, username, password)))
    }

    fn holding(pattern: Option<Pattern>, credential: Credential) -> Self {
        let shelf = pattern.map(|pattern| Shelf::from([(pattern, credential)]));
        Self { shelves: shelf.into_iter().collect(), transport: None }
    }

    /// Sets the transport that the source configures.
    #[must_use]
    pub fn with_transport(mut self, transport: Transport) -> Self {
        self.transport = Some(Arc::new(transport)).filter(|transport| **transport != Transport::default());
        self
    }

    /// Returns the route of the keyring's queries.
    pub(crate) fn route(&self) -> Route {
        self.transport.clone().map_or(Route::Administrator, Route::Tenant)
    }

    /// Returns the transport that the source configures; `None` if the host's own applies.
    pub(crate) fn transport(&self) -> Option<&Arc<Transport>> {
        self.transport.as_ref()
    }

    /// Appends the credentials of another keyring. The transport is unchanged.
    pub fn extend(&mut self, other: &Self) {
        self.shelves.extend(other.shelves.iter().cloned());
    }

    /// Returns true if it holds no credential.
    pub fn is_empty(&self) -> bool {
        self.shelves.iter().all(|shelf| shelf.is_empty())
    }

    /// Returns its approximate size in memory, in bytes.
    pub fn size(&self) -> usize {
        let entries = self.shelves.iter().flat_map(|shelf| shelf.iter());
        let entries: usize = entries.map(|(pattern, credential)| pattern.size() + credential.size()).sum();
        entries + self.transport.as_ref().map_or(0, |transport| transport.size())
    }

    /// Returns the entries that are used, in their order.
    fn entries(&self) -> impl Iterator<Item = &(Pattern, Credential)> {
        self.shelves.iter().flat_map(|shelf| shelf.iter()).take(ENTRIES)
    }

    /// Returns the credentials that may be used for a repository, each once, in the order in which they are tried. If
    /// more than eight match, it returns the first eight.
    pub fn lookup(&self, repository: &RepositoryKey) -> Vec<Credential> {
        let mut found: Vec<Credential> = Vec::new();
        for (_, credential) in self.entries().filter(|(pattern, _)| pattern.matches(repository)) {
            if !found.contains(credential) {
                found.push(credential.clone());
            }
            if found.len() == TRIED {
                break;
            }
        }
        found
    }

    /// Returns the credential for the host of a chart repository: a user name and a password for exactly this host,
    /// without a wildcard.
    pub(crate) fn of_host(&self, host: &str) -> Option<&Credential> {
        let own = Pattern::exact(host)?;
        let entries = self.entries().filter(|(pattern, _)| *pattern == own);
        entries.map(|(_, credential)| credential).find(|credential| matches!(credential.proof(), Proof::Login { .. }))
    }
}

#[cfg(test)]
mod tests;
