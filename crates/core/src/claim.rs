//! A claim: "this repository now has this tag".
//!
//! The webhook decoders make claims. A claim is not an order: [`crate::decide`] says what follows from it.

use crate::artifact::reference::Digest;
use crate::artifact::{ArtifactKind, Origin};
use crate::trigger::Trigger;
use crate::workload::Container;

/// A statement that a repository has a tag, or a version of a chart.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Claim {
    /// The repository, normalised, host included (`docker.io/library/nginx`).
    pub origin: Origin,
    /// The chart's name, if the repository has many charts.
    pub chart: Option<String>,
    /// The tag that was pushed (for a chart repository, the version). `None` if the sender named only a digest.
    pub tag: Option<String>,
    /// The manifest's digest, if the sender named it.
    pub digest: Option<Digest>,
    /// The source of the claim.
    pub trigger: Trigger,
}

impl Claim {
    /// Returns true if the claim is about the artifact of the container or the release.
    pub fn is_about(&self, container: &Container) -> bool {
        let of_chart =
            |chart: &String| container.artifact().is_ok_and(|artifact| artifact.kind() == ArtifactKind::Chart && artifact.name() == chart);
        container.origin().as_ref() == Some(&self.origin) && self.chart.as_ref().is_none_or(of_chart)
    }
}
