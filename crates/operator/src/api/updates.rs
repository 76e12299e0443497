//! Queries for people about requests: filtered and sorted pages, and counts.
//!
//! Answered from what this process knows, without a call to the API server. A query looks at every request once, and
//! reads only those whose cheap fields match.

use std::cmp::Ordering;
use std::collections::HashMap;

use headwind_core::policy::Policy;
use headwind_core::request::{Phase, Request};
use headwind_core::workload::{Kind, WorkloadKey};
use jiff::{SignedDuration, Timestamp};

use super::handle::Handle;
use crate::clock::now;
use crate::observe::requests::{Held, Requests};
use crate::observe::visible::Visible;

/// An update that expires within this time is urgent.
const URGENT: SignedDuration = SignedDuration::from_hours(3);
/// A failed update counts for this long.
const FAILED: SignedDuration = SignedDuration::from_hours(7 * 24);
/// A completed update counts for this long.
const COMPLETED: SignedDuration = SignedDuration::from_hours(24);

/// Which requests of all. Every field that is set must match.
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
    /// Only updates that wait for a person.
    pub waiting: bool,
}

/// What a page is sorted by.
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
}

/// A page of requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpdatePage {
    /// The requests.
    pub items: Vec<UpdateSummary>,
    /// The number of requests on all pages.
    pub total: usize,
}

/// The number of requests by what they need.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct UpdateCounts {
    /// All.
    pub all: usize,
    /// By phase, in the order of [`Phase::ALL`].
    by_phase: [usize; 9],
    /// Those that wait for a person.
    pub waiting: usize,
    /// Those of them that expire within 3 hours.
    pub urgent: usize,
    /// Those that are approved or roll out.
    pub moving: usize,
    /// Those that failed or were rolled back in the last 7 days.
    pub failed: usize,
    /// Those that completed in the last 24 hours.
    pub completed: usize,
}

impl UpdateCounts {
    /// Returns the number of requests in the phases.
    pub fn in_phases(&self, phases: &[Phase]) -> usize {
        let of = |phase: &Phase| Phase::ALL.iter().position(|one| one == phase).and_then(|place| self.by_phase.get(place));
        phases.iter().filter_map(of).sum()
    }

    fn add(&mut self, held: Held<'_>, now: Timestamp) {
        let phase = held.phase();
        self.all += 1;
        if let Some(count) = Phase::ALL.iter().position(|one| *one == phase).and_then(|place| self.by_phase.get_mut(place)) {
            *count += 1;
        }
        let recent = |span: SignedDuration| held.changed_at().is_some_and(|at| now.duration_since(at) <= span);
        match phase {
            Phase::Pending if held.waits_for_a_person(now) => {
                self.waiting += 1;
                self.urgent += usize::from(held.expires_at().is_some_and(|at| at.duration_since(now) < URGENT));
            }
            Phase::Approved | Phase::RollingOut | Phase::Pending => self.moving += usize::from(!held.is_expired(now)),
            Phase::Failed | Phase::RolledBack => self.failed += usize::from(recent(FAILED)),
            Phase::Completed => self.completed += usize::from(recent(COMPLETED)),
            Phase::Rejected | Phase::Expired | Phase::Superseded => {}
        }
    }
}

/// Returns whether `text` contains `part`, which is in lower case. Does not allocate.
fn contains(text: &str, part: &str) -> bool {
    let (text, part) = (text.as_bytes(), part.as_bytes());
    part.is_empty() || text.windows(part.len()).any(|window| window.eq_ignore_ascii_case(part))
}

