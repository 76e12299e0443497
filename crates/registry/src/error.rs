//! What went wrong with a registry, by what the caller does about it.

use std::fmt;
use std::time::Duration;

use crate::rules::Refusal;

/// What an error means for the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// No connection, or it broke off.
    Unreachable,
    /// No answer in time.
    TimedOut,
    /// Too many requests (429), or the host still has to be left alone.
    Throttled,
    /// The registry is not well (5xx).
    Unavailable,
    /// The credential is missing, wrong, or lacks the right.
    Denied,
    /// The repository is not there, or hidden from this credential.
    NotFound,
    /// The answer is not what the specification says: broken JSON, too large, no digest.
    Broken,
    /// Headwind does not do it: the host or its address is not allowed, the registry names a page, a token issuer or a
    /// redirect elsewhere, or a list passes a limit.
    Refused,
}

impl Class {
    /// Every class.
    pub const ALL: &'static [Class] = &[
        Class::Unreachable,
        Class::TimedOut,
        Class::Throttled,
        Class::Unavailable,
        Class::Denied,
        Class::NotFound,
        Class::Broken,
        Class::Refused,
    ];

    /// The word for metrics and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Class::Unreachable => "unreachable",
            Class::TimedOut => "timed_out",
            Class::Throttled => "throttled",
            Class::Unavailable => "unavailable",
            Class::Denied => "denied",
            Class::NotFound => "not_found",
            Class::Broken => "broken",
            Class::Refused => "refused",
        }
    }

    /// Whether it says something about the host as a whole, not about one repository of it.
    pub fn is_of_the_host(self) -> bool {
        match self {
            Class::Unreachable | Class::TimedOut | Class::Throttled | Class::Unavailable => true,
            Class::Denied | Class::NotFound | Class::Broken | Class::Refused => false,
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A question that got no answer.
///
/// Its text has the host and Headwind's own words and codes of the specification: never what the
/// registry wrote freely, which could be the credential itself, sent back.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{host}: {message}")]
pub struct Error {
    /// What it means.
    pub class: Class,
    /// How long the host asks to be left alone.
    pub wait: Option<Duration>,
    /// Who was asked.
    pub host: String,
    /// What happened.
    pub message: String,
}

impl Error {
    pub(crate) fn new(class: Class, host: &str, message: impl Into<String>) -> Self {
        Self { class, wait: None, host: host.to_owned(), message: message.into() }
    }

    pub(crate) fn wait(mut self, wait: Option<Duration>) -> Self {
        self.wait = wait;
        self
    }

    /// What the client could not do. The URL is left out: it may carry a token.
    pub(crate) fn of_transport(host: &str, error: reqwest::Error) -> Self {
        let error = error.without_url();
        if let Some(refusal) = causes(&error).find_map(|cause| cause.downcast_ref::<Refusal>()) {
            return refusal.of(host);
        }
        if causes(&error).any(speaks_no_tls) {
            let words = "it speaks plain HTTP where HTTPS was expected: set plainHttp: true for it in HEADWIND_REGISTRY_CONFIG \
                         (of a Flux source: insecure: true)";
            return Self::new(Class::Unreachable, host, words);
        }
        let class = if error.is_timeout() {
            Class::TimedOut
        } else if error.is_builder() {
            // No request was made.
            Class::Refused
        } else {
            Class::Unreachable
        };
        let mut text = error.to_string();
        for part in causes(&error).skip(1).map(ToString::to_string) {
            if !text.contains(&part) {
                text.push_str(": ");
                text.push_str(&part);
            }
        }
        Self::new(class, host, text)
    }

    /// The same error, told by another host than the one that was asked.
    pub(crate) fn told_by(mut self, elsewhere: Option<String>) -> Self {
        if let Some(elsewhere) = elsewhere {
            self.message = format!("it redirects to {elsewhere}: {}", self.message);
        }
        self
    }
}

impl Refusal {
    /// The error for a question to `host`.
    pub(crate) fn of(&self, host: &str) -> Error {
        Error::new(Class::Refused, host, self.to_string())
    }
}

/// An error and what caused it, outermost first.
fn causes<'a>(error: &'a (dyn std::error::Error + 'static)) -> impl Iterator<Item = &'a (dyn std::error::Error + 'static)> {
    std::iter::successors(Some(error), |error| error.source())
}

/// Whether the peer answered TLS's greeting with something else.
fn speaks_no_tls(cause: &(dyn std::error::Error + 'static)) -> bool {
    // An I/O error is not the cause of its own content, and may hold another one.
    let mut inner = cause;
    while let Some(held) = inner.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
        inner = held;
    }
    matches!(inner.downcast_ref(), Some(rustls::Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType)))
}
