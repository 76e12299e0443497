//! The hosts: how each is reached, and whether it wants to be left alone.
//!
//! What a person may set is one entry a host in a file (`HEADWIND_REGISTRY_CONFIG`): plain HTTP,
//! an own CA, a client certificate, mirrors, token issuers on other hosts, how many requests at
//! once. A host without an entry is asked by HTTPS with the system's roots. A source that says
//! itself how it is reached ([`Transport`]) is asked through a client of its own; permits and waits
//! stay the host's.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use headwind_core::reference::RepositoryKey;
use moka::future::Cache;
use parking_lot::{Mutex, RwLock};
use reqwest::{Certificate, Identity};
use serde::Deserialize;
use tokio::sync::Semaphore;

use crate::client::Limits;
use crate::error::{Class, Error};
use crate::transport::{self, Transport};

/// Where a registry's API is, other than under its own name.
const AUTHORITIES: &[(&str, &str)] = &[("docker.io", "registry-1.docker.io")];
/// The issuers of tokens that are known to be a registry's own although their name is another.
const ISSUERS: &[(&str, &str)] = &[("docker.io", "auth.docker.io"), ("registry.gitlab.com", "gitlab.com")];
/// Requests to one host at once, where its entry says nothing.
pub const AT_ONCE: usize = 4;
/// How many clients for the ways of sources are kept, and for how long after their last use. Each
/// has its own copy of the roots.
const WAYS: (u64, Duration) = (64, Duration::from_hours(1));

/// One host's entry.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HostSettings {
    /// The host as it stands in image references, with its port.
    pub host: String,
    /// Ask by HTTP. Credentials are then sent in the clear.
    #[serde(default)]
    pub plain_http: bool,
    /// A PEM file of further roots to trust for this host.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// A PEM file with the client's certificate and its private key.
    #[serde(default)]
    pub client_certificate_file: Option<PathBuf>,
    /// Where else to ask first: `host[:port][/path]`, in this order, each with its own credential.
    #[serde(default)]
    pub mirrors: Vec<String>,
    /// Other hosts (with port) that issue this registry's tokens and may see its credential.
    #[serde(default)]
    pub token_issuers: Vec<String>,
    /// Requests at once, at least 1.
    #[serde(default)]
    pub at_once: Option<usize>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    registries: Vec<HostSettings>,
}

/// The settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum HostsError {
    /// The document is not what is expected.
    #[error("{0}")]
    Document(String),
    /// A host stands in it twice.
    #[error("{0} stands in it twice")]
    Twice(String),
    /// A host or mirror is no name that an image reference could begin with.
    #[error("{0:?} is no registry")]
    NoRegistry(String),
    /// A file cannot be read or is not what it should be.
    #[error("{host}: {}: {reason}", .file.display())]
    File {
        /// Whose entry names it.
        host: String,
        /// The file.
        file: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// No HTTP client can be made.
    #[error("no HTTP client can be made: {0}")]
    Client(String),
}

impl HostSettings {
    /// An entry that says nothing.
    pub fn of(host: &str) -> Self {
        Self {
            host: host.to_owned(),
            plain_http: false,
            ca_file: None,
            client_certificate_file: None,
            mirrors: Vec::new(),
            token_issuers: Vec::new(),
            at_once: None,
        }
    }

    /// Reads the document with the entries (YAML or JSON: `registries: [{host: …}, …]`).
    ///
    /// # Errors
    /// When it has another shape.
    pub fn read(text: &str) -> Result<Vec<Self>, HostsError> {
        let Document { registries } = serde_saphyr::from_str(text).map_err(|error| HostsError::Document(error.to_string()))?;
        Ok(registries)
    }
}

/// One host, ready to be asked.
#[derive(Debug, Clone)]
pub(crate) struct Host {
    /// As in image references.
    pub(crate) name: String,
    /// Host and port that are connected to.
    pub(crate) authority: String,
    pub(crate) plain_http: bool,
    pub(crate) http: reqwest::Client,
    /// The way of the source that it is asked for, with what tells it apart.
    pub(crate) way: Option<(Arc<Transport>, [u8; 32])>,
    own: Option<Arc<Own>>,
    mirrors: Vec<(String, String)>,
    issuers: Vec<String>,
    pub(crate) permits: Arc<Semaphore>,
    pub(crate) at_once: usize,
    not_before: Arc<Mutex<Option<Instant>>>,
}

/// The certificates of a host's entry.
#[derive(Debug)]
struct Own {
    roots: Vec<Certificate>,
    identity: Option<Identity>,
}

impl Own {
    fn apply(&self, http: reqwest::ClientBuilder) -> reqwest::ClientBuilder {
        let http = http.tls_certs_merge(self.roots.iter().cloned());
        match &self.identity {
            Some(identity) => http.identity(identity.clone()),
            None => http,
        }
    }
}

impl Host {
    /// A host that nothing is said of.
    fn bare(name: &str, http: reqwest::Client, at_once: usize) -> Self {
        Self {
            name: name.to_owned(),
            authority: authority(name),
            plain_http: false,
            http,
            way: None,
            own: None,
            mirrors: Vec::new(),
            issuers: issuers(name, Vec::new()),
            permits: Arc::new(Semaphore::new(at_once)),
            at_once,
            not_before: Arc::default(),
        }
    }

    /// Whether it may be asked now.
    pub(crate) fn is_open(&self) -> Result<(), Error> {
        let mut not_before = self.not_before.lock();
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
        let mut not_before = self.not_before.lock();
        *not_before = Some(not_before.map_or(at, |held| held.max(at)));
    }

