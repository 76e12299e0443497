//! The fields of a HelmRelease for judging a rollout: its status, and the part of its spec that configures how Flux
//! handles failures.
//!
//! The kind's own file reads the rest of the spec and the origin of the chart. [`view`] combines both into the plain
//! value that `headwind_core::rollout` judges. An invalid field is read as missing: the object stays readable, and
//! unknown values are not used.

use std::time::Duration;

use headwind_core::rollout::HelmReleaseView;
use headwind_core::rollout::flux::{Condition, ConditionType, Remediation, Snapshot, Source};
use jiff::SignedDuration;
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer, Serialize};

/// Flux's default for `spec.timeout`.
const TIMEOUT: Duration = Duration::from_mins(5);
/// Maximum length of a condition's message that is kept.
const MESSAGE: usize = 1000;

/// The part of `spec` that affects the rollout. Flattened into the kind's own.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RolloutSpec {
    #[serde(deserialize_with = "lenient", skip_serializing_if = "std::ops::Not::not")]
    suspend: bool,
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    timeout: Option<String>,
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    install: Option<Action>,
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    upgrade: Option<Action>,
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    rollback: Option<Action>,
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    uninstall: Option<Action>,
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    test: Option<Action>,
}

/// One of Helm's actions. Not every one has every field.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Action {
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    timeout: Option<String>,
    #[serde(deserialize_with = "lenient", skip_serializing_if = "std::ops::Not::not")]
    enable: bool,
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    remediation: Option<SlimRemediation>,
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    strategy: Option<Strategy>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct SlimRemediation {
    #[serde(deserialize_with = "lenient")]
    retries: i32,
    #[serde(deserialize_with = "lenient")]
    remediate_last_failure: Option<bool>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Strategy {
    #[serde(deserialize_with = "lenient")]
    name: String,
}

/// `status`, with the fields that the rules use.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Status {
    #[serde(deserialize_with = "lenient")]
    observed_generation: i64,
    #[serde(deserialize_with = "lenient")]
    last_attempted_generation: i64,
    #[serde(deserialize_with = "lenient")]
    last_attempted_revision: String,
    #[serde(deserialize_with = "lenient")]
    last_attempted_revision_digest: Option<String>,
    #[serde(deserialize_with = "lenient")]
    last_attempted_release_action: String,
    #[serde(deserialize_with = "lenient")]
    failures: u32,
    #[serde(deserialize_with = "lenient")]
    install_failures: u32,
    #[serde(deserialize_with = "lenient")]
    upgrade_failures: u32,
    #[serde(deserialize_with = "lenient")]
    helm_chart: String,
    #[serde(deserialize_with = "each")]
    conditions: Vec<SlimCondition>,
    #[serde(deserialize_with = "each")]
    history: Vec<SlimSnapshot>,
}

impl Status {
    /// Returns the namespace of the HelmChart that helm-controller created for `spec.chart`: that of the source. Flux
    /// creates it only after it has checked that the release may use the source.
    pub fn chart_namespace(&self) -> Option<&str> {
        self.helm_chart.split_once('/').map(|(namespace, _)| namespace).filter(|namespace| !namespace.is_empty())
    }
}

