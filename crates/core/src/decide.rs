//! From an event to a proposal, or to a refusal that says why.
//!
//! Called by the operator's intake for every container that uses the event's repository, and by
//! whoever explains a workload. It looks at the container's settings, asks the policy, and then
//! at what is already on record: the same version is proposed once.

use crate::artifact::Artifact;
use crate::event::Trigger;
use crate::policy::{Candidate, CandidateVerdict, Current, Judgement, Kind as VersionKind, Occasion, Policy, Rule, judge};
use crate::reason::Reason;
use crate::request::Identity;
use crate::settings::{Annotations, DigestUpdate, EventSource, Settings};
use crate::target::{Container, Target};

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
}

/// Whether the container listens to this trigger at all.
///
/// A release is looked up when it changes, whatever its period (`HEADWIND_HELM_AUTO_DISCOVERY`): to it what
/// was found so is as good as what a webhook tells.
pub fn admits(settings: &Settings, container: &Container, artifact: &Artifact, trigger: Trigger) -> Result<(), Reason> {
    let discovery = artifact.kind() == VersionKind::Chart && trigger == Trigger::Polling && settings.event_source == EventSource::Webhook;
    if settings.policy == Policy::None {
        Err(Reason::PolicyNone)
    } else if !settings.tracks(&container.name, artifact, container.init) {
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

/// Decides about one container of a workload.
pub fn decide(site: &Site<'_>, record: &impl Record) -> Decision {
    match proposal(site) {
        Ok((proposal, settings)) => match obstacle(site, &settings, &proposal, record) {
            Some(refusal) => Decision::Refuse(refusal),
            None => Decision::Propose(Box::new(proposal)),
        },
        Err(refusal) => Decision::Refuse(refusal),
    }
}

/// The tag that the container's policy would take, whatever is on record and whether or not its
/// digest is known: what a scan has to ask the digest of, for a reference that is pinned.
pub fn chosen_tag(site: &Site<'_>) -> Option<String> {
    let settings = Settings::resolve(site.defaults, &site.target.annotations, &site.container.name).ok()?;
    let standing = site.container.artifact().ok()?;
    let current = current(&standing, site.container);
    let judged = judge(&settings.rule(), standing.kind(), site.occasion, &current, site.candidates);
    judged.candidates.into_iter().nth(judged.chosen?).map(|verdict| verdict.tag)
}

/// What would be proposed if nothing were on record, with the settings that say so.
fn proposal(site: &Site<'_>) -> Result<(Proposal, Settings), Refusal> {
    let Site { target, defaults, container, candidates, occasion, trigger } = *site;
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

    let current = current(&standing, container);
    let Judgement { chosen, candidates: verdicts } = judge(&settings.rule(), standing.kind(), occasion, &current, candidates);
    let Some(verdict) = chosen.and_then(|index| verdicts.get(index)) else {
        // One candidate is the rule; of many, the first refusal speaks for all.
        return Err(verdicts
            .into_iter()
            .next()
            .map_or_else(|| Refusal::plain(Reason::UpToDate), |verdict| Refusal { reason: verdict.reason, message: verdict.message }));
    };
    let digest = verdict.digest.as_ref();
    let same_tag = standing.version() == Some(verdict.tag.as_str());
    let wanted = wanted(&standing, container, &settings, verdict)?;
    let mut identity = Identity::new(&container.name, &wanted, settings.policy, digest.map(ToString::to_string).as_deref());
    if same_tag && digest.is_none() {
        identity = identity.at_generation(target.generation);
    }
    let proposal = Proposal {
        container: container.name.clone(),
        current_image: container.image.clone(),
        new_image: wanted.to_string(),
        current_digest: current.digest.map(|digest| digest.to_string()),
        new_digest: digest.map(ToString::to_string),
        policy: settings.policy,
        reason: verdict.reason,
        message: verdict.message.clone(),
        require_approval: settings.require_approval,
        trigger,
        identity,
    };
    Ok((proposal, settings))
}

/// What is to stand in the place of what stands there.
fn wanted(standing: &Artifact, container: &Container, settings: &Settings, verdict: &CandidateVerdict) -> Result<Artifact, Refusal> {
    let Artifact::Image(image) = standing else { return Ok(standing.with_version(&verdict.tag)) };
    let same_tag = image.effective_tag() == Some(verdict.tag.as_str());
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
        message: format!("the digest of {} is not known, so it cannot be pinned; the sender did not tell it", verdict.tag),
    };
    Ok(Artifact::Image(if restart {
        image.clone()
    } else if pin {
        // A digest alone stays a digest alone.
        let digest = verdict.digest.as_ref().ok_or_else(unknown)?;
        if image.tag().is_none() && image.digest().is_some() {
            image.with_digest(digest)
        } else {
            image.with_tag_and_digest(&verdict.tag, digest)
        }
    } else {
        image.with_tag(&verdict.tag)
    }))
}

pub(crate) fn current(standing: &Artifact, container: &Container) -> Current {
    Current { tag: standing.version().map(str::to_owned), digest: container.known_digest(standing) }
}

/// What on record stands in the way.
fn obstacle(site: &Site<'_>, settings: &Settings, proposal: &Proposal, record: &impl Record) -> Option<Refusal> {
    if let Some(reason) = record.obstacle(&proposal.container, &proposal.identity) {
        return Some(Refusal { reason, message: format!("{}: {}", proposal.new_image, reason.sentence()) });
    }
    if record.left(&proposal.container, &proposal.identity, proposal.policy) {
        let message = format!("{}: a person went back from this version", proposal.new_image);
        return Some(Refusal { reason: Reason::RolledBack, message });
    }
    let standing = site.container.artifact().ok()?;
    let better = |open: &String| prefer(&settings.rule(), &standing, site.container, open, &proposal.new_image) == Some(true);
    record.open_for(&proposal.container).into_iter().find(better).map(|open| Refusal {
        reason: Reason::NewerPending,
        message: format!("a request for {open} is open, which is the better of the two"),
    })
}

/// Which of two new images the policy would rather have: `Some(true)` for the first, `None` where
/// it has no preference (policy force; or neither, or both, are to be had).
pub fn prefer(rule: &Rule, standing: &Artifact, container: &Container, first: &str, second: &str) -> Option<bool> {
    if rule.policy == Policy::Force {
        return None;
    }
    let tag = |text: &str| Artifact::parse(standing.kind(), text).ok().and_then(|artifact| artifact.version().map(str::to_owned));
    let (first, second) = (tag(first)?, tag(second)?);
    if first == second {
        return None;
    }
    let candidates = [Candidate::new(first, None), Candidate::new(second, None)];
    judge(rule, standing.kind(), Occasion::Event, &current(standing, container), &candidates).chosen.map(|index| index == 0)
}

#[cfg(test)]
mod tests;
