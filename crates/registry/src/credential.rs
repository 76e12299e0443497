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

use headwind_core::reference::RepositoryKey;
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};

pub use docker_config::{Fault, Format};
use pattern::Pattern;

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

/// The credentials of a workload, in the order in which they are tried.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Keyring(Vec<Vec<(Pattern, Credential)>>);

impl Keyring {
    /// Reads one pull secret. What cannot be used of it is told and left out; the rest counts.
    pub fn read(format: Format, bytes: &[u8]) -> (Self, Vec<Fault>) {
        let (entries, faults) = docker_config::read(format, bytes);
        let mut shelf: Vec<(Pattern, Credential)> = entries;
        shelf.sort_by(|(a, _), (b, _)| b.as_str().cmp(a.as_str()));
        (Self(vec![shelf]), faults)
    }

    /// One credential for everything on a host.
    pub fn of(host: &str, credential: Credential) -> Self {
        Self(Pattern::read(host).map(|pattern| vec![vec![(pattern, credential)]]).unwrap_or_default())
    }

    /// Puts another's credentials behind one's own.
    pub fn extend(&mut self, other: &Self) {
        self.0.extend(other.0.iter().cloned());
    }

    /// Whether it holds nothing.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(Vec::is_empty)
    }

    /// The credentials that may be used for a repository, each once, in the order in which they
    /// are tried.
    pub fn lookup(&self, repository: &RepositoryKey) -> Vec<Credential> {
        let mut found: Vec<Credential> = Vec::new();
        for (_, credential) in self.0.iter().flatten().filter(|(pattern, _)| pattern.matches(repository)) {
            if !found.contains(credential) {
                found.push(credential.clone());
            }
        }
        found
    }
}

#[cfg(test)]
mod tests;
