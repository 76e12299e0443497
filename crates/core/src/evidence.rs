//! What the registry says about a version, and what has to be asked before something follows from a claim.
//!
//! [`crate::decide`] looks for its best candidate first. [`Evidence`] then says whether the candidate may be proposed as
//! it is, or which [`Question`] has to be answered before.

use std::collections::BTreeMap;

use crate::artifact::Artifact;
use crate::artifact::reference::Digest;
use crate::artifact::version::parse_tag;
use crate::policy::{Candidate, Policy};
use crate::reason::Reason;

/// How far the source of the candidates is trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trust {
    /// Whether the sender of the claim was authenticated.
    pub authenticated: bool,
    /// Whether every claim is verified with the registry.
    pub verify: bool,
}

impl Trust {
    /// The trust in what Headwind read from the registry itself.
    pub const REGISTRY: Self = Self { authenticated: true, verify: false };
}

/// What the registry has to say before a candidate is proposed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Need {
    /// The digest, if the registry returns it. Without an answer the claim stands as it is.
    Digest,
    /// That the tag exists. Without an answer the claim stands as it is.
    Presence,
    /// That the tag exists. Nothing follows from the claim without an answer.
    Proof,
}

/// A question to the registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// The tag, or the version of a chart.
    pub tag: String,
    /// What the registry has to say about it.
    pub need: Need,
}

/// The registry's answer about a tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The tag exists, with its digest if the registry returned it.
    Exists(Option<Digest>),
    /// The registry does not have the tag.
    Missing,
    /// The registry did not answer.
    Unavailable,
}

/// What is known about the candidates beside what their source says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    trust: Trust,
    answers: BTreeMap<String, Answer>,
}

/// Why a candidate cannot be proposed, or not yet.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Unproven {
    /// The registry has to answer this first.
    Ask(Question),
    /// The registry's answer refuses it.
    Refuse(Reason),
}

impl Evidence {
    /// No answers yet.
    pub fn new(trust: Trust) -> Self {
        Self { trust, answers: BTreeMap::new() }
    }

    /// Adds the registry's answer about a tag.
    pub fn add(&mut self, tag: impl Into<String>, answer: Answer) {
        self.answers.insert(tag.into(), answer);
    }

    /// Returns the candidate as the answers confirm it.
    pub(crate) fn confirm(&self, standing: &Artifact, policy: Policy, candidate: &Candidate) -> Result<Candidate, Unproven> {
        let Some(need) = self.need(standing, policy, candidate) else { return Ok(candidate.clone()) };
        match (need, self.answers.get(&candidate.tag)) {
            (_, None) | (Need::Proof, Some(Answer::Unavailable)) => Err(Unproven::Ask(Question { tag: candidate.tag.clone(), need })),
            (Need::Presence | Need::Proof, Some(Answer::Missing)) => Err(Unproven::Refuse(Reason::NotInRegistry)),
            (_, Some(Answer::Exists(Some(digest)))) => Ok(Candidate { digest: Some(digest.clone()), ..candidate.clone() }),
            (_, Some(Answer::Exists(None) | Answer::Missing | Answer::Unavailable)) => Ok(candidate.clone()),
        }
    }

    /// Returns what the registry has to say about the candidate.
    fn need(&self, standing: &Artifact, policy: Policy, candidate: &Candidate) -> Option<Need> {
        if self.trust.verify {
            return Some(Need::Proof);
        }
        let Artifact::Image(image) = standing else { return None };
        let force = policy == Policy::Force;
        match (&candidate.digest, image.digest(), image.effective_tag()) {
            (None, Some(_), _) => Some(Need::Digest),
            // Each push counts as a new digest, so only an authenticated sender may report one.
            (None, None, Some(current)) if force && current == candidate.tag => {
                Some(if self.trust.authenticated { Need::Digest } else { Need::Proof })
            }
            // An old call that is sent again names a lower version.
            (_, _, Some(current)) if force && is_lower(&candidate.tag, current) => Some(Need::Presence),
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
