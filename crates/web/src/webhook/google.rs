//! Google's public keys, fetched when a token has to be checked and kept for a while.
//!
//! One fetch at a time, and none more often than every ten seconds: a caller who makes up key ids
//! causes no traffic.

use std::time::{Duration, Instant};

use headwind_webhook::proof::google::{Expected, Keys, TokenError, verify};
use jiff::Timestamp;
use tokio::sync::Mutex;

/// How long keys are believed; Google changes them every few days and announces them before.
const KEPT: Duration = Duration::from_hours(1);
/// The least time between two fetches.
const PAUSE: Duration = Duration::from_secs(10);
/// The largest set of keys.
const BODY: usize = 256 * 1024;

/// How Google's signed tokens are checked.
#[derive(Debug, Clone)]
pub struct Google {
    /// What has to stand in a token.
    pub expected: Expected,
    /// Where the keys are.
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

    /// Whether the token is right. An unknown key has the keys fetched anew.
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
                Err(reason) => tracing::warn!("Google's public keys cannot be had: {reason}"),
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
                return Err("the answer is too large".to_owned());
            }
            body.extend_from_slice(&chunk);
        }
        Keys::read(&body).filter(|keys| !keys.is_empty()).ok_or_else(|| "the answer has no keys".to_owned())
    }
}
