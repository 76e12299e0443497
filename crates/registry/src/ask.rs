//! One query to a registry: mirrors, credentials in their order, the challenge of a 401, redirects, limits and waits.
//!
//! ```text
//! places (mirrors, then the registry) ─> credentials ─> send ─┬─ 401: challenge ─> token ─> send again
//!                                                             ├─ 3xx: elsewhere, without the credential
//!                                                             └─ 429, 5xx: hold the host
//! ```
//!
//! If several credentials match, Headwind first tries the one that worked last time. A keyring returns a limited number
//! of credentials for a place. The scheme of a place is cached, so that a poll without changes costs one request and not
//! two.

use std::sync::Arc;
use std::time::{Duration, Instant};

use headwind_core::artifact::reference::RepositoryKey;
use moka::future::Cache;
use reqwest::header::{ACCEPT, HeaderValue, IF_NONE_MATCH};
use reqwest::{StatusCode, Url};

use crate::challenge::{self, Scheme};
use crate::credential::cloud::Exchange;
use crate::credential::{Credential, Keyring};
use crate::error::{Class, Error};
use crate::fingerprint::Fingerprint;
use crate::host::Host;
use crate::hosts::Hosts;
use crate::question::Question;
use crate::route::Route;
use crate::rules::Refusal;
use crate::send::{Answer, follow, take};
use crate::status::{classify, denied, unauthorized};
use crate::token::{ENTRY, Tokens, basic_header};
use crate::turns::Turns;

/// Maximum number of requests for one query with one credential: without proof, with a cached token, with a fresh
/// token.
const SENDS: usize = 3;
/// Size in bytes of the cache of schemes and credentials, and how long an entry is kept after its last use.
const REMEMBERED: (u64, Duration) = (16 * 1024 * 1024, Duration::from_hours(24));

/// The client. Cheap to share between many tasks.
pub struct Client {
    pub(crate) hosts: Hosts,
    pub(crate) tokens: Tokens,
    pub(crate) turns: Turns,
    clouds: Vec<Credential>,
    exchanges: Vec<Arc<dyn Exchange>>,
    /// The scheme of each place, by transport: what answers through a tenant's proxy must not decide where other users'
    /// credentials are sent.
    schemes: Cache<(RepositoryKey, Option<Fingerprint>), Scheme>,
    /// The credential that worked, if several match.
    right: Cache<(RepositoryKey, Fingerprint), Credential>,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

impl Client {
    /// Creates a client for these hosts. If no pull secret matches, it gets a login from the clouds.
    pub fn new(hosts: Hosts, exchanges: Vec<Arc<dyn Exchange>>) -> Self {
        let (capacity, idle) = REMEMBERED;
        Self {
            hosts,
            tokens: Tokens::default(),
            turns: Turns::default(),
            clouds: exchanges.iter().map(|exchange| Credential::cloud(Arc::clone(exchange))).collect(),
            exchanges,
            schemes: Cache::builder()
                .weigher(|(place, _): &(RepositoryKey, _), scheme: &Scheme| weight(place, scheme.size()))
                .max_capacity(capacity)
                .time_to_idle(idle)
                .build(),
            right: Cache::builder()
                .weigher(|(place, _): &(RepositoryKey, _), _| weight(place, 0))
                .max_capacity(capacity)
                .time_to_idle(idle)
                .build(),
        }
    }

    /// Returns the maximum number of concurrent requests for each lane to a host.
    pub fn at_once(&self, host: &str) -> usize {
        self.hosts.get(host).traffic.at_once
    }

    /// Returns the hosts that stated a remaining quota which is still valid, and the number of requests that each still
    /// allows. The number of hosts is bounded.
    pub fn quotas(&self) -> Vec<(String, u64)> {
        self.hosts.quotas.all(Instant::now())
    }

