//! The workloads that a scan serves.

use headwind_core::artifact::{Artifact, ArtifactKind, Origin};
use headwind_core::policy::Policy;
use headwind_core::workload::{Container, WorkloadKey};

use super::Poller;
use super::filter::Filter;
use super::plan::Wanted;
use crate::observe::index::Resolved;
use crate::registries::secrets::PullPlace;

/// A workload with the containers (or the chart) that the scan is about.
#[derive(Debug)]
pub(super) struct Followers {
    pub(super) resolved: Resolved,
    pub(super) all: Vec<Follower>,
}

/// One container (or chart).
#[derive(Debug)]
pub(super) struct Follower {
    pub(super) container: Container,
    pub(super) artifact: Artifact,
    policy: Policy,
}

impl Follower {
    /// Returns the tag whose digest it follows.
    pub(super) fn followed_tag(&self) -> Option<String> {
        let Artifact::Image(image) = &self.artifact else { return None };
        self.policy.follows_digest().then(|| image.effective_tag().map(ToOwned::to_owned))?
    }

    /// Returns true if it needs every version.
    pub(super) fn wants_versions(&self) -> bool {
        !self.policy.follows_digest()
    }

    pub(super) fn is_chart(&self) -> bool {
        self.artifact.kind() == ArtifactKind::Chart
    }

    pub(super) fn knows_its_digest(&self) -> bool {
        self.container.known_digest(&self.artifact).is_some()
    }
}

impl Poller {
    /// Returns the containers of the origin that are scanned with these credentials, in the order of their workloads
    /// starting at `first`, and the part of the list that they need.
    pub(super) fn followers(&self, origin: &Origin, wanted: &Wanted, first: Option<&WorkloadKey>) -> (Vec<Followers>, Filter) {
        let polling = self.polling();
        let users = self.proposer.state.index.read().followers(origin);
        let mut followers: Vec<Followers> = Vec::new();
        let (mut filter, mut filtered) = (Filter::default(), 0);
        for resolved in users {
            // Containers with other credentials belong to another scan.
            let ours = wanted.places.contains(&PullPlace::of(&resolved.workload));
            let looked_up = wanted.look_ups.contains_key(&resolved.workload.key);
            let mut all = Vec::new();
            for (container, settings) in resolved.containers() {
                if container.origin().as_ref() != Some(origin) {
                    continue;
                }
                let Some(polled) = settings.and_then(|settings| polling.listens(&resolved.workload, container, settings)) else {
                    filtered += 1;
                    continue;
                };
                if ours
                    && (polled || looked_up)
                    && let (Ok(artifact), Some(settings)) = (container.artifact(), settings)
                {
                    filter.add(&artifact, settings);
                    all.push(Follower { container: container.clone(), artifact, policy: settings.policy });
                }
            }
            if !all.is_empty() {
                followers.push(Followers { resolved, all });
            }
        }
        self.proposer.metrics.polling_resources_filtered.inc_by(filtered);
        followers.sort_by(|a, b| a.resolved.workload.key.cmp(&b.resolved.workload.key));
        let begin = first.map_or(0, |first| followers.partition_point(|one| one.resolved.workload.key < *first));
        let begin = begin.min(followers.len());
        followers.rotate_left(begin);
        (followers, filter)
    }
}
