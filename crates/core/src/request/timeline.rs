//! The timeline of a request, derived from its status.

use jiff::Timestamp;

use super::{Phase, Request};
use crate::trigger::Trigger;

/// One moment in a request's timeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moment {
    /// The time.
    pub at: Timestamp,
    /// The event, as a stable word: `created`, `reopened`, `approved`, `rejected`, `applied`, `returned`, `progressed`,
    /// `available`, `finished`.
    pub what: &'static str,
    /// The person who caused it, if there is one.
    pub who: Option<String>,
    /// The event as a message for people.
    pub message: String,
}

/// Returns the moments in the status, oldest first.
pub fn timeline(request: &Request) -> Vec<Moment> {
    let (spec, status) = (&request.spec, &request.status);
    let mut all = Vec::new();
    let mut add = |at: Option<Timestamp>, what: &'static str, who: Option<&String>, message: String| {
        all.extend(at.map(|at| Moment { at, what, who: who.cloned(), message }));
    };
    let by = match spec.trigger {
        Trigger::Webhook => "triggered by a registry webhook",
        Trigger::Polling => "triggered by polling the registry",
        Trigger::Manual => "requested by a person",
    };
    add(Some(request.created), "created", None, format!("{} to {}, {by}", spec.current_image, spec.new_image));
    add(status.reopened_at, "reopened", None, "reopened by a person".to_owned());
    for approval in &status.approvals {
        add(approval.at, "approved", Some(&approval.by), "approved".to_owned());
    }
    if status.approvals.iter().all(|approval| Some(&approval.by) != status.approved_by.as_ref()) {
        add(status.approved_at, "approved", status.approved_by.as_ref(), "approved".to_owned());
    }
    let note = || status.message.clone().unwrap_or_default();
    add(status.rejected_at, "rejected", status.rejected_by.as_ref(), note());
    add(status.applied_at, "applied", None, format!("{} was written to the workload", spec.new_image));
    if let Some(watch) = &status.rollout {
        let returned = watch.returned_to.as_ref().map(|image| format!("{image} was restored"));
        add(returned.is_some().then_some(watch.started_at), "returned", None, returned.unwrap_or_default());
        let got_on = watch.progressed_at > watch.started_at;
        add(
            got_on.then_some(watch.progressed_at),
            "progressed",
            None,
            format!("the rollout made progress; remaining steps: {}", watch.remaining),
        );
        add(watch.available_since, "available", None, "every pod became available".to_owned());
    }
    if status.phase != Phase::Rejected {
        add(status.finished_at, "finished", None, format!("{}: {}", status.phase, note()));
    }
    // Most times in a status have whole seconds: a stable sort keeps the order above within one second.
    all.sort_by_key(|moment| moment.at.as_second());
    all
}
