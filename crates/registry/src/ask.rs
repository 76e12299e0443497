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

use headwind_core::reference::RepositoryKey;
use jiff::Timestamp;
use moka::future::Cache;
use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderValue, IF_NONE_MATCH, LOCATION};
use reqwest::{Method, RequestBuilder, Response, StatusCode, Url};
use sha2::{Digest as _, Sha256};

use crate::challenge::{self, Scheme};
use crate::credential::cloud::Exchange;
use crate::credential::{Credential, Keyring};
use crate::error::{Class, Error};
use crate::host::{Host, Hosts};
use crate::throttle;
use crate::token::{Tokens, basic_header};

/// Redirects that are followed.
const REDIRECTS: usize = 5;
/// As much of a refusal as is read.
const REFUSAL: usize = 16 * 1024;
/// Sends of one question with one credential: unproven, with a token that is kept, with a fresh one.
const SENDS: usize = 3;
/// How many places are remembered, and for how long after their last use.
const REMEMBERED: (u64, Duration) = (50_000, Duration::from_hours(24));
/// The codes that a registry's refusal may have (distribution-spec "Error Codes", and those of its
/// token issuers); no other word of it is repeated.
const CODES: &[&str] = &[
    "UNAUTHORIZED",
    "DENIED",
    "NAME_UNKNOWN",
    "NAME_INVALID",
    "MANIFEST_UNKNOWN",
    "MANIFEST_INVALID",
    "TOOMANYREQUESTS",
    "UNSUPPORTED",
    "PAGINATION_NUMBER_INVALID",
];

/// The client. Cheap to ask from many tasks at once.
pub struct Client {
    pub(crate) hosts: Hosts,
    pub(crate) tokens: Tokens,
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

/// What is asked of a repository.
pub(crate) struct Question<'a> {
    pub(crate) method: Method,
    /// The path behind `/v2/<repository>/`, with its query.
    pub(crate) tail: &'a str,
    pub(crate) accept: &'static str,
    pub(crate) etag: Option<&'a str>,
    /// The largest body.
    pub(crate) largest: usize,
}

/// What came back.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
    /// Who answered in the end.
    pub(crate) url: Url,
}

impl Client {
    /// A client of these hosts. Where no pull secret matches, the clouds are asked for a login.
    pub fn new(hosts: Hosts, exchanges: Vec<Arc<dyn Exchange>>) -> Self {
        let (capacity, idle) = REMEMBERED;
        Self {
            hosts,
            tokens: Tokens::default(),
            clouds: exchanges.iter().map(|exchange| Credential::cloud(Arc::clone(exchange))).collect(),
            exchanges,
            schemes: Cache::builder().max_capacity(capacity).time_to_idle(idle).build(),
            right: Cache::builder().max_capacity(capacity).time_to_idle(idle).build(),
        }
    }

    /// How many requests a host takes at once.
    pub fn at_once(&self, host: &str) -> usize {
        self.hosts.get(host).at_once
    }

    /// What tells apart the ways in which a repository may be asked about with keyrings: two
    /// with the same answer see the same. Good for this process only.
    pub fn access(&self, repository: &RepositoryKey, keyring: &Keyring) -> [u8; 32] {
        let mut hash = Sha256::new();
        for place in self.places(repository) {
            for credential in self.credentials(&place, keyring) {
                hash.update(credential.fingerprint());
            }
            hash.update([0]);
        }
        if let Some(way) = keyring.transport() {
            hash.update(way.fingerprint());
        }
        hash.finalize().into()
    }

    /// The mirrors' places, then the repository itself.
    fn places(&self, repository: &RepositoryKey) -> Vec<RepositoryKey> {
        let mut places = self.hosts.get(repository.registry()).at_mirrors(repository);
        places.push(repository.clone());
        places
    }

    fn credentials(&self, place: &RepositoryKey, keyring: &Keyring) -> Vec<Credential> {
        let found = keyring.lookup(place);
        if !found.is_empty() {
            return found;
        }
        let serving = self.exchanges.iter().zip(&self.clouds).filter(|(exchange, _)| exchange.serves(place.registry()));
        serving.map(|(_, credential)| credential.clone()).collect()
    }

