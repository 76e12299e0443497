//! The pause after the registry did not confirm the approved digest ([`crate::request::confirmation`]).

use jiff::Timestamp;

use super::{Facts, Waiting};
use crate::reason::Reason;
use crate::settings::Settings;

/// The request contains how long it waits until the registry is queried again.
pub(super) fn waiting(_: &Settings, facts: &Facts<'_>, now: Timestamp) -> Option<Waiting> {
    let unconfirmed = facts.denial.filter(|waiting| waiting.reason == Reason::DigestNotConfirmed)?;
    unconfirmed.until.is_some_and(|until| until > now).then(|| unconfirmed.clone())
}
