//! `force`: what the event names, and the same tag with a new digest.

use super::evaluation::Evaluation;
use super::{Candidate, Occasion, Policy};
use crate::artifact::ArtifactKind;
use crate::reason::Reason;

/// The candidate is the current tag, or the image has a digest alone.
pub(super) fn same_tag(evaluation: &Evaluation<'_>, candidate: &Candidate) -> Result<(), Reason> {
    // A chart's version is published once.
    if evaluation.kind() == ArtifactKind::Chart || evaluation.policy() != Policy::Force {
        return Err(Reason::SameTag);
    }
    match (evaluation.current_digest(), &candidate.digest, evaluation.occasion()) {
        (Some(runs), Some(new), _) if runs == new => Err(Reason::SameDigest),
        // A list of tags says nothing of digests.
        (_, None, Occasion::Scan) => Err(Reason::SameTag),
        // In an event, a digest that is not named counts as a new one.
        (_, _, Occasion::Scan | Occasion::Event) => Ok(()),
    }
}

/// Other tags come to force by events alone.
pub(super) fn other_tag(occasion: Occasion) -> Result<(), Reason> {
    match occasion {
        Occasion::Scan => Err(Reason::NotFollowed),
        Occasion::Event => Ok(()),
    }
}
