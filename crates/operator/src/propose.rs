//! From a claim to UpdateRequests, on every replica.
//!
//! ```text
//! webhook ──offer──> claims ○ ──fair, one an origin──> sort ──> proposer ──> UpdateRequests
//!                      ^         verifier: HEAD <── lanes by host ──┘  ^ │
//!                      └──────── not confirmed: again, 1 h             │ └─ not recorded ──> unrecorded ○: again, alone
//! poll ────────────────────────────────────────────────────────────────┘                              ○ pure
//! ```
//!
//! A claim holds its place until it is handed on for every workload that uses its repository. Nothing that is slow or
//! fails holds up anything else: an origin has one worker, a host has its own lanes, and a workload whose requests are
//! refused is tried again by itself.

mod claims;
mod intake;
pub(crate) mod last_scan;
mod object;
mod offer;
pub(crate) mod poll;
mod prior;
mod proposer;
mod unrecorded;
mod verifier;
mod waiting;

use parking_lot::Mutex;
use tokio::sync::Notify;

use self::claims::Claims;
use self::unrecorded::Unrecorded;

pub(crate) use self::intake::{Intake, Workers};
pub(crate) use self::object::request;
pub(crate) use self::offer::Offer;
pub(crate) use self::prior::prior_of;
pub(crate) use self::proposer::{DecisionInput, Proposer};
pub(crate) use self::waiting::Waiting;

pub(crate) use self::verifier::Verifier;

pub use self::claims::Full;
pub use self::intake::Offered;
pub use self::unrecorded::RecordingFailure;

/// What waits to be proposed. The claims' lock is never held together with another one; the other's may be held while the
/// index and the requests are read.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    claims: Mutex<Claims>,
    unrecorded: Mutex<Unrecorded>,
    /// Something came in, or something failed.
    changed: Notify,
    /// Something is done.
    done: Notify,
}

impl Inbox {
    /// Why the latest update of the container is not on record, if it is not.
    pub(crate) fn failure(&self, workload: &headwind_core::workload::WorkloadKey, uid: &str, container: &str) -> Option<RecordingFailure> {
        self.unrecorded.lock().failure(&(workload.clone(), container.to_owned()), uid)
    }

    /// How many claims wait, and how many containers whose update could not be recorded.
    pub(crate) fn waiting(&self) -> (usize, usize) {
        (self.claims.lock().len(), self.unrecorded.lock().waiting())
    }
}
