//! The verdict on every candidate.

use std::collections::BTreeMap;

use super::evaluation::Evaluation;
use super::{Candidate, CandidateVerdict, Choice, Current, Judgement, Occasion, Outcome, Policy, Rule};
use super::{force, glob, headline, order, sentence, versions};
use crate::artifact::ArtifactKind;
use crate::artifact::reference::is_tag;
use crate::artifact::version::is_artefact;
use crate::reason::{Reason, Reasoned};

/// Judges the candidates, with a sentence for each. Their order matters only to policy force, where the last one wins.
pub fn judge(rule: &Rule, kind: ArtifactKind, occasion: Occasion, current: &Current, candidates: &[Candidate]) -> Judgement {
    judge_without(rule, kind, occasion, current, candidates, &BTreeMap::new())
}

/// Judges the candidates, some of which are refused for a given reason.
pub(crate) fn judge_without(
    rule: &Rule,
    kind: ArtifactKind,
    occasion: Occasion,
    current: &Current,
    candidates: &[Candidate],
    aside: &BTreeMap<usize, Reason>,
) -> Judgement {
    let evaluation = Evaluation::new(rule, kind, occasion, current, candidates);
    let Decided { mut verdicts, choice: Choice { accepted, headline: _ } } = decide(&evaluation);
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

/// Returns the verdicts of [`judge`] without sentences: cheap for long lists.
pub fn choose(rule: &Rule, kind: ArtifactKind, occasion: Occasion, current: &Current, candidates: &[Candidate]) -> Choice {
    decide(&Evaluation::new(rule, kind, occasion, current, candidates)).choice
}

/// Checks that the current rule still accepts a candidate that was chosen before. Candidates chosen under policy glob
/// are not ranked again, because the verdict was made with all candidates.
///
/// # Errors
/// The reason why it does not, and a message for people.
pub fn still_accepts(rule: &Rule, kind: ArtifactKind, current: &Current, candidate: &Candidate) -> Result<(), Reasoned> {
    let evaluation = Evaluation::new(rule, kind, Occasion::Event, current, std::slice::from_ref(candidate)).unranked();
    verdict(&evaluation, 0).map_err(|reason| Reasoned::new(reason, sentence(rule, kind, current, Some(candidate), reason)))
}

/// The verdict on every candidate, and the result.
struct Decided {
    verdicts: Vec<Result<(), Reason>>,
    choice: Choice,
}

fn decide(evaluation: &Evaluation<'_>) -> Decided {
    let verdicts: Vec<Result<(), Reason>> = (0..evaluation.candidates().len()).map(|place| verdict(evaluation, place)).collect();
    let mut accepted: Vec<usize> = (0..verdicts.len()).filter(|place| verdicts.get(*place) == Some(&Ok(()))).collect();
    if evaluation.policy().ranks_versions() {
        accepted.sort_by(|a, b| order::better(evaluation, *b, *a));
    } else {
        accepted.reverse();
    }
    let headline = headline::headline(evaluation, &verdicts, accepted.first().copied());
    Decided { verdicts, choice: Choice { accepted, headline } }
}

/// Returns the policy's verdict on the candidate at that index.
fn verdict(evaluation: &Evaluation<'_>, place: usize) -> Result<(), Reason> {
    let Some(candidate) = evaluation.candidates().get(place) else { return Err(Reason::NotAVersion) };
    let (tag, version) = (candidate.tag.as_str(), evaluation.version(place));
    evaluation.whole_question()?;
    legal(evaluation, tag)?;
    let filtered = || evaluation.pattern().is_some_and(|pattern| !pattern.matches(tag));
    if evaluation.current().tag.as_deref() == Some(tag) || evaluation.current().tag.is_none() {
        force::same_tag(evaluation, candidate)?;
        // An event for a digest may have no tag.
        return if !tag.is_empty() && filtered() { Err(Reason::PatternMismatch) } else { Ok(()) };
    }
    match evaluation.policy() {
        Policy::None => return Err(Reason::PolicyNone),
        Policy::Force => force::other_tag(evaluation.occasion())?,
        Policy::Patch | Policy::Minor | Policy::Major | Policy::All | Policy::Glob => {}
    }
    if filtered() {
        return Err(Reason::PatternMismatch);
    }
    match (evaluation.policy(), evaluation.glob_order()) {
        (Policy::Patch | Policy::Minor | Policy::Major | Policy::All, _) => versions::accepts(evaluation, version)?,
        (Policy::Glob, Some(order)) => glob::accepts(evaluation, tag, version, order)?,
        (Policy::None | Policy::Force | Policy::Glob, _) => {}
    }
    versions::fit_to_write(evaluation, candidate)
}

/// Checks that the tag may be written.
fn legal(evaluation: &Evaluation<'_>, tag: &str) -> Result<(), Reason> {
    match evaluation.kind() {
        // An event for a reference with only a digest may have no tag.
        ArtifactKind::Image if tag.is_empty() && evaluation.current().tag.is_none() => Ok(()),
        ArtifactKind::Image if !is_tag(tag) => Err(Reason::InvalidTag),
        ArtifactKind::Image if is_artefact(tag) => Err(Reason::NotAnImage),
        ArtifactKind::Chart if evaluation.kind().read(tag).is_none() => Err(Reason::NotAVersion),
        ArtifactKind::Image | ArtifactKind::Chart => Ok(()),
    }
}
