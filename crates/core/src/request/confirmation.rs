//! The digest that an approval is bound to.
//!
//! A person approves the content that is shown: a tag with its digest. Tags can move. Before such an update is applied,
//! Headwind asks the registry for the digest behind the tag, once. If it is another one, the request is superseded, and
//! the new digest is proposed, which needs approval again. While the registry does not answer, the update waits.
//!
//! An update that the policy approves is asked about only after a cool-down: otherwise nobody saw its digest, and it is
//! applied as soon as it is found.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use super::context::Context;
use super::step::end;
use super::{Phase, Request, Status, StatusWrite, Step, after};
use crate::artifact::Artifact;
use crate::artifact::reference::{Digest, RepositoryKey};
use crate::evidence::Answer;
use crate::gate::Waiting;
use crate::reason::Reason;
use crate::rollout::whole_second;
use crate::trigger::Trigger;

/// How long an answer counts.
const FRESH: Duration = Duration::from_secs(30);
/// Pause after a query without a digest.
const RETRY: Duration = Duration::from_secs(30);

/// The registry's answers about the tags of approved updates, by the name of the request.
#[derive(Debug, Clone, Default)]
pub struct Confirmations(BTreeMap<String, Confirmation>);

/// The registry's answer about the tag of an update.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confirmation {
    /// The answer.
    pub answer: Answer,
    /// When it was given.
    pub at: Timestamp,
}

/// A query for the digest behind the tag of an approved update.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confirm {
    /// The request's name.
    pub request: String,
    /// The repository.
    pub repository: RepositoryKey,
    /// The tag.
    pub tag: String,
}

impl Confirmations {
    /// Adds an answer about the request with that name.
    pub fn add(&mut self, request: impl Into<String>, confirmation: Confirmation) {
        self.0.insert(request.into(), confirmation);
    }

    /// Returns the answer about the request, if it still counts.
    pub fn fresh(&self, request: &str, now: Timestamp) -> Option<&Answer> {
        let known = self.0.get(request)?;
        (known.at <= now && now < after(known.at, FRESH)).then_some(&known.answer)
    }
}

impl Context<'_> {
    /// Returns the step before the update is applied, if its digest is not confirmed.
    pub(super) fn unconfirmed(&self, request: &Request) -> Option<Step> {
        let now = self.observed.now;
        let known = self.observed.confirmations?;
        let (confirm, expected) = self.bound(request)?;
        let Some(answer) = known.fresh(&request.name, now) else { return Some(Step::Confirm(confirm)) };
        let problem = match answer {
            Answer::Exists(Some(digest)) | Answer::Index(digest, _) if *digest == expected => return None,
            Answer::Exists(Some(digest)) | Answer::Index(digest, _) => {
                let message = format!("the tag {} now points to {digest}; the approval was for {expected}", confirm.tag);
                return Some(end(request, Phase::Superseded, Reason::DigestChanged, Some(message), now));
            }
            Answer::Exists(None) | Answer::Unavailable => format!("the registry did not return the digest of the tag {}", confirm.tag),
            Answer::Missing => format!("the registry does not have the tag {}", confirm.tag),
        };
        let waiting = Waiting {
            reason: Reason::DigestNotConfirmed,
            message: format!("{problem}; Headwind retries"),
            until: Some(whole_second(after(now, RETRY))),
        };
        let status = Status { waiting: Some(waiting), approved_at: self.approved_at(request), ..request.status.clone() };
        Some(Step::write(StatusWrite { request: request.name.clone(), from: request.status.phase, status }))
    }

    /// Returns the digest that the approval or the cool-down is bound to, and the query that confirms it.
    fn bound(&self, request: &Request) -> Option<(Confirm, Digest)> {
        let waits = || self.settings(request.spec.container.as_deref()?).ok().filter(|settings| !settings.cool_down.is_zero());
        let is_bound = request.spec.trigger != Trigger::Manual && (request.status.phase == Phase::Approved || waits().is_some());
        let expected = Digest::parse(request.spec.new_digest.as_deref().filter(|_| is_bound)?).ok()?;
        let Some(Artifact::Image(image)) = request.artifact(&request.spec.new_image) else { return None };
        let tag = image.effective_tag()?.to_owned();
        Some((Confirm { request: request.name.clone(), repository: image.repository().clone(), tag }, expected))
    }
}
