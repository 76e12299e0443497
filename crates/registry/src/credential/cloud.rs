//! Short-lived logins that a cloud issues to its own workloads for its own registries.
//!
//! One file per cloud. Each implements only the protocol that its cloud documents.

mod azure;
mod ecr;
mod google;
mod sigv4;

use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::HeaderMap;
use secrecy::SecretString;
use serde::de::DeserializeOwned;

pub use azure::Azure;
pub use ecr::Ecr;
pub use google::Google;

/// Timeout of one request to a cloud.
const PATIENCE: Duration = Duration::from_secs(10);
/// Maximum size of a cloud's response.
const BODY: usize = 64 * 1024;
/// Maximum length of the error code of a cloud that Headwind repeats.
const WORDS: usize = 60;

/// A login that a cloud issued.
#[derive(Debug, Clone)]
pub struct Login {
    /// The user name; the same for every login in most clouds.
    pub username: String,
    /// The password or token.
    pub password: SecretString,
    /// Time for which it is valid, from now.
    pub lasts: Duration,
}

/// The reasons why a cloud issued no login.
#[derive(Debug, thiserror::Error)]
pub enum ExchangeError {
    /// The endpoint did not answer, or returned a server error. A retry may succeed.
    #[error("{endpoint} did not answer: {reason}")]
    Unreachable {
        /// The endpoint (host and path, no query).
        endpoint: String,
        /// The error.
        reason: String,
    },
    /// The cloud refused: the identity lacks a right or does not exist.
    #[error("{endpoint} rejected the request: {reason}")]
    Refused {
        /// The endpoint.
        endpoint: String,
        /// The cloud's error code, truncated, without any secret.
        reason: String,
    },
    /// The response cannot be parsed.
    #[error("{endpoint} returned an undocumented response: {reason}")]
    Broken {
        /// The endpoint.
        endpoint: String,
        /// The problem.
        reason: String,
    },
    /// The exchange lacks a part of its configuration here (a token file, a variable).
    #[error("{0}")]
    NotSetUp(String),
}

/// The future of a login.
pub type LoginFuture<'a> = Pin<Box<dyn Future<Output = Result<Login, ExchangeError>> + Send + 'a>>;

/// The login exchange of one cloud for its registries.
pub trait Exchange: Send + Sync {
    /// The cloud's short name, for logs and metrics.
    fn name(&self) -> &'static str;

    /// Returns true if the host (as in an image reference, with its port) is one of the cloud's registries.
    fn serves(&self, host: &str) -> bool;

    /// Requests a new login for the host. The caller caches it until it expires.
    fn login<'a>(&'a self, host: &'a str) -> LoginFuture<'a>;
}

/// Returns an exchange for every cloud that the environment variables indicate.
///
/// # Errors
/// If no HTTP client can be built.
pub fn from_env(variable: &dyn Fn(&str) -> Option<String>) -> Result<Vec<Arc<dyn Exchange>>, reqwest::Error> {
    let filled = |name: &str| variable(name).filter(|value| !value.trim().is_empty());
    let http = Http::new()?;
    let mut all: Vec<Arc<dyn Exchange>> = Vec::new();
    if let Some(ecr) = Ecr::from_env(&filled, http.clone()) {
        all.push(Arc::new(ecr));
    }
    if let Some(google) = Google::from_env(&filled, http.clone()) {
        all.push(Arc::new(google));
    }
    if let Some(azure) = Azure::from_env(&filled, http) {
        all.push(Arc::new(azure));
    }
    Ok(all)
}

/// The clients for the endpoints of clouds. They follow no redirects and have short timeouts.
#[derive(Debug, Clone)]
pub struct Http {
    /// For endpoints on the internet.
    public: reqwest::Client,
    /// For services of the node. Their responses are for this pod only, so no proxy is used, even if the environment
    /// variables set one.
    node: reqwest::Client,
}

impl Http {
    /// Builds the clients.
    ///
    /// # Errors
    /// If no HTTP client can be built.
    pub fn new() -> Result<Self, reqwest::Error> {
        let client = || reqwest::Client::builder().timeout(PATIENCE).redirect(reqwest::redirect::Policy::none());
        Ok(Self { public: client().build()?, node: client().no_proxy().build()? })
    }
}

/// A response of a cloud.
struct Answer {
    headers: HeaderMap,
    body: Vec<u8>,
}

/// Sends a request to a cloud and reads its response.
async fn read(endpoint: &str, request: reqwest::RequestBuilder) -> Result<Answer, ExchangeError> {
    let unreachable = |reason: String| ExchangeError::Unreachable { endpoint: endpoint.to_owned(), reason };
    let transport = |error: reqwest::Error| {
        unreachable(if error.is_timeout() { "no answer in time".to_owned() } else { error.without_url().to_string() })
    };
    let mut answer = request.send().await.map_err(transport)?;
    let (status, headers) = (answer.status(), answer.headers().clone());
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(transport)? {
        if body.len() + chunk.len() > BODY {
            return Err(ExchangeError::Broken { endpoint: endpoint.to_owned(), reason: format!("the answer is larger than {BODY} bytes") });
        }
        body.extend_from_slice(&chunk);
    }
    if status.is_success() {
        Ok(Answer { headers, body })
    } else if status.is_server_error() || status.as_u16() == 429 {
        Err(unreachable(format!("status {}", status.as_u16())))
    } else {
        Err(ExchangeError::Refused { endpoint: endpoint.to_owned(), reason: format!("status {}{}", status.as_u16(), code(&body)) })
    }
}

/// Returns the error code, if the cloud returns it in a known form. Messages are not repeated: they may quote the
/// request.
fn code(body: &[u8]) -> String {
    let Ok(body) = serde_json::from_slice::<serde_json::Value>(body) else { return String::new() };
    let stated = ["/error", "/__type", "/Error/Code", "/errors/0/code"].iter().find_map(|place| body.pointer(place)?.as_str());
    let is_code = |text: &&str| text.len() <= WORDS && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._#".contains(&byte));
    stated.filter(is_code).map(|code| format!(" {code}")).unwrap_or_default()
}

/// Parses the JSON of a response. The parser's error is not repeated: it may quote a secret.
fn answer<T: DeserializeOwned>(endpoint: &str, body: &[u8]) -> Result<T, ExchangeError> {
    serde_json::from_slice(body)
        .map_err(|_| ExchangeError::Broken { endpoint: endpoint.to_owned(), reason: "it is not the documented JSON".to_owned() })
}

/// Reads a projected token. It is read each time, because it rotates.
async fn token_file(file: &Path) -> Result<SecretString, ExchangeError> {
    let missing = |reason: String| ExchangeError::NotSetUp(format!("{}: {reason}", file.display()));
    let text = tokio::fs::read_to_string(file).await.map_err(|error| missing(error.to_string()))?;
    let token = text.trim();
    if token.is_empty() { Err(missing("it is empty".to_owned())) } else { Ok(token.to_owned().into()) }
}