    /// What tells the way apart on which it is reached; `None` on its own.
    pub(crate) fn way(&self) -> Option<[u8; 32]> {
        self.way.as_ref().map(|(_, fingerprint)| *fingerprint)
    }

    pub(crate) fn scheme(&self) -> &'static str {
        if self.plain_http { "http" } else { "https" }
    }

    /// Whether a token issuer at that authority may see this host's credential.
    pub(crate) fn trusts(&self, authority: &str) -> bool {
        authority == self.authority || authority == self.name || self.issuers.iter().any(|issuer| issuer == authority)
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

/// What a way of a source to a host has for itself.
#[derive(Debug, Clone)]
struct Way {
    http: reqwest::Client,
    not_before: Arc<Mutex<Option<Instant>>>,
}

/// All hosts.
#[derive(Debug)]
pub struct Hosts {
    pub(crate) limits: Limits,
    plain: reqwest::Client,
    named: RwLock<HashMap<String, Arc<Host>>>,
    /// What there is for each way of a source to a host: a proxy that somebody names must not be able to
    /// shut the host for everybody else.
    ways: Cache<([u8; 32], String), Way>,
}

impl Hosts {
    /// Makes them of their entries; reads the files that these name.
    ///
    /// # Errors
    /// See [`HostsError`].
    pub fn new(settings: Vec<HostSettings>, limits: &Limits) -> Result<Self, HostsError> {
        let client = |builder: reqwest::ClientBuilder| builder.build().map_err(|error| HostsError::Client(error.to_string()));
        let plain = client(builder(limits))?;
        let mut hosts = BTreeMap::new();
        for entry in settings {
            let HostSettings { host: name, plain_http, ca_file, client_certificate_file, mirrors, token_issuers, at_once } = entry;
            let name = host_name(&name)?;
            let roots = match &ca_file {
                Some(file) => transport::roots(&read(&name, file)?).ok_or_else(|| bad(&name, file, "no PEM certificate is in it"))?,
                None => Vec::new(),
            };
            let identity = match &client_certificate_file {
                Some(file) => Some(
                    Identity::from_pem(&read(&name, file)?).map_err(|_| bad(&name, file, "no PEM certificate with its key is in it"))?,
                ),
                None => None,
            };
            let own = (ca_file.is_some() || identity.is_some()).then(|| Arc::new(Own { roots, identity }));
            let host = Host {
                http: match &own {
                    Some(own) => client(own.apply(builder(limits)))?,
                    None => plain.clone(),
                },
                plain_http,
                own,
                mirrors: mirrors.iter().map(|mirror| mirror_place(mirror)).collect::<Result<_, _>>()?,
                issuers: issuers(&name, token_issuers),
                ..Host::bare(&name, plain.clone(), at_once.unwrap_or(AT_ONCE).clamp(1, 1024))
            };
            if hosts.insert(name.clone(), Arc::new(host)).is_some() {
                return Err(HostsError::Twice(name));
            }
        }
        let (capacity, idle) = WAYS;
        let ways = Cache::builder().max_capacity(capacity).time_to_idle(idle).build();
        Ok(Self { limits: limits.clone(), plain, named: RwLock::new(hosts.into_iter().collect()), ways })
    }

    /// The host of that name.
    pub(crate) fn get(&self, name: &str) -> Arc<Host> {
        if let Some(host) = self.named.read().get(name) {
            return Arc::clone(host);
        }
        let make = || Arc::new(Host::bare(name, self.plain.clone(), AT_ONCE));
        Arc::clone(self.named.write().entry(name.to_owned()).or_insert_with(make))
    }

    /// The host of that name on the way that a source says.
    pub(crate) async fn reach(&self, name: &str, transport: Option<&Arc<Transport>>) -> Result<Arc<Host>, Error> {
        let host = self.get(name);
        let Some(transport) = transport else { return Ok(host) };
        let fingerprint = transport.fingerprint();
        let Way { http, not_before } = if transport.is_own() {
            let key = (fingerprint, host.name.clone());
            let make = async {
                let below = match &host.own {
                    Some(own) => own.apply(builder(&self.limits)),
                    None => builder(&self.limits),
                };
                transport.build(below).map(|http| Way { http, not_before: Arc::default() })
            };
            self.ways.try_get_with(key, make).await.map_err(|words| Error::new(Class::Denied, name, *words))?
        } else {
            Way { http: host.http.clone(), not_before: Arc::clone(&host.not_before) }
        };
        let way = Some((Arc::clone(transport), fingerprint));
        Ok(Arc::new(Host { http, not_before, way, plain_http: host.plain_http || transport.plain_http, ..Host::clone(&host) }))
    }
}

fn builder(limits: &Limits) -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .user_agent(concat!("headwind/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(limits.connect)
        .timeout(limits.request)
        // Each step is looked at: see `ask`.
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
}

fn authority(name: &str) -> String {
    AUTHORITIES.iter().find(|(host, _)| *host == name).map_or(name, |(_, authority)| authority).to_owned()
}

fn issuers(name: &str, mut set: Vec<String>) -> Vec<String> {
    set.extend(ISSUERS.iter().filter(|(host, _)| *host == name).map(|(_, issuer)| (*issuer).to_owned()));
    set
}

/// Normalised as the reference parser does it.
fn host_name(text: &str) -> Result<String, HostsError> {
    let key = RepositoryKey::from_parts(text, "x/x").map_err(|_| HostsError::NoRegistry(text.to_owned()))?;
    Ok(key.registry().to_owned())
}

fn mirror_place(text: &str) -> Result<(String, String), HostsError> {
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
