//! `freeze` and `resume`: keys of the ConfigMap `headwind`.

use std::time::Duration;

use headwind_core::config::limit;
use headwind_core::gate::Freeze;
use headwind_k8s::access::{LEASE, PAUSED_SINCE, SETTINGS};
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, Patch, PatchParams, PostParams};
use serde_json::{Map, Value, json};

use super::decide::MANAGER;
use crate::age::whole;
use crate::connect::Connection;
use crate::failure::Failure;
use crate::output::{self, clean};

fn api(connection: &Connection) -> Api<ConfigMap> {
    Api::namespaced(connection.client.clone(), connection.headwind_namespace())
}

fn leases(connection: &Connection) -> Api<Lease> {
    Api::namespaced(connection.client.clone(), connection.headwind_namespace())
}

/// Warns if Headwind does not seem to run in its namespace. Says nothing if the user may not read that.
async fn warn_of_absence(connection: &Connection) {
    if let (Ok(None), Ok(None)) = (api(connection).get_opt(SETTINGS).await, leases(connection).get_opt(LEASE).await) {
        let namespace = connection.headwind_namespace();
        output::remark(&format!(
            "warning: Headwind does not seem to run in namespace {namespace}, which has neither a ConfigMap nor a Lease headwind; see \
             --headwind-namespace"
        ));
    }
}

/// Writes entries of the ConfigMap. `null` removes one.
async fn write(connection: &Connection, entries: Map<String, Value>) -> Result<(), Failure> {
    let (api, params) = (api(connection), PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() });
    match api.patch(SETTINGS, &params, &Patch::Merge(json!({"data": entries}))).await.map_err(Failure::from) {
        Err(Failure::NotFound(_)) => {
            let new = serde_json::from_value::<ConfigMap>(json!({"metadata": {"name": SETTINGS}, "data": entries}));
            let new = new.map_err(|error| Failure::Other(error.to_string()))?;
            api.create(&PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() }, &new).await?;
            Ok(())
        }
        done => done.map(drop),
    }
}

/// Freezes.
pub(super) async fn freeze(
    connection: &Connection,
    until: Option<Timestamp>,
    duration: Option<Duration>,
    reason: Option<&str>,
) -> Result<(), Failure> {
    let now = Timestamp::now();
    let until = match duration {
        Some(duration) => Some(now.checked_add(duration).map_err(|error| Failure::Usage(error.to_string()))?),
        None => until,
    };
    let freeze = Freeze { until: until.map(whole), reason: reason.map(str::to_owned) };
    if !freeze.holds(now) {
        return Err(Failure::Usage("the freeze would end in the past".to_owned()));
    }
    // The ConfigMap exists after the write.
    warn_of_absence(connection).await;
    write(connection, Map::from_iter([(limit::FREEZE.to_owned(), json!(freeze.to_string()))])).await?;
    let until = freeze.until.map_or_else(|| "until you resume".to_owned(), |until| format!("until {until}"));
    output::line(&format!("frozen {until}: Headwind applies no updates, and still rolls back failed ones"))
}

/// Returns the time at which failures stop to count: now by the clock of the cluster, because that of this computer may be
/// behind. Not before the pause began, if the user may read that.
async fn resumed_at(connection: &Connection) -> Result<Timestamp, Failure> {
    let now = connection.time().await?;
    let lease = leases(connection).get_opt(LEASE).await.ok().flatten();
    let since = lease.and_then(|lease| lease.metadata.annotations?.get(PAUSED_SINCE)?.parse().ok());
    Ok(since.map_or(now, |since: Timestamp| since.max(now)))
}

/// Ends a pause after failures, and a freeze unless `pause_only` is set.
pub(super) async fn resume(connection: &Connection, pause_only: bool) -> Result<(), Failure> {
    warn_of_absence(connection).await;
    let data = api(connection).get_opt(SETTINGS).await?.and_then(|map| map.data).unwrap_or_default();
    let mut entries = Map::new();
    let frozen = data.get(limit::FREEZE).filter(|value| !pause_only && !matches!(Freeze::parse(value), Ok(None)));
    if frozen.is_some() {
        entries.insert(limit::FREEZE.to_owned(), Value::Null);
    }
    if data.contains_key(limit::PAUSE_AFTER_FAILURES) {
        // Failures before this time no longer count.
        entries.insert(limit::RESUMED_AT.to_owned(), json!(resumed_at(connection).await?.to_string()));
    }
    if entries.is_empty() {
        return output::line(if pause_only { "updates are never paused: pauseAfterFailures is not set" } else { "not frozen" });
    }
    write(connection, entries).await?;
    let words = frozen.map(|value| value.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(", "));
    output::line(&clean(&words.map_or_else(|| "resumed".to_owned(), |words| format!("resumed; the freeze was: {words}"))))
}
