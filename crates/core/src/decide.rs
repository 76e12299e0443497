//! From a claim or a scan to a proposal, to a question for the registry, or to a refusal that says why.
//!
//! The operator decides this way for every container that uses the repository, and when it explains a workload; the
//! command line uses the same function. First the container's settings apply, then its policy, then the existing
//! requests: a version that was rejected, failed, expired or was rolled back is skipped, and the next best one is
//! proposed. The same version is proposed once. The registry is queried about the version last ([`crate::evidence`]).
//!
//! ```text
//! settings ──> policy ──> prior requests ──> evidence ──┬─> Propose
//!     │           │             │               │       └─> Ask: the registry's answer is added, and decided again ([`settle`])
//!     └───────────┴─────────────┴───────────────┴─> Refuse
//! ```
//!
//! Many containers of a scan have the same [`Inquiry`]: its [`Choice`] is made once and used by [`decide_by`] for each.

mod identity;
mod prepared;
mod prior;
mod written;

pub use identity::Identity;
pub(crate) use prepared::obstacle;
pub use prior::{NameOf, PriorRequest, PriorRequests};

use std::ops::Deref;

use self::prepared::Prepared;
use crate::artifact::version::natural_order;
use crate::artifact::{Artifact, ArtifactKind};
use crate::evidence::{Answer, Evidence, Question};
use crate::policy::{Candidate, Choice, Current, Occasion, Policy, Rule, choose, judge};
use crate::reason::{Reason, Reasoned};
use crate::settings::{Annotations, EventSource, Settings};
use crate::trigger::Trigger;
use crate::workload::placement::Node;
use crate::workload::{Container, Workload};

/// The decision about one container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Create a request.
    Propose(Box<Proposal>),
    /// Propose nothing.
    Refuse(Reasoned),
    /// Query the registry, add the answer to the evidence and decide again.
    Ask(Question),
}

/// A decision that may be a question to the registry.
pub trait Asks {
    /// Returns the question, if the decision is one.
    fn question(&self) -> Option<&Question>;
}

impl Asks for Decision {
    fn question(&self) -> Option<&Question> {
        if let Self::Ask(question) = self { Some(question) } else { None }
    }
}

/// The registry as the answer to a decision's questions.
pub trait Answers {
    /// The error that ends the decision.
    type Error;

    /// Returns the registry's answer; `None` if there is none now.
    fn answer(&mut self, question: &Question) -> impl Future<Output = Result<Option<Answer>, Self::Error>> + Send;
}

/// Decides, adds the registry's answer to each question to the evidence, and decides again.
///
/// The result is a question only if the registry has no answer to it, or one that does not suffice. The registry gets
/// each question once.
///
/// # Errors
/// The errors of `decide` and of the registry.
pub async fn settle<D: Asks, A: Answers>(
    registry: &mut A,
    mut evidence: Evidence,
    mut decide: impl FnMut(&Evidence) -> Result<D, A::Error>,
) -> Result<D, A::Error> {
    let mut asked: Vec<Question> = Vec::new();
    loop {
        let decision = decide(&evidence)?;
        let Some(question) = decision.question().filter(|question| !asked.contains(question)).cloned() else {
            return Ok(decision);
        };
        let Some(answer) = registry.answer(&question).await? else { return Ok(decision) };
        evidence.add(question.tag.clone(), answer);
        asked.push(question);
    }
}

/// A request to create.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposal {
    /// The container's name.
    pub container: String,
    /// The current image.
    pub current_image: String,
    /// The image that will be written.
    pub new_image: String,
    /// The running digest, if known.
    pub current_digest: Option<String>,
    /// The digest of the event.
    pub new_digest: Option<String>,
    /// The policy that accepted it.
    pub policy: Policy,
    /// The reason.
    pub reason: Reason,
    /// The reason as a message for people.
    pub message: String,
    /// True if a person must approve it.
    pub require_approval: bool,
    /// The number of people who must approve it.
    pub approvals: u32,
    /// The trigger.
    pub trigger: Trigger,
    /// The identity that distinguishes it from other proposals.
    pub identity: Identity,
}

