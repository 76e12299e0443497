//! Webhook payloads: from a body to the events that it tells of.
//!
//! A sender is one file here and one line in [`Sender`]: what its payload looks like, and how it
//! is read. Where the route or the caller does not name the sender, it is recognised by the shape
//! of the payload. Only pushes make events; everything else is ignored with a reason, and one bad
//! event never spoils the others.

mod distribution;
mod docker_hub;

use std::collections::HashSet;
use std::fmt;
use std::str::FromStr;

use headwind_core::event::{Event, Trigger};
use headwind_core::reference::{Digest, RepositoryKey, is_tag};
use serde::Serialize;

/// The most events that one payload may carry.
pub const EVENTS: usize = 10_000;
/// The longest detail that is kept of something ignored.
const DETAIL: usize = 200;

/// Who sends webhooks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Sender {
    /// The CNCF distribution registry, and what is built on it (self-managed GitLab).
    Distribution,
    /// Docker Hub.
    DockerHub,
}

impl Sender {
    /// Every sender, in the order in which shapes are tried.
    pub const ALL: &'static [Sender] = &[Sender::Distribution, Sender::DockerHub];

    /// The word for flags, logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Sender::Distribution => "distribution",
            Sender::DockerHub => "dockerhub",
        }
    }

    /// Reads a body as this sender's; `None` where it has another shape.
    fn read(self, body: &[u8], registry: Option<&str>, out: &mut Collector) -> Result<(), Shape> {
        match self {
            Sender::Distribution => distribution::read(body, registry, out),
            Sender::DockerHub => docker_hub::read(body, registry, out),
        }
    }
}

impl fmt::Display for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Sender {
    type Err = UnknownSender;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Sender::ALL.iter().copied().find(|sender| sender.as_str() == text).ok_or_else(|| UnknownSender(text.chars().take(64).collect()))
    }
}

/// A word that names no sender.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no sender that is known; known are distribution and dockerhub")]
pub struct UnknownSender(String);

/// A call, as far as decoding looks at it.
#[derive(Clone, Copy)]
pub struct Envelope<'a> {
    /// The sender, where the route names it.
    pub sender: Option<Sender>,
    /// The registry's host, where the caller names it (`?registry=HOST`).
    pub registry: Option<&'a str>,
    /// Looks up a header by its lower-case name.
    pub header: &'a dyn Fn(&str) -> Option<&'a str>,
    /// The body.
    pub body: &'a [u8],
}

/// What a call tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decoded {
    /// Who it is from.
    pub sender: Sender,
    /// The pushes, in the order of the payload, each once.
    pub events: Vec<Event>,
    /// What was no push of a tag.
    pub ignored: Vec<Ignored>,
}

/// Something that made no event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Ignored {
    /// Why.
    pub reason: IgnoredReason,
    /// What it was, in a few words of the payload.
    #[serde(skip)]
    pub detail: String,
}

/// Why something made no event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub enum IgnoredReason {
    /// A pull, a delete, a mount, a ping.
    NotAPush,
    /// A layer or a configuration, not a manifest.
    NotAManifest,
    /// A push by digest alone: nobody follows it.
    NoTag,
    /// Nothing names the registry.
    NoHost,
    /// The repository or the host is not legal.
    BadRepository,
    /// The tag is not legal.
    BadTag,
    /// The digest is not legal.
    BadDigest,
    /// The event has another shape than its sender's have.
    BadEvent,
}

impl IgnoredReason {
    /// The stable code.
    pub fn code(self) -> &'static str {
        match self {
            IgnoredReason::NotAPush => "NotAPush",
            IgnoredReason::NotAManifest => "NotAManifest",
            IgnoredReason::NoTag => "NoTag",
            IgnoredReason::NoHost => "NoHost",
            IgnoredReason::BadRepository => "BadRepository",
            IgnoredReason::BadTag => "BadTag",
            IgnoredReason::BadDigest => "BadDigest",
            IgnoredReason::BadEvent => "BadEvent",
        }
    }
}

/// A body that cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// It is no JSON.
    #[error("the body is no JSON: {0}")]
    Malformed(String),
    /// It is no payload of a sender that is known.
    #[error("the body is not what {} sends", .0.map_or("any known sender", Sender::as_str))]
    UnknownShape(Option<Sender>),
    /// It carries more events than one payload may.
    #[error("a payload has at most {EVENTS} events")]
    TooMany,
}

/// Why a sender's file did not read a body.
enum Shape {
    /// It is another sender's, or nobody's.
    Other,
    /// It has too many events.
    TooMany,
}

/// Decodes a call.
///
/// # Errors
/// See [`DecodeError`].
pub fn decode(envelope: &Envelope<'_>) -> Result<Decoded, DecodeError> {
    let Envelope { sender, registry, header: _, body } = *envelope;
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    let one = sender.map(|sender| [sender]);
    for sender in one.as_ref().map_or(Sender::ALL, |one| one.as_slice()).iter().copied() {
        let mut out = Collector::default();
        match sender.read(body, registry, &mut out) {
            Ok(()) => return Ok(Decoded { sender, events: out.events, ignored: out.ignored }),
            Err(Shape::TooMany) => return Err(DecodeError::TooMany),
            Err(Shape::Other) => {}
        }
    }
    // What it is wrong with is asked only where something is.
    let text = std::str::from_utf8(body).map_err(|error| DecodeError::Malformed(error.to_string()))?;
    match serde_json::from_str::<serde::de::IgnoredAny>(text) {
        Ok(_) => Err(DecodeError::UnknownShape(sender)),
        Err(error) => Err(DecodeError::Malformed(error.to_string())),
    }
}

/// Where a sender's file puts what it finds.
#[derive(Default)]
struct Collector {
    events: Vec<Event>,
    seen: HashSet<Event>,
    ignored: Vec<Ignored>,
}

impl Collector {
    fn ignore(&mut self, reason: IgnoredReason, detail: &str) {
        self.ignored.push(Ignored { reason, detail: detail.chars().take(DETAIL).collect() });
    }

    /// A push of a tag. The repository never decides the host.
    fn push(&mut self, host: Option<&str>, repository: &str, tag: &str, digest: Option<&str>) {
        let Some(host) = host.map(str::trim).filter(|host| !host.is_empty()) else {
            return self.ignore(IgnoredReason::NoHost, repository);
        };
        let Ok(repository) = RepositoryKey::from_parts(host, repository) else {
            return self.ignore(IgnoredReason::BadRepository, &format!("{host}/{repository}"));
        };
        // A digest in the field for the tag is a digest, and pushes by digest are nobody's news.
        if Digest::parse(tag).is_ok() {
            return self.ignore(IgnoredReason::NoTag, tag);
        }
        if !is_tag(tag) {
            return self.ignore(IgnoredReason::BadTag, tag);
        }
        let digest = match digest.filter(|digest| !digest.is_empty()).map(Digest::parse) {
            None => None,
            Some(Ok(digest)) => Some(digest),
            Some(Err(_)) => return self.ignore(IgnoredReason::BadDigest, digest.unwrap_or_default()),
        };
        let event = Event { repository, tag: Some(tag.to_owned()), digest, trigger: Trigger::Webhook };
        if self.seen.insert(event.clone()) {
            self.events.push(event);
        }
    }
}

#[cfg(test)]
mod tests;
