//! The gate of the time windows: an update waits until the windows of its workload open.

use jiff::Timestamp;

use super::{Facts, Waiting};
use crate::reason::Reason;
use crate::settings::Settings;

/// The update waits until the next time at which the windows are open. If they do not open within the years that the
/// search looks at, the wait has no known end.
pub(super) fn waiting(settings: &Settings, facts: &Facts<'_>, now: Timestamp) -> Option<Waiting> {
    let schedule = &settings.schedule;
    if facts.is_rollback || schedule.is_open(now) {
        return None;
    }
    let windows = schedule.allow.as_ref().map(|allow| format!("allowed in {allow}"));
    let denied = schedule.deny.as_ref().map(|deny| format!("denied in {deny}"));
    let both = windows.into_iter().chain(denied).collect::<Vec<_>>().join(", ");
    let message = format!("{} ({both})", Reason::UpdateWindow.sentence());
    Some(Waiting { reason: Reason::UpdateWindow, message, until: schedule.next_change(now) })
}
