//! Selects the finished requests to delete.
//!
//! The newest ones are a workload's record of updates. An older one is kept while it still blocks a version above the
//! current one. That does not depend on the current settings: a pause (`policy: none`), an invalid pattern or a renamed
//! container must not make Headwind forget a rejection.

use super::context::Context;
use super::rollout::answers_for;
use super::{Phase, Request, Step};
use crate::artifact::ArtifactKind;
use crate::artifact::version::natural_order;

/// Maximum number of finished requests per workload, unless the history limit is higher.
const MOST: usize = 50;

impl Context<'_> {
    /// Deletes one finished request that is no longer needed.
    pub(super) fn prune(&self) -> Option<Step> {
        let limit = self.observed.history_limit;
        let mut finished: Vec<&Request> =
            self.observed.requests.iter().copied().filter(|request| !request.status.phase.is_open()).collect();
        if finished.len() <= limit {
            return None;
        }
        // Times in a status have whole seconds. Of two that finished in the same second, the one created later is
        // newer.
        finished.sort_by(|a, b| (b.status.finished_at, b.created, &b.name).cmp(&(a.status.finished_at, a.created, &a.name)));
        let (blocking, idle): (Vec<&Request>, Vec<&Request>) =
            finished.into_iter().skip(limit).partition(|request| self.explains_failures(request) || self.blocks_higher(request));
        let surplus = || {
            // Decisions of people and rollbacks are kept longer than requests that expired or were reverted.
            let spare = blocking.iter().rev().find(|request| !is_verdict(request)).or(blocking.last());
            spare.copied().filter(|_| blocking.len() > MOST.saturating_sub(limit))
        };
        let request = idle.last().copied().or_else(surplus)?;
        Some(Step::Delete { request: request.name.clone() })
    }

    /// Returns true if failures of pods are those of this request, and not of a rollout of another container that is
    /// watched.
    fn explains_failures(&self, request: &Request) -> bool {
        let is_watched = |one: &&Request| one.spec.container != request.spec.container && one.status.phase == Phase::RollingOut;
        self.container_of(request).is_some_and(|container| answers_for(self, request, container))
            && self.observed.requests.iter().any(is_watched)
    }

    /// Returns true if a finished request blocks a version above the current one.
    fn blocks_higher(&self, request: &Request) -> bool {
        let image = match &request.status.rolled_back_from {
            Some(left) => left,
            None if request.status.is_replaceable() => return false,
            None => &request.spec.new_image,
        };
        if request.target_uid != self.workload.uid {
            return false;
        }
        if request.spec.policy.follows_digest() {
            // Each push has its own digest, and digests have no order.
            return is_verdict(request);
        }
        let Some(wanted) = request.artifact(image) else { return false };
        // The container is gone, or its image cannot be parsed: unknown.
        let Some(Ok(installed)) = self.container_of(request).map(crate::workload::Container::artifact) else { return true };
        match (wanted.version(), installed.version()) {
            (Some(wanted), Some(installed)) => is_above(request.spec.kind, wanted, installed),
            (_, _) => false,
        }
    }
}

/// Returns true if the request finished because the version is bad.
fn is_verdict(request: &Request) -> bool {
    request.status.rolled_back_from.is_some() || matches!(request.status.phase, Phase::Rejected | Phase::RolledBack)
}

/// Returns true if `tag` is, or may be, above `current`.
fn is_above(kind: ArtifactKind, tag: &str, current: &str) -> bool {
    match (kind.read(tag), kind.read(current)) {
        (Some(tag), Some(current)) => tag.cmp_precedence(&current).is_gt(),
        (None, None) => natural_order(tag, current).is_gt(),
        (_, _) => true,
    }
}
