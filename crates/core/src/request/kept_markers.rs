//! The markers that a patch keeps in `headwind.sh/last-request`.

use std::collections::BTreeMap;

use super::Request;
use super::applied_marker::{OVER, PAST, fence, is_fence, mark_name, marks};
use super::context::Context;
use crate::trigger::Trigger;

/// Maximum number of markers for updates that are no longer in place.
const FENCES: usize = 10;
/// Returns the marker that replaces `mark` when another change replaces its own.
fn past_mark(mark: &str) -> String {
    let (name, before) = mark.split_once('@').unwrap_or((mark, "0"));
    fence(name, before.parse::<u32>().unwrap_or_default().saturating_add(1), PAST)
}

impl Context<'_> {
    /// Returns the markers for requests that a rollback goes past. Without them, a stale copy of one of these requests
    /// would be applied again.
    pub(super) fn over_marks(&self, left_behind: &[String]) -> Vec<String> {
        let over = |name: &String| match self.observed.requests.iter().find(|request| request.name == *name) {
            Some(request) => request.over_mark(),
            None => fence(name, u32::try_from(self.history.times_applied(name)).unwrap_or(1), OVER),
        };
        left_behind.iter().map(over).collect()
    }

    /// Returns the markers to keep: those of changes that are still in place in containers that this patch does not
    /// touch, and the newest fences, which prevent stale copies of requests from applying their changes again.
    pub(super) fn kept_marks(&self, due: &BTreeMap<&str, &Request>) -> impl Iterator<Item = String> {
        let mut free = FENCES;
        let mut kept: Vec<String> = Vec::new();
        for mark in marks(self.workload).collect::<Vec<_>>().into_iter().rev() {
            let request = self.observed.requests.iter().find(|request| request.name == mark_name(mark));
            let untouched = request
                .and_then(|request| Some((request, self.container_of(request)?)))
                .is_some_and(|(request, one)| one.image == request.placed_image() && !due.contains_key(one.name.as_str()));
            let past = match request {
                Some(request) => (request.spec.trigger == Trigger::Manual).then(|| request.past_mark()),
                None => Some(past_mark(mark)),
            };
            if untouched && !is_fence(mark) {
                kept.push(mark.to_owned());
            } else if let Some(fence) = is_fence(mark).then(|| mark.to_owned()).or(past)
                && free > 0
            {
                free -= 1;
                kept.push(fence);
            }
        }
        kept.into_iter().rev()
    }
}
