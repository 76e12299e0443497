//! The existing requests of a workload, for the decisions about it.
//!
//! Read from the store of requests, without a call to the API server.

use headwind_core::decide::{Identity, PriorRequests};
use headwind_core::request::Request;
use headwind_core::workload::Workload;
use headwind_k8s::name;

use crate::observe::requests::Held;
use crate::observe::state::State;

/// Returns the requests of the workload in this process's copy.
pub(super) fn prior_requests(state: &State, workload: &Workload) -> PriorRequests {
    let requests = state.requests.read();
    let ours: Vec<Request> = requests.of(&workload.key).map(Held::read).filter(|request| request.target_uid == workload.uid).collect();
    prior_of(&ours)
}

/// Returns the same for requests that were already read.
pub(crate) fn prior_of(requests: &[Request]) -> PriorRequests {
    PriorRequests::new(name_of, requests.iter().map(Request::prior).collect())
}

fn name_of(workload: &Workload, container: &str, identity: &Identity) -> String {
    name::request(&workload.key.name, &workload.uid, container, identity)
}
