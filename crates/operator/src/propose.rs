//! From a claim to UpdateRequests, on every replica.
//!
//! ```text
//! webhook ──offer──> claims ○ ──in turn, by origin───> sort ──> proposer ──> UpdateRequests
//!                      ^         verifier: HEAD <── lanes by host ──┘  ^ │
//!                      └──────── not confirmed: again, 1 h             │ └─ not recorded ──> unrecorded ○: again, alone
//! poll ────────────────────────────────────────────────────────────────┘                              ○ pure
//! ```
//!
//! A claim keeps its place until it is processed for every workload that uses its repository. A slow or failing part
//! does not delay the others: an origin has one worker, a host has its own lanes, and a workload whose requests are
//! rejected is retried separately.

mod claims;
mod intake;
mod judged;
pub(crate) mod last_scan;
mod object;
mod offer;
pub(crate) mod poll;
mod prior;
mod proposer;
mod unrecorded;
mod verifier;
mod waiting_gauges;

use parking_lot::Mutex;
use tokio::sync::Notify;

use self::claims::Claims;
use self::unrecorded::Unrecorded;

pub(crate) use self::intake::{Intake, Workers};
pub(crate) use self::judged::DecisionInput;
pub(crate) use self::object::request;
pub(crate) use self::offer::Offer;
pub(crate) use self::prior::prior_of;
pub(crate) use self::proposer::Proposer;
pub(crate) use self::waiting_gauges::WaitingGauges;

pub(crate) use self::verifier::Verifier;

pub use self::claims::Full;
pub use self::intake::Offered;
pub use self::unrecorded::RecordingFailure;

/// The queue of proposals. The claims' lock is never held together with another one. The lock of `unrecorded` may be
/// held while the index and the requests are read.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    claims: Mutex<Claims>,
    unrecorded: Mutex<Unrecorded>,
    /// A claim arrived, or an attempt failed.
    changed: Notify,
    /// A claim was processed.
    done: Notify,
}

impl Inbox {
    /// Returns why the latest update of the container is not recorded; `None` if it is.
    pub(crate) fn failure(&self, workload: &headwind_core::workload::WorkloadKey, uid: &str, container: &str) -> Option<RecordingFailure> {
        self.unrecorded.lock().failure(&(workload.clone(), container.to_owned()), uid)
    }

    /// Returns the number of waiting claims, and of containers whose update could not be recorded.
    pub(crate) fn waiting(&self) -> (usize, usize) {
        (self.claims.lock().len(), self.unrecorded.lock().waiting())
    }
}
