//! The limits on the updates of all workloads, for people: read them, freeze and unfreeze, resume paused updates.
//!
//! The commands change entries of the ConfigMap `headwind`, as `kubectl` can.

use std::collections::BTreeMap;

use headwind_core::config::{Store, limit};
use headwind_core::gate::limits::ConfiguredLimits;
use headwind_core::gate::{Facts, Freeze, Limits, cool_down_until};
use headwind_core::request::Request;
use headwind_core::settings::Settings;
use headwind_core::workload::WorkloadKey;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::ConfigMap;

use super::audit::Action;
use super::caller::Caller;
use super::commands::to_the_end;
use super::handle::Handle;
use super::settings::{SaveError, SettingsChange};
use crate::clock::now;

/// Maximum number of times that a change is tried again because another writer was faster.
const TRIES: usize = 5;

/// The limits on the updates of all workloads now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LimitsView {
    /// The entries of the ConfigMap.
    pub configured: ConfiguredLimits,
    /// Since when updates that the policy approved are paused, because too many failed.
    pub paused_since: Option<Timestamp>,
    /// Number of workloads that are rolled out now, as far as a limit counts them.
    pub rollouts: usize,
    /// Number of updates that wait for the end of a rollout.
    pub waiting: usize,
}

impl LimitsView {
    /// Returns the freeze that is in effect at that time.
    pub fn freeze(&self, now: Timestamp) -> Option<&Freeze> {
        self.configured.freeze.as_ref().filter(|freeze| freeze.holds(now))
    }
}

impl Handle {
    /// Returns the namespace of Headwind's own objects.
    pub fn own_namespace(&self) -> &str {
        &self.own_namespace
    }

    /// Returns the limits on the updates of all workloads.
    pub fn limits(&self) -> LimitsView {
        let now = now();
        let Limits { freeze: _, paused_since, rollouts } = self.state.current_limits(now);
        let configured = self.state.limits.configured();
        LimitsView { configured, paused_since, rollouts: rollouts.running.len(), waiting: self.state.waiting_for_a_slot(now) }
    }

    /// Returns when the cool-down of a request ends, if it has not ended and is not skipped.
    pub fn cool_down_until(&self, workload: &WorkloadKey, request: &Request) -> Option<Timestamp> {
        let resolved = self.state.index.read().resolved(workload)?;
        let container = request.spec.container.as_deref()?;
        let settings = Settings::resolve(&resolved.defaults, &resolved.workload.annotations, container).ok()?;
        let facts = Facts {
            first_seen: Some(request.created),
            approved_by: request.approved_by(),
            skips_cool_down: request.status.skip_cool_down,
            ..Facts::default()
        };
        cool_down_until(&settings, &facts, now())
    }

    /// Freezes all updates. Writes the audit line.
    ///
    /// # Errors
    /// See [`SaveError`].
    pub async fn freeze(&self, caller: Caller, freeze: Freeze) -> Result<(), SaveError> {
        self.set_limit("freeze", caller, limit::FREEZE, Some(freeze.to_string())).await
    }

    /// Ends the freeze of all updates. Writes the audit line.
    ///
    /// # Errors
    /// See [`SaveError`].
    pub async fn unfreeze(&self, caller: Caller) -> Result<(), SaveError> {
        self.set_limit("unfreeze", caller, limit::FREEZE, None).await
    }

    /// Resumes updates that are paused because too many failed. Writes the audit line.
    ///
    /// # Errors
    /// See [`SaveError`].
    pub async fn resume(&self, caller: Caller) -> Result<(), SaveError> {
        // The clock of the leader may be ahead of this one.
        let at = self.state.paused_since(now()).map_or_else(now, |since| since.max(now()));
        self.set_limit("resume", caller, limit::RESUMED_AT, Some(at.to_string())).await
    }

    async fn set_limit(&self, verb: &str, caller: Caller, name: &'static str, value: Option<String>) -> Result<(), SaveError> {
        let handle = self.clone();
        let action = Action { verb: verb.to_owned(), ..Action::on_settings(Store::ConfigMap, &self.own_namespace) };
        to_the_end(async move {
            let values = BTreeMap::from([(name.to_owned(), value)]);
            let mut saved = Err(SaveError::Conflict(Store::ConfigMap));
            for _ in 0..TRIES {
                let change =
                    SettingsChange { store: Store::ConfigMap, version: handle.settings.current().config_map, values: values.clone() };
                saved = handle.save::<ConfigMap>(&caller, &change).await;
                if !matches!(saved, Err(SaveError::Conflict(_))) {
                    break;
                }
            }
            action.ended(&caller, saved.as_ref().err(), name);
            saved
        })
        .await
        .unwrap_or_else(|failure| Err(SaveError::Unavailable(failure)))
    }
}
