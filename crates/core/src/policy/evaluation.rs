//! One evaluation of a policy, with every version parsed once.

use super::{Candidate, Current, Family, Occasion, Pattern, Policy, Rule, glob_order};
use crate::artifact::ArtifactKind;
use crate::artifact::reference::Digest;
use crate::artifact::version::{Version, is_constraint, is_range};
use crate::reason::Reason;

/// A policy, the current version, and the candidates.
pub(super) struct Evaluation<'a> {
    rule: &'a Rule,
    kind: ArtifactKind,
    occasion: Occasion,
    current: &'a Current,
    current_version: Option<Version>,
    current_matches: bool,
    floors: Vec<(&'a str, Option<Version>)>,
    candidates: &'a [Candidate],
    versions: Vec<Option<Version>>,
    glob_order: Option<glob_order::Order>,
}

impl<'a> Evaluation<'a> {
    pub(super) fn new(rule: &'a Rule, kind: ArtifactKind, occasion: Occasion, current: &'a Current, candidates: &'a [Candidate]) -> Self {
        let matches = |tag: &str| rule.pattern.as_ref().is_some_and(|pattern| pattern.matches(tag));
        let mut evaluation = Self {
            rule,
            kind,
            occasion,
            current,
            current_version: current.tag.as_deref().and_then(|tag| kind.read(tag)),
            current_matches: current.tag.as_deref().is_some_and(matches),
            floors: Vec::new(),
            candidates,
            versions: match rule.policy.family() {
                Family::Nothing | Family::Digests => vec![None; candidates.len()],
                Family::Versions | Family::Matches => candidates.iter().map(|candidate| kind.read(&candidate.tag)).collect(),
            },
            glob_order: None,
        };
        if rule.policy.ranks_whole_lists() {
            let matching = candidates.iter().zip(&evaluation.versions).filter(|(candidate, _)| matches(&candidate.tag));
            evaluation.glob_order = Some(glob_order::of(matching.map(|(_, version)| version.as_ref())));
            let known = current.known.iter().map(String::as_str).filter(|tag| matches(tag));
            evaluation.floors = known.map(|tag| (tag, kind.read(tag))).collect();
        }
        evaluation
    }

    /// Returns the reason to refuse every candidate, if there is one.
    pub(super) fn whole_question(&self) -> Result<(), Reason> {
        match self.rule.policy.family() {
            Family::Nothing => Err(Reason::PolicyNone),
            Family::Matches if self.rule.pattern.is_none() => Err(Reason::PatternMissing),
            Family::Versions | Family::Matches if self.current.tag.is_none() => Err(Reason::DigestOnly),
            Family::Versions | Family::Matches | Family::Digests => Ok(()),
        }?;
        if self.kind == ArtifactKind::Chart && is_range(self.current_tag()) { Err(Reason::VersionRange) } else { Ok(()) }
    }

    /// Returns true if the candidate is accepted although it is a pre-release.
    pub(super) fn wants_pre_release(&self, candidate: &Version) -> bool {
        let matches = !self.rule.policy.needs_pattern() || self.current_matches;
        let current = self.current_version.as_ref().filter(|current| matches && current.is_pre_release());
        current.is_some_and(|current| current.same_scheme(candidate) && current.same_release(candidate))
            || self.rule.pattern.as_ref().is_some_and(|pattern| pattern.names_pre_release(candidate))
    }

    /// Returns the reason for accepting an accepted candidate.
    pub(super) fn why(&self, candidate: &Candidate) -> Reason {
        why(self.rule, self.current, candidate)
    }

    /// Returns true if Flux treats the chart's version as a range: it has fewer than three numbers.
    pub(super) fn is_partial(&self, tag: &str) -> bool {
        self.kind == ArtifactKind::Chart && is_constraint(tag)
    }

    pub(super) fn current(&self) -> &Current {
        self.current
    }

    pub(super) fn pattern(&self) -> Option<&Pattern> {
        self.rule.pattern.as_ref()
    }

    pub(super) fn policy(&self) -> Policy {
        self.rule.policy
    }

    pub(super) fn kind(&self) -> ArtifactKind {
        self.kind
    }

    pub(super) fn occasion(&self) -> Occasion {
        self.occasion
    }

    pub(super) fn current_tag(&self) -> &str {
        self.current.tag.as_deref().unwrap_or_default()
    }

    pub(super) fn current_digest(&self) -> Option<&Digest> {
        self.current.digest.as_ref()
    }

    pub(super) fn current_version(&self) -> Option<&Version> {
        self.current_version.as_ref()
    }

    /// Returns true if the current tag matches the pattern.
    pub(super) fn current_matches(&self) -> bool {
        self.current_matches
    }

    /// Returns the known matching tags other than the candidates.
    pub(super) fn floors(&self) -> impl Iterator<Item = (&str, Option<&Version>)> {
        self.floors.iter().map(|(tag, version)| (*tag, version.as_ref()))
    }

    /// Returns the same evaluation without an order of the matches.
    pub(super) fn unranked(self) -> Self {
        Self { glob_order: None, ..self }
    }

    pub(super) fn glob_order(&self) -> Option<glob_order::Order> {
        self.glob_order
    }

    pub(super) fn candidates(&self) -> &'a [Candidate] {
        self.candidates
    }

    pub(super) fn tag(&self, place: usize) -> &'a str {
        self.candidates.get(place).map(|candidate| candidate.tag.as_str()).unwrap_or_default()
    }

    pub(super) fn version(&self, place: usize) -> Option<&Version> {
        self.versions.get(place)?.as_ref()
    }
}

/// Returns the rule's reason for accepting an accepted candidate.
pub(crate) fn why(rule: &Rule, current: &Current, candidate: &Candidate) -> Reason {
    match rule.policy {
        Policy::Force if current.tag.as_deref() == Some(&candidate.tag) || current.tag.is_none() => Reason::NewDigest,
        Policy::Force => Reason::Forced,
        Policy::Glob => Reason::HighestMatch,
        Policy::None | Policy::Patch | Policy::Minor | Policy::Major | Policy::All => Reason::HigherVersion,
    }
}
