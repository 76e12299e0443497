//! The stored state of a rollout watch (`status.rollout`).

use headwind_core::reason::Reason;
use headwind_core::rollout::{Failure, RolloutState};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The state of a rollout watch between two checks, stored so that the next leader judges in the same way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RolloutStatus {
    /// The generation of the workload when the change was first observed in it.
    #[serde(default)]
    pub target_generation: i64,
    /// When the change was first observed in the workload.
    pub started_at: Time,
    /// When the rollout last made progress. `rollback-timeout` counts from here.
    pub progressed_at: Time,
    /// The desired number of pods at that time.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub wanted_pods: i32,
    /// The lowest number of remaining steps since then: pods to recreate, old pods to delete, new pods to become available.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub remaining_steps: i32,
    /// The highest number of pods of the new revision that were available at the same time.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub new_available_pods: i32,
    /// True if the rollout waits for a person (a paused Deployment, strategy OnDelete).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub held: bool,
    /// When a check last failed or reset the count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checked_at: Option<Time>,
    /// The number of consecutive failed checks.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub failed_checks: i32,
    /// The number of restarts of the containers of the new pods at the last check.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub restarts: i32,
    /// Since when every pod is available. `settle-time` counts from here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub available_since: Option<Time>,
    /// The result of the last failed check, as a stable code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure_reason: Option<String>,
    /// The result of the last failed check, as a message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub failure_message: Option<String>,
    /// The restored image, while Headwind watches its rollout.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub returned_to: Option<String>,
    /// The reason for the rollback, as a stable code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause_reason: Option<String>,
    /// The reason for the rollback, as a message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub cause_message: Option<String>,
}

/// Maximum length of a stored message, in characters.
const MESSAGE: usize = 4096;

fn number(stored: i32) -> u32 {
    u32::try_from(stored).unwrap_or_default()
}

fn stored(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

fn failure(reason: Option<String>, message: Option<String>) -> Option<Failure> {
    let reason = reason.and_then(|code| serde_json::from_value::<Reason>(code.into()).ok())?;
    Some(Failure { reason, message: message.unwrap_or_default() })
}

fn words(failure: Option<Failure>) -> (Option<String>, Option<String>) {
    failure.map(|Failure { reason, message }| (reason.code().to_owned(), message.chars().take(MESSAGE).collect())).unzip()
}

impl RolloutStatus {
    pub(super) fn read(&self) -> RolloutState {
        let Self {
            target_generation,
            started_at,
            progressed_at,
            wanted_pods,
            remaining_steps,
            new_available_pods,
            held,
            checked_at,
            failed_checks,
            restarts,
            available_since,
            failure_reason,
            failure_message,
            returned_to,
            cause_reason,
            cause_message,
        } = self.clone();
        RolloutState {
            generation: target_generation,
            started_at: started_at.0,
            progressed_at: progressed_at.0,
            wanted: number(wanted_pods),
            remaining: number(remaining_steps),
            new_available: number(new_available_pods),
            held,
            checked_at: checked_at.map(|time| time.0),
            failed_checks: number(failed_checks),
            restarts: number(restarts),
            available_since: available_since.map(|time| time.0),
            failure: failure(failure_reason, failure_message),
            returned_to,
            cause: failure(cause_reason, cause_message),
        }
    }

    pub(super) fn of(watch: &RolloutState) -> Self {
        let RolloutState {
            generation,
            started_at,
            progressed_at,
            wanted,
            remaining,
            new_available,
            held,
            checked_at,
            failed_checks,
            restarts,
            available_since,
            failure,
            returned_to,
            cause,
        } = watch.clone();
        let (failure_reason, failure_message) = words(failure);
        let (cause_reason, cause_message) = words(cause);
        Self {
            target_generation: generation,
            started_at: Time(started_at),
            progressed_at: Time(progressed_at),
            wanted_pods: stored(wanted),
            remaining_steps: stored(remaining),
            new_available_pods: stored(new_available),
            held,
            checked_at: checked_at.map(Time),
            failed_checks: stored(failed_checks),
            restarts: stored(restarts),
            available_since: available_since.map(Time),
            failure_reason,
            failure_message,
            returned_to,
            cause_reason,
            cause_message,
        }
    }
}
