//! The minimum age of a version (`headwind.sh/cool-down`).

use jiff::{SignedDuration, Timestamp};

use super::{ApprovedBy, Facts, Waiting};
use crate::reason::Reason;
use crate::rollout::whole_second;
use crate::settings::Settings;

/// Returns when the version is old enough, if it is not.
///
/// The age counts from the creation of the request. Another digest behind the same tag is another request, so its age
/// starts again. A person who approves may skip the wait, and updates that a person requested do not wait.
pub fn until(settings: &Settings, facts: &Facts<'_>, now: Timestamp) -> Option<Timestamp> {
    let seen = facts
        .first_seen
        .filter(|_| !settings.cool_down.is_zero() && facts.approved_by != ApprovedBy::Requester && !facts.skips_cool_down)?;
    let until = seen.checked_add(settings.cool_down).unwrap_or(Timestamp::MAX);
    (until > now).then(|| whole_second(until))
}

pub(super) fn waiting(settings: &Settings, facts: &Facts<'_>, now: Timestamp) -> Option<Waiting> {
    let until = until(settings, facts, now)?;
    let span = SignedDuration::try_from(settings.cool_down).unwrap_or(SignedDuration::MAX);
    let message = format!("{} ({span:#})", Reason::CoolDown.sentence());
    Some(Waiting { reason: Reason::CoolDown, message, until: Some(until) })
}
