//! Webhook payloads: decoding a body into events.
//!
//! A sender is one file here and one variant of [`Sender`]. The file recognises and decodes the sender's payload. If
//! neither the route nor the caller names the sender, it is recognised by the shape of the payload and its headers:
//! each file claims only what no other sender sends. Only pushes become events; everything else is ignored with a
//! reason. A malformed field affects only itself, and an invalid event does not affect the others.
//!
//! Distribution sends a notification for every pull, so its notifications are decoded first and without building JSON
//! values. The calls of other senders are rare, and are decoded as JSON values.

mod aliyun;
mod azure;
mod cloud_events;
mod distribution;
mod docker_hub;
mod ecr;
mod gitea;
mod github;
mod gitlab;
mod google;
mod harbor;
mod jfrog;
mod native;
mod nexus;
mod quay;
mod zot;

use std::collections::HashSet;

use headwind_core::artifact::Origin;
use headwind_core::artifact::chart::{ChartReference, ChartRepository};
use headwind_core::artifact::reference::{Digest, ImageReference, RepositoryKey, is_tag};
use headwind_core::artifact::version::parse_chart;
use headwind_core::claim::Claim;
use headwind_core::trigger::Trigger;
use serde::Serialize;
use serde_json::Value;

/// Maximum number of events in one payload.
pub const EVENTS: usize = 10_000;
/// Maximum length of a detail in an ignored entry.
const DETAIL: usize = 200;

headwind_core::named! {
    /// A sender of webhooks. The order of the variants is the order in which shapes are tried.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
    #[serde(rename_all = "lowercase")]
    pub enum Sender("sender", str::eq) {
        /// The CNCF distribution registry, and registries built on it (self-managed GitLab's registry).
        Distribution = "distribution",
        /// Harbor, both formats.
        Harbor = "harbor",
        /// Quay.
        Quay = "quay",
        /// Gitea and Forgejo packages.
        Gitea = "gitea",
        /// GitHub packages.
        GitHub = "github",
        /// GitLab's webhooks of other kinds. Its registry sends distribution's notifications.
        GitLab = "gitlab",
        /// Azure Container Registry.
        Azure = "azure",
        /// Google Artifact Registry and Container Registry, via Pub/Sub.
        Google = "google",
        /// Amazon ECR, via EventBridge or SNS.
        Ecr = "ecr",
        /// JFrog Artifactory.
        JFrog = "jfrog",
        /// Sonatype Nexus.
        Nexus = "nexus",
        /// Alibaba Cloud Container Registry.
        Aliyun = "aliyun",
        /// Docker Hub.
        DockerHub = "dockerhub",
        /// zot.
        Zot = "zot",
        /// A CloudEvents envelope around one of the others, or around a repository and a tag.
        CloudEvents = "cloudevents",
        /// Headwind's own format, for `curl` in a pipeline.
        Native = "native",
    }
}

impl Sender {
    /// Decodes a call of this sender; `None` if it has another shape.
    fn read(self, call: &Call<'_, '_>, out: &mut Collector) -> Option<()> {
        match self {
            // Decoded before a JSON value of the body is built.
            Sender::Distribution => None,
            Sender::Harbor => harbor::read(call, out),
            Sender::Quay => quay::read(call, out),
            Sender::Gitea => gitea::read(call, out),
            Sender::GitHub => github::read(call, out),
            Sender::GitLab => gitlab::read(call, out),
            Sender::Azure => azure::read(call, out),
            Sender::Google => google::read(call, out),
            Sender::Ecr => ecr::read(call, out),
            Sender::JFrog => jfrog::read(call, out),
            Sender::Nexus => nexus::read(call, out),
            Sender::Aliyun => aliyun::read(call, out),
            Sender::DockerHub => docker_hub::read(call, out),
            Sender::Zot => zot::read(call, out),
            Sender::CloudEvents => cloud_events::read(call, out),
            Sender::Native => native::read(call, out),
        }
    }
}

/// A call, as far as decoding needs it.
#[derive(Clone, Copy)]
pub struct Envelope<'a> {
    /// The sender, if the route names it.
    pub sender: Option<Sender>,
    /// The registry's host, if the caller names it (`?registry=HOST`).
    pub registry: Option<&'a str>,
    /// Looks up a header by its lower-case name.
    pub header: &'a dyn Fn(&str) -> Option<&'a str>,
    /// The body.
    pub body: &'a [u8],
}

