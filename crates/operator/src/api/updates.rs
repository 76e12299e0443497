//! Queries about requests: filtered and sorted pages.
//!
//! The queries use only data in memory, without a call to the API server. A query looks at every request once, and
//! reads only those whose cheap fields match.

use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use headwind_core::policy::Policy;
use headwind_core::request::{Phase, Request};
use headwind_core::workload::{Kind, WorkloadKey};
use headwind_k8s::update_request::UpdateRequest;
use jiff::Timestamp;

use super::counts::is_approved_by_policy;
use super::handle::Handle;
use crate::observe::requests::{Held, PhaseCounts, name_of};
use crate::observe::state::State;
use crate::observe::visible::Visible;

/// Selects requests. Every field that is set must match.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UpdateQuery {
    /// The namespaces that the caller may list.
    pub visible: Visible,
    /// The namespace.
    pub namespace: Option<String>,
    /// The kind of the workload.
    pub kind: Option<Kind>,
    /// The policy that accepted the version.
    pub policy: Option<Policy>,
    /// The phases. Empty for all.
    pub phases: Vec<Phase>,
    /// Text that the name, the workload, the container or an image contains. ASCII letters match in either case.
    pub text: Option<String>,
    /// The earliest time of the last change.
    pub since: Option<Timestamp>,
    /// Only pending requests that a person must approve or reject.
    pub waiting: bool,
    /// Only requests that expire before this time.
    pub expires_before: Option<Timestamp>,
}

/// The sort field of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SortBy {
    /// When the request expires.
    Expires,
    /// The namespace, then the workload.
    Namespace,
    /// The workload's name.
    Name,
    /// When the request last changed.
    Changed,
    /// When the request was created.
    Created,
}

/// The order of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Order {
    /// The field.
    pub by: SortBy,
    /// The highest value first.
    pub descending: bool,
}

/// A request, as far as it is in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpdateSummary {
    /// The workload.
    pub workload: WorkloadKey,
    /// The request. A finished one has no message.
    pub request: Request,
    /// The `resourceVersion`.
    pub version: String,
    /// True for a pending request that the policy approves: it waits for the gate, not for a person.
    pub by_policy: bool,
}

/// A page of requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpdatePage {
    /// The requests.
    pub items: Vec<UpdateSummary>,
    /// The number of requests on all pages.
    pub total: usize,
}

/// Returns true if `text` contains `part`, which is in lower case. Does not allocate.
fn contains(text: &str, part: &str) -> bool {
    let (text, part) = (text.as_bytes(), part.as_bytes());
    part.is_empty() || text.windows(part.len()).any(|window| window.eq_ignore_ascii_case(part))
}

impl UpdateQuery {
    fn takes(&self, workload: &WorkloadKey, held: Held<'_>, text: Option<&str>, by_policy: &ByPolicy) -> bool {
        let Self { visible, namespace, kind, policy, phases, text: _, since, waiting, expires_before } = self;
        visible.includes(&workload.namespace)
            && namespace.as_ref().is_none_or(|namespace| workload.namespace == *namespace)
            && kind.is_none_or(|kind| workload.kind == kind)
            && (phases.is_empty() || phases.contains(&held.phase()))
            && policy.is_none_or(|policy| held.policy() == policy)
            && (!waiting || (held.phase() == Phase::Pending && !by_policy.holds(held)))
            && expires_before.is_none_or(|before| held.expires_at().is_some_and(|at| at < before))
            && since.is_none_or(|since| held.changed_at().is_some_and(|at| at >= since))
            && text.is_none_or(|text| contains(&workload.name, text) || held.contains(|place| contains(place, text)))
    }
}

/// A request with the value that it is sorted by.
struct Ranked<'a> {
    millis: i64,
    workload: &'a WorkloadKey,
    held: Held<'a>,
}

impl Order {
    fn millis(self, held: Held<'_>) -> i64 {
        let at = match self.by {
            SortBy::Expires => held.expires_at(),
            SortBy::Changed => held.changed_at(),
            SortBy::Created => Some(held.created()),
            SortBy::Namespace | SortBy::Name => None,
        };
        at.map_or(i64::MAX, Timestamp::as_millisecond)
    }

    fn compare<'a>(self, a: &Ranked<'a>, b: &Ranked<'a>) -> Ordering {
        let name = |one: &Ranked<'a>| (one.workload.name.as_str(), one.workload.namespace.as_str());
        let first = match self.by {
            SortBy::Expires | SortBy::Changed | SortBy::Created => a.millis.cmp(&b.millis),
            SortBy::Namespace => a.workload.namespace.cmp(&b.workload.namespace),
            SortBy::Name => a.workload.name.cmp(&b.workload.name),
        };
        let first = if self.descending { first.reverse() } else { first };
        // A stable order for every call.
        let created = |one: &Ranked<'a>| one.held.created();
        first
            .then_with(|| name(a).cmp(&name(b)))
            .then_with(|| created(a).cmp(&created(b)))
            .then_with(|| name_of(a.held).cmp(&name_of(b.held)))
    }
}

/// The pending requests that the policy approves, by UID.
#[derive(Debug, Default)]
struct ByPolicy(HashSet<String>);

impl ByPolicy {
    /// Reads the settings of the workloads. The two locks of the state are not held at the same time.
    fn of(state: &State) -> Self {
        let direct: Vec<_> = state.requests.read().all().filter_map(|(_, held)| without_person(held)).collect();
        Self::among(state, &direct)
    }

