//! The question and the answer of `headwind policy` and `headwind check`: the operator's own decision about a workload
//! that has one container and no requests.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::artifact::ArtifactKind;
use crate::artifact::reference::{Digest, ImageReference, is_tag};
use crate::decide::{self, Decision, Evaluation, PriorRequests};
use crate::evidence::{self, Evidence, Trust};
use crate::policy::{Candidate, CandidateVerdict, DIGEST_LOOKED_UP, Occasion, Outcome, Pattern, Policy, Rule, judge};
use crate::reason::Reason;
use crate::settings::{Annotations, key};
use crate::trigger::Trigger;
use crate::workload::source::ResolvedChart;
use crate::workload::{Container, Kind, Workload, WorkloadKey};

/// The name of the only container.
const CONTAINER: &str = "app";

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
    /// What the operator would ask the registry before it applies the chosen tag.
    #[serde(skip)]
    pub open: Option<evidence::Question>,
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

/// Answers a question with the operator's own rules, for candidates that an event names.
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
    let Question { current, policy, pattern, kind, .. } = question;
    let pattern = pattern.as_deref().map(|text| Pattern::new(text).map_err(|error| format!("pattern {text:?}: {error}"))).transpose()?;
    let bare = *kind == ArtifactKind::Chart || is_tag(current);
    let container = container(question, bare)?;
    let candidates = candidates(question)?;
    let artifact = container.artifact().map_err(|error| format!("current {current:?}: {error}"))?;
    let rule = Rule { policy: *policy, pattern };
    let judgement = judge(&rule, *kind, occasion, &decide::current(&artifact, &container), &candidates);
    let chosen = judgement.chosen.and_then(|place| candidates.get(place));

    let workload = workload(container, question);
    let [container] = workload.containers.as_slice() else { return Err("the workload has one container".to_owned()) };
    // What a person asks for is always heard.
    let trigger = Trigger::Manual;
    let evaluation =
        Evaluation { workload: &workload, defaults: &Annotations::new(), container, candidates: &candidates, occasion, trigger };
    let (image, open) = match decide::decide(&evaluation, &Evidence::new(Trust::REGISTRY), &PriorRequests::none()) {
        Decision::Propose(proposal) if !bare => (Some(proposal.new_image), None),
        Decision::Ask(asked) if !bare => (Some(artifact.with_version(&asked.tag).to_string()), Some(asked)),
        Decision::Propose(_) | Decision::Ask(_) => (chosen.map(|candidate| candidate.tag.clone()), None),
        Decision::Refuse(_) => (None, None),
    };
    let verdict = |verdict: CandidateVerdict| {
        let later = open.is_some() && verdict.outcome == Outcome::Chosen;
        let message = if later { format!("{}; {DIGEST_LOOKED_UP}", verdict.message) } else { verdict.message };
        AnswerCandidate { tag: verdict.tag, verdict: verdict.outcome, reason: verdict.reason, message }
    };
    let verdicts = judgement.candidates.into_iter().map(verdict).collect();
    Ok(Answer { chosen: chosen.map(|candidate| candidate.tag.clone()), image, candidates: verdicts, open })
}

/// The container that runs what the question says. A bare tag and a chart's version get a name of their own.
fn container(question: &Question, bare: bool) -> Result<Container, String> {
    let text = &question.current;
    if !bare {
        ImageReference::parse(text).map_err(|error| format!("current {text:?}: {error}"))?;
        return Ok(Container::new(CONTAINER, text));
    }
    let chart = (question.kind == ArtifactKind::Chart).then(|| Box::new(ResolvedChart::default()));
    Ok(Container { chart, ..Container::new(CONTAINER, &format!("{CONTAINER}:{text}")) })
}

fn candidates(question: &Question) -> Result<Vec<Candidate>, String> {
    let Question { candidates, digests, deprecated, .. } = question;
    let candidate = |tag: &String| {
        let digest = digests.get(tag).map(|text| Digest::parse(text).map_err(|error| format!("digest of {tag}: {error}"))).transpose()?;
        Ok(Candidate { deprecated: deprecated.contains(tag), ..Candidate::new(tag.clone(), digest) })
    };
    candidates.iter().map(candidate).collect()
}

/// A workload with the container, and with the policy of the question.
fn workload(container: Container, question: &Question) -> Workload {
    let pattern = question.pattern.iter().map(|pattern| (key::PATTERN.to_owned(), pattern.clone()));
    let key = WorkloadKey { kind: Kind::Deployment, namespace: String::new(), name: CONTAINER.to_owned() };
    let annotations = pattern.chain([(key::POLICY.to_owned(), question.policy.to_string())]).collect();
    Workload { annotations, ..Workload::new(key, vec![container]) }
}

#[cfg(test)]
mod tests;
