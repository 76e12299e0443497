//! Policies: which of the candidate tags is taken, and why each other one is not (SPEC section 3).
//!
//! [`judge`] first sets aside what no policy may take (artefacts, the current tag itself, what
//! does not match the pattern, another scheme or variant, unwanted pre-releases, what is not
//! higher), then asks the policy's own file about what is left, then chooses the best. Offline
//! tools and the operator call the same function.

mod all;
mod answer;
mod force;
mod glob;
mod major;
mod minor;
mod none;
mod patch;
mod pattern;

pub use answer::{Answer, AnswerCandidate, Question, answer, answer_on};
pub use pattern::{Pattern, PatternError};

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::reason::Reason;
use crate::reference::{Digest, is_tag};
use crate::version::{Version, is_artefact, is_range, natural_order, parse_chart, parse_tag};

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

/// What is versioned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Tags of an image.
    #[default]
    Image,
    /// Versions of a chart.
    Chart,
}

impl Kind {
    /// Reads a version as things of this kind are versioned.
    pub fn read(self, text: &str) -> Option<Version> {
        match self {
            Kind::Image => parse_tag(text),
            Kind::Chart => parse_chart(text),
        }
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

/// What runs now.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Current {
    /// The tag that is meant; none for a digest alone.
    pub tag: Option<String>,
    /// The digest that is known to run.
    pub digest: Option<Digest>,
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
#[derive(Debug, Clone, PartialEq, Eq, Default)]
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
    /// The place of the one that is taken.
    pub chosen: Option<usize>,
    /// One verdict a candidate, in the order given.
    pub candidates: Vec<CandidateVerdict>,
}

/// Judges the candidates. But for policy force, where the last one wins, their order does not
/// matter.
pub fn judge(rule: &Rule, kind: Kind, occasion: Occasion, current: &Current, candidates: &[Candidate]) -> Judgement {
    let scene = Scene { rule, kind, current, version: current.tag.as_deref().and_then(|tag| kind.read(tag)) };
    let glob_order = (rule.policy == Policy::Glob).then(|| glob::order(&scene, candidates));
    let verdicts: Vec<Result<(), Refused>> = candidates.iter().map(|candidate| scene.verdict(candidate, occasion, glob_order)).collect();
    let better = |a: usize, b: usize| match (candidates.get(a), candidates.get(b)) {
        (Some(x), Some(y)) => scene.better(x, y, glob_order),
        (_, _) => Ordering::Equal,
    };
    let mut eligible = verdicts.iter().enumerate().filter(|(_, verdict)| verdict.is_ok()).map(|(place, _)| place);
    let chosen = if rule.policy == Policy::Force {
        eligible.next_back()
    } else {
        eligible.reduce(|best, next| if better(next, best).is_gt() { next } else { best })
    };
    let best = chosen.and_then(|place| candidates.get(place)).map(|candidate| candidate.tag.clone());
    let candidates = candidates
        .iter()
        .zip(verdicts)
        .enumerate()
        .map(|(place, (candidate, verdict))| {
            let (outcome, reason, message) = match verdict {
                Err(Refused { reason, message }) => (Outcome::Refused, reason, message),
                Ok(()) if chosen == Some(place) => (Outcome::Chosen, scene.why(candidate), scene.why_sentence(candidate)),
                Ok(()) => (Outcome::Eligible, Reason::NotBest, format!("allowed, but {} is better", best.as_deref().unwrap_or_default())),
            };
            CandidateVerdict { tag: candidate.tag.clone(), digest: candidate.digest.clone(), outcome, reason, message }
        })
        .collect();
    Judgement { chosen, candidates }
}

/// A refusal in the making.
struct Refused {
    reason: Reason,
    message: String,
}

impl Refused {
    fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into() }
    }
}

/// The question, with the current version read once.
struct Scene<'a> {
    rule: &'a Rule,
    kind: Kind,
    current: &'a Current,
    version: Option<Version>,
}

