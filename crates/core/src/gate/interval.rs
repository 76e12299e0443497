//! The minimum time between two updates of one workload (`headwind.sh/min-update-interval`).

use jiff::Timestamp;

use super::{ApprovedBy, Facts, Waiting};
use crate::reason::Reason;
use crate::rollout::whole_second;
use crate::settings::Settings;

/// The interval does not apply to updates that a person requested.
///
/// A last update that is more than one interval in the future can only come from a wrong clock or from outside Headwind.
/// It must not close the gate for years, so Headwind ignores it.
pub(super) fn waiting(settings: &Settings, facts: &Facts<'_>, now: Timestamp) -> Option<Waiting> {
    let interval = settings.min_update_interval;
    let updated = facts.last_update.filter(|_| facts.approved_by != ApprovedBy::Requester)?;
    // An interval past the end of representable time never ends.
    let until = updated.checked_add(interval).unwrap_or(Timestamp::MAX);
    let latest_believable = now.checked_add(interval).unwrap_or(Timestamp::MAX);
    let waits = until > now && updated <= latest_believable;
    waits.then(|| Waiting::new(Reason::MinUpdateInterval, Some(whole_second(until))))
}
