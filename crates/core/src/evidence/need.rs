//! The needs of a candidate: what each one asks of the registry, and which answers meet it.

use std::collections::BTreeSet;

use super::{Answer, Wishes};
use crate::artifact::platform::missing;
use crate::reason::{Reason, Reasoned};

crate::named! {
    /// An answer that a candidate needs before it is proposed.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
    pub enum Need("need", str::eq) {
        /// The digest that an approval or a cool-down is bound to. Without an answer, the claim leads to no update. If the
        /// registry answers and returns no digest, the claim is accepted as it is.
        Binding = "binding",
        /// The digest, if the registry returns it. Without an answer, the claim is accepted as it is.
        Digest = "digest",
        /// The fact that the tag exists. Without an answer, the claim is accepted as it is.
        Presence = "presence",
        /// The fact that the tag exists. Without an answer, the claim leads to no update.
        Proof = "proof",
        /// The platforms of the image. Without an answer, the claim leads to no update.
        Platforms = "platforms",
    }
}

/// The result of comparing an answer with a need.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Check {
    /// The answer meets the need.
    Met,
    /// The answer does not say: the registry must be queried again.
    Open,
    /// The answer refuses the candidate.
    Refused(Reasoned),
}

impl Need {
    /// Returns true if nothing follows from the claim without an answer.
    pub fn is_required(self) -> bool {
        match self {
            Self::Binding | Self::Proof | Self::Platforms => true,
            Self::Digest | Self::Presence => false,
        }
    }

    /// Returns true if a scan proposes the version although the registry answered without what is needed. Otherwise, the
    /// next scan queries it again.
    pub fn is_optional_in_scans(self) -> bool {
        match self {
            Self::Binding => true,
            Self::Digest | Self::Presence | Self::Proof | Self::Platforms => false,
        }
    }

    /// Compares the need with the registry's answer about a tag.
    pub(super) fn check(self, tag: &str, answer: &Answer, wishes: Wishes<'_>) -> Check {
        match (self, answer) {
            (Self::Binding | Self::Digest, Answer::Found { .. } | Answer::Missing)
            | (Self::Digest, Answer::Unavailable)
            | (Self::Presence, Answer::Found { .. } | Answer::Unavailable)
            | (Self::Proof, Answer::Found { .. }) => Check::Met,
            (Self::Presence | Self::Proof | Self::Platforms, Answer::Missing) | (_, Answer::Deleted) => {
                Check::Refused(Reason::NotInRegistry.into())
            }
            (Self::Binding | Self::Proof | Self::Platforms, Answer::Unavailable)
            | (Self::Platforms, Answer::Found { platforms: None, .. }) => Check::Open,
            (Self::Platforms, Answer::Found { platforms: Some(available), .. }) => {
                let missing = missing(wishes.platforms.unwrap_or_default(), available);
                if missing.is_empty() {
                    return Check::Met;
                }
                let names = missing.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
                let message = format!("{tag} is not available for {names}");
                Check::Refused(Reasoned::new(Reason::PlatformMissing, message))
            }
        }
    }
}

/// The facts that a query reads about a tag, besides its digest.
///
/// Take it apart by its fields, without `..`: a new fact then compiles only where it is read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Query {
    /// True if it reads the platforms.
    pub platforms: bool,
}

impl Query {
    /// Returns the query that reads what all the needs ask for.
    pub fn of(needs: &BTreeSet<Need>) -> Self {
        let mut query = Self::default();
        for need in needs {
            match need {
                Need::Binding | Need::Digest | Need::Presence | Need::Proof => {}
                Need::Platforms => query.platforms = true,
            }
        }
        query
    }
}