    /// Asks the mirrors, then the registry itself. A mirror that has no answer is passed over.
    pub(crate) async fn ask(&self, repository: &RepositoryKey, keyring: &Keyring, question: &Question<'_>) -> Result<Answer, Error> {
        for place in self.hosts.get(repository.registry()).at_mirrors(repository) {
            // The way is that of the source itself.
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
        let mut credentials = self.credentials(place, keyring);
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
        let url = Url::parse(&url).map_err(|_| Error::new(Class::Broken, &host.name, "no address can be made of the reference"))?;
        let remembered = (place.clone(), host.way());
        let mut scheme = self.schemes.get(&remembered).await;
        let mut answer = None;
        for _ in 0..SENDS {
            let (authorization, last_try) = match &scheme {
                None => (None, false),
                Some(Scheme::Basic) => match credential {
                    None => (None, true),
                    Some(credential) => match self.login(host, credential).await? {
                        Some(login) => (Some(basic_header(host, &login)?), true),
                        None => return Err(denied(host, "it wants a user name and a password, and the credential is a token")),
                    },
                },
                Some(Scheme::Bearer(bearer)) => {
                    let (token, fresh) = self.token(host, bearer, credential).await?;
                    (Some(token), fresh)
                }
            };
            let sent = send(host, &url, authorization.as_ref(), question).await?;
            if sent.status != StatusCode::UNAUTHORIZED {
                answer = Some(sent);
                break;
            }
            if let Some(Scheme::Bearer(bearer)) = &scheme {
                self.forget_token(host, bearer, credential).await;
            }
            let demanded = challenge::read(&sent.headers);
            let same = demanded == scheme;
            if demanded.is_none() || (same && last_try) {
                let code = code(&sent.body).map(|code| format!(": {code}")).unwrap_or_default();
                let with = if credential.is_some() { "refuses the credential" } else { "wants a credential, and there is none for it" };
                return Err(denied(host, &format!("it {with} (401{code})")));
            }
            if let Some(demanded) = &demanded {
                self.schemes.insert(remembered.clone(), demanded.clone()).await;
            }
            scheme = demanded;
        }
        let answer = answer.ok_or_else(|| denied(host, "it keeps asking for another proof"))?;
        classify(host, &answer, question).map(|()| answer)
    }
}

pub(crate) fn denied(host: &Host, message: &str) -> Error {
    Error::new(Class::Denied, &host.name, message)
}

/// Sends once and reads what comes back.
async fn send(host: &Host, url: &Url, authorization: Option<&HeaderValue>, question: &Question<'_>) -> Result<Answer, Error> {
    let _permit = host.permits.acquire().await;
    host.is_open()?;
    let asked = |at: &Url| {
        let request = host.http.request(question.method.clone(), at.clone()).header(ACCEPT, question.accept);
        match question.etag {
            Some(etag) => request.header(IF_NONE_MATCH, etag),
            None => request,
        }
    };
    let response = follow(host, url, asked, authorization, false).await?;
    take(host, response, question.largest).await
}

/// Sends what `asked` makes of an address, following redirects. Another host than the first sees
/// the credential only where it is to be `passed_on`.
pub(crate) async fn follow(
    host: &Host,
    url: &Url,
    asked: impl Fn(&Url) -> RequestBuilder,
    authorization: Option<&HeaderValue>,
    passed_on: bool,
) -> Result<Response, Error> {
    let mut at = url.clone();
    for _ in 0..=REDIRECTS {
        let mut request = asked(&at);
        if let Some(authorization) = authorization.filter(|_| passed_on || origin(&at) == origin(url)) {
            request = request.header(AUTHORIZATION, authorization.clone());
        }
        let response = request.send().await.map_err(|error| Error::of_transport(&host.name, error))?;
        if !response.status().is_redirection() || response.status() == StatusCode::NOT_MODIFIED {
            return Ok(response);
        }
        let answer = take(host, response, REFUSAL).await?;
        let refused = |what: &str| Error::new(Class::Refused, &host.name, what.to_owned());
        let location = answer.headers.get(LOCATION).and_then(|value| value.to_str().ok()).and_then(|text| at.join(text).ok());
        let next = location.ok_or_else(|| refused("it redirects to nowhere"))?;
        if next.scheme() != "https" && !(next.scheme() == "http" && url.scheme() == "http") {
            return Err(refused("it redirects to something else than HTTPS"));
        }
        at = next;
    }
    Err(Error::new(Class::Refused, &host.name, "it redirects without end"))
}

/// Sends one request and reads its answer; see [`take`].
pub(crate) async fn read(host: &Host, request: RequestBuilder, largest: usize) -> Result<Answer, Error> {
    let response = request.send().await.map_err(|error| Error::of_transport(&host.name, error))?;
    take(host, response, largest).await
}

/// Reads an answer up to `largest` bytes. Refusals to serve are errors and hold the host; every
/// other status is the caller's.
pub(crate) async fn take(host: &Host, mut response: Response, largest: usize) -> Result<Answer, Error> {
    let (status, headers, url) = (response.status(), response.headers().clone(), response.url().clone());
    let serves = status.is_success();
    let largest = if serves { largest } else { REFUSAL };
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| Error::of_transport(&host.name, error))? {
        if body.len() + chunk.len() > largest {
            if serves {
                return Err(Error::new(Class::Broken, &host.name, format!("its answer is larger than {largest} bytes")));
            }
            break;
        }
        body.extend_from_slice(&chunk);
    }
    let now = Timestamp::now();
    let throttled = status == StatusCode::TOO_MANY_REQUESTS
        // GitHub's secondary limits are a 403 with a time.
        || status == StatusCode::FORBIDDEN && (headers.contains_key("retry-after") || throttle::used_up(&headers, now).is_some());
    if throttled || status.is_server_error() || status == StatusCode::REQUEST_TIMEOUT {
        let wait = throttle::wait(&headers, &body, now);
        if let Some(wait) = wait {
            host.hold(wait);
        }
        let (class, what) =
            if throttled { (Class::Throttled, "it takes no more requests for now") } else { (Class::Unavailable, "it is not well") };
        return Err(Error::new(class, &host.name, format!("{what} ({})", status.as_u16())).wait(wait));
    }
    heed(host, &headers, now);
    Ok(Answer { status, headers, body, url })
}

