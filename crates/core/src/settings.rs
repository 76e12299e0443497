//! The parser of settings from annotations.
//!
//! A value is looked up in this order: the workload's key for the container, the workload's key, the namespace's key
//! for the container, the namespace's key. The first one found is used. An invalid value is a fault and never falls
//! back to another value. [`Settings::resolve`] returns every fault at once.

pub(crate) mod bounds;
mod channel;
pub mod key;
mod parse;

pub use bounds::own;
pub use channel::Channel;
pub use key::PREFIX;
pub use parse::duration;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use crate::artifact::Artifact;
use crate::artifact::platform::Platform;
use crate::artifact::reference::RepositoryKey;
use crate::policy::{Pattern, Policy, Rule};
use crate::rollout::RolloutLimits;
use crate::trigger::Trigger;
use crate::window::Schedule;

/// Annotations, as in Kubernetes.
pub type Annotations = BTreeMap<String, String>;

/// The settings of one container of one workload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The policy for new versions.
    pub policy: Policy,
    /// The pattern that tags must match.
    pub pattern: Option<Pattern>,
    /// True if a person must approve updates.
    pub require_approval: bool,
    /// The number of people who must approve an update.
    pub approvals: u32,
    /// Minimum time between two updates of the workload.
    pub min_update_interval: Duration,
    /// The tracked containers; `None` means all except init containers and image volumes.
    pub images: Option<Vec<String>>,
    /// The triggers that may propose updates.
    pub event_source: EventSource,
    /// The polling interval, if it is not the default.
    pub polling_interval: Option<Duration>,
    /// True if a failed rollout is rolled back.
    pub auto_rollback: bool,
    /// Maximum time of a rollout without progress.
    pub rollback_timeout: Duration,
    /// Number of consecutive failed checks that trigger the rollback.
    pub health_check_retries: u32,
    /// Time that new pods must stay available.
    pub settle_time: Duration,
    /// The way in which a new digest of the same tag is applied.
    pub digest_update: DigestUpdate,
    /// Minimum age of a version before it is applied.
    pub cool_down: Duration,
    /// When updates may start.
    pub schedule: Schedule,
    /// The object whose annotation says that no updates are applied.
    pub frozen: Option<Place>,
    /// The treatment of updates of a workload that another controller owns.
    pub gitops: GitOps,
    /// The platforms that a version must have.
    pub platforms: Platforms,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            policy: Policy::None,
            pattern: None,
            require_approval: true,
            approvals: 1,
            min_update_interval: Duration::from_mins(5),
            images: None,
            event_source: EventSource::Webhook,
            polling_interval: None,
            auto_rollback: false,
            rollback_timeout: Duration::from_mins(5),
            health_check_retries: 3,
            settle_time: Duration::from_secs(30),
            digest_update: DigestUpdate::Auto,
            cool_down: Duration::ZERO,
            schedule: Schedule::default(),
            frozen: None,
            gitops: GitOps::Auto,
            platforms: Platforms::Any,
        }
    }
}

/// The triggers that may propose updates of a workload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventSource {
    /// Webhooks of registries.
    Webhook,
    /// Headwind's own scans.
    Polling,
    /// Both.
    Both,
    /// Neither.
    None,
}

impl EventSource {
    /// Returns true if the trigger may propose updates. A manual trigger may always propose them.
    pub fn allows(self, trigger: Trigger) -> bool {
        match trigger {
            Trigger::Webhook => matches!(self, EventSource::Webhook | EventSource::Both),
            Trigger::Polling => matches!(self, EventSource::Polling | EventSource::Both),
            Trigger::Manual => true,
        }
    }
}

/// The way in which a new digest of the same tag is applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DigestUpdate {
    /// Restart if the container's pull policy is `Always`, else pin.
    Auto,
    /// Write the digest into the pod template, so that pods are recreated.
    Restart,
    /// Write `tag@digest` into the image.
    Pin,
}

/// The platforms that a version must have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Platforms {
    /// Any.
    Any,
    /// Those of the nodes that the pods may be scheduled on.
    Cluster,
    /// All of these.
    List(Vec<Platform>),
}

/// The treatment of updates of a workload that another controller owns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GitOps {
    /// Refuse, except for workloads that Helm installed: those are patched.
    Auto,
    /// Propose nothing.
    Refuse,
    /// Create requests, and let the owner apply them.
    Propose,
    /// Patch, as if nobody owned it.
    Patch,
}

