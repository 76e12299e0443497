//! The markers in `headwind.sh/last-request`: the workload's own record of its requests.
//!
//! `NAME` means that the change of that request is in place, `NAME@N` that it was applied for the N+1st time. The other
//! markers are fences. They prevent a stale copy of a request from applying its change again: `NAME@N.back` (it failed
//! and was rolled back), `.over` (a person rolled back past it) and `.past` (a rollback that another change has
//! replaced since; the history contains updates only).

use super::Request;
use crate::settings::key;
use crate::workload::Workload;

/// Suffix of a marker for a change that failed and was rolled back.
const BACK: &str = ".back";
/// Suffix of a marker for a change that a person rolled back past.
pub(super) const OVER: &str = ".over";
/// Suffix of a marker for a rollback that another change has replaced since.
pub(super) const PAST: &str = ".past";
const ENDINGS: [&str; 3] = [BACK, OVER, PAST];

/// Returns the marker that prevents a stale copy of a request from applying its change again.
pub(super) fn fence(name: &str, times_applied: u32, how: &str) -> String {
    format!("{name}@{}{how}", times_applied.max(1))
}

/// Returns true if the marker is for a change that is no longer in place.
pub(super) fn is_fence(mark: &str) -> bool {
    ENDINGS.iter().any(|how| mark.ends_with(how))
}

/// Returns the request's name in a marker: the part before `@`.
pub fn mark_name(mark: &str) -> &str {
    mark.split_once('@').map_or(mark, |(name, _)| name)
}

/// Returns the markers on the workload.
pub(super) fn marks(workload: &Workload) -> impl Iterator<Item = &str> {
    workload
        .annotations
        .get(key::LAST_REQUEST)
        .into_iter()
        .flat_map(|names| names.split(','))
        .map(str::trim)
        .filter(|name| !name.is_empty())
}

/// Returns the names of the requests whose changes the workload carries, by its own record.
pub fn named_requests(workload: &Workload) -> impl Iterator<Item = &str> {
    marks(workload).filter(|mark| !is_fence(mark)).map(mark_name)
}

impl Request {
    /// Returns the marker for the next time that this request is applied.
    ///
    /// A reopened request is applied again under the same name. The number distinguishes the new marker from the old
    /// one.
    pub fn mark(&self) -> String {
        match self.status.times_applied {
            0 => self.name.clone(),
            times => format!("{}@{times}", self.name),
        }
    }

    /// Returns the marker that this request's change failed and was rolled back.
    pub fn back_mark(&self) -> String {
        self.undone(BACK)
    }

    /// Returns the marker that a person rolled back past this request's change.
    pub fn over_mark(&self) -> String {
        self.undone(OVER)
    }

    /// Returns the marker that this request's change was applied and then replaced. Used for rollbacks by a person,
    /// because the history contains updates only.
    pub fn past_mark(&self) -> String {
        self.undone(PAST)
    }

    fn undone(&self, how: &str) -> String {
        fence(&self.name, self.status.times_applied, how)
    }

    /// Returns true if `mark` shows that this request was applied or undone more times than its status says. Then this
    /// is a stale copy of the request, or its status could not be written since.
    pub(super) fn is_behind(&self, mark: &str) -> bool {
        let undone = || {
            let (name, times) = mark.rsplit_once('@')?;
            let times: u32 = ENDINGS.iter().find_map(|how| times.strip_suffix(how))?.parse().ok()?;
            Some(name == self.name && times > self.status.times_applied)
        };
        mark == self.mark() || undone() == Some(true)
    }
}
