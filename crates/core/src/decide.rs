//! From a claim or a scan to a proposal, to a question for the registry, or to a refusal that says why.
//!
//! The operator decides so for every container that uses the repository, and when it explains a workload; the command line
//! uses the same function. The container's settings come first, then its policy, then the requests that exist already: a
//! version that was rejected, failed, expired or was rolled back is set aside, and the next best one is proposed. The same
//! version is proposed once. The registry is queried about the version last ([`crate::evidence`]).
//!
//! ```text
//! settings ──> policy ──> prior requests ──> evidence ──┬─> Propose
//!     │           │             │               │       └─> Ask: the caller adds the answer and decides again
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
use crate::evidence::{Evidence, Question};
use crate::policy::{Candidate, Choice, Current, Occasion, Policy, Rule, choose, judge};
use crate::reason::Reason;
use crate::settings::{Annotations, EventSource, Settings};
use crate::trigger::Trigger;
use crate::workload::{Container, Workload};

/// What was decided about one container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Make a request of it.
    Propose(Box<Proposal>),
    /// Leave it.
    Refuse(Refusal),
    /// Ask the registry, add the answer to the evidence and decide again.
    Ask(Question),
}

/// A request that is to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposal {
    /// The container's name.
    pub container: String,
    /// The image as it stands.
    pub current_image: String,
    /// The image as it will be written.
    pub new_image: String,
    /// The digest known to run.
    pub current_digest: Option<String>,
    /// The digest that came with the event.
    pub new_digest: Option<String>,
    /// The policy that took it.
    pub policy: Policy,
    /// Why, as a code.
    pub reason: Reason,
    /// Why, for a person.
    pub message: String,
    /// Whether a person is asked first.
    pub require_approval: bool,
    /// What it came from.
    pub trigger: Trigger,
    /// What makes it the same as another.
    pub identity: Identity,
}

/// Why nothing is proposed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// As a code.
    pub reason: Reason,
    /// For a person.
    pub message: String,
}

impl Refusal {
    fn plain(reason: Reason) -> Self {
        Self { reason, message: reason.sentence().to_owned() }
    }
}

/// Whether the container listens to this trigger at all.
///
/// A release is looked up when it changes, whatever its period (`HEADWIND_HELM_AUTO_DISCOVERY`): to it what
/// was found so is as good as what a webhook tells.
pub fn admits(settings: &Settings, container: &Container, artifact: &Artifact, trigger: Trigger) -> Result<(), Reason> {
    let discovery = artifact.kind() == ArtifactKind::Chart && trigger == Trigger::Polling && settings.event_source == EventSource::Webhook;
    if settings.policy == Policy::None {
        Err(Reason::PolicyNone)
    } else if !settings.tracks(&container.name, artifact, container.slot.is_tracked_only_by_name()) {
        Err(Reason::NotTracked)
    } else if !settings.event_source.allows(trigger) && !discovery {
        Err(Reason::EventSource)
    } else {
        Ok(())
    }
}

/// What is decided about: a container of a workload, and what could take its image's place.
#[derive(Debug, Clone, Copy)]
pub struct Evaluation<'a> {
    /// The workload.
    pub workload: &'a Workload,
    /// Headwind's annotations on its namespace.
    pub defaults: &'a Annotations,
    /// The container.
    pub container: &'a Container,
    /// The event's tag, or what a scan found.
    pub candidates: &'a [Candidate],
    /// Which of the two.
    pub occasion: Occasion,
    /// What made Headwind look.
    pub trigger: Trigger,
}

impl Evaluation<'_> {
    /// Returns the policy's choice among the candidates.
    pub fn choose(&self, inquiry: &Inquiry) -> Box<Choice> {
        Box::new(inquiry.choose(self.occasion, self.candidates))
    }
}

/// The input of a container's policy, apart from the candidates. Equal inputs give equal choices.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Inquiry {
    /// The policy with its pattern.
    pub rule: Rule,
    /// Image or chart.
    pub kind: ArtifactKind,
    /// What runs.
    pub current: Current,
}

impl Inquiry {
    /// The candidates that the policy accepts, the best first.
    pub fn choose(&self, occasion: Occasion, candidates: &[Candidate]) -> Choice {
        choose(&self.rule, self.kind, occasion, &self.current, candidates)
    }
}

/// Decides about one container of a workload.
pub fn decide(evaluation: &Evaluation<'_>, evidence: &Evidence, prior: &PriorRequests) -> Decision {
    decide_by(evaluation, evidence, prior, |inquiry| evaluation.choose(inquiry))
}

/// Decides as [`decide`] does. `choose` returns the choice for the inquiry among the site's candidates, which may have
/// been made before for another container.
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

/// Which of two new images the policy prefers: `Some(true)` for the first, `None` where it has no preference (policy
/// force; or it accepts neither, or both are the same tag).
///
/// Two matches of policy glob are not ranked as a whole list would be: it has a preference only where version order and
/// natural order agree.
pub fn prefer(rule: &Rule, installed: &Artifact, container: &Container, first: &str, second: &str) -> Option<bool> {
    if rule.policy == Policy::Force {
        return None;
    }
    let tag = |text: &str| Artifact::parse(installed.kind(), text).ok().and_then(|artifact| artifact.version().map(str::to_owned));
    let (first, second) = (tag(first)?, tag(second)?);
    if first == second {
        return None;
    }
    if rule.policy == Policy::Glob
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
