//! The pause after the API server denied the change: an admission webhook, an admission policy, a quota or RBAC.

use std::time::Duration;

use jiff::Timestamp;

use super::{Facts, Waiting, pause};
use crate::reason::Reason;
use crate::settings::Settings;

/// The longest pause after a denial.
pub(crate) const LONGEST: Duration = Duration::from_mins(10);

/// The denial wrote into the request how long it waits ([`crate::request::refusal`]).
pub(super) fn waiting(_: &Settings, facts: &Facts<'_>, now: Timestamp) -> Option<Waiting> {
    pause(facts, Reason::ApplyDenied, LONGEST, now)
}
