//! A release that Headwind cannot change now: it is suspended, its source is missing, or other releases share its tag.

use jiff::Timestamp;

use super::{Facts, Waiting};
use crate::settings::Settings;

/// The update waits until the release or its source changes. Nobody knows when.
pub(super) fn waiting(_: &Settings, facts: &Facts<'_>, _: Timestamp) -> Option<Waiting> {
    facts.held.as_ref().map(|held| Waiting { reason: held.reason, message: held.message.clone(), until: None })
}
