//! The parts that a HelmRelease's view is made of: conditions, what Flux does about failures,
//! revisions.
//!
//! Plain values with the few rules of Flux's that belong to them; `super::helm_release` judges by
//! them. Versions are compared here as Flux writes them: a chart of an `OCIRepository` carries the
//! first 12 digits of its digest where SemVer has build metadata (`0.2.0+92a4fa0b73a2`).

use semver::Version;

/// The conditions that are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConditionType {
    /// The sum of the others.
    Ready,
    /// Flux is not done.
    Reconciling,
    /// Flux has given up until something changes.
    Stalled,
    /// How the last install or upgrade went.
    Released,
    /// A failure was taken back.
    Remediated,
    /// How the chart's tests went.
    TestSuccess,
}

/// A condition of a Flux object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// Which.
    pub kind: ConditionType,
    /// Yes, no, or unknown.
    pub status: Option<bool>,
    /// The reason's code.
    pub reason: String,
    /// Flux's words.
    pub message: String,
    /// Its `observedGeneration`.
    pub observed_generation: i64,
}

/// What a release wants done when an action fails: `spec.install` or `spec.upgrade`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Remediation {
    /// `remediation.retries`; a negative number is for ever.
    pub retries: i32,
    /// `remediation.remediateLastFailure`, where it is set.
    pub last_failure: Option<bool>,
    /// Whether `strategy.name` is `RetryOnFailure`: the same is tried for ever, nothing is taken back.
    pub retry_on_failure: bool,
}

impl Remediation {
    /// Whether Flux does anything about a failure.
    pub(super) fn remediates(self) -> bool {
        self.retries != 0 || self.last_failure == Some(true)
    }

    /// How many tries there are; `None` is no end of them.
    pub(super) fn attempts(self) -> Option<u32> {
        u32::try_from(self.retries).ok().filter(|_| !self.retry_on_failure).map(|retries| retries.saturating_add(1))
    }

    /// Whether the last try was made.
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
    /// `ociDigest`: of the chart's artifact, where it came from an `OCIRepository`.
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
    /// The digest of the artifact, if it is that of the tag.
    pub(super) fn fetched(&self, tag: &str) -> Option<&str> {
        let (of, digest) = self.revision.as_deref()?.rsplit_once('@')?;
        (of == tag).then_some(digest)
    }

    pub(super) fn has_fetched(&self, tag: &str) -> bool {
        self.fetched(tag).is_some()
    }

    /// What source-controller says of the newest spec.
    pub(super) fn answer(&self) -> Option<&Condition> {
        self.ready.as_ref().filter(|ready| ready.observed_generation == self.generation)
    }
}

/// What Flux appends to the version of a chart that came from an `OCIRepository`.
pub(super) fn digest_suffix(digest: &str) -> Option<&str> {
    digest.split_once(':')?.1.get(..12)
}

/// Whether the revision that Flux attempted is that of the wanted version.
///
/// Flux takes a chart `1.0.0+abc` for the wanted `1.0.0` where the repository has no other, so build
/// metadata counts where it is asked for.
pub(crate) fn same_version(wanted: &str, revision: &str) -> bool {
    let parse = |text: &str| Version::parse(text.strip_prefix('v').unwrap_or(text)).ok();
    wanted == revision
        || parse(wanted).zip(parse(revision)).is_some_and(|(wanted, revision)| {
            wanted.cmp_precedence(&revision).is_eq() && (wanted.build.is_empty() || wanted.build == revision.build)
        })
}