/// An invalid value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fault {
    /// The complete key.
    pub key: String,
    /// The value, truncated to fit a message.
    pub value: String,
    /// The object with the annotation.
    pub place: Place,
    /// The error.
    pub problem: String,
}

/// The object with an annotation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// The workload itself.
    Workload,
    /// Its namespace.
    Namespace,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = match self.place {
            Place::Workload => "annotation",
            Place::Namespace => "the namespace's annotation",
        };
        write!(f, "{place} {} has the value {:?}: {}", self.key, self.value, self.problem)
    }
}

/// Looks up values, and collects the faults.
struct Lookup<'a> {
    namespace: &'a Annotations,
    workload: &'a Annotations,
    container: &'a str,
    faults: Vec<Fault>,
}

impl Lookup<'_> {
    /// Reports an object with more of Headwind's annotations than are kept: its settings are incomplete.
    fn bounded(&mut self) {
        for (annotations, place) in [(self.workload, Place::Workload), (self.namespace, Place::Namespace)] {
            if annotations.contains_key(bounds::TOO_MUCH) {
                let problem = format!("the object may have at most {} KiB of these annotations", bounds::ALL / 1024);
                self.faults.push(Fault { key: format!("{PREFIX}*"), value: "…".to_owned(), place, problem });
            }
        }
    }

    /// Returns the parsed value of a key; `None` if it is not set or invalid.
    fn get<T>(&mut self, key: &str, read: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        self.placed(key, read).map(|(value, _)| value)
    }

    /// Returns the same with the object that has the annotation.
    fn placed<T>(&mut self, key: &str, read: impl FnOnce(&str) -> Result<T, String>) -> Option<(T, Place)> {
        let own = format!("{key}.{}", self.container);
        let places = [(self.workload, Place::Workload), (self.namespace, Place::Namespace)];
        let (key, value, place) = places
            .into_iter()
            .flat_map(|(annotations, place)| [own.as_str(), key].map(|key| (annotations, place, key)))
            .find_map(|(annotations, place, key)| annotations.get(key).map(|value| (key, value, place)))?;
        let short =
            || if value.len() > bounds::VALUE { Err(format!("must have at most {} bytes", bounds::VALUE)) } else { Ok(value.trim()) };
        match short().and_then(read) {
            Ok(value) => Some((value, place)),
            Err(problem) => {
                self.faults.push(Fault { key: key.to_owned(), value: value.chars().take(100).collect(), place, problem });
                None
            }
        }
    }
}

impl From<&Settings> for RolloutLimits {
    fn from(settings: &Settings) -> Self {
        Self { timeout: settings.rollback_timeout, retries: settings.health_check_retries.max(1), settle: settings.settle_time }
    }
}

impl Settings {
    /// Resolves the settings of the container.
    ///
    /// # Errors
    /// All invalid values, and policy glob without a pattern.
    pub fn resolve(namespace: &Annotations, workload: &Annotations, container: &str) -> Result<Self, Vec<Fault>> {
        let (settings, faults) = Self::read(namespace, workload, container);
        if faults.is_empty() { Ok(settings) } else { Err(faults) }
    }

    /// Returns the settings of the container with the default in the place of each invalid value. Only for what must go on
    /// although an annotation is invalid, such as a rollback.
    pub fn valid(namespace: &Annotations, workload: &Annotations, container: &str) -> Self {
        Self::read(namespace, workload, container).0
    }

