//! The digest that an approval is bound to.
//!
//! A person approves the content that is shown: a tag with its digest. Tags can move. Before such an update is applied,
//! Headwind asks the registry for the digest behind the tag, once. If it is another one, the request is superseded, and
//! the new digest is proposed, which needs approval again. While the registry does not answer, the update waits.
//!
//! The digest of an update that the policy approves is confirmed only after a cool-down. Without one, Headwind applies the
//! update as soon as it finds it.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use super::after;
use crate::artifact::reference::RepositoryKey;
use crate::evidence::Answer;

/// Time for which an answer is valid.
const FRESH: Duration = Duration::from_secs(30);

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
