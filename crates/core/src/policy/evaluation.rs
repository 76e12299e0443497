//! One question to a policy, with every version parsed once.

use std::collections::BTreeMap;

use super::{Candidate, CandidateVerdict, Choice, Current, Judgement, Kind, Occasion, Outcome, Policy, Rule};
use super::{force, glob, headline, order, sentence, versions};
use crate::reason::Reason;
use crate::reference::{Digest, is_tag};
use crate::version::{Version, is_artefact, is_constraint, is_range};

/// Judges the candidates, with a sentence for each. Their order matters to policy force only, where the last one wins.
pub fn judge(rule: &Rule, kind: Kind, occasion: Occasion, current: &Current, candidates: &[Candidate]) -> Judgement {
    judge_without(rule, kind, occasion, current, candidates, &BTreeMap::new())
}

/// Judges the candidates, of which some are set aside for a reason of their own.
pub(crate) fn judge_without(
    rule: &Rule,
    kind: Kind,
    occasion: Occasion,
    current: &Current,
    candidates: &[Candidate],
    aside: &BTreeMap<usize, Reason>,
) -> Judgement {
    let evaluation = Evaluation::new(rule, kind, occasion, current, candidates);
    let Decided { mut verdicts, choice: Choice { accepted, headline: _ } } = evaluation.decide();
    for (place, reason) in aside {
        if let Some(verdict) = verdicts.get_mut(*place).filter(|verdict| verdict.is_ok()) {
            *verdict = Err(*reason);
        }
    }
    let chosen = accepted.into_iter().find(|place| !aside.contains_key(place));
    let better = chosen.map(|place| evaluation.tag(place)).unwrap_or_default();
    let candidates = candidates
        .iter()
        .zip(verdicts)
        .enumerate()
        .map(|(place, (candidate, verdict))| {
            let (outcome, reason) = match verdict {
                Err(reason) => (Outcome::Refused, reason),
                Ok(()) if chosen == Some(place) => (Outcome::Chosen, evaluation.why(candidate)),
                Ok(()) => (Outcome::Eligible, Reason::NotBest),
            };
            let message = match outcome {
                Outcome::Eligible => format!("allowed, but {better} is better"),
                Outcome::Chosen | Outcome::Refused => sentence(rule, kind, current, Some(candidate), reason),
            };
            CandidateVerdict { tag: candidate.tag.clone(), digest: candidate.digest.clone(), outcome, reason, message }
        })
        .collect();
    Judgement { chosen, candidates }
}

/// The verdicts of [`judge`] without sentences: cheap for long lists.
pub fn choose(rule: &Rule, kind: Kind, occasion: Occasion, current: &Current, candidates: &[Candidate]) -> Choice {
    Evaluation::new(rule, kind, occasion, current, candidates).decide().choice
}

/// Whether the rule, as it is now, still accepts a candidate that was chosen before. What was chosen under policy glob
/// is not ranked again: its verdict was made with all candidates.
///
/// # Errors
/// The reason why it does not, and the same for a person.
pub fn still_accepts(rule: &Rule, kind: Kind, current: &Current, candidate: &Candidate) -> Result<(), (Reason, String)> {
    let mut evaluation = Evaluation::new(rule, kind, Occasion::Event, current, std::slice::from_ref(candidate));
    evaluation.glob_order = None;
    evaluation.verdict(0).map_err(|reason| (reason, sentence(rule, kind, current, Some(candidate), reason)))
}

/// The reason why the rule accepts a candidate that it accepts.
pub(crate) fn why(rule: &Rule, current: &Current, candidate: &Candidate) -> Reason {
    match rule.policy {
        Policy::Force if current.tag.as_deref() == Some(&candidate.tag) || current.tag.is_none() => Reason::NewDigest,
        Policy::Force => Reason::Forced,
        Policy::Glob => Reason::HighestMatch,
        Policy::None | Policy::Patch | Policy::Minor | Policy::Major | Policy::All => Reason::HigherVersion,
    }
}

/// A policy, what runs, and the candidates.
pub(super) struct Evaluation<'a> {
    rule: &'a Rule,
    kind: Kind,
    occasion: Occasion,
    current: &'a Current,
    current_version: Option<Version>,
    current_matches: bool,
    floors: Vec<(&'a str, Option<Version>)>,
    candidates: &'a [Candidate],
    versions: Vec<Option<Version>>,
    glob_order: Option<glob::Order>,
}

/// The verdict on every candidate, and what follows from them.
struct Decided {
    verdicts: Vec<Result<(), Reason>>,
    choice: Choice,
}

