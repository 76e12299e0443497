//! The versions that an origin offered when it was last read.

use headwind_core::artifact::{Artifact, Origin};
use headwind_core::policy::Candidate;
use headwind_registry::{Index, Listing};

/// The versions of an origin.
#[derive(Debug)]
pub(crate) enum Listed {
    /// A registry's repository: its tags.
    Tags(Listing),
    /// A Helm repository: the versions of the requested charts.
    Index(Index),
}

impl Listed {
    /// Returns the candidates for the artifact.
    pub(crate) fn candidates(&self, artifact: &Artifact, origin: &Origin) -> Vec<Candidate> {
        match self {
            Listed::Tags(listing) => listing.tags().map(|tag| Candidate::new(origin.version(artifact, tag), None)).collect(),
            Listed::Index(index) => index
                .versions(artifact.name())
                .map(|one| Candidate { deprecated: one.deprecated, ..Candidate::new(one.version.clone(), None) })
                .collect(),
        }
    }

    /// Returns its approximate size in memory, in bytes.
    pub(crate) fn size(&self) -> usize {
        match self {
            Listed::Tags(listing) => listing.size(),
            Listed::Index(index) => index.size(),
        }
    }

    pub(super) fn tags(&self) -> Option<&Listing> {
        match self {
            Listed::Tags(listing) => Some(listing),
            Listed::Index(_) => None,
        }
    }

    pub(super) fn index(&self) -> Option<&Index> {
        match self {
            Listed::Index(index) => Some(index),
            Listed::Tags(_) => None,
        }
    }

    /// Returns true if caching it saves work next time.
    pub(crate) fn is_worth_keeping(&self) -> bool {
        match self {
            Listed::Tags(listing) => listing.is_worth_keeping(),
            Listed::Index(index) => index.is_worth_keeping(),
        }
    }
}
