//! A container that takes part in updates, with its parsed settings and artifact.

use super::written::written;
use super::{Decision, Evaluation, Identity, Inquiry, PriorRequests, Proposal, admits, current, prefer};
use crate::artifact::Artifact;
use crate::artifact::platform::Platform;
use crate::evidence::{Evidence, Unproven, Wishes};
use crate::policy::{Candidate, Choice, Occasion, Policy, sentence, why};
use crate::reason::{Reason, Reasoned};
use crate::settings::{Platforms, Settings, key};
use crate::workload::history::History;
use crate::workload::{Container, Workload, placement};

/// A container that takes part.
pub(super) struct Prepared<'a> {
    evaluation: &'a Evaluation<'a>,
    prior: &'a PriorRequests,
    settings: Settings,
    installed: Artifact,
    inquiry: Inquiry,
    /// The platforms that a version must have; `None` for any.
    platforms: Option<Vec<Platform>>,
}

impl<'a> Prepared<'a> {
    /// Parses the container's settings and its artifact.
    ///
    /// # Errors
    /// The reason why the container takes no part.
    pub(super) fn new(evaluation: &'a Evaluation<'a>, prior: &'a PriorRequests) -> Result<Self, Reasoned> {
        let Evaluation { workload, defaults, container, trigger, .. } = *evaluation;
        if workload.deleting {
            return Err(Reasoned::from(Reason::Deleting));
        }
        let settings = Settings::resolve(defaults, &workload.annotations, &container.name).map_err(|faults| Reasoned {
            reason: Reason::InvalidAnnotation,
            message: faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "),
        })?;
        if let Some(skipped) = container.skip_reason(&settings) {
            return Err(skipped);
        }
        let installed = container.artifact().map_err(|error| Reasoned {
            reason: Reason::InvalidImage,
            message: format!("container {} has image {:?}: {error}", container.name, container.shown_image()),
        })?;
        admits(&settings, container, &installed, trigger).map_err(Reasoned::from)?;
        if let Some(refusal) = workload.refused_for_owner(&settings) {
            return Err(refusal);
        }
        let mut current = current(&installed, container);
        if settings.policy.ranks_whole_lists() {
            current.known = known(evaluation, &installed, prior);
        }
        let inquiry = Inquiry { rule: settings.rule(), kind: installed.kind(), current };
        let platforms = required_platforms(evaluation, &settings)?;
        Ok(Self { evaluation, prior, settings, installed, inquiry, platforms })
    }

    /// Returns the input of the policy.
    pub(super) fn inquiry(&self) -> &Inquiry {
        &self.inquiry
    }

    /// Proposes the best candidate that no prior request blocks, once the evidence confirms it.
    pub(super) fn select(&self, choice: &Choice, evidence: &Evidence) -> Decision {
        let (mut set_aside, mut tried) = (None, 1);
        for candidate in choice.accepted.iter().filter_map(|place| self.evaluation.candidates.get(*place)) {
            match self.obstacle(candidate) {
                None => match self.conclude(candidate, evidence) {
                    // The next best version may exist, and have every platform. Each one costs a query.
                    Decision::Refuse(refusal) if is_of_the_version(refusal.reason) && tried < TRIED => {
                        tried += 1;
                        set_aside.get_or_insert(refusal);
                    }
                    decision => return decision,
                },
                Some(refusal) if sets_aside(refusal.reason) => drop(set_aside.get_or_insert(refusal)),
                Some(refusal) => return Decision::Refuse(refusal),
            }
        }
        Decision::Refuse(set_aside.unwrap_or_else(|| self.refusal(choice)))
    }

