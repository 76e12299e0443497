//! The question and the answer of `headwind policy`.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{Candidate, CandidateVerdict, Current, DIGEST_LOOKED_UP, Judgement, Occasion, Outcome, Pattern, Policy, Rule, judge};
use crate::artifact::ArtifactKind;
use crate::artifact::reference::{Digest, ImageReference, is_tag};
use crate::reason::Reason;

/// One question.
#[derive(Debug, Clone, Deserialize)]
pub struct Question {
    /// What runs: a reference or a tag; for a chart its version.
    pub current: String,
    /// The policy.
    pub policy: Policy,
    /// The pattern.
    #[serde(default)]
    pub pattern: Option<String>,
    /// Image or chart.
    #[serde(default)]
    pub kind: ArtifactKind,
    /// What could run.
    pub candidates: Vec<String>,
    /// Digests of candidates, where they are known.
    #[serde(default)]
    pub digests: BTreeMap<String, String>,
    /// Candidates that their author has deprecated.
    #[serde(default)]
    pub deprecated: BTreeSet<String>,
}

/// One answer.
#[derive(Debug, Clone, Serialize)]
pub struct Answer {
    /// The tag that is taken.
    pub chosen: Option<String>,
    /// The image as it would be written; for a bare tag or a chart the version.
    pub image: Option<String>,
    /// The verdict on each, in the order given.
    pub candidates: Vec<AnswerCandidate>,
}

/// The verdict on one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AnswerCandidate {
    /// The tag.
    pub tag: String,
    /// What became of it.
    pub verdict: Outcome,
    /// Why, as a code.
    pub reason: Reason,
    /// Why, for a person.
    pub message: String,
}

/// Answers a question with the operator's own rules.
///
/// # Errors
/// A sentence that says what of the question cannot be read.
pub fn answer(question: &Question) -> Result<Answer, String> {
    answer_on(question, Occasion::Event)
}

/// The same for what a scan finds.
///
/// # Errors
/// A sentence that says what of the question cannot be read.
pub fn answer_on(question: &Question, occasion: Occasion) -> Result<Answer, String> {
    let Question { current: text, policy, pattern, kind, candidates, digests, deprecated } = question;
    let pattern = pattern.as_deref().map(|text| Pattern::new(text).map_err(|error| format!("pattern {text:?}: {error}"))).transpose()?;
    let bare = *kind == ArtifactKind::Chart || is_tag(text);
    let reference = if bare { None } else { Some(ImageReference::parse(text).map_err(|error| format!("current {text:?}: {error}"))?) };
    let current = match &reference {
        Some(reference) => {
            Current { tag: reference.effective_tag().map(str::to_owned), digest: reference.digest().cloned(), known: Vec::new() }
        }
        None => Current { tag: Some(text.clone()), ..Current::default() },
    };
    let candidates: Vec<Candidate> = candidates
        .iter()
        .map(|tag| {
            let digest =
                digests.get(tag).map(|text| Digest::parse(text).map_err(|error| format!("digest of {tag}: {error}"))).transpose()?;
            Ok(Candidate { deprecated: deprecated.contains(tag), ..Candidate::new(tag.clone(), digest) })
        })
        .collect::<Result<_, String>>()?;
    let Judgement { chosen, candidates: verdicts } = judge(&Rule { policy: *policy, pattern }, *kind, occasion, &current, &candidates);
    let chosen = chosen.and_then(|place| candidates.get(place));
    let pinned = reference.as_ref().is_some_and(|reference| reference.digest().is_some());
    let looked_up = chosen.is_some_and(|candidate| pinned && candidate.digest.is_none());
    let verdict = |verdict: CandidateVerdict| {
        let later = looked_up && verdict.outcome == Outcome::Chosen;
        let message = if later { format!("{}; {DIGEST_LOOKED_UP}", verdict.message) } else { verdict.message };
        AnswerCandidate { tag: verdict.tag, verdict: verdict.outcome, reason: verdict.reason, message }
    };
    Ok(Answer {
        chosen: chosen.map(|candidate| candidate.tag.clone()),
        image: chosen.map(|candidate| written(reference.as_ref(), candidate)),
        candidates: verdicts.into_iter().map(verdict).collect(),
    })
}

/// The image with the candidate in it; of a pinned one without the digest that is not known yet.
fn written(reference: Option<&ImageReference>, candidate: &Candidate) -> String {
    let Some(reference) = reference else { return candidate.tag.clone() };
    match (reference.digest(), reference.tag(), &candidate.digest) {
        (Some(_), Some(_), Some(digest)) => reference.with_tag_and_digest(&candidate.tag, digest),
        (Some(_), None, Some(digest)) => reference.with_digest(digest),
        (None, _, _) | (Some(_), _, None) => reference.with_tag(&candidate.tag),
    }
    .to_string()
}
