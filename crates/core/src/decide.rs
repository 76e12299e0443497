//! From an event or a scan to a proposal, or to a refusal that says why.
//!
//! The operator decides so for every container that uses the repository, and when it explains a workload. The
//! container's settings come first, then its policy, then what is on record: a version that was rejected, failed,
//! expired or was rolled back is set aside, and the next best one is proposed. The same version is proposed once.
//!
//! Many containers of a scan have the same [`Inquiry`]: its [`Choice`] is made once and used by [`decide_by`] for each.

mod identity;

pub use identity::Identity;

use std::ops::Deref;

use crate::artifact::version::natural_order;
use crate::artifact::{Artifact, ArtifactKind};
use crate::policy::{Candidate, Choice, Current, Occasion, Policy, Rule, choose, judge, sentence, why};
use crate::reason::Reason;
use crate::settings::{Annotations, DigestUpdate, EventSource, Settings, key};
use crate::trigger::Trigger;
use crate::workload::history::History;
use crate::workload::{Container, Target};

/// What was decided about one container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Make a request of it.
    Propose(Box<Proposal>),
    /// Leave it.
    Refuse(Refusal),
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

/// What is on record for the workload.
pub trait Record {
    /// Why the request that puts this identity into the container stands in the way, if there is
    /// one and it does.
    fn obstacle(&self, container: &str, identity: &Identity) -> Option<Reason>;

    /// Whether a rollback that a person asked for left this version.
    fn left(&self, container: &str, identity: &Identity, policy: Policy) -> bool;

    /// The new images of the requests for this container that are not applied yet.
    fn open_for(&self, container: &str) -> Vec<String>;

    /// The new images of every request for this container that was not rejected, failed, expired or rolled back: the
    /// open ones, and what is left of the others.
    fn proposed_for(&self, container: &str) -> Vec<String> {
        self.open_for(container)
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
pub struct Site<'a> {
    /// The workload.
    pub target: &'a Target,
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

impl Site<'_> {
    /// Returns the policy's choice among the candidates.
    pub fn choose(&self, inquiry: &Inquiry) -> Box<Choice> {
        Box::new(inquiry.choose(self.occasion, self.candidates))
    }
}

/// What a container's policy is asked, without the candidates. Equal ones have equal answers.
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
pub fn decide(site: &Site<'_>, record: &impl Record) -> Decision {
    decide_by(site, record, |inquiry| site.choose(inquiry))
}

/// Decides as [`decide`] does. `choose` returns the choice for the inquiry among the site's candidates, which may have
/// been made before for another container.
pub fn decide_by<C: Deref<Target = Choice>>(site: &Site<'_>, record: &impl Record, choose: impl FnOnce(&Inquiry) -> C) -> Decision {
    prepare(site, record)
        .and_then(|prepared| prepared.select(site, &choose(&prepared.inquiry), record))
        .map_or_else(Decision::Refuse, |proposal| Decision::Propose(Box::new(proposal)))
}

/// The tag that would be proposed, even if its digest is not known: for a pinned reference, a scan has to look up the
/// digest of this tag. `choose` as in [`decide_by`].
pub fn chosen_tag<C: Deref<Target = Choice>>(site: &Site<'_>, record: &impl Record, choose: impl FnOnce(&Inquiry) -> C) -> Option<String> {
    let prepared = prepare(site, record).ok()?;
    let choice = choose(&prepared.inquiry);
    let accepted = choice.accepted.iter().filter_map(|place| site.candidates.get(*place));
    let free = |candidate: &&Candidate| !prepared.obstacle(site, candidate, record).is_some_and(sets_aside);
    accepted.into_iter().find(free).map(|candidate| candidate.tag.clone())
}

/// A container that takes part, with what is read of it once.
struct Prepared {
    settings: Settings,
    standing: Artifact,
    inquiry: Inquiry,
}

fn prepare(site: &Site<'_>, record: &impl Record) -> Result<Prepared, Refusal> {
    let Site { target, defaults, container, trigger, .. } = *site;
    if target.deleting {
        return Err(Refusal::plain(Reason::Deleting));
    }
    let settings = Settings::resolve(defaults, &target.annotations, &container.name).map_err(|faults| Refusal {
        reason: Reason::InvalidAnnotation,
        message: faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "),
    })?;
    if let Some((reason, message)) = container.left_alone(&settings) {
        return Err(Refusal { reason, message });
    }
    let standing = container.artifact().map_err(|error| Refusal {
        reason: Reason::InvalidImage,
        message: format!("container {} has image {:?}: {error}", container.name, container.image),
    })?;
    admits(&settings, container, &standing, trigger).map_err(Refusal::plain)?;
    let mut current = current(&standing, container);
    if settings.policy == Policy::Glob {
        current.known = known(site, &standing, record);
    }
    let inquiry = Inquiry { rule: settings.rule(), kind: standing.kind(), current };
    Ok(Prepared { settings, standing, inquiry })
}

/// The tags that Headwind applied to the container or proposed before.
fn known(site: &Site<'_>, standing: &Artifact, record: &impl Record) -> Vec<String> {
    let (history, _) = History::parse(site.target.annotations.get(key::UPDATE_HISTORY).map(String::as_str));
    let applied = history.of(&site.container.name).filter(|entry| entry.update_request_name.is_some()).map(|entry| entry.image.clone());
    let images = applied.chain(record.proposed_for(&site.container.name));
    let of_same_name = |image: String| {
        let artifact = Artifact::parse(standing.kind(), &image).ok().filter(|artifact| artifact.name() == standing.name())?;
        artifact.version().map(str::to_owned)
    };
    let mut tags: Vec<String> = images.filter_map(of_same_name).collect();
    tags.sort();
    tags.dedup();
    tags
}

impl Prepared {
    /// Proposes the best candidate that nothing on record sets aside.
    fn select(&self, site: &Site<'_>, choice: &Choice, record: &impl Record) -> Result<Proposal, Refusal> {
        let mut set_aside = None;
        for candidate in choice.accepted.iter().filter_map(|place| site.candidates.get(*place)) {
            match self.obstacle(site, candidate, record) {
                None => {
                    let proposal = self.proposal(site, candidate)?;
                    return match self.better_pending(site, &proposal, record) {
                        Some(refusal) => Err(refusal),
                        None => Ok(proposal),
                    };
                }
                Some(reason) => {
                    let message = format!("{}: {}", candidate.tag, reason.sentence());
                    let refusal = Refusal { reason, message };
                    if !sets_aside(reason) {
                        return Err(refusal);
                    }
                    set_aside.get_or_insert(refusal);
                }
            }
        }
        Err(set_aside.unwrap_or_else(|| self.refusal(site, choice)))
    }

