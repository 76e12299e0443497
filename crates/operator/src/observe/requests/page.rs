//! Lists requests by name, one page at a time.
//!
//! The store has no order: a page is selected from all requests in one pass that keeps only the page.

use std::collections::BinaryHeap;

use headwind_core::artifact::ArtifactKind;
use headwind_core::policy::Policy;
use headwind_core::request::{Phase, Request};
use headwind_core::workload::{Kind, WorkloadKey};
use headwind_k8s::update_request::UpdateRequest;

use super::{Held, Name, Requests, name_of};
use crate::observe::visible::Visible;

/// Selects requests. Every field that is set must match.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// The namespaces that the caller may list.
    pub visible: Visible,
    /// The request's namespace.
    pub namespace: Option<String>,
    /// The kind of its workload.
    pub kind: Option<Kind>,
    /// Its phase.
    pub phase: Option<Phase>,
    /// The policy that accepted the version.
    pub policy: Option<Policy>,
    /// Text in the name, the workload, the container or an image, case-insensitive.
    pub text: Option<String>,
}

/// The names of one page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listing {
    /// Ordered by namespace and name.
    pub(crate) names: Vec<Name>,
    /// The number of requests after the last one.
    pub(crate) remaining: usize,
}

impl Filter {
    /// Returns true if the object matches.
    pub(crate) fn takes(&self, request: &UpdateRequest) -> bool {
        self.takes_one(&request.workload_key(), request.phase(), request.spec.policy.0, || request.read())
    }

    fn takes_held(&self, workload: &WorkloadKey, held: Held<'_>) -> bool {
        let by = match held {
            Held::Open(request) => request.spec.policy.0,
            Held::Finished(request) => request.policy(),
        };
        self.takes_one(workload, held.phase(), by, || held.read())
    }

    fn takes_one(&self, workload: &WorkloadKey, in_phase: Phase, by: Policy, read: impl FnOnce() -> Request) -> bool {
        let Self { visible, namespace, kind, phase, policy, text } = self;
        visible.includes(&workload.namespace)
            && namespace.as_ref().is_none_or(|namespace| workload.namespace == *namespace)
            && kind.is_none_or(|kind| workload.kind == kind)
            && phase.is_none_or(|phase| in_phase == phase)
            && policy.is_none_or(|policy| by == policy)
            && text.as_ref().is_none_or(|text| {
                let text = text.to_lowercase();
                let Request { name, spec, .. } = read();
                let container = spec.container.filter(|_| spec.kind == ArtifactKind::Image);
                let places = [Some(&name), Some(&workload.name), container.as_ref(), Some(&spec.current_image), Some(&spec.new_image)];
                places.into_iter().flatten().any(|place| place.to_lowercase().contains(&text))
            })
    }
}

impl Requests {
    /// Returns the names of the matching requests: `limit` of them after `after`.
    pub(crate) fn page(&self, filter: &Filter, after: Option<&Name>, limit: usize) -> Listing {
        // The greatest name is on top, and is replaced by a smaller one.
        let mut page: BinaryHeap<Name> = BinaryHeap::with_capacity(limit.saturating_add(1));
        let mut all = 0_usize;
        for (workload, of) in &self.by_workload {
            for held in of.all().filter(|held| filter.takes_held(workload, *held)) {
                let name = (workload.namespace.clone(), name_of(held));
                if after.is_some_and(|after| name <= *after) {
                    continue;
                }
                all += 1;
                page.push(name);
                if page.len() > limit {
                    page.pop();
                }
            }
        }
        let names = page.into_sorted_vec();
        Listing { remaining: all - names.len(), names }
    }
}