/// The result of decoding a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decoded {
    /// The sender.
    pub sender: Sender,
    /// The pushes, in the order of the payload, each once.
    pub events: Vec<Claim>,
    /// The parts that are no push of a tag.
    pub ignored: Vec<Ignored>,
    /// The subscription that Amazon SNS needs confirmed before it sends anything.
    pub subscription: Option<Subscription>,
}

/// A subscription that must be confirmed (Amazon SNS, "`SubscriptionConfirmation`").
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscription {
    /// The topic's ARN.
    pub topic: String,
    /// The URL to fetch to confirm it: HTTPS, on a host of Amazon SNS.
    pub url: String,
}

/// A part of a payload that made no event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Ignored {
    /// The reason.
    pub reason: IgnoredReason,
    /// A short description from the payload.
    #[serde(skip)]
    pub detail: String,
}

/// The reasons why a part of a payload made no event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub enum IgnoredReason {
    /// A pull, a delete, a mount, a ping.
    NotAPush,
    /// A layer or a configuration, not a manifest.
    NotAManifest,
    /// A push by digest only: no workload follows it.
    NoTag,
    /// The registry is not named.
    NoHost,
    /// The repository or the host is invalid.
    BadRepository,
    /// The tag is invalid.
    BadTag,
    /// The event has an unexpected shape for its sender.
    BadEvent,
}

impl IgnoredReason {
    /// Returns the stable code.
    pub fn code(self) -> &'static str {
        match self {
            IgnoredReason::NotAPush => "NotAPush",
            IgnoredReason::NotAManifest => "NotAManifest",
            IgnoredReason::NoTag => "NoTag",
            IgnoredReason::NoHost => "NoHost",
            IgnoredReason::BadRepository => "BadRepository",
            IgnoredReason::BadTag => "BadTag",
            IgnoredReason::BadEvent => "BadEvent",
        }
    }
}

/// The reasons why a body cannot be decoded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// It is not JSON.
    #[error("the body is not JSON: {0}")]
    Malformed(String),
    /// It is not a payload of a known sender.
    #[error("the body is not a payload of {}", .0.map_or("any known sender", Sender::as_str))]
    UnknownShape(Option<Sender>),
    /// It has more events than allowed.
    #[error("a payload has at most {EVENTS} events")]
    TooMany,
}

/// A call and its parsed body.
#[derive(Clone, Copy)]
struct Call<'a, 'h> {
    body: &'a Value,
    registry: Option<&'a str>,
    header: &'a dyn Fn(&str) -> Option<&'h str>,
    /// True if it was the content of another envelope.
    nested: bool,
}

impl<'a> Call<'a, '_> {
    /// Returns the text at a path of object keys.
    fn text(&self, path: &[&str]) -> Option<&'a str> {
        text(self.body, path)
    }
}

/// Returns the value at a path of object keys.
fn at<'a>(value: &'a Value, path: &[&str]) -> Option<&'a Value> {
    path.iter().try_fold(value, |value, key| value.get(key))
}

/// Returns the text at a path of object keys.
fn text<'a>(value: &'a Value, path: &[&str]) -> Option<&'a str> {
    at(value, path)?.as_str()
}

