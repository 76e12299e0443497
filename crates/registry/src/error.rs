//! What went wrong with a registry, by what the caller does about it.

use std::fmt;
use std::time::Duration;

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
    /// The registry asks for something that is not done: a page, a token or a redirect elsewhere.
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
        let class = if error.is_timeout() { Class::TimedOut } else { Class::Unreachable };
        let mut text = error.to_string();
        let mut cause = std::error::Error::source(&error);
        while let Some(inner) = cause {
            let part = inner.to_string();
            if !text.contains(&part) {
                text.push_str(": ");
                text.push_str(&part);
            }
            cause = inner.source();
        }
        Self::new(class, host, text)
    }
}