    fn refusal(&self, site: &Site<'_>, choice: &Choice) -> Refusal {
        let Inquiry { rule, kind, current } = &self.inquiry;
        let reason = choice.headline.reason;
        let candidate = choice.headline.place.and_then(|place| site.candidates.get(place));
        Refusal { reason, message: sentence(rule, *kind, current, candidate, reason) }
    }

    fn proposal(&self, site: &Site<'_>, candidate: &Candidate) -> Result<Proposal, Refusal> {
        let Site { container, trigger, .. } = *site;
        let Inquiry { rule, kind, current } = &self.inquiry;
        let wanted = wanted(&self.standing, container, &self.settings, candidate)?;
        let reason = why(rule, current, candidate);
        Ok(Proposal {
            container: container.name.clone(),
            current_image: container.image.clone(),
            new_image: wanted.to_string(),
            current_digest: current.digest.as_ref().map(ToString::to_string),
            new_digest: candidate.digest.as_ref().map(ToString::to_string),
            policy: rule.policy,
            reason,
            message: sentence(rule, *kind, current, Some(candidate), reason),
            require_approval: self.settings.require_approval,
            trigger,
            identity: identity(site.target, container, &self.standing, rule.policy, candidate, &wanted),
        })
    }

    fn obstacle(&self, site: &Site<'_>, candidate: &Candidate, record: &impl Record) -> Option<Reason> {
        obstacle(site.target, site.container, &self.standing, self.settings.policy, candidate, record)
    }

