//! Whose word it is how a host is reached.

use std::sync::Arc;

use crate::transport::Transport;

/// The path to a host, by who named it.
///
/// Headwind has an identity of its own: the cloud's login, the client certificate of a host's entry. It never leaves
/// over a path that the owner of a source named, since whoever names the proxy or the CA reads what passes. The owner's
/// own credentials may: they are the owner's.
#[derive(Debug, Clone)]
pub(crate) enum Route {
    /// The administrator's: as the host's entry says, else HTTPS with the system's roots.
    Administrator,
    /// A proxy, a CA, a client certificate or plain HTTP that the owner of a source named.
    Tenant(Arc<Transport>),
}

impl Route {
    /// Returns whether Headwind's own identity may be sent over it.
    pub(crate) fn carries_own_identity(&self) -> bool {
        match self {
            Self::Administrator => true,
            Self::Tenant(_) => false,
        }
    }

    /// The transport that a source named.
    pub(crate) fn transport(&self) -> Option<&Arc<Transport>> {
        match self {
            Self::Administrator => None,
            Self::Tenant(transport) => Some(transport),
        }
    }
}
