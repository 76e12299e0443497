//! Policies: which of the candidate tags is accepted, and why each other one is refused.
//!
//! An evaluation looks at all candidates once. It sets aside what no policy may accept (artefacts, the current tag
//! itself, what does not match the pattern), then asks the policy's own file, then orders what is accepted.
//! [`choose`] returns that order alone; [`judge`] adds a sentence for every candidate. Offline tools and the operator
//! call the same functions.
//!
//! ```text
//! candidates ──> judge (verdicts) ──> order ──┬─> choose: accepted, best first, and the headline
//!                                             └─> judge: the same, with a sentence for each candidate
//! ```

mod evaluation;
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
pub(crate) use judge::judge_without;
pub use judge::{choose, judge, still_accepts};
pub use pattern::{Pattern, PatternError};
pub(crate) use sentence::DIGEST_LOOKED_UP;
pub use sentence::sentence;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::artifact::reference::Digest;
use crate::reason::Reason;

/// Which new versions count (annotation `headwind.sh/policy`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Policy {
    /// Nothing.
    #[default]
    None,
    /// A higher version with the same major and minor.
    Patch,
    /// A higher version with the same major.
    Minor,
    /// Any higher version.
    Major,
    /// Any higher version, pre-releases included.
    All,
    /// The highest tag that matches a pattern.
    Glob,
    /// What the event names.
    Force,
}

impl Policy {
    /// Every policy, the narrowest first.
    pub const ALL: &'static [Policy] =
        &[Policy::None, Policy::Patch, Policy::Minor, Policy::Major, Policy::All, Policy::Glob, Policy::Force];

    /// The word in annotations.
    pub fn as_str(self) -> &'static str {
        match self {
            Policy::None => "none",
            Policy::Patch => "patch",
            Policy::Minor => "minor",
            Policy::Major => "major",
            Policy::All => "all",
            Policy::Glob => "glob",
            Policy::Force => "force",
        }
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A word that names no policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no policy; the policies are none, patch, minor, major, all, glob and force")]
pub struct UnknownPolicy(String);

impl FromStr for Policy {
    type Err = UnknownPolicy;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Policy::ALL.iter().copied().find(|policy| policy.as_str() == text).ok_or_else(|| UnknownPolicy(text.chars().take(64).collect()))
    }
}

/// Where the candidates come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Occasion {
    /// An event names them.
    Event,
    /// A scan found them: policy force follows the current tag's digest only.
    Scan,
}

/// What runs now, and what is known of what ran.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Current {
    /// The tag that is meant; none for a digest alone.
    pub tag: Option<String>,
    /// The digest that is known to run.
    pub digest: Option<Digest>,
    /// Tags that Headwind applied or proposed before. Policy glob selects nothing lower than these when the current tag
    /// does not match its pattern.
    pub known: Vec<String>,
}

/// What could run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The tag.
    pub tag: String,
    /// Its digest, where it is known.
    pub digest: Option<Digest>,
    /// Whether its author has deprecated it (a chart's `deprecated: true`).
    pub deprecated: bool,
}

impl Candidate {
    /// A candidate of that tag.
    pub fn new(tag: impl Into<String>, digest: Option<Digest>) -> Self {
        Self { tag: tag.into(), digest, deprecated: false }
    }
}

/// A policy with its pattern.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Rule {
    /// The policy.
    pub policy: Policy,
    /// What tags have to match; policy glob needs it.
    pub pattern: Option<Pattern>,
}

/// What became of a candidate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It is the one.
    Chosen,
    /// It would do, but another is better.
    Eligible,
    /// It is not taken.
    Refused,
}

/// The verdict on one candidate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CandidateVerdict {
    /// The tag.
    pub tag: String,
    /// Its digest, where it is known.
    pub digest: Option<Digest>,
    /// What became of it.
    pub outcome: Outcome,
    /// Why.
    pub reason: Reason,
    /// Why, for a person.
    pub message: String,
}

/// The verdict on all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
    /// The place of the best candidate that is accepted.
    pub chosen: Option<usize>,
    /// One verdict for each candidate, in the order given.
    pub candidates: Vec<CandidateVerdict>,
}

/// The verdicts without sentences.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// The places of the candidates that are accepted, the best first.
    pub accepted: Vec<usize>,
    /// The verdict that matters to a person.
    pub headline: Headline,
}

/// The verdict that sums up all others: the best candidate that is accepted; else the highest one that the policy
/// refuses; else that nothing is higher.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Headline {
    /// The place of the candidate that it is about; none where it is about the current tag.
    pub place: Option<usize>,
    /// The verdict.
    pub reason: Reason,
}

#[cfg(test)]
mod tests;
