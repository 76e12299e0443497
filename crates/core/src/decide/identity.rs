//! The identity of proposals.

use crate::artifact::{Artifact, ArtifactKind};
use crate::policy::Policy;

/// The identity of a request within its workload: container, new reference and, under policy `force`, the digest.
///
/// Only policy `force` follows digests. For every other policy, a version is its tag. A rejected tag that is pushed
/// again stays rejected, and an event with a digest leads to the same request as one without.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Identity(String);

impl Identity {
    /// Creates the identity for writing `artifact` into `container`.
    pub fn new(container: &str, artifact: &Artifact, policy: Policy, digest: Option<&str>) -> Self {
        let mut text = format!("{container}|{}:{}", artifact.name(), artifact.version().unwrap_or_default());
        if policy.follows_digest()
            && artifact.kind() == ArtifactKind::Image
            && let Some(digest) = digest.map(str::to_owned).or_else(|| artifact.digest().map(ToString::to_string))
        {
            text.push('@');
            text.push_str(&digest);
        }
        Self(text)
    }

    /// Binds the identity to one generation of the workload. Used for a new digest that is unknown.
    #[must_use]
    pub fn at_generation(self, generation: i64) -> Self {
        Self(format!("{}#{generation}", self.0))
    }

    /// Binds the identity to the state that a person saw when they made the request. The same request at a later state
    /// is another one, and so is a repeated request after the earlier one has ended.
    #[must_use]
    pub fn asked_for(self, generation: i64, times: u32) -> Self {
        let again = if times == 0 { String::new() } else { format!("?{times}") };
        Self(format!("{}?{generation}{again}", self.0))
    }

    /// Returns the identity as one line of text: the input of the request's name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns true if both are for the same version of the same container, and one of them for a digest of it too.
    pub(crate) fn is_same_version(&self, other: &Self) -> bool {
        match (self.0.split_once('@'), other.0.split_once('@')) {
            (Some((version, _)), None) => version == other.0,
            (None, Some((version, _))) => version == self.0,
            (_, _) => false,
        }
    }

    /// Returns the digest that it is for.
    pub(crate) fn digest(&self) -> Option<&str> {
        self.0.split_once('@').map(|(_, digest)| digest)
    }

    /// Returns true if this is `plain`, bound to a state of the workload or not.
    pub(crate) fn is_tied(&self, plain: &Self) -> bool {
        self.0.strip_prefix(&plain.0).is_some_and(|rest| rest.is_empty() || rest.starts_with(['#', '?']))
    }
}
