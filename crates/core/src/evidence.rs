//! The registry's answers about a version, and the questions that must be answered before a claim leads to an update.
//!
//! [`crate::decide`] first selects its best candidate. [`Evidence`] then returns whether the candidate may be proposed,
//! or which [`Question`] must be answered before.

use std::collections::BTreeMap;

use crate::artifact::Artifact;
use crate::artifact::platform::{Platform, missing};
use crate::artifact::reference::Digest;
use crate::artifact::version::parse_tag;
use crate::policy::{Candidate, Policy};
use crate::reason::{Reason, Reasoned};

/// The trust in the source of the candidates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trust {
    /// True if the sender of the claim was authenticated.
    pub authenticated: bool,
    /// True if every claim is verified with the registry.
    pub verify: bool,
    /// True if approvals are bound to a digest: it is looked up before the update is proposed.
    pub bind: bool,
}

impl Trust {
    /// The trust in data that Headwind read from the registry itself.
    pub const REGISTRY: Self = Self { authenticated: true, verify: false, bind: false };
}

/// The answer that a candidate needs before it is proposed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Need {
    /// The digest that an approval is bound to. Without an answer, the claim is accepted as it is.
    Binding,
    /// The digest, if the registry returns it. Without an answer, the claim is accepted as it is.
    Digest,
    /// The fact that the tag exists. Without an answer, the claim is accepted as it is.
    Presence,
    /// The fact that the tag exists. Without an answer, the claim leads to no update.
    Proof,
    /// The platforms of the image. Without an answer, the claim leads to no update.
    Platforms,
}

impl Need {
    /// Returns true if nothing follows from the claim without an answer.
    pub fn is_required(self) -> bool {
        matches!(self, Need::Proof | Need::Platforms)
    }
}

/// A question to the registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// The tag, or the version of a chart.
    pub tag: String,
    /// The answer that is needed.
    pub need: Need,
}

/// The registry's answer about a tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The tag exists, with its digest if the registry returned it.
    Exists(Option<Digest>),
    /// The tag exists with this digest, and its index has these platforms. An image without an index has none.
    Index(Digest, Vec<Platform>),
    /// The registry does not have the tag.
    Missing,
    /// The registry did not answer.
    Unavailable,
}

/// The registry's answers about the candidates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    trust: Trust,
    answers: BTreeMap<String, Answer>,
}

/// The facts about a candidate that the settings of a container require.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Wishes<'a> {
    /// True if its approval is bound to a digest.
    pub(crate) binds: bool,
    /// The platforms that it must have.
    pub(crate) platforms: Option<&'a [Platform]>,
}

/// The reasons why a candidate cannot be proposed, or not yet.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Unproven {
    /// The registry has to answer this first.
    Ask(Question),
    /// The registry's answer refuses it.
    Refuse(Reasoned),
}

impl Evidence {
    /// Creates evidence without answers.
    pub fn new(trust: Trust) -> Self {
        Self { trust, answers: BTreeMap::new() }
    }

    /// Adds the registry's answer about a tag.
    pub fn add(&mut self, tag: impl Into<String>, answer: Answer) {
        self.answers.insert(tag.into(), answer);
    }

    /// Returns true if the registry has answered the question.
    pub(crate) fn answers(&self, question: &Question) -> bool {
        match (question.need, self.answers.get(&question.tag)) {
            (Need::Platforms, Some(Answer::Exists(_))) | (_, None) => false,
            (_, Some(_)) => true,
        }
    }

    /// Returns the candidate with the data of the registry's answers.
    pub(crate) fn confirm(
        &self,
        installed: &Artifact,
        policy: Policy,
        candidate: &Candidate,
        wishes: Wishes<'_>,
    ) -> Result<Candidate, Unproven> {
        let Some(need) = self.need(installed, policy, candidate, wishes) else { return Ok(candidate.clone()) };
        match (need, self.answers.get(&candidate.tag)) {
            (_, None) | (Need::Proof | Need::Platforms, Some(Answer::Unavailable)) | (Need::Platforms, Some(Answer::Exists(_))) => {
                Err(Unproven::Ask(Question { tag: candidate.tag.clone(), need }))
            }
            (Need::Presence | Need::Proof | Need::Platforms, Some(Answer::Missing)) => Err(Unproven::Refuse(Reason::NotInRegistry.into())),
            (_, Some(Answer::Index(digest, available))) => {
                let missing = missing(wishes.platforms.unwrap_or_default(), available);
                if missing.is_empty() {
                    return Ok(Candidate { digest: Some(digest.clone()), ..candidate.clone() });
                }
                let names = missing.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
                let message = format!("{} is not available for {names}", candidate.tag);
                Err(Unproven::Refuse(Reasoned::new(Reason::PlatformMissing, message)))
            }
            (_, Some(Answer::Exists(Some(digest)))) => Ok(Candidate { digest: Some(digest.clone()), ..candidate.clone() }),
            (_, Some(Answer::Exists(None) | Answer::Missing | Answer::Unavailable)) => Ok(candidate.clone()),
        }
    }

    /// Returns the answer that the candidate needs.
    fn need(&self, installed: &Artifact, policy: Policy, candidate: &Candidate, wishes: Wishes<'_>) -> Option<Need> {
        if wishes.platforms.is_some_and(|platforms| !platforms.is_empty()) && matches!(installed, Artifact::Image(_)) {
            return Some(Need::Platforms);
        }
        if self.trust.verify {
            return Some(Need::Proof);
        }
        let Artifact::Image(image) = installed else { return None };
        let force = policy == Policy::Force;
        match (&candidate.digest, image.digest(), image.effective_tag()) {
            (None, Some(_), _) => Some(Need::Digest),
            // Each push counts as a new digest, so only an authenticated sender may report one.
            (None, None, Some(current)) if force && current == candidate.tag => {
                Some(if self.trust.authenticated { Need::Digest } else { Need::Proof })
            }
            // An old webhook that is sent again names a lower version.
            (_, _, Some(current)) if force && is_lower(&candidate.tag, current) => Some(Need::Presence),
            (None, None, Some(_)) if wishes.binds && self.trust.bind => Some(Need::Binding),
            (_, _, _) => None,
        }
    }
}

fn is_lower(tag: &str, current: &str) -> bool {
    let versions = parse_tag(tag).zip(parse_tag(current));
    versions.is_some_and(|(tag, current)| tag.cmp_precedence(&current).is_lt())
}

#[cfg(test)]
mod tests;
