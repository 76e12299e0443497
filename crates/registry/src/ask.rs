//! One question to a registry, with everything that stands between it and the answer: mirrors,
//! credentials in their order, the challenge of a 401, redirects, caps, waits.
//!
//! ```text
//! places (mirrors, then the registry) ─> credentials ─> send ─┬─ 401: challenge ─> token ─> send again
//!                                                             ├─ 3xx: elsewhere, without the credential
//!                                                             └─ 429, 5xx: hold the host
//! ```
//!
//! Where several credentials match, the one that was right last time is tried first. How a place
//! wants to be asked is remembered, so that a quiet cycle is one request and not two.

use std::sync::Arc;
use std::time::Duration;

use headwind_core::artifact::reference::RepositoryKey;
use moka::future::Cache;
use reqwest::header::{ACCEPT, HeaderValue, IF_NONE_MATCH};
use reqwest::{StatusCode, Url};
use sha2::{Digest as _, Sha256};

use crate::challenge::{self, Scheme};
use crate::credential::cloud::Exchange;
use crate::credential::{Credential, Keyring};
use crate::error::{Class, Error};
use crate::host::Host;
use crate::hosts::Hosts;
use crate::question::Question;
use crate::route::Route;
use crate::rules::Refusal;
use crate::send::{Answer, follow, take};
use crate::status::{classify, denied, unauthorized};
use crate::token::{ENTRY, Tokens, basic_header};
use crate::turns::Turns;

/// Sends of one question with one credential: unproven, with a token that is kept, with a fresh one.
const SENDS: usize = 3;
/// The bytes of what is remembered of places, and for how long after their last use.
const REMEMBERED: (u64, Duration) = (16 * 1024 * 1024, Duration::from_hours(24));

/// The client. Cheap to ask from many tasks at once.
pub struct Client {
    pub(crate) hosts: Hosts,
    pub(crate) tokens: Tokens,
    pub(crate) turns: Turns,
    clouds: Vec<Credential>,
    exchanges: Vec<Arc<dyn Exchange>>,
    /// How a place wants to be asked, by the way it is reached: what answers through somebody's
    /// proxy must not say where the others' credentials go.
    schemes: Cache<(RepositoryKey, Option<[u8; 32]>), Scheme>,
    /// Which of several credentials was right.
    right: Cache<(RepositoryKey, [u8; 32]), Credential>,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

impl Client {
    /// A client of these hosts. Where no pull secret matches, the clouds are asked for a login.
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

    /// How many requests each lane to a host takes at once.
    pub fn at_once(&self, host: &str) -> usize {
        self.hosts.get(host).traffic.at_once
    }

    /// What tells apart the ways in which a repository may be asked about with keyrings: two
    /// with the same answer see the same. Good for this process only.
    pub fn access(&self, repository: &RepositoryKey, keyring: &Keyring) -> [u8; 32] {
        let mut hash = Sha256::new();
        let mut places = self.hosts.get(repository.registry()).at_mirrors(repository);
        places.push(repository.clone());
        for place in places {
            // Mirrors are reached as the administrator says.
            let route = if place == *repository { keyring.route() } else { Route::Administrator };
            for credential in self.credentials(&place, &route, keyring) {
                hash.update(credential.fingerprint());
            }
            hash.update([0]);
        }
        if let Some(way) = keyring.transport() {
            hash.update(way.fingerprint());
        }
        hash.finalize().into()
    }

    /// The credentials for a place, in their order: those of the keyring, else the cloud's logins where the route may
    /// carry them.
    fn credentials(&self, place: &RepositoryKey, route: &Route, keyring: &Keyring) -> Vec<Credential> {
        let found = keyring.lookup(place);
        if !found.is_empty() || !route.carries_own_identity() {
            return found;
        }
        let serving = self.exchanges.iter().zip(&self.clouds).filter(|(exchange, _)| exchange.serves(place.registry()));
        serving.map(|(_, credential)| credential.clone()).collect()
    }