impl Scene<'_> {
    fn current_tag(&self) -> &str {
        self.current.tag.as_deref().unwrap_or_default()
    }

    fn verdict(&self, candidate: &Candidate, occasion: Occasion, glob_order: Option<glob::Order>) -> Result<(), Refused> {
        let tag = candidate.tag.as_str();
        self.set_aside(candidate, occasion)?;
        match self.rule.policy {
            Policy::None => none::admits(),
            Policy::Force => Ok(()),
            Policy::Glob => glob::admits(self, tag, glob_order),
            Policy::Patch | Policy::Minor | Policy::Major | Policy::All => self.versions(tag),
        }
    }

    /// What no policy may take, and what has nothing to do with order.
    fn set_aside(&self, candidate: &Candidate, occasion: Occasion) -> Result<(), Refused> {
        let tag = candidate.tag.as_str();
        if self.rule.policy == Policy::None {
            return none::admits();
        }
        if self.rule.policy == Policy::Glob && self.rule.pattern.is_none() {
            return Err(Refused::new(Reason::PatternMissing, "policy glob needs the annotation headwind.sh/pattern"));
        }
        let by_digest_alone = self.current.tag.is_none();
        if by_digest_alone && self.rule.policy != Policy::Force {
            return Err(Refused::new(Reason::DigestOnly, "the image is given by its digest alone; only policy force touches it"));
        }
        if self.kind == Kind::Image && !is_tag(tag) && !(by_digest_alone && tag.is_empty()) {
            return Err(Refused::new(Reason::InvalidTag, format!("{tag:?} is not a legal tag")));
        }
        if self.kind == Kind::Image && is_artefact(tag) {
            return Err(Refused::new(Reason::NotAnImage, format!("{tag} is a signature, attestation or bill of materials, not an image")));
        }
        if self.kind == Kind::Chart && parse_chart(tag).is_none() {
            return Err(Refused::new(Reason::NotAVersion, format!("{tag} is not a version that Helm reads")));
        }
        if self.kind == Kind::Chart && is_range(self.current_tag()) {
            return Err(Refused::new(
                Reason::VersionRange,
                format!("the version {:?} is a range, which Flux resolves by itself", self.current_tag()),
            ));
        }
        if self.current.tag.as_deref() == Some(tag) || (by_digest_alone && self.rule.policy == Policy::Force) {
            return force::same_tag(self, candidate);
        }
        if candidate.deprecated {
            return Err(Refused::new(Reason::Deprecated, format!("{tag} is deprecated by its author")));
        }
        force::admits_occasion(self, occasion, tag)?;
        match &self.rule.pattern {
            Some(pattern) if !pattern.matches(tag) => {
                Err(Refused::new(Reason::PatternMismatch, format!("{tag} does not match the pattern {pattern}")))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// The policies that know versions.
    fn versions(&self, tag: &str) -> Result<(), Refused> {
        let Some(current) = &self.version else {
            let advice = match self.kind {
                Kind::Image => "set policy force to follow its digest, or glob with a pattern",
                Kind::Chart => "name a version of the chart",
            };
            return Err(Refused::new(
                Reason::CurrentNotAVersion,
                format!("the current tag {:?} is no version, so nothing is higher; {advice}", self.current_tag()),
            ));
        };
        let Some(candidate) = self.kind.read(tag) else {
            return Err(Refused::new(Reason::NotAVersion, format!("{tag} is not a version")));
        };
        self.comparable(current, &candidate, tag)?;
        self.pre_release(current, &candidate, tag)?;
        self.higher(current, &candidate, tag)?;
        match self.rule.policy {
            Policy::Patch => patch::admits(current, &candidate, tag),
            Policy::Minor => minor::admits(current, &candidate, tag),
            Policy::Major => major::admits(),
            Policy::All => all::admits(),
            Policy::None | Policy::Glob | Policy::Force => Ok(()),
        }
    }

    fn comparable(&self, current: &Version, candidate: &Version, tag: &str) -> Result<(), Refused> {
        let mine = self.current_tag();
        if !current.same_scheme(candidate) {
            return Err(Refused::new(Reason::SchemeDiffers, format!("{tag} is numbered otherwise than {mine}")));
        }
        if current.variant != candidate.variant {
            let named = |variant: &str| if variant.is_empty() { "the plain image".to_owned() } else { format!("variant {variant}") };
            return Err(Refused::new(
                Reason::VariantDiffers,
                format!("{tag} is {}, but {mine} is {}", named(&candidate.variant), named(&current.variant)),
            ));
        }
        // A pre-release and its release need not count builds alike.
        if !current.same_revision_style(candidate) {
            return Err(Refused::new(
                Reason::RevisionDiffers,
                format!("only one of {tag} and {mine} counts builds, or they do it in different ways"),
            ));
        }
        Ok(())
    }

    fn pre_release(&self, current: &Version, candidate: &Version, tag: &str) -> Result<(), Refused> {
        let wanted = !candidate.is_pre_release()
            || self.rule.policy == Policy::All
            || (current.is_pre_release() && current.same_release(candidate))
            || self.rule.pattern.as_ref().is_some_and(|pattern| pattern.names_pre_release(candidate));
        if wanted {
            Ok(())
        } else {
            Err(Refused::new(Reason::PreRelease, format!("{tag} is a pre-release; policy all takes it, or a pattern that names it")))
        }
    }

    fn higher(&self, current: &Version, candidate: &Version, tag: &str) -> Result<(), Refused> {
        let mine = self.current_tag();
        match candidate.cmp_precedence(current) {
            Ordering::Greater => Ok(()),
            Ordering::Equal => Err(Refused::new(Reason::SameVersion, format!("{tag} is the same version as {mine}, spelt otherwise"))),
            Ordering::Less => Err(Refused::new(Reason::LowerVersion, format!("{tag} is lower than {mine}"))),
        }
    }

    /// Which of two eligible candidates is better. Total, whatever the order of the list.
    fn better(&self, a: &Candidate, b: &Candidate, glob_order: Option<glob::Order>) -> Ordering {
        let by_version = || match (self.kind.read(&a.tag), self.kind.read(&b.tag)) {
            (Some(x), Some(y)) => x.cmp_precedence(&y).then_with(|| self.likeness(&x, &a.tag).cmp(&self.likeness(&y, &b.tag))),
            (x, y) => x.is_some().cmp(&y.is_some()),
        };
        match glob_order {
            Some(order) => glob::compare(self, order, &a.tag, &b.tag),
            // Of equal and equally spelt ones the first in natural order.
            None => by_version().then_with(|| natural_order(&b.tag, &a.tag)),
        }
    }

    /// How much a candidate is spelt like the current tag: the same metadata, and numbers of the
    /// same width.
    fn likeness(&self, candidate: &Version, tag: &str) -> (bool, bool, bool) {
        let Some(current) = &self.version else { return (false, false, false) };
        let zeros = |version: &Version| {
            version.numbers.iter().map(|number| number.as_written().len() > 1 && number.as_written().starts_with('0')).collect::<Vec<_>>()
        };
        let v = self.current_tag().starts_with('v') == tag.starts_with('v');
        (candidate.metadata == current.metadata, v, zeros(candidate) == zeros(current))
    }

    fn why(&self, candidate: &Candidate) -> Reason {
        match self.rule.policy {
            Policy::Force if self.current.tag.as_deref() == Some(&candidate.tag) || self.current.tag.is_none() => Reason::NewDigest,
            Policy::Force => Reason::Forced,
            Policy::Glob => Reason::HighestMatch,
            Policy::None | Policy::Patch | Policy::Minor | Policy::Major | Policy::All => Reason::HigherVersion,
        }
    }

    fn why_sentence(&self, candidate: &Candidate) -> String {
        let (tag, mine, policy) = (&candidate.tag, self.current_tag(), self.rule.policy);
        match self.why(candidate) {
            Reason::NewDigest => candidate
                .digest
                .as_ref()
                .map_or_else(|| format!("{tag} was pushed again"), |digest| format!("{tag} has a new digest, {digest}")),
            Reason::Forced => format!("policy force takes {tag}, whatever it is"),
            Reason::HighestMatch => {
                format!("{tag} is the highest match of {}", self.rule.pattern.as_ref().map(ToString::to_string).unwrap_or_default())
            }
            _ => format!("{tag} is higher than {mine} and within policy {policy}"),
        }
    }
}

#[cfg(test)]
mod tests;
