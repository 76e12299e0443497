//! The other requests of the same push: Headwind waits for them, so that one push is one rollout.

use std::time::Duration;

use jiff::Timestamp;

use super::{Facts, Waiting};
use crate::reason::Reason;
use crate::settings::Settings;

/// Maximum time that a request waits for its siblings, counted from its creation.
const SIBLINGS: Duration = Duration::from_secs(2);

/// A request whose creation is further in the future than the maximum comes from a wrong clock and does not wait.
pub(super) fn waiting(_: &Settings, facts: &Facts<'_>, now: Timestamp) -> Option<Waiting> {
    let created = facts.incomplete_since?;
    let after = |at: Timestamp| at.checked_add(SIBLINGS).unwrap_or(Timestamp::MAX);
    let until = after(created);
    (now < until && created <= after(now)).then(|| Waiting::new(Reason::AwaitingSiblings, Some(until)))
}
