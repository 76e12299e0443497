//! One host: its address, its clients, and its back-off.

use std::sync::Arc;
use std::time::{Duration, Instant};

use headwind_core::artifact::reference::RepositoryKey;
use parking_lot::Mutex;
use reqwest::Url;
use tokio::sync::Semaphore;

use crate::budget::Budget;
use crate::error::{Class, Error};
use crate::fingerprint::Fingerprint;
use crate::issuers;
use crate::quota::Quotas;
use crate::route::Route;
use crate::rules::{Guard, authority};

/// A host with its configuration and its traffic.
#[derive(Debug, Clone)]
pub(crate) struct Host {
    /// The name in image references.
    pub(crate) name: String,
    /// The host and port to connect to.
    pub(crate) authority: String,
    pub(crate) plain_http: bool,
    pub(crate) route: Route,
    pub(crate) clients: Clients,
    pub(crate) guard: Arc<Guard>,
    pub(crate) budget: Budget,
    /// The quotas of all hosts.
    pub(crate) quotas: Arc<Quotas>,
    /// Its mirrors: host, and the path before the repositories.
    pub(crate) mirrors: Vec<(String, String)>,
    /// The token issuers that its entry names.
    pub(crate) issuers: Vec<String>,
    pub(crate) traffic: Arc<Traffic>,
}

/// The clients for a host and for its redirect targets.
#[derive(Debug, Clone)]
pub(crate) struct Clients {
    /// With the client certificate, if there is one.
    pub(crate) own: reqwest::Client,
    /// Without the client certificate: a redirect target on another host must not get it.
    pub(crate) elsewhere: reqwest::Client,
}

impl Clients {
    /// Uses the same client for both.
    pub(crate) fn without_certificate(http: reqwest::Client) -> Self {
        Self { own: http.clone(), elsewhere: http }
    }
}

/// The common state of all queries of one lane: the permits, and the back-off.
#[derive(Debug)]
pub(crate) struct Traffic {
    pub(crate) at_once: usize,
    pub(crate) permits: Semaphore,
    not_before: Mutex<Option<Instant>>,
}

impl Traffic {
    pub(crate) fn new(at_once: usize) -> Self {
        Self { at_once, permits: Semaphore::new(at_once), not_before: Mutex::default() }
    }
}

impl Host {
    /// Returns an error while the host is backed off.
    pub(crate) fn is_open(&self) -> Result<(), Error> {
        let mut not_before = self.traffic.not_before.lock();
        let left = not_before.map(|at| at.saturating_duration_since(Instant::now())).unwrap_or_default();
        if left.is_zero() {
            *not_before = None;
            Ok(())
        } else {
            Err(Error::new(Class::Throttled, &self.name, "it asked clients to retry later").wait(Some(left)))
        }
    }

    /// Sends it no request for this time.
    pub(crate) fn hold(&self, wait: Duration) {
        let at = Instant::now() + wait;
        let mut not_before = self.traffic.not_before.lock();
        *not_before = Some(not_before.map_or(at, |held| held.max(at)));
    }

    /// Returns the fingerprint of the transport that a source sets; `None` for the transport that the administrator
    /// configured.
    pub(crate) fn transport(&self) -> Option<Fingerprint> {
        self.route.transport().map(|transport| transport.fingerprint())
    }

    pub(crate) fn scheme(&self) -> &'static str {
        if self.plain_http { "http" } else { "https" }
    }

    /// Returns true if `other` is the host itself, by its name in references or by the name that is connected to.
    pub(crate) fn is_at(&self, other: &str) -> bool {
        // A URL omits the scheme's default port, and has one spelling for an IP address.
        let own = || Url::parse(&format!("{}://{}", self.scheme(), self.authority)).ok().as_ref().and_then(authority);
        other == self.authority || other == self.name || own().is_some_and(|own| own == other)
    }

    /// Returns true if a token issuer at that authority belongs to this host, so that it may receive the credential and
    /// this host its tokens.
    pub(crate) fn trusts(&self, authority: &str) -> bool {
        self.is_at(authority) || self.issuers.iter().any(|issuer| issuer == authority) || issuers::is_known(&self.name, authority)
    }

    /// Returns the host that answered, if it is another host.
    pub(crate) fn elsewhere(&self, url: &Url) -> Option<String> {
        authority(url).filter(|authority| !self.is_at(authority))
    }

    /// Returns the repository's places at the mirrors, in their order.
    pub(crate) fn at_mirrors(&self, repository: &RepositoryKey) -> Vec<RepositoryKey> {
        let places = self.mirrors.iter().map(|(host, prefix)| {
            let path = if prefix.is_empty() { repository.path().to_owned() } else { format!("{prefix}/{}", repository.path()) };
            RepositoryKey::from_parts(host, &path)
        });
        places.filter_map(Result::ok).collect()
    }
}
