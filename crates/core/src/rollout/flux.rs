//! The parts of a HelmRelease's view: conditions, Flux's handling of failures, revisions.
//!
//! Plain values with Flux's own rules about them; `super::helm_release` judges by them. Versions are compared in Flux's
//! format: a chart of an `OCIRepository` has the first 12 digits of its digest as build metadata
//! (`0.2.0+92a4fa0b73a2`).

use semver::Version;

/// The conditions that are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConditionType {
    /// The summary of the others.
    Ready,
    /// Flux is still working.
    Reconciling,
    /// Flux has given up until something changes.
    Stalled,
    /// The result of the last install or upgrade.
    Released,
    /// A failure was remediated.
    Remediated,
    /// The result of the chart's tests.
    TestSuccess,
}

/// A condition of a Flux object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// The type.
    pub kind: ConditionType,
    /// True, false, or unknown.
    pub status: Option<bool>,
    /// The reason.
    pub reason: String,
    /// Flux's message.
    pub message: String,
    /// Its `observedGeneration`.
    pub observed_generation: i64,
}

/// A release's configuration for failed actions: `spec.install` or `spec.upgrade`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Remediation {
    /// `remediation.retries`; a negative number means no limit.
    pub retries: i32,
    /// `remediation.remediateLastFailure`, if set.
    pub last_failure: Option<bool>,
    /// True if `strategy.name` is `RetryOnFailure`: Flux retries without a limit and rolls nothing back.
    pub retry_on_failure: bool,
}

impl Remediation {
    /// Returns true if Flux remediates a failure.
    pub(super) fn remediates(self) -> bool {
        self.retries != 0 || self.last_failure == Some(true)
    }

    /// Returns the number of attempts; `None` if there is no limit.
    pub(super) fn attempts(self) -> Option<u32> {
        u32::try_from(self.retries).ok().filter(|_| !self.retry_on_failure).map(|retries| retries.saturating_add(1))
    }

    /// Returns true if the last attempt was made.
    pub(super) fn is_exhausted(self, failures: u32) -> bool {
        self.attempts().is_some_and(|attempts| failures >= attempts)
    }
}

/// An entry of a release's history.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Snapshot {
    /// `chartVersion`.
    pub version: String,
    /// Helm's status: `deployed`, `failed`, `superseded`, …
    pub status: String,
    /// `ociDigest`: the digest of the chart's artifact, if it came from an `OCIRepository`.
    pub oci_digest: Option<String>,
}

/// The `OCIRepository` that a release's `chartRef` names.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Source {
    /// Its `metadata.generation`.
    pub generation: i64,
    /// Its `status.artifact.revision`: `tag@sha256:digest`.
    pub revision: Option<String>,
    /// Its condition `Ready`.
    pub ready: Option<Condition>,
}

impl Source {
    /// Returns the digest of the artifact, if it belongs to the tag.
    pub(super) fn fetched(&self, tag: &str) -> Option<&str> {
        let (of, digest) = self.revision.as_deref()?.rsplit_once('@')?;
        (of == tag).then_some(digest)
    }

    pub(super) fn has_fetched(&self, tag: &str) -> bool {
        self.fetched(tag).is_some()
    }

    /// Returns source-controller's condition for the newest spec.
    pub(super) fn answer(&self) -> Option<&Condition> {
        self.ready.as_ref().filter(|ready| ready.observed_generation == self.generation)
    }
}

/// Returns the suffix that Flux appends to the version of a chart from an `OCIRepository`.
pub(super) fn digest_suffix(digest: &str) -> Option<&str> {
    digest.split_once(':')?.1.get(..12)
}

/// Returns true if the revision that Flux attempted is the wanted version.
///
/// Flux accepts a chart `1.0.0+abc` for the wanted `1.0.0` if the repository has no other, so build metadata counts
/// only if the wanted version has it.
pub(crate) fn same_version(wanted: &str, revision: &str) -> bool {
    let parse = |text: &str| Version::parse(text.strip_prefix('v').unwrap_or(text)).ok();
    wanted == revision
        || parse(wanted).zip(parse(revision)).is_some_and(|(wanted, revision)| {
            wanted.cmp_precedence(&revision).is_eq() && (wanted.build.is_empty() || wanted.build == revision.build)
        })
}
