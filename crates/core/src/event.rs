//! What Headwind hears: "this repository now has this tag".
//!
//! Events are made by the webhook decoders and by the poller; they are claims, not orders. What
//! follows from one is decided by [`crate::decide`].

use crate::artifact::Origin;
use crate::policy::Kind;
use crate::reference::Digest;
use crate::target::Container;

/// A claim that a repository holds a tag or a chart's version, as a webhook or a scan reported it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Event {
    /// The repository, normalised, host included (`docker.io/library/nginx`).
    pub origin: Origin,
    /// The chart's name, where the repository is one of many charts.
    pub chart: Option<String>,
    /// The tag that was pushed (of such a repository: the version); `None` when the sender named a digest only.
    pub tag: Option<String>,
    /// The manifest's digest, where the sender told it.
    pub digest: Option<Digest>,
    /// Which door the event came through.
    pub trigger: Trigger,
}

impl Event {
    /// Whether it is about what the container, or the release, runs.
    pub fn is_about(&self, container: &Container) -> bool {
        let of_chart =
            |chart: &String| container.artifact().is_ok_and(|artifact| artifact.kind() == Kind::Chart && artifact.name() == chart);
        container.origin().as_ref() == Some(&self.origin) && self.chart.as_ref().is_none_or(of_chart)
    }
}

/// What made Headwind look at a workload (SPEC section 4, `spec.trigger`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Trigger {
    /// A registry's notification.
    Webhook,
    /// Headwind's own scan of a registry.
    Polling,
    /// A person: rollback, or "update now".
    Manual,
}

impl Trigger {
    /// The word that stands in the UpdateRequest and in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Trigger::Webhook => "webhook",
            Trigger::Polling => "polling",
            Trigger::Manual => "manual",
        }
    }
}
