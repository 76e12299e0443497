//! The conditions of an UpdateRequest, after Kubernetes' conventions.
//!
//! - `Ready` is true when the update is complete and its pods are available: `kubectl wait --for=condition=Ready`.
//! - `Progressing` is true while the update continues without a person.
//! - `Waiting` is true while an approved update, or the rollback of a failed one, waits. It has the reason and, if
//!   known, the time.
//!
//! Conditions of other writers are kept.

use headwind_core::gate::Waiting;
use headwind_core::reason::Reason;
use headwind_core::request::{Phase, Status};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

/// The update is complete and its pods are available.
pub const READY: &str = "Ready";
/// The update continues without a person.
pub const PROGRESSING: &str = "Progressing";
/// An approved update waits.
pub const WAITING: &str = "Waiting";
/// Maximum length of a condition's message (the API's limit is 32 KiB).
const MESSAGE: usize = 4096;

/// Returns the conditions that follow `before` once `status` is written.
pub(crate) fn following(before: &[Condition], status: &Status, generation: Option<i64>, now: Timestamp) -> Vec<Condition> {
    let ours = [READY, PROGRESSING, WAITING];
    let mut all: Vec<Condition> = before.iter().filter(|condition| !ours.contains(&condition.type_.as_str())).cloned().collect();
    let mut put = |name: &str, holds: bool, reason: &str, message: &str| {
        let status = if holds { "True" } else { "False" };
        let earlier = before.iter().find(|condition| condition.type_ == name && condition.status == status);
        all.push(Condition {
            type_: name.to_owned(),
            status: status.to_owned(),
            reason: reason.to_owned(),
            message: message.chars().take(MESSAGE).collect(),
            last_transition_time: earlier.map_or(Time(now), |earlier| earlier.last_transition_time.clone()),
            observed_generation: generation,
        });
    };
    let reason = match (status.phase, status.reason) {
        (Phase::Pending, _) if status.waiting.is_none() => Reason::AwaitingApproval.code(),
        (_, Some(reason)) => reason.code(),
        (phase, None) => phase.as_str(),
    };
    let message = status.message.as_deref().unwrap_or_default();
    put(READY, status.phase == Phase::Completed, reason, message);
    let goes_on = match status.phase {
        Phase::Approved | Phase::RollingOut => true,
        Phase::Pending => status.waiting.is_some(),
        Phase::Completed | Phase::Rejected | Phase::Failed | Phase::Expired | Phase::Superseded | Phase::RolledBack => false,
    };
    put(PROGRESSING, goes_on, reason, message);
    match &status.waiting {
        Some(waiting) => put(WAITING, true, waiting.reason.code(), &waiting.to_string()),
        None if before.iter().any(|condition| condition.type_ == WAITING) => put(WAITING, false, status.phase.as_str(), ""),
        None => {}
    }
    all
}

/// Returns the wait of an update. `until` is the time in the status, which is also in the message. An unknown reason
/// counts as no wait: the gate decides again.
pub(crate) fn waiting(conditions: &[Condition], until: Option<Timestamp>) -> Option<Waiting> {
    let condition = conditions.iter().find(|condition| condition.type_ == WAITING && condition.status == "True")?;
    let reason = serde_json::from_value(condition.reason.as_str().into()).ok()?;
    let timed = Waiting { reason, message: String::new(), until };
    let message = condition.message.strip_prefix(&timed.to_string()).unwrap_or(&condition.message).to_owned();
    Some(Waiting { message, ..timed })
}