    /// Returns a fingerprint of how a keyring accesses a repository. Two keyrings with the same fingerprint see the
    /// same. Valid in this process only.
    pub fn access(&self, repository: &RepositoryKey, keyring: &Keyring) -> Fingerprint {
        let mut parts: Vec<Fingerprint> = Vec::new();
        let mut places = self.hosts.get(repository.registry()).at_mirrors(repository);
        places.push(repository.clone());
        for place in places {
            // The administrator configures how mirrors are reached.
            let route = if place == *repository { keyring.route() } else { Route::Administrator };
            parts.extend(self.credentials(&place, &route, keyring).iter().map(Credential::fingerprint));
            // Marks the end of a place.
            parts.push(Fingerprint::default());
        }
        parts.extend(keyring.transport().map(|way| way.fingerprint()));
        Fingerprint::of(parts.iter().map(AsRef::as_ref))
    }

    /// Returns the credentials for a place, in their order: those of the keyring, else the logins of the clouds if the
    /// route may carry them.
    fn credentials(&self, place: &RepositoryKey, route: &Route, keyring: &Keyring) -> Vec<Credential> {
        let found = keyring.lookup(place);
        if !found.is_empty() || !route.carries_own_identity() {
            return found;
        }
        let serving = self.exchanges.iter().zip(&self.clouds).filter(|(exchange, _)| exchange.serves(place.registry()));
        serving.map(|(_, credential)| credential.clone()).collect()
    }

    /// Queries the mirrors, then the registry itself. Skips a mirror that fails.
    pub(crate) async fn ask(&self, repository: &RepositoryKey, keyring: &Keyring, question: &Question<'_>) -> Result<Answer, Error> {
        let refused = |refusal: Refusal| refusal.of(repository.registry());
        self.hosts.guard.allow(repository.registry()).map_err(refused)?;
        for place in self.hosts.get(repository.registry()).at_mirrors(repository) {
            // The transport of the source applies to the registry itself.
            let host = self.hosts.get(place.registry());
            match self.ask_place(&host, &place, keyring, question).await {
                Ok(answer) => return Ok(answer),
                Err(error) => {
                    tracing::debug!(registry.host = place.registry(), class = error.class.as_str(), "mirror skipped: {error}");
                }
            }
        }
        let host = self.hosts.reach(repository.registry(), keyring.transport()).await?;
        self.ask_place(&host, repository, keyring, question).await
    }

    /// Tries the credentials in their order, or none if none matches.
    async fn ask_place(&self, host: &Host, place: &RepositoryKey, keyring: &Keyring, question: &Question<'_>) -> Result<Answer, Error> {
        let mut credentials = self.credentials(place, &host.route, keyring);
        if credentials.len() < 2 {
            return self.ask_with(host, place, credentials.first(), question).await;
        }
        let all: Vec<Fingerprint> = credentials.iter().map(Credential::fingerprint).collect();
        let all = Fingerprint::of(all.iter().map(AsRef::as_ref));
        let remembered = (place.clone(), all);
        if let Some(right) = self.right.get(&remembered).await {
            credentials.sort_by_key(|credential| *credential != right);
        }
        let mut last = None;
        for credential in &credentials {
            match self.ask_with(host, place, Some(credential), question).await {
                Ok(answer) => {
                    self.right.insert(remembered, credential.clone()).await;
                    return Ok(answer);
                }
                // Some registries answer 404 for what a credential may not see.
                Err(error) if matches!(error.class, Class::Denied | Class::NotFound) => last = Some(error),
                Err(error) => return Err(error),
            }
        }
        Err(last.unwrap_or_else(|| Error::new(Class::Denied, &host.name, "no credential")))
    }