impl UpdateQuery {
    fn takes(&self, workload: &WorkloadKey, held: Held<'_>, text: Option<&str>, now: Timestamp) -> bool {
        let Self { visible, namespace, kind, policy, phases, text: _, since, waiting } = self;
        visible.includes(&workload.namespace)
            && namespace.as_ref().is_none_or(|namespace| workload.namespace == *namespace)
            && kind.is_none_or(|kind| workload.kind == kind)
            && (phases.is_empty() || phases.contains(&held.phase()))
            && policy.is_none_or(|policy| held.policy() == policy)
            && (!waiting || held.waits_for_a_person(now))
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

    fn compare(self, a: &Ranked<'_>, b: &Ranked<'_>) -> Ordering {
        let name = |one: &Ranked<'_>| (one.workload.name.clone(), one.workload.namespace.clone());
        let first = match self.by {
            SortBy::Expires | SortBy::Changed | SortBy::Created => a.millis.cmp(&b.millis),
            SortBy::Namespace => a.workload.namespace.cmp(&b.workload.namespace),
            SortBy::Name => a.workload.name.cmp(&b.workload.name),
        };
        let first = if self.descending { first.reverse() } else { first };
        // The same order at every call.
        first.then_with(|| name(a).cmp(&name(b))).then_with(|| a.held.created().cmp(&b.held.created()))
    }
}

/// Returns the matching requests of one page, which begins after `skip` of them.
pub(crate) fn page(requests: &Requests, query: &UpdateQuery, order: Order, skip: usize, limit: usize, now: Timestamp) -> UpdatePage {
    let text = query.text.as_ref().map(|text| text.to_ascii_lowercase());
    let matching = requests.all().filter(|(workload, held)| query.takes(workload, *held, text.as_deref(), now));
    let mut all: Vec<Ranked<'_>> =
        matching.map(|(workload, held)| Ranked { millis: order.millis(held), workload, held }).collect();
    all.sort_by(|a, b| order.compare(a, b));
    let summary = |one: &Ranked<'_>| UpdateSummary {
        workload: one.workload.clone(),
        request: one.held.read(),
        version: one.held.version().resource_version,
    };
    UpdatePage { items: all.iter().skip(skip).take(limit).map(summary).collect(), total: all.len() }
}

/// Counts the requests in the namespaces that the caller may list.
pub(crate) fn counts(requests: &Requests, visible: &Visible, now: Timestamp) -> UpdateCounts {
    let mut counts = UpdateCounts::default();
    for (_, held) in requests.all().filter(|(workload, _)| visible.includes(&workload.namespace)) {
        counts.add(held, now);
    }
    counts
}

impl Handle {
    /// Returns the requests that match, `limit` of them after `skip`.
    pub fn updates(&self, query: &UpdateQuery, order: Order, skip: usize, limit: usize) -> UpdatePage {
        page(&self.state.requests.read(), query, order, skip, limit, now())
    }

    /// Counts the requests in the namespaces that the caller may list.
    pub fn update_counts(&self, visible: &Visible) -> UpdateCounts {
        counts(&self.state.requests.read(), visible, now())
    }

    /// Returns the request, as far as it is in memory.
    pub fn update(&self, namespace: &str, name: &str) -> Option<UpdateSummary> {
        let requests = self.state.requests.read();
        let (workload, held) = requests.find(namespace, name)?;
        Some(UpdateSummary { workload: workload.clone(), request: held.read(), version: held.version().resource_version })
    }

    /// Returns whether the request matches the query.
    pub fn matches(&self, namespace: &str, name: &str, query: &UpdateQuery) -> bool {
        let text = query.text.as_ref().map(|text| text.to_ascii_lowercase());
        let requests = self.state.requests.read();
        requests.find(namespace, name).is_some_and(|(workload, held)| query.takes(workload, held, text.as_deref(), now()))
    }

    /// Returns how many updates to each of the images wait for a person.
    pub fn waiting_for(&self, images: &[&str], visible: &Visible) -> Vec<usize> {
        let (requests, now) = (self.state.requests.read(), now());
        let mut counts: HashMap<&str, usize> = images.iter().map(|image| (*image, 0)).collect();
        for (_, held) in requests.all().filter(|(workload, _)| visible.includes(&workload.namespace)) {
            let Held::Open(object) = held else { continue };
            if let Some(count) = counts.get_mut(object.spec.new_image.as_str())
                && held.waits_for_a_person(now)
            {
                *count += 1;
            }
        }
        images.iter().map(|image| counts.get(image).copied().unwrap_or_default()).collect()
    }
}

#[cfg(test)]
mod tests;
