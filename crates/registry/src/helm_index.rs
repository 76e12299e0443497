//! Reads the index of a classic chart repository, once for all charts that are followed.
//!
//! The poller, discovery and `headwind check` call [`Client::index`]. It sends one conditional GET. The body is parsed
//! while it arrives (a bounded channel to a blocking thread), and only the wanted charts are kept: an index of 50 MB
//! costs no more memory than these charts. The credential is sent with the first request, as Helm does it, and only to
//! the repository's own origin.
//!
//! ```text
//! host (permits, not before) ─> GET ─┬─ 304: as it was
//!                                    ├─ 200: pieces ─> chars ─> walk ─> the wanted charts
//!                                    └─ else: the classes of `ask`
//! ```

mod chars;
mod share;
mod walk;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use headwind_core::artifact::chart::ChartRepository;
use jiff::Timestamp;
use reqwest::header::{ACCEPT, ETAG, HeaderMap, HeaderName, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED};
use reqwest::{Response, StatusCode, Url};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::ask::Client;
use crate::client::ETAG as VALIDATOR;
use crate::credential::Keyring;
use crate::error::{Class, Error};
use crate::fingerprint::Fingerprint;
use crate::host::Host;
use crate::send;
use crate::status::denied;
use crate::token::basic_header;
use share::Share;
use walk::{Found, Unreadable};

/// Maximum size of an index, decompressed. The default of Flux is 50 MiB.
const LARGEST: u64 = 256 * 1024 * 1024;
/// Maximum number of versions kept of one index, for all charts together.
const VERSIONS: usize = 50_000;
/// Maximum number of bytes kept of one index.
const BYTES: usize = 10_000_000;
/// Maximum number of body chunks that wait for the parser.
const AHEAD: usize = 4;

/// One version of a chart in the index.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChartVersion {
    /// The version as written in the index.
    pub version: String,
    /// The version of the application that the chart installs.
    pub app_version: Option<String>,
    /// True if the chart's maintainers have deprecated it.
    pub deprecated: bool,
    /// When the version was added to the repository.
    pub created: Option<Timestamp>,
    /// The archive's SHA-256.
    pub digest: Option<String>,
    /// The URL of the archive: absolute, or relative to the repository.
    pub url: Option<String>,
}

impl ChartVersion {
    /// Returns its approximate size in memory, in bytes.
    fn size(&self) -> usize {
        let Self { version, app_version, deprecated: _, created: _, digest, url } = self;
        size_of::<Self>() + version.len() + [app_version, digest, url].into_iter().flatten().map(String::len).sum::<usize>()
    }
}

/// The wanted charts of an index. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Index {
    /// The charts, each with its versions in the order of the index. A chart that the index lacks has none.
    pub charts: BTreeMap<String, Arc<[ChartVersion]>>,
    /// Number of invalid entries of these charts that were skipped.
    pub skipped: usize,
    repository: ChartRepository,
    validator: Option<Validator>,
    unchanged: bool,
}

/// The validator that a repository sends with an index.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Validator {
    Etag(String),
    Modified(String),
}

impl Index {
    /// Returns the versions of a chart in the order of the index, each once.
    pub fn versions(&self, chart: &str) -> impl Iterator<Item = &ChartVersion> {
        self.charts.get(chart).into_iter().flat_map(|versions| versions.iter())
    }

    /// Returns true if the repository has the chart.
    pub fn has(&self, chart: &str) -> bool {
        self.charts.get(chart).is_some_and(|versions| !versions.is_empty())
    }

    /// Returns true if the repository answered that the index is unchanged (304).
    pub fn is_unchanged(&self) -> bool {
        self.unchanged
    }

    /// Returns true if caching the index saves work next time.
    pub fn is_worth_keeping(&self) -> bool {
        self.validator.is_some()
    }

    /// Returns its approximate size in memory, in bytes.
    pub fn size(&self) -> usize {
        self.charts.values().flat_map(|versions| versions.iter()).map(ChartVersion::size).sum()
    }