/// Returns the host of a URL or of a reference: the part before the first slash.
fn host_of(text: &str) -> Option<&str> {
    let rest = text.split_once("://").map_or(text, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next()?;
    Some(authority.rsplit_once('@').map_or(authority, |(_, host)| host)).filter(|host| !host.is_empty())
}

/// Decodes a call.
///
/// # Errors
/// See [`DecodeError`].
pub fn decode(envelope: &Envelope<'_>) -> Result<Decoded, DecodeError> {
    let Envelope { sender, registry, header, body } = *envelope;
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    let mut out = Collector::default();
    if sender.is_none_or(|sender| sender == Sender::Distribution) && distribution::read(body, registry, &mut out).is_some() {
        return out.into_decoded(Sender::Distribution);
    }
    let text = std::str::from_utf8(body).map_err(|error| DecodeError::Malformed(error.to_string()))?;
    let body: Value = serde_json::from_str(text).map_err(|error| DecodeError::Malformed(error.to_string()))?;
    let call = Call { body: &body, registry, header, nested: false };
    let claimed = match sender {
        Some(sender) => sender.read(&call, &mut out).map(|()| sender),
        None => claim(&call, &mut out),
    };
    out.into_decoded(claimed.ok_or(DecodeError::UnknownShape(sender))?)
}

/// Decodes the call as the sender whose shape it has.
fn claim(call: &Call<'_, '_>, out: &mut Collector) -> Option<Sender> {
    Sender::ALL.iter().copied().find(|sender| sender.read(call, out).is_some())
}

/// Collects the events that a sender's file finds.
#[derive(Default)]
struct Collector {
    events: Vec<Claim>,
    seen: HashSet<Claim>,
    ignored: Vec<Ignored>,
    subscription: Option<Subscription>,
    too_many: bool,
}

impl Collector {
    fn into_decoded(self, sender: Sender) -> Result<Decoded, DecodeError> {
        let Self { events, seen: _, ignored, subscription, too_many } = self;
        if too_many { Err(DecodeError::TooMany) } else { Ok(Decoded { sender, events, ignored, subscription }) }
    }

    /// Adds a push of a complete image reference.
    fn push_reference(&mut self, reference: &str, digest: Option<&str>) {
        let (image, own) = reference.split_once('@').map_or((reference, None), |(image, digest)| (image, Some(digest)));
        match ImageReference::parse(image) {
            Ok(read) => {
                let digest = digest.or(own);
                match read.tag() {
                    Some(tag) => self.push(Some(read.registry()), read.repository().path(), tag, digest),
                    None => self.ignore(IgnoredReason::NoTag, reference),
                }
            }
            Err(_) => self.ignore(IgnoredReason::BadRepository, reference),
        }
    }

    fn ignore(&mut self, reason: IgnoredReason, detail: &str) {
        self.ignored.push(Ignored { reason, detail: detail.chars().take(DETAIL).collect() });
    }

    /// Adds a push of a tag. The host never comes from the repository.
    fn push(&mut self, host: Option<&str>, repository: &str, tag: &str, digest: Option<&str>) {
        if self.events.len() + self.ignored.len() >= EVENTS {
            self.too_many = true;
            return;
        }
        if tag.is_empty() {
            return self.ignore(IgnoredReason::NoTag, repository);
        }
        let Some(host) = host.map(str::trim).filter(|host| !host.is_empty()) else {
            return self.ignore(IgnoredReason::NoHost, repository);
        };
        let Ok(repository) = RepositoryKey::from_parts(host, repository) else {
            return self.ignore(IgnoredReason::BadRepository, &format!("{host}/{repository}"));
        };
        // A digest in the field for the tag is a digest. Pushes by digest are not events.
        if Digest::parse(tag).is_ok() {
            return self.ignore(IgnoredReason::NoTag, tag);
        }
        if !is_tag(tag) {
            return self.ignore(IgnoredReason::BadTag, tag);
        }
        // The tag counts even if the digest is invalid.
        let digest = digest.and_then(|digest| Digest::parse(digest).ok());
        self.add(Claim { origin: Origin::Registry(repository), chart: None, tag: Some(tag.to_owned()), digest, trigger: Trigger::Webhook });
    }

    /// Adds a push of a chart version to a classic Helm repository.
    fn push_chart(&mut self, repository: &str, chart: &str, version: &str) {
        if self.events.len() + self.ignored.len() >= EVENTS {
            self.too_many = true;
            return;
        }
        let Ok(repository) = ChartRepository::parse(repository) else {
            return self.ignore(IgnoredReason::BadRepository, repository);
        };
        if ChartReference::new(chart, version).is_err() {
            return self.ignore(IgnoredReason::BadRepository, chart);
        }
        if parse_chart(version).is_none() {
            return self.ignore(IgnoredReason::BadTag, version);
        }
        self.add(Claim {
            origin: Origin::Charts(repository),
            chart: Some(chart.to_owned()),
            tag: Some(version.to_owned()),
            digest: None,
            trigger: Trigger::Webhook,
        });
    }

    fn add(&mut self, event: Claim) {
        if self.seen.insert(event.clone()) {
            self.events.push(event);
        }
    }
}

#[cfg(test)]
mod recorded;
#[cfg(test)]
mod tests;
