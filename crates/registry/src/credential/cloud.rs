//! Short-lived logins that a cloud gives to its own workloads for its own registries.
//!
//! One file a cloud; each speaks the protocol that its cloud documents, and nothing else.

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

/// How long one request to a cloud may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// The largest answer of a cloud.
const BODY: usize = 64 * 1024;
/// As much as is told of a cloud's refusal.
const WORDS: usize = 60;

/// A login that a cloud gave.
#[derive(Debug, Clone)]
pub struct Login {
    /// The user name; the same for everybody in most clouds.
    pub username: String,
    /// The password or token.
    pub password: SecretString,
    /// How long it is good for, from now.
    pub lasts: Duration,
}

/// Why a cloud gave no login.
#[derive(Debug, thiserror::Error)]
pub enum ExchangeError {
    /// The endpoint did not answer, or answered with a server's error: another try may do.
    #[error("{endpoint} did not answer: {reason}")]
    Unreachable {
        /// Whom was asked (host and path, no query).
        endpoint: String,
        /// What happened.
        reason: String,
    },
    /// The cloud said no: the identity lacks a right or does not exist.
    #[error("{endpoint} refused: {reason}")]
    Refused {
        /// Whom was asked.
        endpoint: String,
        /// The cloud's own words, cut short, without any secret.
        reason: String,
    },
    /// The answer cannot be understood.
    #[error("{endpoint} answered with something else than documented: {reason}")]
    Broken {
        /// Whom was asked.
        endpoint: String,
        /// What is wrong.
        reason: String,
    },
    /// What the exchange needs here is missing (a token file, a variable).
    #[error("{0}")]
    NotSetUp(String),
}

/// The future of a login.
pub type LoginFuture<'a> = Pin<Box<dyn Future<Output = Result<Login, ExchangeError>> + Send + 'a>>;

/// How one cloud gives logins for its registries.
pub trait Exchange: Send + Sync {
    /// The cloud's short name, for logs and metrics.
    fn name(&self) -> &'static str;

    /// Whether the host (as in an image's reference, a port included) is one of the cloud's
    /// registries.
    fn serves(&self, host: &str) -> bool;

    /// A fresh login for the host. The caller keeps it for as long as it lasts.
    fn login<'a>(&'a self, host: &'a str) -> LoginFuture<'a>;
}

/// Every cloud that the variables of the process say it runs in.
///
/// # Errors
/// When no HTTP client can be made.
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

/// The clients for the endpoints of clouds. Neither follows a redirect or waits for long.
#[derive(Debug, Clone)]
pub struct Http {
    /// For endpoints on the internet.
    public: reqwest::Client,
    /// For services of the node. Their answers are for this pod alone, so no proxy is in between, whatever the
    /// process's variables say.
    node: reqwest::Client,
}

impl Http {
    /// Makes the clients.
    ///
    /// # Errors
    /// When no HTTP client can be made.
    pub fn new() -> Result<Self, reqwest::Error> {
        let client = || reqwest::Client::builder().timeout(PATIENCE).redirect(reqwest::redirect::Policy::none());
        Ok(Self { public: client().build()?, node: client().no_proxy().build()? })
    }
}

/// An answer of a cloud.
struct Answer {
    headers: HeaderMap,
    body: Vec<u8>,
}

/// Sends a request to a cloud and reads its answer.
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

/// The error's code, where the cloud tells one in a form that is known. Its sentences are not
/// repeated: they may quote what was sent.
fn code(body: &[u8]) -> String {
    let Ok(body) = serde_json::from_slice::<serde_json::Value>(body) else { return String::new() };
    let told = ["/error", "/__type", "/Error/Code", "/errors/0/code"].iter().find_map(|place| body.pointer(place)?.as_str());
    let is_code = |text: &&str| text.len() <= WORDS && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._#".contains(&byte));
    told.filter(is_code).map(|code| format!(" {code}")).unwrap_or_default()
}

/// The JSON of an answer. The parser's own words are left out: they may quote a secret.
fn answer<T: DeserializeOwned>(endpoint: &str, body: &[u8]) -> Result<T, ExchangeError> {
    serde_json::from_slice(body)
        .map_err(|_| ExchangeError::Broken { endpoint: endpoint.to_owned(), reason: "it is not the JSON that is documented".to_owned() })
}

/// A projected token; read each time, since it rotates.
async fn token_file(file: &Path) -> Result<SecretString, ExchangeError> {
    let missing = |reason: String| ExchangeError::NotSetUp(format!("{}: {reason}", file.display()));
    let text = tokio::fs::read_to_string(file).await.map_err(|error| missing(error.to_string()))?;
    let token = text.trim();
    if token.is_empty() { Err(missing("it is empty".to_owned())) } else { Ok(token.to_owned().into()) }
}