    /// Returns true if this copy covers these charts, so that a 304 suffices.
    fn answers(&self, repository: &ChartRepository, wanted: &BTreeSet<String>) -> bool {
        self.repository == *repository && wanted.iter().all(|chart| self.charts.contains_key(chart))
    }

    fn still(&self, wanted: &BTreeSet<String>) -> Self {
        let charts = self.charts.iter().filter(|(chart, _)| wanted.contains(*chart));
        let charts = charts.map(|(chart, versions)| (chart.clone(), Arc::clone(versions))).collect();
        Self { charts, unchanged: true, ..self.clone() }
    }
}

impl Validator {
    fn of(headers: &HeaderMap) -> Option<Self> {
        let short = |name| headers.get(name).filter(|value| value.len() <= VALIDATOR);
        let text = |name| short(name).and_then(|value| value.to_str().ok()).map(ToOwned::to_owned);
        text(ETAG).map(Self::Etag).or_else(|| text(LAST_MODIFIED).map(Self::Modified))
    }

    fn header(&self) -> (HeaderName, &str) {
        match self {
            Self::Etag(tag) => (IF_NONE_MATCH, tag),
            Self::Modified(date) => (IF_MODIFIED_SINCE, date),
        }
    }
}

impl Client {
    /// Returns the wanted charts of the repository's index. `known` is revalidated with its `ETag` or date, if it
    /// covers all wanted charts.
    ///
    /// # Errors
    /// If the index cannot be fetched or parsed.
    pub async fn index(
        &self,
        repository: &ChartRepository,
        wanted: &BTreeSet<String>,
        keyring: &Keyring,
        known: Option<&Index>,
    ) -> Result<Index, Error> {
        self.hosts.guard.allow(repository.host()).map_err(|refusal| refusal.of(repository.host()))?;
        let host = self.hosts.reach(repository.host(), keyring.transport()).await?;
        let url = Url::parse(&repository.index());
        let url = url.map_err(|_| Error::new(Class::Refused, &host.name, "the repository's address is not a valid URL"))?;
        let authorization = match keyring.of_host(repository.host()) {
            Some(credential) => self.tokens.login(&host, credential).await?.map(|login| basic_header(&host, &login)).transpose()?,
            None => None,
        };
        let known = known.filter(|known| known.answers(repository, wanted));
        let condition = known.and_then(|known| known.validator.as_ref()).map(Validator::header);
        let whole = self.hosts.timeouts.index;
        let asked = |client: &reqwest::Client, at: &Url| {
            // The total timeout is enforced here, including redirects.
            let request = client.get(at.clone()).timeout(whole * 2).header(ACCEPT, "application/yaml, application/json;q=0.9, */*;q=0.8");
            match &condition {
                Some((name, value)) => request.header(name, *value),
                None => request,
            }
        };
        let passed_on = keyring.transport().is_some_and(|way| way.pass_credentials);
        let mut came = 0;
        let answer = async {
            let silence = self.hosts.timeouts.request;
            let response = timeout(silence, send::follow(&host, &url, asked, authorization.as_ref(), passed_on)).await;
            let response = response.map_err(|_| too_slow(&host, &format!("did not start within {silence:?}"), 0))??;
            match (response.status(), known) {
                (StatusCode::OK, _) => self.read(&host, repository, response, wanted, &mut came).await,
                (StatusCode::NOT_MODIFIED, Some(known)) if condition.is_some() => {
                    send::heed(&host, response.url(), response.headers(), Timestamp::now());
                    Ok(known.still(wanted))
                }
                _ => Err(refusal(&host, response, authorization.is_some()).await),
            }
        };
        let _permit = host.traffic.permits.acquire().await;
        host.is_open()?;
        match timeout(whole, answer).await {
            Ok(answer) => answer,
            Err(_) => Err(too_slow(&host, &format!("was not complete within {whole:?}"), came)),
        }
    }

    /// Returns a fingerprint of how a keyring accesses a chart repository; see [`access`](Self::access).
    pub fn index_access(&self, repository: &ChartRepository, keyring: &Keyring) -> Fingerprint {
        let credential = keyring.of_host(repository.host()).map(crate::Credential::fingerprint).unwrap_or_default();
        let transport = keyring.transport().map(|way| way.fingerprint()).unwrap_or_default();
        Fingerprint::of([credential.as_ref(), transport.as_ref()])
    }

