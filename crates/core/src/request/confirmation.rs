//! The digest that an approval is bound to.
//!
//! A person approves the content that is shown: a tag with its digest. Tags can move. Before such an update is applied,
//! Headwind asks the registry for the digest behind the tag, once. If it is another one, the request is superseded, and
//! the new digest is proposed, which needs approval again. While the registry does not answer, the update waits.
//!
//! The digest of an update that the policy approves is confirmed only after a cool-down, and after a wait if the workload
//! requires platforms: they were read for that digest. Otherwise, Headwind applies the update as soon as it finds it.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use super::{Phase, Request, after};
use crate::artifact::chart::tag_of;
use crate::artifact::reference::RepositoryKey;
use crate::artifact::{Artifact, Origin};
use crate::evidence::Answer;
use crate::reason::Reason;
use crate::workload::Workload;

/// Time for which an answer is valid.
const FRESH: Duration = Duration::from_secs(30);
/// How long the new digest of a tag is proposed again. Other claims are retried for as long.
const PROPOSED: Duration = Duration::from_hours(1);

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

/// Returns the repository and the tag of the request's version. A chart of a classic Helm repository has none.
pub fn published(workload: &Workload, request: &Request) -> Option<(RepositoryKey, String)> {
    match request.artifact(&request.spec.new_image)? {
        Artifact::Image(image) => Some((image.repository().clone(), image.effective_tag()?.to_owned())),
        Artifact::Chart(chart) => match workload.container(request.spec.container.as_deref()?)?.origin()? {
            Origin::Registry(repository) => Some((repository, tag_of(chart.version()))),
            Origin::Charts(_) => None,
        },
    }
}

/// Returns the requests that were superseded because their tag moved, and after which the container got no other
/// request. The new digest is proposed after the request ended. A process that ends between the two must not lose it.
pub fn unproposed<'a>(requests: &[&'a Request], now: Timestamp) -> Vec<&'a Request> {
    let is_recent = |request: &Request| request.status.finished_at.is_some_and(|ended| now < after(ended, PROPOSED));
    let is_followed =
        |request: &Request| requests.iter().any(|other| other.spec.container == request.spec.container && other.created > request.created);
    let moved = |request: &Request| {
        (request.status.phase, request.status.reason) == (Phase::Superseded, Some(Reason::DigestChanged)) && is_recent(request)
    };
    requests.iter().copied().filter(|request| moved(request) && !is_followed(request)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::Status;
    use crate::testing::request;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn whose_new_digest_is_not_proposed() {
        let status = |reason| Status { phase: Phase::Superseded, reason: Some(reason), finished_at: Some(at(100)), ..Status::default() };
        let moved = Request { status: status(Reason::DigestChanged), ..request("moved", "a:1", "a:2", at(50)) };
        let newer = Request { status: status(Reason::NewerVersion), ..request("newer", "a:1", "a:2", at(40)) };
        let next = request("next", "a:1", "a:2", at(101));
        let names = |all: &[&Request], now: i64| -> Vec<String> { unproposed(all, at(now)).iter().map(|one| one.name.clone()).collect() };
        assert_eq!(names(&[&moved, &newer], 200), ["moved"]);
        assert_eq!(names(&[&moved, &newer], 100 + 3600), Vec::<String>::new(), "that is long ago");
        assert_eq!(names(&[&moved, &next], 200), Vec::<String>::new(), "it is proposed");
        let mut other = next;
        other.spec.container = Some("sidecar".to_owned());
        assert_eq!(names(&[&moved, &other], 200), ["moved"]);
    }
}