/// `status` of an `OCIRepository`, with the fields that the rules use.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SourceStatus {
    #[serde(deserialize_with = "lenient")]
    artifact: Option<Artifact>,
    #[serde(deserialize_with = "each")]
    conditions: Vec<SlimCondition>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Artifact {
    #[serde(deserialize_with = "lenient")]
    revision: String,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct SlimCondition {
    #[serde(deserialize_with = "lenient")]
    r#type: String,
    #[serde(deserialize_with = "lenient")]
    status: String,
    #[serde(deserialize_with = "lenient")]
    reason: String,
    #[serde(deserialize_with = "lenient")]
    message: String,
    #[serde(deserialize_with = "lenient")]
    observed_generation: i64,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct SlimSnapshot {
    #[serde(deserialize_with = "lenient")]
    chart_version: String,
    #[serde(deserialize_with = "lenient")]
    status: String,
    #[serde(deserialize_with = "lenient")]
    oci_digest: Option<String>,
}

/// Returns the view for judging the release's rollout, from the release itself.
/// `headwind_core::workload::release::resolve` adds its source. `generation` is the release's own, `wanted` its
/// `spec.chart.spec.version`.
pub fn view(generation: i64, wanted: &str, spec: &RolloutSpec, status: &Status) -> HelmReleaseView {
    let actions = [&spec.install, &spec.upgrade, &spec.rollback, &spec.uninstall, &spec.test];
    let set = actions.into_iter().flatten().filter_map(|action| duration(action.timeout.as_deref()?));
    let timeout = spec.timeout.as_deref().and_then(duration).unwrap_or(TIMEOUT);
    HelmReleaseView {
        generation,
        wanted: wanted.to_owned(),
        suspended: spec.suspend,
        source_interval: Duration::ZERO,
        timeout: set.fold(timeout, Duration::max),
        tested: spec.test.as_ref().is_some_and(|test| test.enable),
        install: remediation(spec.install.as_ref()),
        upgrade: remediation(spec.upgrade.as_ref()),
        observed_generation: status.observed_generation,
        attempted_generation: status.last_attempted_generation,
        attempted_revision: status.last_attempted_revision.clone(),
        attempted_digest: status.last_attempted_revision_digest.clone().filter(|digest| !digest.is_empty()),
        installs: status.last_attempted_release_action == "install",
        failures: status.failures,
        remediable_failures: status.install_failures.saturating_add(status.upgrade_failures),
        conditions: status.conditions.iter().filter_map(condition).collect(),
        newest: status.history.first().map(|newest| Snapshot {
            version: newest.chart_version.clone(),
            status: newest.status.clone(),
            oci_digest: newest.oci_digest.clone().filter(|digest| !digest.is_empty()),
        }),
        source: None,
    }
}

/// Returns the `OCIRepository` of a `chartRef`, for judging the rollout of its releases.
pub fn source(generation: i64, status: &SourceStatus) -> Source {
    Source {
        generation,
        revision: status.artifact.as_ref().map(|artifact| artifact.revision.clone()),
        ready: status.conditions.iter().filter_map(condition).find(|one| one.kind == ConditionType::Ready),
    }
}

fn condition(slim: &SlimCondition) -> Option<Condition> {
    let kind = match &*slim.r#type {
        "Ready" => ConditionType::Ready,
        "Reconciling" => ConditionType::Reconciling,
        "Stalled" => ConditionType::Stalled,
        "Released" => ConditionType::Released,
        "Remediated" => ConditionType::Remediated,
        "TestSuccess" => ConditionType::TestSuccess,
        _ => return None,
    };
    let status = match &*slim.status {
        "True" => Some(true),
        "False" => Some(false),
        _ => None,
    };
    Some(Condition {
        kind,
        status,
        reason: slim.reason.clone(),
        message: cut(&slim.message),
        observed_generation: slim.observed_generation,
    })
}

/// Truncates a message. Helm quotes whole objects in its errors; the beginning states the error.
fn cut(message: &str) -> String {
    let message = message.trim();
    match message.char_indices().nth(MESSAGE) {
        Some((end, _)) => format!("{}…", message.get(..end).unwrap_or_default()),
        None => message.to_owned(),
    }
}

fn remediation(action: Option<&Action>) -> Remediation {
    let slim = action.and_then(|action| action.remediation.clone()).unwrap_or_default();
    Remediation {
        retries: slim.retries,
        last_failure: slim.remediate_last_failure,
        retry_on_failure: action.and_then(|action| action.strategy.as_ref()).is_some_and(|strategy| strategy.name == "RetryOnFailure"),
    }
}

/// Parses a duration in Go's format (`5m0s`).
pub(crate) fn duration(text: &str) -> Option<Duration> {
    Duration::try_from(text.parse::<SignedDuration>().ok()?).ok()
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Lenient<T> {
    Read(T),
    Odd(IgnoredAny),
}

fn lenient<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(deserializer: D) -> Result<T, D::Error> {
    Ok(match Lenient::deserialize(deserializer)? {
        Lenient::Read(value) => value,
        Lenient::Odd(_) => T::default(),
    })
}

/// Returns the valid items of a list.
fn each<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    let all: Vec<Lenient<T>> = lenient(deserializer)?;
    let read = |one| match one {
        Lenient::Read(value) => Some(value),
        Lenient::Odd(_) => None,
    };
    Ok(all.into_iter().filter_map(read).collect())
}

#[cfg(test)]
mod tests;