    /// Feeds the parser while the body arrives.
    async fn read(
        &self,
        host: &Host,
        repository: &ChartRepository,
        mut response: Response,
        wanted: &BTreeSet<String>,
        came: &mut u64,
    ) -> Result<Index, Error> {
        send::heed(host, response.url(), response.headers(), Timestamp::now());
        let validator = Validator::of(response.headers());
        let (pieces, arriving) = mpsc::channel(AHEAD);
        let sought = wanted.clone();
        let share = Share::new(&self.turns, tokio::runtime::Handle::current(), self.hosts.budget.reader());
        let reading = tokio::task::spawn_blocking(move || walk::read(arriving, &sought, share));
        let silence = self.hosts.timeouts.request;
        loop {
            let piece = timeout(silence, response.chunk()).await;
            let piece = piece.map_err(|_| too_slow(host, &format!("sent no data for {silence:?}"), *came))?;
            let Some(piece) = piece.map_err(|error| Error::of_transport(&host.name, error))? else { break };
            *came += piece.len() as u64;
            if *came > LARGEST {
                return Err(Error::new(Class::Refused, &host.name, format!("its index is larger than {} MiB", LARGEST >> 20)));
            }
            // The channel is closed: the parser has failed.
            if pieces.send(piece.into()).await.is_err() {
                break;
            }
        }
        drop(pieces);
        let read = reading.await.map_err(|_| Error::new(Class::Broken, &host.name, "its index could not be read"))?;
        let Found { charts, skipped } = read.map_err(|error| {
            let class = match error {
                Unreadable::Page | Unreadable::Syntax(_) | Unreadable::NoEntries => Class::Broken,
                Unreadable::TooLong(_) | Unreadable::Anchors | Unreadable::TooMany | Unreadable::TooLarge | Unreadable::NoRoom(_) => {
                    Class::Refused
                }
            };
            Error::new(class, &host.name, error.to_string())
        })?;
        let charts = charts.into_iter().map(|(chart, versions)| (chart, versions.into())).collect();
        Ok(Index { charts, skipped, repository: repository.clone(), validator, unchanged: false })
    }
}

/// Returns the error for a response without an index.
async fn refusal(host: &Host, response: Response, proven: bool) -> Error {
    let (status, elsewhere) = (response.status(), host.elsewhere(response.url()));
    if !status.is_success()
        && let Err(error) = send::take(host, response, 0).await
    {
        return error;
    }
    let (code, status) = (status, status.as_u16());
    let error = match code {
        StatusCode::UNAUTHORIZED if proven && elsewhere.is_some() => {
            denied(host, &format!("it requires a credential, but a credential is sent only to its own host ({status})"))
        }
        StatusCode::UNAUTHORIZED if proven => denied(host, &format!("it rejected the credential ({status})")),
        StatusCode::UNAUTHORIZED => denied(host, &format!("it requires a credential, and none is configured for it ({status})")),
        StatusCode::FORBIDDEN if proven => denied(
            host,
            &format!("it denied access to its index with this credential ({status}); the password lacks the permission or has expired"),
        ),
        StatusCode::FORBIDDEN => denied(host, &format!("it denied access to its index without a credential ({status})")),
        StatusCode::PROXY_AUTHENTICATION_REQUIRED => denied(host, &format!("the proxy in front of it rejected the login ({status})")),
        StatusCode::NOT_FOUND | StatusCode::GONE => {
            Error::new(Class::NotFound, &host.name, format!("there is no index.yaml: it is not a chart repository ({status})"))
        }
        _ => Error::new(Class::Broken, &host.name, format!("it returned something other than its index ({status})")),
    };
    error.reported_by(elsewhere)
}

fn too_slow(host: &Host, what: &str, came: u64) -> Error {
    Error::new(Class::TimedOut, &host.name, format!("its index {what} ({} kB received)", came / 1000))
}
