//! The last step before an update is applied: its digest is confirmed ([`super::confirmation`]).

use super::confirmation::{Confirm, published};
use super::context::Context;
use super::step::end;
use super::{Phase, Request, Status, StatusWrite, Step, after};
use crate::artifact::reference::Digest;
use crate::evidence::Answer;
use crate::gate::Waiting;
use crate::gate::confirmation::RETRY;
use crate::reason::Reason;
use crate::rollout::whole_second;
use crate::settings::{Platforms, Settings};
use crate::trigger::Trigger;

impl Context<'_> {
    /// Returns the step before the update is applied, if its digest is not confirmed.
    pub(super) fn unconfirmed(&self, request: &Request) -> Option<Step> {
        let now = self.observed.now;
        let known = self.observed.confirmations?;
        let (confirm, expected) = self.bound(request)?;
        let Some(answer) = known.fresh(&request.name, now) else { return Some(Step::Confirm(confirm)) };
        let problem = match answer {
            Answer::Found { digest: Some(digest), .. } if *digest == expected => return None,
            Answer::Found { digest: Some(digest), .. } => {
                let message = format!("the tag {} now points to {digest}; the request is for {expected}", confirm.tag);
                return Some(end(request, Phase::Superseded, Reason::DigestChanged, Some(message), now));
            }
            Answer::Found { digest: None, .. } | Answer::Unavailable => {
                format!("the registry did not return the digest of the tag {}", confirm.tag)
            }
            Answer::Missing | Answer::Deleted => format!("the registry does not have the tag {}", confirm.tag),
        };
        let waiting = Waiting {
            reason: Reason::DigestNotConfirmed,
            message: format!("{problem}; Headwind retries"),
            until: Some(whole_second(after(now, RETRY))),
        };
        let status = Status { waiting: Some(waiting), approved_at: self.approved_at(request), ..request.status.clone() };
        Some(Step::write(StatusWrite { request: request.name.clone(), from: request.status.phase, status }))
    }

    /// Returns the digest that is confirmed before the update is applied, and the query that confirms it. It is the one
    /// of the approval, of the cool-down, or of the platforms, if the update waited since they were read.
    fn bound(&self, request: &Request) -> Option<(Confirm, Digest)> {
        let has_waited = request.status.waiting.is_some();
        let by_settings = |settings: &Settings| !settings.cool_down.is_zero() || (has_waited && settings.platforms != Platforms::Any);
        let settings = || self.settings(request.spec.container.as_deref()?).ok();
        let is_bound = request.spec.trigger != Trigger::Manual
            && (request.status.phase == Phase::Approved || settings().is_some_and(|settings| by_settings(&settings)));
        let expected = Digest::parse(request.spec.new_digest.as_deref().filter(|_| is_bound)?).ok()?;
        let (repository, tag) = published(self.workload, request)?;
        Some((Confirm { request: request.name.clone(), repository, tag }, expected))
    }
}
