//! One host, ready to be asked: how it is reached, and whether it wants to be left alone.

use std::sync::Arc;
use std::time::{Duration, Instant};

use headwind_core::artifact::reference::RepositoryKey;
use parking_lot::Mutex;
use reqwest::Url;
use tokio::sync::Semaphore;

use crate::budget::Budget;
use crate::error::{Class, Error};
use crate::issuers;
use crate::route::Route;
use crate::rules::{Guard, authority};

/// What is known of a host beside its name.
#[derive(Debug, Clone)]
pub(crate) struct Host {
    /// As in image references.
    pub(crate) name: String,
    /// Host and port that are connected to.
    pub(crate) authority: String,
    pub(crate) plain_http: bool,
    pub(crate) route: Route,
    pub(crate) clients: Clients,
    pub(crate) guard: Arc<Guard>,
    pub(crate) budget: Budget,
    /// Where it is mirrored: host, and path before the repositories.
    pub(crate) mirrors: Vec<(String, String)>,
    /// The token issuers that its entry names.
    pub(crate) issuers: Vec<String>,
    pub(crate) traffic: Arc<Traffic>,
}

/// The clients for a host and for where it redirects to.
#[derive(Debug, Clone)]
pub(crate) struct Clients {
    /// With the client certificate, if there is one.
    pub(crate) own: reqwest::Client,
    /// Without the client certificate: a host that the first one redirects to is another's.
    pub(crate) elsewhere: reqwest::Client,
}

impl Clients {
    /// The same client for both.
    pub(crate) fn without_certificate(http: reqwest::Client) -> Self {
        Self { own: http.clone(), elsewhere: http }
    }
}

/// What all questions of one lane share: how many may run, and how long none may.
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
    /// Whether it may be asked now.
    pub(crate) fn is_open(&self) -> Result<(), Error> {
        let mut not_before = self.traffic.not_before.lock();
        let left = not_before.map(|at| at.saturating_duration_since(Instant::now())).unwrap_or_default();
        if left.is_zero() {
            *not_before = None;
            Ok(())
        } else {
            Err(Error::new(Class::Throttled, &self.name, "it asked to be left alone for now").wait(Some(left)))
        }
    }

    /// Leaves it alone for that long.
    pub(crate) fn hold(&self, wait: Duration) {
        let at = Instant::now() + wait;
        let mut not_before = self.traffic.not_before.lock();
        *not_before = Some(not_before.map_or(at, |held| held.max(at)));
    }

    /// What tells the transport apart that a source named; `None` on the administrator's.
    pub(crate) fn transport(&self) -> Option<[u8; 32]> {
        self.route.transport().map(|transport| transport.fingerprint())
    }

    pub(crate) fn scheme(&self) -> &'static str {
        if self.plain_http { "http" } else { "https" }
    }

    /// Whether that is the host itself, by the name in references or by the one that is connected to.
    pub(crate) fn is_at(&self, other: &str) -> bool {
        // An address leaves the scheme's own port out, and has one spelling of an IP address.
        let own = || Url::parse(&format!("{}://{}", self.scheme(), self.authority)).ok().as_ref().and_then(authority);
        other == self.authority || other == self.name || own().is_some_and(|own| own == other)
    }

    /// Whether a token issuer at that authority is this host's own, so that it may see the credential and this host
    /// its tokens.
    pub(crate) fn trusts(&self, authority: &str) -> bool {
        self.is_at(authority) || self.issuers.iter().any(|issuer| issuer == authority) || issuers::is_known(&self.name, authority)
    }

    /// Where an answer came from, if from another host.
    pub(crate) fn elsewhere(&self, url: &Url) -> Option<String> {
        authority(url).filter(|authority| !self.is_at(authority))
    }

    /// The repository's places at the mirrors, in their order.
    pub(crate) fn at_mirrors(&self, repository: &RepositoryKey) -> Vec<RepositoryKey> {
        let places = self.mirrors.iter().map(|(host, prefix)| {
            let path = if prefix.is_empty() { repository.path().to_owned() } else { format!("{prefix}/{}", repository.path()) };
            RepositoryKey::from_parts(host, &path)
        });
        places.filter_map(Result::ok).collect()
    }
}
