//! The unit that shares permits, waits and failures.

use std::fmt;

use crate::credential::Keyring;
use crate::fingerprint::Fingerprint;
use crate::transport::Transport;

/// A host over one transport: what shares permits and back-off.
///
/// The owner of a source may set a transport (proxy, CA, plain HTTP). Failures over it say nothing about the host for
/// other users, so each transport to a host has its own lane. Valid as a key in this process only.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Lane {
    host: String,
    transport: Option<Fingerprint>,
}

impl Lane {
    /// Returns the lane of queries to `host` with this keyring.
    pub fn of(host: &str, keyring: &Keyring) -> Self {
        Self::new(host, keyring.transport().map(|transport| &**transport))
    }

    pub(crate) fn new(host: &str, transport: Option<&Transport>) -> Self {
        Self { host: host.to_owned(), transport: transport.map(Transport::fingerprint) }
    }

    /// Returns the host, as in image references.
    pub fn host(&self) -> &str {
        &self.host
    }
}

impl fmt::Display for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.host)?;
        if self.transport.is_some() { f.write_str(" over a source's own transport") } else { Ok(()) }
    }
}
