//! Short-lived logins that a cloud gives to its own workloads for its own registries.
//!
//! One file a cloud; each speaks the protocol that its cloud documents, and nothing else.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use secrecy::SecretString;

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