impl<'a> Evaluation<'a> {
    fn new(rule: &'a Rule, kind: Kind, occasion: Occasion, current: &'a Current, candidates: &'a [Candidate]) -> Self {
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
            versions: match rule.policy {
                Policy::None | Policy::Force => vec![None; candidates.len()],
                Policy::Patch | Policy::Minor | Policy::Major | Policy::All | Policy::Glob => {
                    candidates.iter().map(|candidate| kind.read(&candidate.tag)).collect()
                }
            },
            glob_order: None,
        };
        if rule.policy == Policy::Glob {
            let matching = candidates.iter().zip(&evaluation.versions).filter(|(candidate, _)| matches(&candidate.tag));
            evaluation.glob_order = Some(glob::order(matching.map(|(_, version)| version.as_ref())));
            let known = current.known.iter().map(String::as_str).filter(|tag| matches(tag));
            evaluation.floors = known.map(|tag| (tag, kind.read(tag))).collect();
        }
        evaluation
    }

    fn decide(&self) -> Decided {
        let verdicts: Vec<Result<(), Reason>> = (0..self.candidates.len()).map(|place| self.verdict(place)).collect();
        let mut accepted: Vec<usize> = (0..verdicts.len()).filter(|place| verdicts.get(*place) == Some(&Ok(()))).collect();
        if self.policy() == Policy::Force {
            accepted.reverse();
        } else {
            accepted.sort_by(|a, b| order::better(self, *b, *a));
        }
        let headline = headline::headline(self, &verdicts, accepted.first().copied());
        Decided { verdicts, choice: Choice { accepted, headline } }
    }

    fn verdict(&self, place: usize) -> Result<(), Reason> {
        let Some(candidate) = self.candidates.get(place) else { return Err(Reason::NotAVersion) };
        let (tag, version) = (candidate.tag.as_str(), self.version(place));
        self.whole_question()?;
        self.legal(tag)?;
        if self.current.tag.as_deref() == Some(tag) || self.current.tag.is_none() {
            return force::same_tag(self, candidate);
        }
        match self.rule.policy {
            Policy::None => return Err(Reason::PolicyNone),
            Policy::Force => force::other_tag(self.occasion)?,
            Policy::Patch | Policy::Minor | Policy::Major | Policy::All | Policy::Glob => {}
        }
        if self.rule.pattern.as_ref().is_some_and(|pattern| !pattern.matches(tag)) {
            return Err(Reason::PatternMismatch);
        }
        match (self.rule.policy, self.glob_order) {
            (Policy::Patch | Policy::Minor | Policy::Major | Policy::All, _) => versions::accepts(self, version)?,
            (Policy::Glob, Some(order)) => glob::accepts(self, tag, version, order)?,
            (Policy::None | Policy::Force | Policy::Glob, _) => {}
        }
        versions::fit_to_write(self, candidate)
    }

    /// What refuses every candidate, whatever it is.
    pub(super) fn whole_question(&self) -> Result<(), Reason> {
        match self.rule.policy {
            Policy::None => Err(Reason::PolicyNone),
            Policy::Glob if self.rule.pattern.is_none() => Err(Reason::PatternMissing),
            Policy::Force => Ok(()),
            _ if self.current.tag.is_none() => Err(Reason::DigestOnly),
            _ => Ok(()),
        }?;
        if self.kind == Kind::Chart && is_range(self.current_tag()) { Err(Reason::VersionRange) } else { Ok(()) }
    }

    /// Whether the tag may be written at all.
    fn legal(&self, tag: &str) -> Result<(), Reason> {
        match self.kind {
            // An event for a reference by its digest alone may name no tag.
            Kind::Image if tag.is_empty() && self.current.tag.is_none() => Ok(()),
            Kind::Image if !is_tag(tag) => Err(Reason::InvalidTag),
            Kind::Image if is_artefact(tag) => Err(Reason::NotAnImage),
            Kind::Chart if self.kind.read(tag).is_none() => Err(Reason::NotAVersion),
            Kind::Image | Kind::Chart => Ok(()),
        }
    }

    /// Whether the candidate is wanted although it is a pre-release.
    pub(super) fn wants_pre_release(&self, candidate: &Version) -> bool {
        let matches = self.rule.policy != Policy::Glob || self.current_matches;
        let current = self.current_version.as_ref().filter(|current| matches && current.is_pre_release());
        current.is_some_and(|current| current.same_scheme(candidate) && current.same_release(candidate))
            || self.rule.pattern.as_ref().is_some_and(|pattern| pattern.names_pre_release(candidate))
    }

    /// The reason why an accepted candidate is accepted.
    pub(super) fn why(&self, candidate: &Candidate) -> Reason {
        why(self.rule, self.current, candidate)
    }

    /// Whether Flux reads the chart's version as a range: it has fewer than three numbers.
    pub(super) fn is_partial(&self, tag: &str) -> bool {
        self.kind == Kind::Chart && is_constraint(tag)
    }

    pub(super) fn policy(&self) -> Policy {
        self.rule.policy
    }

    pub(super) fn kind(&self) -> Kind {
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

    /// Whether the current tag matches the pattern.
    pub(super) fn current_matches(&self) -> bool {
        self.current_matches
    }

    /// The matches that are known beside the candidates.
    pub(super) fn floors(&self) -> impl Iterator<Item = (&str, Option<&Version>)> {
        self.floors.iter().map(|(tag, version)| (*tag, version.as_ref()))
    }

    pub(super) fn glob_order(&self) -> Option<glob::Order> {
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
