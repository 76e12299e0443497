//! Bearer tokens: fetched once for many queries, cached until they expire.
//!
//! Distribution "Token Authentication Specification" (GET) and "OAuth2 Token Authentication" (POST, for identity
//! tokens). A token is cached by (realm, service, scope, credential, transport). Headwind queries an issuer on another
//! host only if it is known or configured as the registry's own, because it sends the response to the registry.

use std::sync::Arc;
use std::time::{Duration, Instant};

use moka::Expiry;
use moka::future::Cache;
use reqwest::Url;
use reqwest::header::{AUTHORIZATION, HeaderValue};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

use crate::challenge::Bearer;
use crate::credential::cloud::Login;
use crate::credential::{Credential, Proof};
use crate::error::{Class, Error};
use crate::fingerprint::Fingerprint;
use crate::host::Host;
use crate::hosts::Hosts;
use crate::rules::authority;
use crate::send::{self, sensitive};

/// Lifetime of a token if the issuer states none (from the specification).
const LASTS: Duration = Duration::from_mins(1);
/// Maximum lifetime of a cached token, whatever the issuer states.
const LONGEST: Duration = Duration::from_hours(24);
/// A token is not used in the last seconds of its lifetime.
const MARGIN: Duration = Duration::from_secs(10);
/// Maximum size of an issuer's response.
const BODY: usize = 64 * 1024;
/// Maximum number of bytes of cached tokens, and of cached logins.
const CAPACITY: u64 = 16 * 1024 * 1024;
/// Approximate bytes of a cache entry in addition to its texts.
pub(crate) const ENTRY: usize = 256;
/// Maximum length of a token, in bytes.
const TOKEN: usize = 32 * 1024;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    bearer: Bearer,
    credential: Option<Fingerprint>,
    /// A token is used for one registry only, whichever issuer it comes from.
    registry: String,
    /// A client certificate may replace a credential.
    transport: Option<Fingerprint>,
}

impl Key {
    fn new(host: &Host, bearer: &Bearer, credential: Option<&Credential>) -> Self {
        Self {
            bearer: bearer.clone(),
            credential: credential.map(Credential::fingerprint),
            registry: host.name.clone(),
            transport: host.transport(),
        }
    }
}

/// A token as a header value.
#[derive(Clone)]
pub(crate) struct Token {
    header: HeaderValue,
    lasts: Duration,
}

struct Lifetime;

impl Expiry<Key, Token> for Lifetime {
    fn expire_after_create(&self, _: &Key, token: &Token, _: Instant) -> Option<Duration> {
        Some(token.lasts)
    }
}

impl Expiry<Fingerprint, Arc<Login>> for Lifetime {
    fn expire_after_create(&self, _: &Fingerprint, login: &Arc<Login>, _: Instant) -> Option<Duration> {
        Some(usable(login.lasts))
    }
}

/// The cached tokens and the logins of the clouds.
pub(crate) struct Tokens {
    tokens: Cache<Key, Token>,
    logins: Cache<Fingerprint, Arc<Login>>,
}

impl Default for Tokens {
    fn default() -> Self {
        Self {
            tokens: Cache::builder()
                .weigher(|key: &Key, token: &Token| weight(key.bearer.size() + key.registry.len() + token.header.len()))
                .max_capacity(CAPACITY)
                .expire_after(Lifetime)
                .build(),
            logins: Cache::builder()
                .weigher(|_, login: &Arc<Login>| weight(login.username.len() + login.password.expose_secret().len()))
                .max_capacity(CAPACITY)
                .expire_after(Lifetime)
                .build(),
        }
    }
}

fn weight(texts: usize) -> u32 {
    u32::try_from(ENTRY + texts).unwrap_or(u32::MAX)
}

#[derive(Deserialize)]
struct Issued {
    #[serde(default)]
    token: Option<SecretString>,
    #[serde(default)]
    access_token: Option<SecretString>,
    #[serde(default)]
    expires_in: Option<f64>,
}

/// Returns the usable part of a lifetime.
fn usable(lasts: Duration) -> Duration {
    let lasts = lasts.min(LONGEST);
    lasts.saturating_sub(MARGIN.min(lasts / 10))
}

impl Tokens {
    /// Returns the header with a token for the challenge, and true if the token is fresh.
    pub(crate) async fn token(
        &self,
        hosts: &Hosts,
        host: &Host,
        bearer: &Bearer,
        credential: Option<&Credential>,
    ) -> Result<(HeaderValue, bool), Error> {
        if let Some(Proof::Token(token)) = credential.map(Credential::proof) {
            return Ok((bearer_header(host, token)?, true));
        }
        let key = Key::new(host, bearer, credential);
        let entry = self
            .tokens
            .entry(key)
            .or_try_insert_with(self.issue(hosts, host, bearer, credential))
            .await
            .map_err(|error: Arc<Error>| (*error).clone())?;
        let fresh = entry.is_fresh();
        Ok((entry.into_value().header, fresh))
    }

    /// Removes a rejected token from the cache.
    pub(crate) async fn forget(&self, host: &Host, bearer: &Bearer, credential: Option<&Credential>) {
        self.tokens.invalidate(&Key::new(host, bearer, credential)).await;
    }