/// Checks that the container's event source allows the trigger.
///
/// A release is looked up when it changes, whatever its interval (`HEADWIND_HELM_AUTO_DISCOVERY`). The result of a
/// look-up is treated like that of a webhook.
pub fn admits(settings: &Settings, container: &Container, artifact: &Artifact, trigger: Trigger) -> Result<(), Reason> {
    let discovery = artifact.kind() == ArtifactKind::Chart && trigger == Trigger::Polling && settings.event_source == EventSource::Webhook;
    if settings.policy.is_off() {
        Err(Reason::PolicyNone)
    } else if !settings.tracks(&container.name, artifact, container.slot.is_tracked_only_by_name()) {
        Err(Reason::NotTracked)
    } else if !settings.event_source.allows(trigger) && !discovery {
        Err(Reason::EventSource)
    } else {
        Ok(())
    }
}

/// The input of a decision: a container of a workload, and the candidates for its image.
#[derive(Debug, Clone, Copy)]
pub struct Evaluation<'a> {
    /// The workload.
    pub workload: &'a Workload,
    /// Headwind's annotations on its namespace.
    pub defaults: &'a Annotations,
    /// The container.
    pub container: &'a Container,
    /// The event's tag, or the versions that a scan found.
    pub candidates: &'a [Candidate],
    /// The source of the candidates.
    pub occasion: Occasion,
    /// The trigger.
    pub trigger: Trigger,
    /// The nodes; `None` if they are not known.
    pub nodes: Option<&'a [Node]>,
}

impl Evaluation<'_> {
    /// Returns the policy's choice among the candidates.
    pub fn choose(&self, inquiry: &Inquiry) -> Box<Choice> {
        Box::new(inquiry.choose(self.occasion, self.candidates))
    }
}

/// The input of a container's policy, except for the candidates. Equal inputs give equal choices.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Inquiry {
    /// The policy with its pattern.
    pub rule: Rule,
    /// Image or chart.
    pub kind: ArtifactKind,
    /// The current version.
    pub current: Current,
}

impl Inquiry {
    /// Returns the candidates that the policy accepts, best first.
    pub fn choose(&self, occasion: Occasion, candidates: &[Candidate]) -> Choice {
        choose(&self.rule, self.kind, occasion, &self.current, candidates)
    }
}

/// Decides about one container of a workload.
pub fn decide(evaluation: &Evaluation<'_>, evidence: &Evidence, prior: &PriorRequests) -> Decision {
    decide_by(evaluation, evidence, prior, |inquiry| evaluation.choose(inquiry))
}

/// Decides like [`decide`]. `choose` returns the choice for the inquiry among the evaluation's candidates, which may
/// have been made before for another container.
pub fn decide_by<C: Deref<Target = Choice>>(
    evaluation: &Evaluation<'_>,
    evidence: &Evidence,
    prior: &PriorRequests,
    choose: impl FnOnce(&Inquiry) -> C,
) -> Decision {
    match Prepared::new(evaluation, prior) {
        Ok(prepared) => prepared.select(&choose(prepared.inquiry()), evidence),
        Err(refusal) => Decision::Refuse(refusal),
    }
}

pub(crate) fn current(installed: &Artifact, container: &Container) -> Current {
    Current { tag: installed.version().map(str::to_owned), digest: container.known_digest(installed), known: Vec::new() }
}

/// Returns which of two new images the policy prefers: `Some(true)` for the first, `None` if it has no preference
/// (policy force; or it accepts neither, or both have the same tag).
///
/// Two matches of policy glob are not ranked as in a whole list: it has a preference only if version order and natural
/// order agree.
pub fn prefer(rule: &Rule, installed: &Artifact, container: &Container, first: &str, second: &str) -> Option<bool> {
    if !rule.policy.ranks_versions() {
        return None;
    }
    let tag = |text: &str| Artifact::parse(installed.kind(), text).ok().and_then(|artifact| artifact.version().map(str::to_owned));
    let (first, second) = (tag(first)?, tag(second)?);
    if first == second {
        return None;
    }
    if rule.policy.ranks_whole_lists()
        && let (Some(a), Some(b)) = (installed.kind().read(&first), installed.kind().read(&second))
        && a.same_scheme(&b)
        && a.cmp_precedence(&b) != natural_order(&first, &second)
    {
        return None;
    }
    let candidates = [Candidate::new(first, None), Candidate::new(second, None)];
    judge(rule, installed.kind(), Occasion::Event, &current(installed, container), &candidates).chosen.map(|index| index == 0)
}

#[cfg(test)]
mod tests;
