//! The gate's input, apart from the settings.

use jiff::Timestamp;

use super::{Limits, Turn, Waiting};
use crate::reason::Reasoned;
use crate::workload::owner::Owner;
use crate::workload::release::passes;
use crate::workload::{Container, Workload};

/// The approver of an update.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ApprovedBy {
    /// A person approved what Headwind proposed.
    #[default]
    Person,
    /// The policy, and no person.
    Policy,
    /// A person requested the update.
    Requester,
}

/// The gate's input, apart from the settings and the time.
#[derive(Debug, Clone, Default)]
pub struct Facts<'a> {
    /// When Headwind last updated the workload. The minimum interval counts from here.
    pub last_update: Option<Timestamp>,
    /// The owner of the workload.
    pub owner: Option<&'a Owner>,
    /// Why Headwind cannot change the release now.
    pub held: Option<Reasoned>,
    /// The approver of the update.
    pub approved_by: ApprovedBy,
    /// True if the update is a rollback: it waits for nothing that limits updates.
    pub is_rollback: bool,
    /// When Headwind first saw the version with its digest: when the request was created.
    pub first_seen: Option<Timestamp>,
    /// True if the person who approved the update skips the cool-down.
    pub skips_cool_down: bool,
    /// The limits on the updates of all workloads together, if they are known.
    pub limits: Option<&'a Limits>,
    /// The place in the queue for a rollout.
    pub turn: Option<Turn>,
    /// The reason why the request has waited so far. It contains the end of the pause after a denial.
    pub denial: Option<&'a Waiting>,
    /// When the request was created, if another request of the same push is still missing.
    pub incomplete_since: Option<Timestamp>,
}

impl<'a> Facts<'a> {
    /// The facts for any update of the container that Headwind may propose.
    pub fn of(workload: &'a Workload, container: &Container, limits: &'a Limits) -> Self {
        let left = container.chart.as_ref().and_then(|chart| chart.skip_reason());
        // For any other reason the request ends. A request for a release whose version is not known does not end.
        let held = left.filter(|held| passes(held.reason) || workload.is_unseen());
        Self { last_update: workload.last_update(), owner: workload.owner.as_deref(), held, limits: Some(limits), ..Self::default() }
    }
}
