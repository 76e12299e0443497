//! The pause after the registry did not confirm the approved digest ([`crate::request::confirmation`]).

use std::time::Duration;

use jiff::Timestamp;

use super::{Facts, Waiting, pause};
use crate::reason::Reason;
use crate::settings::Settings;

/// The pause after a query without a digest.
pub(crate) const RETRY: Duration = Duration::from_secs(30);

/// The request contains how long it waits until the registry is queried again.
pub(super) fn waiting(_: &Settings, facts: &Facts<'_>, now: Timestamp) -> Option<Waiting> {
    pause(facts, Reason::DigestNotConfirmed, RETRY, now)
}