    /// Asks the mirrors, then the registry itself. A mirror that has no answer is passed over.
    pub(crate) async fn ask(&self, repository: &RepositoryKey, keyring: &Keyring, question: &Question<'_>) -> Result<Answer, Error> {
        let refused = |refusal: Refusal| refusal.of(repository.registry());
        self.hosts.guard.allow(repository.registry()).map_err(refused)?;
        for place in self.hosts.get(repository.registry()).at_mirrors(repository) {
            // The transport is that of the source itself.
            let host = self.hosts.get(place.registry());
            match self.ask_place(&host, &place, keyring, question).await {
                Ok(answer) => return Ok(answer),
                Err(error) => {
                    tracing::debug!(registry.host = place.registry(), class = error.class.as_str(), "mirror passed over: {error}");
                }
            }
        }
        let host = self.hosts.reach(repository.registry(), keyring.transport()).await?;
        self.ask_place(&host, repository, keyring, question).await
    }

    /// Tries the credentials in their order; none at all where none matches.
    async fn ask_place(&self, host: &Host, place: &RepositoryKey, keyring: &Keyring, question: &Question<'_>) -> Result<Answer, Error> {
        let mut credentials = self.credentials(place, &host.route, keyring);
        if credentials.len() < 2 {
            return self.ask_with(host, place, credentials.first(), question).await;
        }
        let all: [u8; 32] = {
            let mut hash = Sha256::new();
            for credential in &credentials {
                hash.update(credential.fingerprint());
            }
            hash.finalize().into()
        };
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
                // Some registries hide what a credential may not see.
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
        let url = Url::parse(&url).map_err(|_| Error::new(Class::Refused, &host.name, "no address can be made of the reference"))?;
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
            // What another host demands is not this host's word.
            let demanded = challenge::read(&sent.headers).filter(|_| host.elsewhere(&sent.url).is_none());
            let is_new = |demanded: &Scheme| !last_try || scheme.as_ref() != Some(demanded);
            let can_be_met = |demanded: &Scheme| credential.is_some() || *demanded != Scheme::Basic;
            let Some(demanded) = demanded.filter(|demanded| is_new(demanded) && can_be_met(demanded)) else {
                return Err(unauthorized(host, &sent, credential, header.is_some()));
            };
            self.schemes.insert(remembered.clone(), demanded.clone()).await;
            scheme = Some(demanded);
        }
        let answer = answer.ok_or_else(|| denied(host, "it keeps asking for another proof"))?;
        classify(host, &answer, question, credential).map(|()| answer)
    }

    /// What a request carries for a scheme.
    async fn authorize(&self, host: &Host, scheme: Option<&Scheme>, credential: Option<&Credential>) -> Result<Authorization, Error> {
        let with = |header, last_try| Authorization { header, last_try, fell_back: false };
        match (scheme, credential) {
            (None, _) => Ok(with(None, false)),
            (Some(Scheme::Basic), None) => Ok(with(None, true)),
            (Some(Scheme::Basic), Some(credential)) => Ok(with(Some(self.basic(host, credential).await?), true)),
            (Some(Scheme::Bearer { bearer, or_basic }), _) => {
                match (self.tokens.token(&self.hosts, host, bearer, credential).await, credential) {
                    (Ok((token, fresh)), _) => Ok(with(Some(token), fresh)),
                    // The issuer refuses what the registry itself may take.
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
            None => Err(denied(host, "it wants a user name and a password, and the credential is a token")),
        }
    }

    /// Sends once and reads what comes back.
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

/// What a request carries.
struct Authorization {
    header: Option<HeaderValue>,
    /// Nothing better is to be had for the same scheme.
    last_try: bool,
    /// It is a user name and a password in place of a token.
    fell_back: bool,
}

fn weight(place: &RepositoryKey, texts: usize) -> u32 {
    u32::try_from(ENTRY + place.registry().len() + place.path().len() + texts).unwrap_or(u32::MAX)
}
