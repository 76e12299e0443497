//! The facts about one request for the gate ([`crate::gate`]).

use jiff::Timestamp;

use super::rollout::goes_back;
use super::{Phase, Request};
use crate::gate::{ApprovedBy, Facts, Turn};
use crate::trigger::Trigger;
use crate::workload::Workload;
use crate::workload::history::History;

impl Request {
    /// Returns the facts for this request. `any` are the facts for any update of its container, `history` and `all` the
    /// history and the requests of its workload.
    pub fn facts<'a>(&'a self, any: Facts<'a>, workload: &Workload, history: &History, all: &[&Request], now: Timestamp) -> Facts<'a> {
        let missing = self.siblings.iter().any(|name| !all.iter().any(|one| one.name == *name));
        // Until Headwind has recorded the time of an approval with `kubectl`, it came just now.
        let unrecorded = (self.status.phase == Phase::Approved).then_some(now);
        let since = self.status.approved_at.or(unrecorded).unwrap_or_else(|| self.queued_since(all.iter().copied()));
        Facts {
            approved_by: self.approved_by(),
            is_rollback: goes_back(workload, history, self),
            first_seen: Some(self.created),
            skips_cool_down: self.status.skip_cool_down,
            turn: Some(Turn { since, workload: workload.key.clone() }),
            denial: self.status.waiting.as_ref(),
            incomplete_since: missing.then_some(self.created),
            ..any
        }
    }

    /// Returns who approved the request, or will have if nobody has yet.
    pub fn approved_by(&self) -> ApprovedBy {
        match self.spec.trigger {
            Trigger::Manual => ApprovedBy::Requester,
            _ if self.status.approved_by.is_none() => ApprovedBy::Policy,
            _ => ApprovedBy::Person,
        }
    }
}
