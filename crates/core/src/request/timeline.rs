//! What happened to a request, in order, told from its status alone.

use jiff::Timestamp;

use super::{Phase, Request};
use crate::trigger::Trigger;

/// One moment of a request's life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moment {
    /// When.
    pub at: Timestamp,
    /// What, as a stable word: `created`, `reopened`, `approved`, `rejected`, `applied`,
    /// `returned`, `progressed`, `available`, `finished`.
    pub what: &'static str,
    /// Who, where it was a person.
    pub who: Option<String>,
    /// The same for a person.
    pub message: String,
}

/// The moments that the status tells of, the oldest first.
pub fn timeline(request: &Request) -> Vec<Moment> {
    let (spec, status) = (&request.spec, &request.status);
    let mut all = Vec::new();
    let mut add = |at: Option<Timestamp>, what: &'static str, who: Option<&String>, message: String| {
        all.extend(at.map(|at| Moment { at, what, who: who.cloned(), message }));
    };
    let by = match spec.trigger {
        Trigger::Webhook => "by a registry's webhook",
        Trigger::Polling => "by polling the registry",
        Trigger::Manual => "by a person",
    };
    add(Some(request.created), "created", None, format!("{} to {}, {by}", spec.current_image, spec.new_image));
    add(status.reopened_at, "reopened", None, "reopened by a person".to_owned());
    add(status.approved_at, "approved", status.approved_by.as_ref(), "approved".to_owned());
    let note = || status.message.clone().unwrap_or_default();
    add(status.rejected_at, "rejected", status.rejected_by.as_ref(), note());
    add(status.applied_at, "applied", None, format!("{} was written into the workload", spec.new_image));
    if let Some(watch) = &status.rollout {
        let returned = watch.returned_to.as_ref().map(|image| format!("{image} was put back"));
        add(returned.is_some().then_some(watch.started_at), "returned", None, returned.unwrap_or_default());
        let got_on = watch.progressed_at > watch.started_at;
        add(got_on.then_some(watch.progressed_at), "progressed", None, format!("{} steps of the rollout were left", watch.remaining));
        add(watch.available_since, "available", None, "every pod became available".to_owned());
    }
    if status.phase != Phase::Rejected {
        add(status.finished_at, "finished", None, format!("{}: {}", status.phase, note()));
    }
    // Most times in a status have whole seconds: what happened within one stays in the order of a life.
    all.sort_by_key(|moment| moment.at.as_second());
    all
}
