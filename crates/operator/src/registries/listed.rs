//! What a repository offers, as it was read last.

use headwind_core::artifact::{Artifact, Origin};
use headwind_core::policy::Candidate;
use headwind_registry::{Index, Listing};

/// What a repository has.
#[derive(Debug)]
pub(crate) enum Listed {
    /// A registry's repository: its tags.
    Tags(Listing),
    /// A Helm repository: the versions of the charts that were asked for.
    Index(Index),
}

impl Listed {
    /// What could take the artefact's place.
    pub(crate) fn candidates(&self, artifact: &Artifact, origin: &Origin) -> Vec<Candidate> {
        match self {
            Listed::Tags(listing) => listing.tags().map(|tag| Candidate::new(origin.version(artifact, tag), None)).collect(),
            Listed::Index(index) => index
                .versions(artifact.name())
                .map(|one| Candidate { deprecated: one.deprecated, ..Candidate::new(one.version.clone(), None) })
                .collect(),
        }
    }

    /// Bytes that it takes in memory, about.
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

    /// Whether keeping it saves anything next time.
    pub(crate) fn is_worth_keeping(&self) -> bool {
        match self {
            Listed::Tags(listing) => listing.is_worth_keeping(),
            Listed::Index(index) => index.is_worth_keeping(),
        }
    }
}