    /// Decides about the best candidate.
    fn conclude(&self, candidate: &Candidate, evidence: &Evidence) -> Decision {
        if let Some(refusal) = self.better_pending(candidate) {
            return Decision::Refuse(refusal);
        }
        // A cool-down is the age of one digest.
        let binds = self.settings.require_approval || !self.settings.cool_down.is_zero();
        let wishes = Wishes { binds, platforms: self.platforms.as_deref() };
        let confirmed = match evidence.confirm(&self.installed, self.settings.policy, candidate, wishes) {
            Ok(confirmed) => confirmed,
            Err(Unproven::Ask(question)) => return Decision::Ask(question),
            Err(Unproven::Refuse(refusal)) => return Decision::Refuse(refusal),
        };
        if confirmed.digest != candidate.digest
            && let Some(refusal) = self.refuses_digest(&confirmed)
        {
            return Decision::Refuse(refusal);
        }
        self.proposal(&confirmed).map_or_else(Decision::Refuse, |proposal| Decision::Propose(Box::new(proposal)))
    }

    /// The registry returned another digest than that of the candidate: checks the policy, if it follows digests, and
    /// the prior requests again.
    fn refuses_digest(&self, confirmed: &Candidate) -> Option<Reasoned> {
        if !self.settings.policy.follows_digest() {
            return None;
        }
        let choice = self.inquiry.choose(self.evaluation.occasion, std::slice::from_ref(confirmed));
        let refused = || Some(self.refusal_of(choice.headline.reason, Some(confirmed)));
        if choice.accepted.is_empty() { refused() } else { self.obstacle(confirmed) }
    }

    fn refusal(&self, choice: &Choice) -> Reasoned {
        let candidate = choice.headline.place.and_then(|place| self.evaluation.candidates.get(place));
        self.refusal_of(choice.headline.reason, candidate)
    }

    fn refusal_of(&self, reason: Reason, candidate: Option<&Candidate>) -> Reasoned {
        let Inquiry { rule, kind, current } = &self.inquiry;
        Reasoned { reason, message: sentence(rule, *kind, current, candidate, reason) }
    }

    fn proposal(&self, candidate: &Candidate) -> Result<Proposal, Reasoned> {
        let Evaluation { workload, container, trigger, .. } = *self.evaluation;
        let Inquiry { rule, kind, current } = &self.inquiry;
        let wanted = written(&self.installed, container, &self.settings, candidate)?;
        let reason = why(rule, current, candidate);
        let instruction = workload.instruction(&self.settings, &container.name, &container.image, &wanted.to_string());
        let message = sentence(rule, *kind, current, Some(candidate), reason);
        Ok(Proposal {
            container: container.name.clone(),
            current_image: container.image.clone(),
            new_image: wanted.to_string(),
            current_digest: current.digest.as_ref().map(ToString::to_string),
            new_digest: candidate.digest.as_ref().map(ToString::to_string),
            policy: rule.policy,
            reason,
            message: instruction.map_or(message.clone(), |instruction| format!("{message}; {instruction}")),
            require_approval: self.settings.require_approval,
            approvals: self.settings.approvals,
            trigger,
            identity: identity(workload, container, &self.installed, rule.policy, candidate, &wanted),
        })
    }

    fn obstacle(&self, candidate: &Candidate) -> Option<Reasoned> {
        let Evaluation { workload, container, .. } = *self.evaluation;
        let reason = obstacle(workload, container, &self.installed, self.settings.policy, candidate, self.prior)?;
        Some(Reasoned { reason, message: format!("{}: {}", candidate.tag, reason.sentence()) })
    }

    /// Returns a refusal if an open request is for a better version.
    fn better_pending(&self, candidate: &Candidate) -> Option<Reasoned> {
        let Evaluation { container, candidates, occasion, .. } = *self.evaluation;
        let rule = &self.inquiry.rule;
        let new_image = self.installed.with_version(&candidate.tag).to_string();
        let tag = |image: &str| Some(Artifact::parse(self.installed.kind(), image).ok()?.version()?.to_owned());
        // Under glob, the verdict was made with all candidates of a scan.
        let judged = |open: &str| {
            let scanned = rule.policy.ranks_whole_lists() && occasion == Occasion::Scan;
            scanned && tag(open).is_some_and(|tag| candidates.iter().any(|candidate| candidate.tag == tag))
        };
        let better = |open: &&str| !judged(open) && prefer(rule, &self.installed, container, open, &new_image) == Some(true);
        self.prior
            .waiting(&container.name)
            .find(better)
            .map(|open| Reasoned { reason: Reason::NewerPending, message: format!("an open request is for the better version {open}") })
    }
}

