//! The registry's answers about a version, and the questions that must be answered before a claim leads to an update.
//!
//! [`crate::decide`] first selects its best candidate. [`Evidence`] then returns whether the candidate may be proposed,
//! or which [`Question`] must be answered before.

mod need;

pub use need::{Need, Query};

use std::collections::{BTreeMap, BTreeSet};

use self::need::Check;
use crate::artifact::Artifact;
use crate::artifact::platform::Platform;
use crate::artifact::reference::Digest;
use crate::artifact::version::parse_tag;
use crate::policy::{Candidate, Policy};
use crate::reason::Reasoned;

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

/// A question to the registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// The tag, or the version of a chart.
    pub tag: String,
    /// The answers that are needed, all of one query. Never empty.
    pub needs: BTreeSet<Need>,
}

/// The registry's answer about a tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The tag exists.
    Found {
        /// Its digest, if the registry returned it.
        digest: Option<Digest>,
        /// The platforms of its index; `None` if they were not queried. An image without an index has none.
        platforms: Option<Vec<Platform>>,
    },
    /// The registry does not have the tag.
    Missing,
    /// The registry lists the tag and does not have it: it was deleted.
    Deleted,
    /// The registry did not answer.
    Unavailable,
}

impl Answer {
    /// Returns the answer that the tag exists, with its digest if it is known, and nothing else about it.
    pub fn exists(digest: Option<Digest>) -> Self {
        Self::Found { digest, platforms: None }
    }

    /// Returns the digest, if the registry returned it.
    pub fn digest(&self) -> Option<&Digest> {
        match self {
            Self::Found { digest, .. } => digest.as_ref(),
            Self::Missing | Self::Deleted | Self::Unavailable => None,
        }
    }
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

    /// Returns the candidate with the data of the registry's answers.
    pub(crate) fn confirm(
        &self,
        installed: &Artifact,
        policy: Policy,
        candidate: &Candidate,
        wishes: Wishes<'_>,
    ) -> Result<Candidate, Unproven> {
        let needs = self.needs(installed, policy, candidate, wishes);
        if needs.is_empty() {
            return Ok(candidate.clone());
        }
        let ask = |needs| Err(Unproven::Ask(Question { tag: candidate.tag.clone(), needs }));
        let Some(answer) = self.answers.get(&candidate.tag) else { return ask(needs) };
        let mut open = false;
        for need in &needs {
            match need.check(&candidate.tag, answer, wishes) {
                Check::Met => {}
                Check::Open => open = true,
                Check::Refused(refusal) => return Err(Unproven::Refuse(refusal)),
            }
        }
        if open {
            return ask(needs);
        }
        let digest = answer.digest().or(candidate.digest.as_ref()).cloned();
        Ok(Candidate { digest, ..candidate.clone() })
    }

    /// Returns the answers that the candidate needs.
    fn needs(&self, installed: &Artifact, policy: Policy, candidate: &Candidate, wishes: Wishes<'_>) -> BTreeSet<Need> {
        let tag = self.need_of_tag(installed, policy, candidate, wishes.binds);
        let has_platforms = matches!(installed, Artifact::Image(_)) && wishes.platforms.is_some_and(|platforms| !platforms.is_empty());
        tag.into_iter().chain(has_platforms.then_some(Need::Platforms)).collect()
    }

    /// Returns what must be known about the tag itself: that it exists, or its digest.
    fn need_of_tag(&self, installed: &Artifact, policy: Policy, candidate: &Candidate, binds: bool) -> Option<Need> {
        if self.trust.verify {
            return Some(Need::Proof);
        }
        let Artifact::Image(image) = installed else { return None };
        let force = policy.follows_digest();
        match (&candidate.digest, image.digest(), image.effective_tag()) {
            (None, Some(_), _) => Some(Need::Digest),
            // Each push counts as a new digest, so only an authenticated sender may report one.
            (None, None, Some(current)) if force && current == candidate.tag => {
                Some(if self.trust.authenticated { Need::Digest } else { Need::Proof })
            }
            // An old webhook that is sent again names a lower version.
            (_, _, Some(current)) if force && is_lower(&candidate.tag, current) => Some(Need::Presence),
            (None, None, Some(_)) if binds && self.trust.bind => Some(Need::Binding),
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
