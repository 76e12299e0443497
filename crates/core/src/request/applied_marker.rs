//! The words in `headwind.sh/last-request`: what the workload itself says of its requests.
//!
//! `NAME` says that the change of that request stands there, `NAME@N` that it does for the N+1st
//! time. The others are fences, which keep an old copy of a request from bringing its change back:
//! `NAME@N.back` (it failed and was taken back), `.over` (a person went back over it) and `.past` (a
//! rollback that something else has replaced; the history tells of updates alone).

use super::Request;
use crate::settings::key;
use crate::workload::Workload;

/// How a mark ends that tells of a change that failed and was taken back.
const BACK: &str = ".back";
/// How a mark ends that tells of a change that a person went back over.
pub(super) const OVER: &str = ".over";
/// How a mark ends that tells of a rollback which something else has replaced since.
pub(super) const PAST: &str = ".past";
const ENDINGS: [&str; 3] = [BACK, OVER, PAST];

/// The word that keeps an old copy of a request from bringing its change back.
pub(super) fn fence(name: &str, times_applied: u32, how: &str) -> String {
    format!("{name}@{}{how}", times_applied.max(1))
}

/// Whether a mark says what became of a change that does not stand any more.
pub(super) fn is_fence(mark: &str) -> bool {
    ENDINGS.iter().any(|how| mark.ends_with(how))
}

/// The request's name without the mark's number: what stands before `@` in `last-request`.
pub fn mark_name(mark: &str) -> &str {
    mark.split_once('@').map_or(mark, |(name, _)| name)
}

/// The requests that the workload itself names as applied.
pub(super) fn marks(workload: &Workload) -> impl Iterator<Item = &str> {
    workload
        .annotations
        .get(key::LAST_REQUEST)
        .into_iter()
        .flat_map(|names| names.split(','))
        .map(str::trim)
        .filter(|name| !name.is_empty())
}

/// The names of the requests whose changes the workload carries now, by its own record.
pub fn named_requests(workload: &Workload) -> impl Iterator<Item = &str> {
    marks(workload).filter(|mark| !is_fence(mark)).map(mark_name)
}

impl Request {
    /// The word that names this request's coming application in `headwind.sh/last-request`.
    ///
    /// A reopened request is applied again under the same name; the number keeps the old mark from
    /// being taken for the new one.
    pub fn mark(&self) -> String {
        match self.status.times_applied {
            0 => self.name.clone(),
            times => format!("{}@{times}", self.name),
        }
    }

    /// The word that says that this request's change failed and was taken back.
    pub fn back_mark(&self) -> String {
        self.undone(BACK)
    }

    /// The word that says that a person went back over this request's change.
    pub fn over_mark(&self) -> String {
        self.undone(OVER)
    }

    /// The word that says that this request's change was applied once, and another stands there now. For
    /// a rollback that a person asked for: the history tells of updates alone.
    pub fn past_mark(&self) -> String {
        self.undone(PAST)
    }

    fn undone(&self, how: &str) -> String {
        fence(&self.name, self.status.times_applied, how)
    }

    /// Whether `mark` says that this request was applied, or undone, more often than it knows: then
    /// this is an old copy of it, or its status could not be written any more.
    pub(super) fn is_behind(&self, mark: &str) -> bool {
        let undone = || {
            let (name, times) = mark.rsplit_once('@')?;
            let times: u32 = ENDINGS.iter().find_map(|how| times.strip_suffix(how))?.parse().ok()?;
            Some(name == self.name && times > self.status.times_applied)
        };
        mark == self.mark() || undone() == Some(true)
    }
}
