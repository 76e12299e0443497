//! Policies: which candidate tag is accepted, and why the others are refused.
//!
//! An evaluation looks at all candidates once. It first refuses what no policy accepts (artifacts other than images,
//! the current tag, tags that do not match the pattern), then applies the policy's own rules, then orders the accepted
//! candidates. [`choose`] returns only that order; [`judge`] adds a sentence for every candidate. Offline tools and the
//! operator call the same functions.
//!
//! ```text
//! candidates ──> judge (verdicts) ──> order ──┬─> choose: accepted, best first, and the headline
//!                                             └─> judge: the same, with a sentence for each candidate
//! ```

mod evaluation;
mod family;
mod force;
mod glob;
mod glob_order;
mod headline;
mod judge;
mod order;
mod pattern;
mod sentence;
mod versions;

pub(crate) use evaluation::why;
pub use family::Family;
pub(crate) use judge::judge_without;
pub use judge::{choose, judge, still_accepts};
pub use pattern::{Pattern, PatternError};
pub(crate) use sentence::DIGEST_LOOKED_UP;
pub use sentence::sentence;

use serde::{Deserialize, Serialize};

use crate::artifact::reference::Digest;
use crate::reason::Reason;

crate::named! {
    /// The policy for new versions (annotation `headwind.sh/policy`).
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
    #[serde(rename_all = "lowercase")]
    pub enum Policy("policy", str::eq) {
        /// No version.
        #[default]
        None = "none",
        /// A higher version with the same major and minor.
        Patch = "patch",
        /// A higher version with the same major.
        Minor = "minor",
        /// Any higher version.
        Major = "major",
        /// Any higher version, pre-releases included.
        All = "all",
        /// The highest tag that matches a pattern.
        Glob = "glob",
        /// The tag of the event.
        Force = "force",
    }
}

/// The source of the candidates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Occasion {
    /// An event names them.
    Event,
    /// A scan found them: policy force follows the current tag's digest only.
    Scan,
}

/// The current version, and previous ones.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Current {
    /// The effective tag; `None` if the image has only a digest.
    pub tag: Option<String>,
    /// The running digest, if known.
    pub digest: Option<Digest>,
    /// Tags that Headwind applied or proposed before. Policy glob selects nothing lower than these when the current tag
    /// does not match its pattern.
    pub known: Vec<String>,
}

/// A version that could replace the current one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The tag.
    pub tag: String,
    /// Its digest, if known.
    pub digest: Option<Digest>,
    /// True if its author has deprecated it (a chart's `deprecated: true`).
    pub deprecated: bool,
}

impl Candidate {
    /// Creates a candidate with that tag.
    pub fn new(tag: impl Into<String>, digest: Option<Digest>) -> Self {
        Self { tag: tag.into(), digest, deprecated: false }
    }
}

/// A policy with its pattern.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Rule {
    /// The policy.
    pub policy: Policy,
    /// The pattern that tags must match; required by policy glob.
    pub pattern: Option<Pattern>,
}

/// The outcome for a candidate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// The best accepted candidate.
    Chosen,
    /// Accepted, but another one is better.
    Eligible,
    /// Not accepted.
    Refused,
}

/// The verdict on one candidate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CandidateVerdict {
    /// The tag.
    pub tag: String,
    /// Its digest, if known.
    pub digest: Option<Digest>,
    /// The outcome.
    pub outcome: Outcome,
    /// The reason.
    pub reason: Reason,
    /// The reason as a message for people.
    pub message: String,
}

/// The verdicts on all candidates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
    /// The index of the best accepted candidate.
    pub chosen: Option<usize>,
    /// One verdict for each candidate, in the order given.
    pub candidates: Vec<CandidateVerdict>,
}

/// The verdicts without sentences.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// The indexes of the accepted candidates, best first.
    pub accepted: Vec<usize>,
    /// The verdict that summarises all others.
    pub headline: Headline,
}

/// The verdict that summarises all others: the best accepted candidate, else the highest one that the policy refuses,
/// else that nothing is higher.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Headline {
    /// The index of its candidate; `None` if it is about the current tag.
    pub place: Option<usize>,
    /// The verdict.
    pub reason: Reason,
}

#[cfg(test)]
mod tests;
