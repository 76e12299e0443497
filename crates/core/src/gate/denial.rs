//! The pause after the API server denied the change: an admission webhook, an admission policy, a quota or RBAC.

use jiff::Timestamp;

use super::{Facts, Waiting};
use crate::reason::Reason;
use crate::settings::Settings;

/// The denial wrote into the request how long it waits ([`crate::request::refusal`]).
pub(super) fn waiting(_: &Settings, facts: &Facts<'_>, now: Timestamp) -> Option<Waiting> {
    let denied = facts.denial.filter(|waiting| waiting.reason == Reason::ApplyDenied)?;
    denied.until.is_some_and(|until| until > now).then(|| denied.clone())
}
