//! Browser sessions in mode `token`: a sealed cookie that contains the token.
//!
//! For every request, Headwind opens the cookie and reviews its token like one from a header, so a session ends with
//! its token. There is no session state in memory, and every replica opens the cookies of every other one: the key is
//! in a Secret. The cookie is bound to its host.

mod compact;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::http::header::COOKIE;
use axum::http::{HeaderMap, HeaderValue};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use headwind_operator::BearerToken;
use jiff::Timestamp;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom as _, SystemRandom};

use super::answers::{Answers, key};
use super::refused::Refused;
use super::reviews::Reviews;
use crate::hosts;

/// Maximum lifetime of a session.
const LIFETIME: Duration = Duration::from_hours(8);
/// Maximum age of the cached key: sessions end within it after somebody deletes the Secret.
const KEY_TIME: Duration = Duration::from_mins(1);
/// Maximum difference between the clocks of replicas.
const SKEW: Duration = Duration::from_mins(1);
/// Maximum length of the cookie's value: browsers accept 4,096 bytes with its name.
const VALUE: usize = 4_000;
/// The name of the cookie over plain HTTP.
const PLAIN: &str = "headwind-session";
/// The name over HTTPS: a browser accepts it only with `Secure`, and from no other host.
const SECURE: &str = "__Host-headwind-session";
/// The version of the cookie's content, which the seal covers besides the host. Other versions are not opened.
const VERSION: &str = "headwind-session-1";

/// Seals and opens the cookies.
pub(super) struct Sessions {
    reviews: Arc<dyn Reviews>,
    keys: Answers<[u8; 32]>,
    /// True if every connection is HTTPS.
    tls: bool,
    /// Hosts that browsers reach over HTTPS, with their ports, without the default port.
    https: BTreeSet<String>,
}

impl Sessions {
    pub(super) fn new(reviews: Arc<dyn Reviews>, tls: bool, https: BTreeSet<String>) -> Self {
        Self { reviews, keys: Answers::new(1), tls, https }
    }

    /// Returns the value of `Set-Cookie` that opens a session for the token, until `until` at most.
    pub(super) async fn begin(
        &self,
        token: &BearerToken,
        until: Option<Timestamp>,
        headers: &HeaderMap,
        now: Timestamp,
    ) -> Result<HeaderValue, Refused> {
        let left = until.map_or(LIFETIME, |until| Duration::try_from(until - now).unwrap_or_default()).min(LIFETIME);
        let mut content = now.as_second().to_be_bytes().to_vec();
        content.extend(compact::pack(token.expose()));
        let key = self.key(Instant::now()).await?;
        let sealed =
            seal(&key, &Self::binding(headers)?, content).ok_or_else(|| Refused::Unavailable("failed to seal the session".to_owned()))?;
        let value = URL_SAFE_NO_PAD.encode(sealed);
        if value.len() > VALUE {
            return Err(Refused::Unknown("the token is too long for a session cookie; use a token with fewer groups or claims".to_owned()));
        }
        self.cookie(headers, &value, left.as_secs())
    }

    /// Returns the value of `Set-Cookie` that ends the session in the browser.
    pub(super) fn end(&self, headers: &HeaderMap) -> Result<HeaderValue, Refused> {
        self.cookie(headers, "", 0)
    }

    /// Returns the token of the request's session; `None` if there is no session, or it has ended.
    pub(super) async fn token(&self, headers: &HeaderMap, now: Timestamp) -> Result<Option<BearerToken>, Refused> {
        let name = if self.is_secure(headers) { SECURE } else { PLAIN };
        let Some(sealed) = cookie(headers, name).and_then(|value| URL_SAFE_NO_PAD.decode(value).ok()) else { return Ok(None) };
        let key = self.key(Instant::now()).await?;
        Ok(open(&key, &Self::binding(headers)?, sealed).and_then(|content| token_in(&content, now)))
    }

    async fn key(&self, now: Instant) -> Result<[u8; 32], Refused> {
        let ask = async {
            let mut candidate = [0; 32];
            let unanswered = |error: String| Refused::Unavailable(format!("failed to read the session key: {error}"));
            SystemRandom::new().fill(&mut candidate).map_err(|_| unanswered("no random numbers".to_owned()))?;
            let key = self.reviews.session_key(candidate).await.map_err(|error| unanswered(error.to_string()))?;
            Ok((key, KEY_TIME))
        };
        self.keys.get(key("session"), now, ask).await
    }

    fn is_secure(&self, headers: &HeaderMap) -> bool {
        self.tls || hosts::named(headers).is_some_and(|host| self.https.contains(&hosts::without_default_port("https", &host)))
    }

    /// Returns the value that a cookie is bound to: the host of the request.
    fn binding(headers: &HeaderMap) -> Result<String, Refused> {
        let host = hosts::named(headers).ok_or_else(|| Refused::Unknown("the request has no Host header".to_owned()))?;
        Ok(format!("{VERSION} {}", hosts::name(&host)))
    }

    fn cookie(&self, headers: &HeaderMap, value: &str, seconds: u64) -> Result<HeaderValue, Refused> {
        let (name, secure) = if self.is_secure(headers) { (SECURE, "; Secure") } else { (PLAIN, "") };
        let text = format!("{name}={value}; Path=/; HttpOnly; SameSite=Strict; Max-Age={seconds}{secure}");
        let mut header = HeaderValue::try_from(text).map_err(|error| Refused::Unavailable(error.to_string()))?;
        header.set_sensitive(true);
        Ok(header)
    }
}

/// Returns the value of a cookie that occurs once.
fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let all = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(';'));
    let mut values = all.filter_map(|one| one.trim().split_once('=')).filter(|(one, _)| *one == name).map(|(_, value)| value);
    match (values.next(), values.next()) {
        (Some(value), None) => Some(value),
        _ => None,
    }
}

/// Returns the token of an opened cookie, if the session has not ended at `now`.
fn token_in(content: &[u8], now: Timestamp) -> Option<BearerToken> {
    let (began, token) = content.split_first_chunk()?;
    let began = Timestamp::from_second(i64::from_be_bytes(*began)).ok()?;
    let runs = began <= now + SKEW && now < began + LIFETIME;
    runs.then(|| compact::unpack(token)).flatten().map(|token| BearerToken::new(&token))
}

fn aead(key: &[u8; 32]) -> Option<LessSafeKey> {
    UnboundKey::new(&AES_256_GCM, key).ok().map(LessSafeKey::new)
}

/// Returns nonce and ciphertext.
fn seal(key: &[u8; 32], binding: &str, mut content: Vec<u8>) -> Option<Vec<u8>> {
    let mut nonce = [0; NONCE_LEN];
    SystemRandom::new().fill(&mut nonce).ok()?;
    let aad = Aad::from(binding.as_bytes());
    aead(key)?.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), aad, &mut content).ok()?;
    Some([nonce.as_slice(), &content].concat())
}

fn open(key: &[u8; 32], binding: &str, mut sealed: Vec<u8>) -> Option<Vec<u8>> {
    let nonce: [u8; NONCE_LEN] = sealed.get(..NONCE_LEN)?.try_into().ok()?;
    let content = sealed.get_mut(NONCE_LEN..)?;
    let opened = aead(key)?.open_in_place(Nonce::assume_unique_for_key(nonce), Aad::from(binding.as_bytes()), content).ok()?;
    Some(opened.to_vec())
}

#[cfg(test)]
mod tests;
