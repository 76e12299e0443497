//! The existing requests of a workload, as far as a decision depends on them.

use super::Identity;
use crate::artifact::Artifact;
use crate::policy::Policy;
use crate::reason::Reason;
use crate::workload::Workload;

/// Returns the name of a request for this identity.
pub type NameOf = fn(&Workload, &str, &Identity) -> String;

/// The existing requests of one workload.
#[derive(Debug, Clone)]
pub struct PriorRequests {
    name_of: NameOf,
    requests: Vec<PriorRequest>,
}

/// One existing request.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PriorRequest {
    /// Its name.
    pub name: String,
    /// The container that it changes.
    pub container: String,
    /// Its identity, not bound to a state of the workload; `None` if the request is invalid.
    pub identity: Option<Identity>,
    /// The new image.
    pub new_image: String,
    /// Its digest, if known.
    pub new_digest: Option<String>,
    /// Why the same version is not proposed again, if so.
    pub obstacle: Option<Reason>,
    /// True if its change is still to be applied.
    pub waits: bool,
    /// True if its version still counts as proposed: it was not rejected, failed, expired or rolled back.
    pub counts: bool,
    /// The artifact and the digest that a person rolled back from with it, or that was rolled back under another name.
    pub rolled_back_from: Option<(Artifact, Option<String>)>,
}

impl PriorRequest {
    /// Returns true if the version was rolled back, so that Headwind does not propose it again by itself.
    pub fn quarantines(&self, container: &str, identity: &Identity, policy: Policy) -> bool {
        let is_it =
            |(artifact, digest): &(Artifact, Option<String>)| Identity::new(container, artifact, policy, digest.as_deref()) == *identity;
        self.container == container && self.rolled_back_from.as_ref().is_some_and(is_it)
    }

    /// Returns its identity if it is for the same version under a policy of the other kind: of the two policies, one
    /// follows digests. Under that one, another digest is another version.
    fn identity_under_another_policy(&self, identity: &Identity) -> Option<&Identity> {
        let own = self.identity.as_ref().filter(|own| own.is_same_version(identity))?;
        identity.digest().is_none_or(|digest| self.new_digest.as_deref() == Some(digest)).then_some(own)
    }
}

impl PriorRequests {
    /// Creates the requests of one workload. `name_of` returns the name of a request for an identity.
    pub fn new(name_of: NameOf, requests: Vec<PriorRequest>) -> Self {
        Self { name_of, requests }
    }

    /// Returns a value without requests.
    pub fn none() -> Self {
        Self::new(|_, _, identity| identity.as_str().to_owned(), Vec::new())
    }

    /// Returns why the version is not proposed, if a request blocks it.
    pub(super) fn obstacle(&self, workload: &Workload, container: &str, identity: &Identity, policy: Policy) -> Option<Reason> {
        if self.requests.is_empty() {
            return None;
        }
        let name = (self.name_of)(workload, container, identity);
        // A request that only has the same name does not block the version. The API server then refuses to create ours.
        let asks = |request: &&PriorRequest| request.identity.as_ref().is_some_and(|asked| identity.is_tied(asked));
        let same = self.requests.iter().find(|request| request.name == name).filter(asks);
        let before = || {
            let mut others = self.requests.iter().filter(|request| {
                // A request that a person made has another name, and blocks nothing.
                let own = request.identity_under_another_policy(identity);
                own.is_some_and(|own| (self.name_of)(workload, container, own) == request.name)
            });
            others.find_map(|request| request.obstacle.filter(|reason| *reason != Reason::AlreadyRequested))
        };
        let rolled_back = || self.requests.iter().any(|request| request.quarantines(container, identity, policy));
        same.and_then(|request| request.obstacle).or_else(before).or_else(|| rolled_back().then_some(Reason::RolledBack))
    }

    /// Returns the images of the requests for this container that are not applied yet.
    pub(super) fn waiting(&self, container: &str) -> impl Iterator<Item = &str> {
        self.requests
            .iter()
            .filter(move |request| request.waits && request.container == container)
            .map(|request| request.new_image.as_str())
    }

    /// Returns the images of the requests for this container that still count as proposed.
    pub(super) fn proposed(&self, container: &str) -> impl Iterator<Item = &str> {
        self.requests
            .iter()
            .filter(move |request| request.counts && request.container == container)
            .map(|request| request.new_image.as_str())
    }
}
