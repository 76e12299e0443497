//! The facts about one request for the gate ([`crate::gate`]).

use super::Request;
use crate::gate::Facts;
use crate::trigger::Trigger;

impl Request {
    /// Returns the facts for this request. `any` are the facts for any update of its container, `all` the requests of
    /// its workload.
    pub fn facts<'a>(&'a self, any: Facts<'a>, all: &[&Request]) -> Facts<'a> {
        let missing = self.siblings.iter().any(|name| !all.iter().any(|one| one.name == *name));
        Facts {
            by_person: self.spec.trigger == Trigger::Manual,
            denial: self.status.waiting.as_ref(),
            incomplete_since: missing.then_some(self.created),
            ..any
        }
    }
}