/// Maximum number of versions for which one decision queries the registry.
const TRIED: usize = 3;

/// Returns the platforms that a version must have.
///
/// # Errors
/// If they depend on the nodes, and those are not known.
fn required_platforms(evaluation: &Evaluation<'_>, settings: &Settings) -> Result<Option<Vec<Platform>>, Reasoned> {
    match &settings.platforms {
        Platforms::Any => Ok(None),
        Platforms::List(all) => Ok(Some(all.clone())),
        // The pods of a release are in its chart.
        Platforms::Cluster if evaluation.workload.release.is_some() => Ok(None),
        Platforms::Cluster => {
            let nodes = evaluation.nodes.ok_or_else(|| Reasoned::from(Reason::PlatformsUnknown))?;
            Ok(Some(placement::platforms(evaluation.workload.placement.as_deref(), nodes)))
        }
    }
}

/// Returns the tags that Headwind applied to the container or proposed before.
fn known(evaluation: &Evaluation<'_>, installed: &Artifact, prior: &PriorRequests) -> Vec<String> {
    let (history, _) = History::parse(evaluation.workload.annotations.get(key::UPDATE_HISTORY).map(String::as_str));
    let applied =
        history.of(&evaluation.container.name).filter(|entry| entry.update_request_name.is_some()).map(|entry| entry.image.as_str());
    let images = applied.chain(prior.proposed(&evaluation.container.name));
    let of_same_name = |image: &str| {
        let artifact = Artifact::parse(installed.kind(), image).ok().filter(|artifact| artifact.name() == installed.name())?;
        artifact.version().map(str::to_owned)
    };
    let mut tags: Vec<String> = images.filter_map(of_same_name).collect();
    tags.sort();
    tags.dedup();
    tags
}

fn identity(
    workload: &Workload,
    container: &Container,
    installed: &Artifact,
    policy: Policy,
    candidate: &Candidate,
    wanted: &Artifact,
) -> Identity {
    let digest = candidate.digest.as_ref().map(ToString::to_string);
    let identity = Identity::new(&container.name, wanted, policy, digest.as_deref());
    let same_tag = installed.version() == Some(candidate.tag.as_str());
    if same_tag && digest.is_none() { identity.at_generation(workload.generation) } else { identity }
}

/// Returns the reason why a prior request blocks the candidate, if one does.
pub(crate) fn obstacle(
    workload: &Workload,
    container: &Container,
    installed: &Artifact,
    policy: Policy,
    candidate: &Candidate,
    prior: &PriorRequests,
) -> Option<Reason> {
    // A reference that has only a digest keeps that form. Any other reference is the same version with and without its
    // digest.
    let wanted = match (installed, &candidate.digest) {
        (Artifact::Image(image), Some(digest)) if image.effective_tag().is_none() => Artifact::Image(image.with_digest(digest)),
        (_, _) => installed.with_version(&candidate.tag),
    };
    let identity = identity(workload, container, installed, policy, candidate, &wanted);
    prior.obstacle(workload, &container.name, &identity, policy)
}

/// Returns true if the next best candidate may be proposed in spite of the obstacle. An open request is waited for, and
/// an external revert is respected.
fn sets_aside(reason: Reason) -> bool {
    matches!(reason, Reason::Rejected | Reason::Failed | Reason::Expired | Reason::RolledBack)
}

/// Returns true if the registry's answer refuses one version, and says nothing about the others.
fn is_of_the_version(reason: Reason) -> bool {
    matches!(reason, Reason::PlatformMissing | Reason::NotInRegistry)
}
