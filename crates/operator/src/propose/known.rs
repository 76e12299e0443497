//! What the requests on record say about a workload: what a decision asks.
//!
//! Read from the store of requests, so it costs no call to the API server.

use headwind_core::decide::{self, Identity};
use headwind_core::policy::Policy;
use headwind_core::reason::Reason;
use headwind_core::request::Phase;
use headwind_core::workload::Target;
use headwind_k8s::name;

use crate::observe::requests::{Finished, Held};
use crate::observe::state::State;

/// What is on record for a target, as this process knows it.
pub(crate) struct Known<'a> {
    pub(crate) state: &'a State,
    pub(crate) target: &'a Target,
}

impl decide::Record for Known<'_> {
    fn obstacle(&self, container: &str, identity: &Identity) -> Option<Reason> {
        let Target { key, uid, .. } = self.target;
        let name = name::request(&key.name, uid, container, identity);
        let requests = self.state.requests.read();
        let held = requests.of_name(key, &name)?;
        let obstacle = held.standing().obstacle()?;
        // One that only has the name does not stand for the version; the API server then refuses to create ours.
        let request = held.read();
        (request.target_uid == *uid && request.spec.asks_for(identity)).then_some(obstacle)
    }

    fn left(&self, container: &str, identity: &Identity, policy: Policy) -> bool {
        let requests = self.state.requests.read();
        let finished = requests.finished_of(&self.target.key).iter().filter(|request| request.has_left()).map(Finished::read);
        let open = requests.open_of(&self.target.key).iter().map(|request| request.read());
        finished.chain(open).any(|request| request.target_uid == self.target.uid && request.quarantines(container, identity, policy))
    }

    fn open_for(&self, container: &str) -> Vec<String> {
        self.state
            .requests
            .read()
            .open_of(&self.target.key)
            .iter()
            .filter(|request| {
                matches!(request.phase(), Phase::Pending | Phase::Approved | Phase::Applying)
                    && request.container() == Some(container)
                    && request.spec.target_ref.uid == self.target.uid
            })
            .map(|request| request.spec.new_image.clone())
            .collect()
    }

    fn proposed_for(&self, container: &str) -> Vec<String> {
        let set_aside = |phase| matches!(phase, Phase::Rejected | Phase::Failed | Phase::Expired | Phase::RolledBack);
        let requests = self.state.requests.read();
        let ours = requests.of(&self.target.key).map(Held::read).filter(|request| {
            let (uid, of) = (&request.target_uid, request.spec.container.as_deref());
            *uid == self.target.uid && of == Some(container) && !set_aside(request.status.phase)
        });
        ours.map(|request| request.spec.new_image.clone()).collect()
    }
}
