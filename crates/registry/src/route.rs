//! The route to a host, by who configured it.

use std::sync::Arc;

use crate::transport::Transport;

/// The path to a host, by who configured it.
///
/// Headwind has its own identity: the cloud's login, and the client certificate of a host's entry. It never sends this
/// identity over a path that the owner of a source configured, because the one who sets the proxy or the CA can read
/// the traffic. It may send the owner's own credentials there.
#[derive(Debug, Clone)]
pub(crate) enum Route {
    /// Configured by the administrator: the host's entry, else HTTPS with the system's roots.
    Administrator,
    /// A proxy, a CA, a client certificate or plain HTTP that the owner of a source configured.
    Tenant(Arc<Transport>),
}

impl Route {
    /// Returns true if Headwind's own identity may be sent over it.
    pub(crate) fn carries_own_identity(&self) -> bool {
        match self {
            Self::Administrator => true,
            Self::Tenant(_) => false,
        }
    }

    /// Returns the transport that a source configured.
    pub(crate) fn transport(&self) -> Option<&Arc<Transport>> {
        match self {
            Self::Administrator => None,
            Self::Tenant(transport) => Some(transport),
        }
    }
}