    /// Does the same for a single request.
    fn of_one(state: &State, namespace: &str, name: &str) -> Self {
        let direct: Vec<_> = state.requests.read().find(namespace, name).and_then(|(_, held)| without_person(held)).into_iter().collect();
        Self::among(state, &direct)
    }

    fn among(state: &State, direct: &[Arc<UpdateRequest>]) -> Self {
        Self(direct.iter().filter(|object| is_approved_by_policy(state, object)).filter_map(|object| object.metadata.uid.clone()).collect())
    }

    fn holds(&self, held: Held<'_>) -> bool {
        match held {
            Held::Open(object) => !self.0.is_empty() && object.metadata.uid.as_ref().is_some_and(|uid| self.0.contains(uid)),
            Held::Finished(_) => false,
        }
    }

    fn summary(&self, workload: &WorkloadKey, held: Held<'_>) -> UpdateSummary {
        UpdateSummary {
            workload: workload.clone(),
            request: held.read(),
            version: held.version().resource_version,
            by_policy: self.holds(held),
        }
    }
}

/// Returns a pending request whose spec requires no approval.
fn without_person(held: Held<'_>) -> Option<Arc<UpdateRequest>> {
    match held {
        Held::Open(object) if object.phase() == Phase::Pending && !object.spec.require_approval => Some(Arc::clone(object)),
        Held::Open(_) | Held::Finished(_) => None,
    }
}

fn page(state: &State, query: &UpdateQuery, order: Order, skip: usize, limit: usize) -> UpdatePage {
    let by_policy = ByPolicy::of(state);
    let text = query.text.as_ref().map(|text| text.to_ascii_lowercase());
    let requests = state.requests.read();
    let matching = requests.all().filter(|(workload, held)| query.takes(workload, *held, text.as_deref(), &by_policy));
    let mut all: Vec<Ranked<'_>> = matching.map(|(workload, held)| Ranked { millis: order.millis(held), workload, held }).collect();
    // Only the requests up to the end of the page have to be in order.
    let end = skip.saturating_add(limit);
    let total = all.len();
    if end < total {
        all.select_nth_unstable_by(end, |a, b| order.compare(a, b));
        all.truncate(end);
    }
    all.sort_unstable_by(|a, b| order.compare(a, b));
    let items = all.iter().skip(skip).map(|one| by_policy.summary(one.workload, one.held)).collect();
    UpdatePage { items, total }
}

impl Handle {
    /// Returns the requests that match, `limit` of them after `skip`.
    pub fn updates(&self, query: &UpdateQuery, order: Order, skip: usize, limit: usize) -> UpdatePage {
        page(&self.state, query, order, skip, limit)
    }

    /// Counts the requests that match, whatever their phase: in each phase, and those that a person must approve or reject.
    pub fn count_updates(&self, query: &UpdateQuery) -> (PhaseCounts, usize) {
        let by_policy = ByPolicy::of(&self.state);
        let every = UpdateQuery { phases: Vec::new(), waiting: false, ..query.clone() };
        let text = every.text.as_ref().map(|text| text.to_ascii_lowercase());
        let requests = self.state.requests.read();
        let (mut by_phase, mut waiting) = (PhaseCounts::default(), 0);
        for (_, held) in requests.all().filter(|(workload, held)| every.takes(workload, *held, text.as_deref(), &by_policy)) {
            by_phase.add(held.phase());
            waiting += usize::from(held.phase() == Phase::Pending && !by_policy.holds(held));
        }
        (by_phase, waiting)
    }

    /// Returns the request, as far as it is in memory.
    pub fn update(&self, namespace: &str, name: &str) -> Option<UpdateSummary> {
        let by_policy = ByPolicy::of_one(&self.state, namespace, name);
        let requests = self.state.requests.read();
        requests.find(namespace, name).map(|(workload, held)| by_policy.summary(workload, held))
    }

    /// Returns true if the request matches the query.
    pub fn matches(&self, namespace: &str, name: &str, query: &UpdateQuery) -> bool {
        let by_policy = ByPolicy::of_one(&self.state, namespace, name);
        let text = query.text.as_ref().map(|text| text.to_ascii_lowercase());
        let requests = self.state.requests.read();
        requests.find(namespace, name).is_some_and(|(workload, held)| query.takes(workload, held, text.as_deref(), &by_policy))
    }

    /// Returns, for each of the images, the number of pending updates to it that a person must approve or reject.
    pub fn waiting_for(&self, images: &[&str], visible: &Visible) -> Vec<usize> {
        let by_policy = ByPolicy::of(&self.state);
        let requests = self.state.requests.read();
        let mut counts: HashMap<&str, usize> = images.iter().map(|image| (*image, 0)).collect();
        for (_, held) in requests.all().filter(|(workload, _)| visible.includes(&workload.namespace)) {
            let Held::Open(object) = held else { continue };
            if let Some(count) = counts.get_mut(object.spec.new_image.as_str())
                && held.phase() == Phase::Pending
                && !by_policy.holds(held)
            {
                *count += 1;
            }
        }
        images.iter().map(|image| counts.get(image).copied().unwrap_or_default()).collect()
    }
}

#[cfg(test)]
mod tests;