    async fn ask_with(
        &self,
        host: &Host,
        place: &RepositoryKey,
        credential: Option<&Credential>,
        question: &Question<'_>,
    ) -> Result<Answer, Error> {
        let url = format!("{}://{}/v2/{}/{}", host.scheme(), host.authority, place.path(), question.tail);
        let url = Url::parse(&url).map_err(|_| Error::new(Class::Refused, &host.name, "the reference gives no valid URL"))?;
        let remembered = (place.clone(), host.transport());
        let mut scheme = self.schemes.get(&remembered).await;
        let mut answer = None;
        for _ in 0..SENDS {
            let Authorization { header, last_try, fell_back } = self.authorize(host, scheme.as_ref(), credential).await?;
            let sent = self.send(host, &url, header.as_ref(), question).await?;
            if sent.status != StatusCode::UNAUTHORIZED {
                if fell_back {
                    self.schemes.insert(remembered, Scheme::Basic).await;
                }
                answer = Some(sent);
                break;
            }
            if let Some(Scheme::Bearer { bearer, .. }) = &scheme {
                self.tokens.forget(host, bearer, credential).await;
            }
            // The challenge of another host does not apply to this host.
            let demanded = challenge::read(&sent.headers).filter(|_| host.elsewhere(&sent.url).is_none());
            let is_new = |demanded: &Scheme| !last_try || scheme.as_ref() != Some(demanded);
            let can_be_met = |demanded: &Scheme| credential.is_some() || *demanded != Scheme::Basic;
            let Some(demanded) = demanded.filter(|demanded| is_new(demanded) && can_be_met(demanded)) else {
                return Err(unauthorized(host, &sent, credential, header.is_some()));
            };
            self.schemes.insert(remembered.clone(), demanded.clone()).await;
            scheme = Some(demanded);
        }
        let answer = answer.ok_or_else(|| denied(host, "it keeps requesting authentication"))?;
        classify(host, &answer, question, credential).map(|()| answer)
    }

    /// Returns the authorization of a request for a scheme.
    async fn authorize(&self, host: &Host, scheme: Option<&Scheme>, credential: Option<&Credential>) -> Result<Authorization, Error> {
        let with = |header, last_try| Authorization { header, last_try, fell_back: false };
        match (scheme, credential) {
            (None, _) => Ok(with(None, false)),
            (Some(Scheme::Basic), None) => Ok(with(None, true)),
            (Some(Scheme::Basic), Some(credential)) => Ok(with(Some(self.basic(host, credential).await?), true)),
            (Some(Scheme::Bearer { bearer, or_basic }), _) => {
                match (self.tokens.token(&self.hosts, host, bearer, credential).await, credential) {
                    (Ok((token, fresh)), _) => Ok(with(Some(token), fresh)),
                    // The registry itself may accept what the issuer rejects.
                    (Err(error), Some(credential)) if *or_basic && error.class == Class::Denied => {
                        let header = self.basic(host, credential).await.map_err(|_| error)?;
                        Ok(Authorization { fell_back: true, ..with(Some(header), true) })
                    }
                    (Err(error), _) => Err(error),
                }
            }
        }
    }

    async fn basic(&self, host: &Host, credential: &Credential) -> Result<HeaderValue, Error> {
        match self.tokens.login(host, credential).await? {
            Some(login) => basic_header(host, &login),
            None => Err(denied(host, "it requires a user name and a password, but the credential is a token")),
        }
    }

    /// Sends one request and reads the response.
    async fn send(&self, host: &Host, url: &Url, authorization: Option<&HeaderValue>, question: &Question<'_>) -> Result<Answer, Error> {
        let _permit = host.traffic.permits.acquire().await;
        host.is_open()?;
        let asked = |client: &reqwest::Client, at: &Url| {
            let request = client.request(question.method.clone(), at.clone()).header(ACCEPT, question.accept);
            match question.etag {
                Some(etag) => request.header(IF_NONE_MATCH, etag),
                None => request,
            }
        };
        let response = follow(host, url, asked, authorization, false).await?;
        take(host, response, question.largest).await
    }
}

/// The authorization of a request.
struct Authorization {
    header: Option<HeaderValue>,
    /// There is no better authorization for the same scheme.
    last_try: bool,
    /// A user name and a password, used instead of a token.
    fell_back: bool,
}

fn weight(place: &RepositoryKey, texts: usize) -> u32 {
    u32::try_from(ENTRY + place.registry().len() + place.path().len() + texts).unwrap_or(u32::MAX)
}