    /// Returns the user name and password of a credential for a host; `None` if it has none.
    pub(crate) async fn login(&self, host: &Host, credential: &Credential) -> Result<Option<Arc<Login>>, Error> {
        match credential.proof() {
            Proof::Login { username, password } => {
                Ok(Some(Arc::new(Login { username: username.clone(), password: password.clone(), lasts: LONGEST })))
            }
            Proof::Identity(_) | Proof::Token(_) => Ok(None),
            Proof::Cloud(exchange) if !host.route.carries_own_identity() => Err(Error::new(
                Class::Refused,
                &host.name,
                format!("the login from {} is not sent over a source's own transport", exchange.name()),
            )),
            Proof::Cloud(exchange) => {
                let key = Fingerprint::of([credential.fingerprint().as_ref(), host.name.as_bytes()]);
                let asked = async { exchange.login(&host.name).await.map(Arc::new) };
                let login = self.logins.try_get_with(key, asked).await;
                login.map(Some).map_err(|error| {
                    use crate::credential::cloud::ExchangeError;
                    let class = match &*error {
                        ExchangeError::Unreachable { .. } => Class::Unavailable,
                        ExchangeError::Refused { .. } | ExchangeError::NotSetUp(_) => Class::Denied,
                        ExchangeError::Broken { .. } => Class::Broken,
                    };
                    Error::new(class, &host.name, format!("failed to get a login from {}: {error}", exchange.name()))
                })
            }
        }
    }

    async fn issue(&self, hosts: &Hosts, host: &Host, bearer: &Bearer, credential: Option<&Credential>) -> Result<Token, Error> {
        let refused = |what: &str| Error::new(Class::Refused, &host.name, what.to_owned());
        let mut url = Url::parse(&bearer.realm).map_err(|_| refused("the address of its token issuer cannot be read"))?;
        let authority = authority(&url).ok_or_else(|| refused("the address of its token issuer has no host"))?;
        if !(url.scheme() == "https" || url.scheme() == "http" && host.plain_http) {
            return Err(refused("its token issuer does not use HTTPS, so it is not queried"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(refused("the address of its token issuer contains a user name"));
        }
        if !host.trusts(&authority) {
            let what = format!(
                "its token issuer {authority} is another host and is not queried: if it is the registry's own, name it in tokenIssuers of \
                 the registry's entry in HEADWIND_REGISTRY_CONFIG"
            );
            return Err(Error::new(Class::Denied, &host.name, what));
        }
        let issuer = hosts.reach(&authority, host.route.transport()).await?;
        let reported_by_issuer = |mut error: Error| {
            error.host.clone_from(&host.name);
            error.message = format!("its token issuer {authority}: {}", error.message);
            error
        };
        issuer.guard.admit(&url).await.map_err(|refusal| reported_by_issuer(refusal.of(&host.name)))?;
        let mut parameters: Vec<(&str, &str)> = Vec::new();
        if let Some(service) = &bearer.service {
            parameters.push(("service", service));
        }
        let scopes = bearer.scope.as_deref().unwrap_or_default();
        let request = if let Some(Proof::Identity(token)) = credential.map(Credential::proof) {
            parameters.extend([("grant_type", "refresh_token"), ("client_id", "headwind"), ("refresh_token", token.expose_secret())]);
            if !scopes.is_empty() {
                parameters.push(("scope", scopes));
            }
            issuer.clients.own.post(url).form(&parameters)
        } else {
            parameters.extend(scopes.split_ascii_whitespace().map(|scope| ("scope", scope)));
            url.query_pairs_mut().extend_pairs(parameters);
            let login = match credential {
                Some(credential) => self.login(host, credential).await?,
                None => None,
            };
            let request = issuer.clients.own.get(url);
            match &login {
                Some(login) => request.header(AUTHORIZATION, basic_header(host, login)?),
                None => request,
            }
        };
        issuer.is_open().map_err(reported_by_issuer)?;
        let response = request.send().await.map_err(|error| reported_by_issuer(Error::of_transport(&host.name, error)))?;
        let answer = send::take(&issuer, response, BODY).await.map_err(reported_by_issuer)?;
        if answer.status.is_client_error() {
            let with = if credential.is_some() { "" } else { " without a credential" };
            let message = format!("its token issuer {authority} issued no token{with} ({})", answer.status.as_u16());
            return Err(Error::new(Class::Denied, &host.name, message));
        }
        let broken =
            || Error::new(Class::Broken, &host.name, format!("its token issuer {authority} returned something other than a token"));
        if !answer.status.is_success() {
            return Err(broken());
        }
        let Issued { token, access_token, expires_in } = serde_json::from_slice(&answer.body).map_err(|_| broken())?;
        let fits = |token: &SecretString| (1..=TOKEN).contains(&token.expose_secret().len());
        let token = token.or(access_token).filter(fits).ok_or_else(broken)?;
        let lasts = expires_in.filter(|seconds| *seconds > 0.0).and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        Ok(Token { header: bearer_header(host, &token)?, lasts: usable(lasts.unwrap_or(LASTS)) })
    }
}

fn bearer_header(host: &Host, token: &SecretString) -> Result<HeaderValue, Error> {
    sensitive(&format!("Bearer {}", token.expose_secret()))
        .ok_or_else(|| Error::new(Class::Broken, &host.name, "the token is not valid in a header"))
}

/// Returns a Basic header (RFC 7617).
pub(crate) fn basic_header(host: &Host, login: &Login) -> Result<HeaderValue, Error> {
    use base64::Engine as _;
    let plain = format!("{}:{}", login.username, login.password.expose_secret());
    sensitive(&format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(plain)))
        .ok_or_else(|| Error::new(Class::Broken, &host.name, "the credential is not valid in a header"))
}
