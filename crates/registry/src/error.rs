//! Errors of registries, classified by what the caller does about them.

use std::fmt;
use std::time::Duration;

use crate::rules::Refusal;

/// The class of an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// No connection, or the connection broke.
    Unreachable,
    /// No answer in time.
    TimedOut,
    /// Too many requests (429), or Headwind still waits after an earlier one.
    Throttled,
    /// The registry returned a server error (5xx).
    Unavailable,
    /// The credential is missing, wrong, or lacks the permission.
    Denied,
    /// The repository does not exist, or is hidden from this credential.
    NotFound,
    /// The response violates the specification: invalid JSON, too large, no digest.
    Broken,
    /// Headwind refuses: the host or its address is not allowed, the registry links to a page, token issuer or redirect
    /// target elsewhere, or a list exceeds a limit.
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

    /// Returns the name for metrics and logs.
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

    /// Returns true if the error concerns the host as a whole, not one of its repositories.
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

/// A failed query.
///
/// The text contains the host, Headwind's own words and codes of the specification. It never contains free text of the
/// registry, which could be the credential itself, echoed back.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{host}: {message}")]
pub struct Error {
    /// The class.
    pub class: Class,
    /// The time that the host asks Headwind to wait.
    pub wait: Option<Duration>,
    /// The host that was queried.
    pub host: String,
    /// The error message.
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

    /// Creates an error from a failed request. The URL is omitted: it may contain a token.
    pub(crate) fn of_transport(host: &str, error: reqwest::Error) -> Self {
        let error = error.without_url();
        if let Some(refusal) = causes(&error).find_map(|cause| cause.downcast_ref::<Refusal>()) {
            return refusal.of(host);
        }
        if causes(&error).any(speaks_no_tls) {
            let words = "it uses plain HTTP, but HTTPS was expected: set plainHttp: true for it in HEADWIND_REGISTRY_CONFIG \
                         (of a Flux source: insecure: true)";
            return Self::new(Class::Unreachable, host, words);
        }
        let class = if error.is_timeout() {
            Class::TimedOut
        } else if error.is_builder() {
            // No request was sent.
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

    /// Marks the error as returned by another host than the one that was queried.
    pub(crate) fn reported_by(mut self, elsewhere: Option<String>) -> Self {
        if let Some(elsewhere) = elsewhere {
            self.message = format!("it redirects to {elsewhere}: {}", self.message);
        }
        self
    }
}

impl Refusal {
    /// Returns the error for a query to `host`.
    pub(crate) fn of(&self, host: &str) -> Error {
        Error::new(Class::Refused, host, self.to_string())
    }
}

/// Returns an error and its causes, outermost first.
fn causes<'a>(error: &'a (dyn std::error::Error + 'static)) -> impl Iterator<Item = &'a (dyn std::error::Error + 'static)> {
    std::iter::successors(Some(error), |error| error.source())
}

/// Returns true if the peer does not speak TLS.
fn speaks_no_tls(cause: &(dyn std::error::Error + 'static)) -> bool {
    // The method `source` of an I/O error does not return the error that it contains, which may be another I/O error.
    let mut inner = cause;
    while let Some(held) = inner.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
        inner = held;
    }
    matches!(inner.downcast_ref(), Some(rustls::Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType)))
}