/// Leaves the host alone where this answer was the last one that its limit gives.
pub(crate) fn heed(host: &Host, headers: &HeaderMap, now: Timestamp) {
    if let Some(wait) = throttle::used_up(headers, now) {
        host.hold(wait);
    }
}

fn classify(host: &Host, answer: &Answer, question: &Question<'_>) -> Result<(), Error> {
    let status = answer.status;
    let code = code(&answer.body).map(|code| format!(": {code}")).unwrap_or_default();
    let error = |class, what: &str| Err(Error::new(class, &host.name, format!("{what} ({}{code})", status.as_u16())));
    match status {
        StatusCode::OK => Ok(()),
        StatusCode::NOT_MODIFIED if question.etag.is_some() => Ok(()),
        // A HEAD that is not offered: a GET may be.
        StatusCode::METHOD_NOT_ALLOWED if question.method == Method::HEAD => Ok(()),
        StatusCode::NOT_FOUND => error(Class::NotFound, "it is not there"),
        StatusCode::FORBIDDEN => error(Class::Denied, "it may not be seen with this credential"),
        StatusCode::PROXY_AUTHENTICATION_REQUIRED => error(Class::Denied, "the proxy before it refuses the login"),
        _ => error(Class::Broken, "it gives an answer that the specification does not have"),
    }
}

/// The first code of a refusal that is one of the specification's.
fn code(body: &[u8]) -> Option<&'static str> {
    let body: serde_json::Value = serde_json::from_slice(body).ok()?;
    let told = body.get("errors")?.get(0)?.get("code")?.as_str()?;
    CODES.iter().copied().find(|code| *code == told)
}

/// Scheme, host and port.
fn origin(url: &Url) -> (&str, Option<&str>, Option<u16>) {
    (url.scheme(), url.host_str(), url.port_or_known_default())
}

/// Host and port as they stand in an image reference.
pub(crate) fn authority(url: &Url) -> Option<String> {
    let host = url.host_str()?;
    Some(url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}")))
}

/// A header that is not printed.
pub(crate) fn sensitive(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}
