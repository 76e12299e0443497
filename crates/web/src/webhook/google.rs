//! Google's public keys, fetched when a token must be checked and cached for a while.
//!
//! There is one fetch at a time, and at most one every ten seconds, so a caller with invented key IDs causes no
//! traffic.

use std::time::{Duration, Instant};

use headwind_webhook::proof::google::{Expected, Keys, TokenError, verify};
use jiff::Timestamp;
use tokio::sync::Mutex;

/// Maximum age of cached keys. Google changes them every few days and publishes new ones in advance.
const KEPT: Duration = Duration::from_hours(1);
/// Minimum time between two fetches.
const PAUSE: Duration = Duration::from_secs(10);
/// Maximum size of the response, in bytes.
const BODY: usize = 256 * 1024;

/// The check of Google's signed tokens.
#[derive(Debug, Clone)]
pub struct Google {
    /// The expected claims of a token.
    pub expected: Expected,
    /// The URL of the keys.
    pub keys_url: String,
}

/// The checker.
pub(super) struct Checker {
    settings: Google,
    http: reqwest::Client,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    keys: Keys,
    fetched: Option<Instant>,
    tried: Option<Instant>,
}

impl Checker {
    pub(super) fn new(settings: Google, http: reqwest::Client) -> Self {
        Self { settings, http, held: Mutex::default() }
    }

    /// Checks the token. An unknown key ID triggers a fetch.
    pub(super) async fn check(&self, token: &str) -> Result<(), TokenError> {
        let now = Timestamp::now().as_second();
        let mut held = self.held.lock().await;
        let stale = held.fetched.is_none_or(|at| at.elapsed() > KEPT);
        if !stale {
            match verify(token, &held.keys, &self.settings.expected, now) {
                Err(TokenError::UnknownKey) => {}
                other => return other,
            }
        }
        if held.tried.is_none_or(|at| at.elapsed() > PAUSE) {
            held.tried = Some(Instant::now());
            match self.fetch().await {
                Ok(keys) => {
                    held.keys = keys;
                    held.fetched = Some(Instant::now());
                }
                Err(reason) => tracing::warn!("failed to fetch Google's public keys: {reason}"),
            }
        }
        verify(token, &held.keys, &self.settings.expected, now)
    }

    async fn fetch(&self) -> Result<Keys, String> {
        let mut answer = self.http.get(&self.settings.keys_url).send().await.map_err(|error| error.to_string())?;
        if !answer.status().is_success() {
            return Err(format!("status {}", answer.status().as_u16()));
        }
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|error| error.to_string())? {
            if body.len() + chunk.len() > BODY {
                return Err("the response is too large".to_owned());
            }
            body.extend_from_slice(&chunk);
        }
        Keys::read(&body).filter(|keys| !keys.is_empty()).ok_or_else(|| "the response contains no keys".to_owned())
    }
}