    fn read(namespace: &Annotations, workload: &Annotations, container: &str) -> (Self, Vec<Fault>) {
        if workload.is_empty() && namespace.is_empty() {
            return (Self::default(), Vec::new());
        }
        let mut at = Lookup { namespace, workload, container, faults: Vec::new() };
        at.bounded();
        let default = Self::default();
        let settings = Self {
            policy: at.get(key::POLICY, parse::word).unwrap_or(default.policy),
            pattern: at.get(key::PATTERN, |text| Pattern::new(text).map_err(|error| error.to_string())),
            require_approval: at.get(key::REQUIRE_APPROVAL, parse::boolean).unwrap_or(default.require_approval),
            approvals: at.get(key::APPROVALS, parse::people).unwrap_or(default.approvals),
            min_update_interval: at.get(key::MIN_UPDATE_INTERVAL, parse::duration).unwrap_or(default.min_update_interval),
            images: at.get(key::IMAGES, parse::list),
            event_source: at.get(key::EVENT_SOURCE, parse::event_source).unwrap_or(default.event_source),
            polling_interval: at.get(key::POLLING_INTERVAL, parse::positive_duration),
            auto_rollback: at.get(key::AUTO_ROLLBACK, parse::boolean).unwrap_or(default.auto_rollback),
            rollback_timeout: at.get(key::ROLLBACK_TIMEOUT, parse::positive_duration).unwrap_or(default.rollback_timeout),
            health_check_retries: at.get(key::HEALTH_CHECK_RETRIES, parse::count).unwrap_or(default.health_check_retries),
            settle_time: at.get(key::SETTLE_TIME, parse::duration).unwrap_or(default.settle_time),
            digest_update: at.get(key::DIGEST_UPDATE, parse::digest_update).unwrap_or(default.digest_update),
            cool_down: at.get(key::COOL_DOWN, parse::duration).unwrap_or(default.cool_down),
            schedule: Schedule { allow: at.get(key::UPDATE_WINDOW, parse::word), deny: at.get(key::UPDATE_WINDOW_DENY, parse::word) },
            frozen: at.placed(key::FREEZE, parse::boolean).filter(|(frozen, _)| *frozen).map(|(_, place)| place),
            gitops: at.get(key::GITOPS, parse::gitops).unwrap_or(default.gitops),
            platforms: at.get(key::PLATFORMS, parse::platforms).unwrap_or(default.platforms),
        };
        let mut faults = at.faults;
        let lacks_pattern = settings.policy.needs_pattern() && settings.pattern.is_none();
        if lacks_pattern && !faults.iter().any(|fault| fault.key.starts_with(key::PATTERN)) {
            let policy = settings.policy.to_string();
            let problem = format!("policy {policy} needs the annotation {} as well", key::PATTERN);
            faults.push(Fault { key: key::POLICY.to_owned(), value: policy, place: Place::Workload, problem });
        }
        (settings, faults)
    }

    /// Returns the channels that get the notifications about the container; `None` for all. `container` is `None` for what
    /// concerns the whole workload.
    ///
    /// Unknown names are ignored, so that a typo does not silence the other channels. If no name is known, all channels get
    /// the notifications. [`Settings::notify_fault`] returns what is to be reported.
    pub fn channels(namespace: &Annotations, workload: &Annotations, container: Option<&str>) -> Option<BTreeSet<Channel>> {
        let own = container.map(|container| format!("{}.{container}", key::NOTIFY));
        let names: Vec<&str> = own.iter().map(String::as_str).chain([key::NOTIFY]).collect();
        let value = [workload, namespace].into_iter().find_map(|all| names.iter().find_map(|name| all.get(*name)))?;
        let known: BTreeSet<Channel> = parse::words(value).filter_map(|word| word.parse().ok()).collect();
        if known.is_empty() && parse::words(value).all(|word| word != parse::NO_CHANNEL) { None } else { Some(known) }
    }

    /// Returns the fault of the channels that apply to the container. It stops no update: notifications are delivered to the
    /// known channels.
    pub fn notify_fault(namespace: &Annotations, workload: &Annotations, container: &str) -> Option<Fault> {
        let mut at = Lookup { namespace, workload, container, faults: Vec::new() };
        at.get(key::NOTIFY, parse::channels);
        at.faults.pop()
    }

    /// Returns true if the object's owner lets one release move the tag for all releases that follow it.
    ///
    /// `annotations` are those of the `OCIRepository`, never of a release. An invalid value is not a consent.
    pub fn consents_to_share(annotations: &Annotations) -> bool {
        annotations.get(key::SHARED_SOURCE).is_some_and(|value| parse::boolean(value.trim()) == Ok(true))
    }

    /// Returns the policy with its pattern.
    pub fn rule(&self) -> Rule {
        Rule { policy: self.policy, pattern: self.pattern.clone() }
    }

    /// Returns true if an image is tracked. With `only_by_name`, as for init containers and image volumes, it is
    /// tracked only if `images` names it.
    pub fn tracks(&self, container: &str, artifact: &Artifact, only_by_name: bool) -> bool {
        match &self.images {
            None => !only_by_name,
            Some(named) => named.iter().any(|name| name == container || names(name, artifact)),
        }
    }
}

/// Returns true if an entry of `images` is this image's repository, or this chart's name. A bare word is a container's
/// name first; it is a repository only if it is one of Docker Hub's own (`nginx`).
pub(crate) fn names(entry: &str, artifact: &Artifact) -> bool {
    match artifact {
        Artifact::Image(image) => RepositoryKey::parse(entry).is_ok_and(|named| named == *image.repository()),
        Artifact::Chart(chart) => entry == chart.name(),
    }
}

#[cfg(test)]
mod tests;
