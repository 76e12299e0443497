//! The input and output of `headwind policy` and `headwind check`: the operator's own decision about a workload with
//! one container and no requests.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::artifact::ArtifactKind;
use crate::artifact::reference::{Digest, ImageReference, is_tag};
use crate::artifact::version::{is_constraint, is_range};
use crate::decide::{self, Asks, Decision, Evaluation, PriorRequests};
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
pub struct PolicyQuestion {
    /// The current reference or tag; for a chart its version.
    pub current: String,
    /// The policy.
    pub policy: Policy,
    /// The pattern.
    #[serde(default)]
    pub pattern: Option<String>,
    /// Image or chart.
    #[serde(default)]
    pub kind: ArtifactKind,
    /// The versions to choose from.
    pub candidates: Vec<String>,
    /// Digests of candidates, if known.
    #[serde(default)]
    pub digests: BTreeMap<String, String>,
    /// Candidates that their author has deprecated.
    #[serde(default)]
    pub deprecated: BTreeSet<String>,
}

/// One answer.
#[derive(Debug, Clone, Serialize)]
pub struct PolicyAnswer {
    /// The chosen tag.
    pub chosen: Option<String>,
    /// The image that would be written; for a bare tag or a chart the version. `None` if nothing would be written, and for
    /// a reference that has only a digest while the new one is not known.
    pub image: Option<String>,
    /// The verdict on each candidate, in the order given.
    pub candidates: Vec<AnswerCandidate>,
    /// The question that the operator would ask the registry before it applies the chosen tag.
    #[serde(skip)]
    pub open: Option<evidence::Question>,
}

impl Asks for PolicyAnswer {
    fn question(&self) -> Option<&evidence::Question> {
        self.open.as_ref()
    }
}

/// The verdict on one candidate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AnswerCandidate {
    /// The tag.
    pub tag: String,
    /// The outcome.
    pub verdict: Outcome,
    /// The reason.
    pub reason: Reason,
    /// The reason as a message for people.
    pub message: String,
}

/// Answers a question with the operator's own rules, for candidates of an event.
///
/// # Errors
/// A sentence that states which part of the question is invalid.
pub fn answer(question: &PolicyQuestion) -> Result<PolicyAnswer, String> {
    answer_on(question, Occasion::Event, &Evidence::new(Trust::REGISTRY))
}

/// Answers a question for candidates of that occasion, with the registry's answers about them.
///
/// # Errors
/// A sentence that states which part of the question is invalid.
pub fn answer_on(question: &PolicyQuestion, occasion: Occasion, evidence: &Evidence) -> Result<PolicyAnswer, String> {
    let PolicyQuestion { current, policy, pattern, kind, .. } = question;
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
    // A manual trigger is always allowed.
    let trigger = Trigger::Manual;
    let evaluation = Evaluation {
        workload: &workload,
        defaults: &Annotations::new(),
        container,
        candidates: &candidates,
        occasion,
        trigger,
        nodes: None,
    };
    let (image, open) = match decide::decide(&evaluation, evidence, &PriorRequests::none()) {
        Decision::Propose(proposal) if !bare => (Some(proposal.new_image), None),
        // A reference that has only a digest keeps that form, and the new digest is not known yet.
        Decision::Ask(asked) if !bare => (artifact.version().is_some().then(|| artifact.with_version(&asked.tag).to_string()), Some(asked)),
        Decision::Propose(_) | Decision::Ask(_) => (chosen.map(|candidate| candidate.tag.clone()), None),
        Decision::Refuse(_) => (None, None),
    };
    let verdict = |verdict: CandidateVerdict| {
        let later = open.is_some() && verdict.outcome == Outcome::Chosen;
        let message = if later { format!("{}; {DIGEST_LOOKED_UP}", verdict.message) } else { verdict.message };
        AnswerCandidate { tag: verdict.tag, verdict: verdict.outcome, reason: verdict.reason, message }
    };
    let verdicts = judgement.candidates.into_iter().map(verdict).collect();
    Ok(PolicyAnswer { chosen: chosen.map(|candidate| candidate.tag.clone()), image, candidates: verdicts, open })
}

/// Returns the container of the question. A bare tag and a chart's version get a placeholder name.
fn container(question: &PolicyQuestion, bare: bool) -> Result<Container, String> {
    let text = &question.current;
    if !bare {
        ImageReference::parse(text).map_err(|error| format!("current {text:?}: {error}"))?;
        return Ok(Container::new(CONTAINER, text));
    }
    let chart = (question.kind == ArtifactKind::Chart).then(|| Box::new(ResolvedChart::default()));
    // Flux reads `1.2` as `~1.2`.
    let range = if chart.is_some() && is_constraint(text) && !is_range(text) { "~" } else { "" };
    Ok(Container { chart, ..Container::new(CONTAINER, &format!("{CONTAINER}:{range}{text}")) })
}

fn candidates(question: &PolicyQuestion) -> Result<Vec<Candidate>, String> {
    let PolicyQuestion { candidates, digests, deprecated, .. } = question;
    let candidate = |tag: &String| {
        let digest = digests.get(tag).map(|text| Digest::parse(text).map_err(|error| format!("digest of {tag}: {error}"))).transpose()?;
        Ok(Candidate { deprecated: deprecated.contains(tag), ..Candidate::new(tag.clone(), digest) })
    };
    candidates.iter().map(candidate).collect()
}

/// Returns a workload with the container, and with the policy of the question.
fn workload(container: Container, question: &PolicyQuestion) -> Workload {
    let pattern = question.pattern.iter().map(|pattern| (key::PATTERN.to_owned(), pattern.clone()));
    let key = WorkloadKey { kind: Kind::Deployment, namespace: String::new(), name: CONTAINER.to_owned() };
    let annotations = pattern.chain([(key::POLICY.to_owned(), question.policy.to_string())]).collect();
    Workload { annotations, ..Workload::new(key, vec![container]) }
}

#[cfg(test)]
mod tests;