    /// A refusal where an open request is for a better version.
    fn better_pending(&self, site: &Site<'_>, proposal: &Proposal, record: &impl Record) -> Option<Refusal> {
        let rule = &self.inquiry.rule;
        let tag = |image: &str| Some(Artifact::parse(self.standing.kind(), image).ok()?.version()?.to_owned());
        // Under glob, the verdict was made with all candidates of a scan.
        let judged = |open: &str| {
            let scanned = rule.policy == Policy::Glob && site.occasion == Occasion::Scan;
            scanned && tag(open).is_some_and(|tag| site.candidates.iter().any(|candidate| candidate.tag == tag))
        };
        let better = |open: &String| !judged(open) && prefer(rule, &self.standing, site.container, open, &proposal.new_image) == Some(true);
        record.open_for(&proposal.container).into_iter().find(better).map(|open| Refusal {
            reason: Reason::NewerPending,
            message: format!("a request for {open} is open, which is the better of the two"),
        })
    }
}

fn identity(
    target: &Target,
    container: &Container,
    standing: &Artifact,
    policy: Policy,
    candidate: &Candidate,
    wanted: &Artifact,
) -> Identity {
    let digest = candidate.digest.as_ref().map(ToString::to_string);
    let identity = Identity::new(&container.name, wanted, policy, digest.as_deref());
    let same_tag = standing.version() == Some(candidate.tag.as_str());
    if same_tag && digest.is_none() { identity.at_generation(target.generation) } else { identity }
}

/// The reason why what is on record stands in the way of the candidate, if it does.
pub(crate) fn obstacle(
    target: &Target,
    container: &Container,
    standing: &Artifact,
    policy: Policy,
    candidate: &Candidate,
    record: &impl Record,
) -> Option<Reason> {
    // A digest alone stays a digest alone; every other reference is the same version with its digest and without.
    let wanted = match (standing, &candidate.digest) {
        (Artifact::Image(image), Some(digest)) if image.effective_tag().is_none() => Artifact::Image(image.with_digest(digest)),
        (_, _) => standing.with_version(&candidate.tag),
    };
    let identity = identity(target, container, standing, policy, candidate, &wanted);
    let obstacle = record.obstacle(&container.name, &identity);
    obstacle.or_else(|| record.left(&container.name, &identity, policy).then_some(Reason::RolledBack))
}

/// Whether an obstacle leaves the next best candidate to be proposed. What is open is waited for, and what somebody
/// reverted is not fought.
pub(crate) fn sets_aside(reason: Reason) -> bool {
    matches!(reason, Reason::Rejected | Reason::Failed | Reason::Expired | Reason::RolledBack)
}

/// The artifact that is to take the place of the standing one.
fn wanted(standing: &Artifact, container: &Container, settings: &Settings, candidate: &Candidate) -> Result<Artifact, Refusal> {
    let Artifact::Image(image) = standing else { return Ok(standing.with_version(&candidate.tag)) };
    let same_tag = image.effective_tag() == Some(candidate.tag.as_str());
    let restart = same_tag
        && image.digest().is_none()
        && match settings.digest_update {
            DigestUpdate::Restart => true,
            DigestUpdate::Pin => false,
            DigestUpdate::Auto => container.pulls_always,
        };
    let pin = image.digest().is_some() || (same_tag && !restart);
    let unknown = || Refusal {
        reason: Reason::DigestUnknown,
        message: format!("the digest of {} is not known, so it cannot be pinned; the sender did not tell it", candidate.tag),
    };
    Ok(Artifact::Image(if restart {
        image.clone()
    } else if pin {
        // A digest alone stays a digest alone.
        let digest = candidate.digest.as_ref().ok_or_else(unknown)?;
        if image.tag().is_none() && image.digest().is_some() {
            image.with_digest(digest)
        } else {
            image.with_tag_and_digest(&candidate.tag, digest)
        }
    } else {
        image.with_tag(&candidate.tag)
    }))
}

pub(crate) fn current(standing: &Artifact, container: &Container) -> Current {
    Current { tag: standing.version().map(str::to_owned), digest: container.known_digest(standing), known: Vec::new() }
}

/// Which of two new images the policy prefers: `Some(true)` for the first, `None` where it has no preference (policy
/// force; or it accepts neither, or both are the same tag).
///
/// Two matches of policy glob are not ranked as a whole list would be: it has a preference only where version order and
/// natural order agree.
pub fn prefer(rule: &Rule, standing: &Artifact, container: &Container, first: &str, second: &str) -> Option<bool> {
    if rule.policy == Policy::Force {
        return None;
    }
    let tag = |text: &str| Artifact::parse(standing.kind(), text).ok().and_then(|artifact| artifact.version().map(str::to_owned));
    let (first, second) = (tag(first)?, tag(second)?);
    if first == second {
        return None;
    }
    if rule.policy == Policy::Glob
        && let (Some(a), Some(b)) = (standing.kind().read(&first), standing.kind().read(&second))
        && a.same_scheme(&b)
        && a.cmp_precedence(&b) != natural_order(&first, &second)
    {
        return None;
    }
    let candidates = [Candidate::new(first, None), Candidate::new(second, None)];
    judge(rule, standing.kind(), Occasion::Event, &current(standing, container), &candidates).chosen.map(|index| index == 0)
}

#[cfg(test)]
mod tests;
