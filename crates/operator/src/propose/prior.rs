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
pub(super) fn requests_of(state: &State, workload: &Workload) -> Vec<Request> {
    let requests = state.requests.read();
    requests.of(&workload.key).map(Held::read).filter(|request| request.target_uid == workload.uid).collect()
}

/// Returns the same for the decisions. One value serves all containers of the workload: it takes time proportional to
/// the number of requests.
pub(super) fn prior_requests(state: &State, workload: &Workload) -> PriorRequests {
    prior_of(&requests_of(state, workload))
}

/// Returns the same for requests that were already read.
pub(crate) fn prior_of(requests: &[Request]) -> PriorRequests {
    PriorRequests::new(name_of, requests.iter().map(Request::prior).collect())
}

fn name_of(workload: &Workload, container: &str, identity: &Identity) -> String {
    name::request(&workload.key.name, &workload.uid, container, identity)
}
