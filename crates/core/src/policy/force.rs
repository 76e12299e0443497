//! `force`: the tag of the event, and new digests of the same tag.

use super::evaluation::Evaluation;
use super::{Candidate, Occasion};
use crate::artifact::ArtifactKind;
use crate::reason::Reason;

/// Decides about a candidate that is the current tag, or for an image with only a digest.
pub(super) fn same_tag(evaluation: &Evaluation<'_>, candidate: &Candidate) -> Result<(), Reason> {
    // A chart's version is published once.
    if evaluation.kind() == ArtifactKind::Chart || !evaluation.policy().follows_digest() {
        return Err(Reason::SameTag);
    }
    match (evaluation.current_digest(), &candidate.digest, evaluation.occasion()) {
        (Some(runs), Some(new), _) if runs == new => Err(Reason::SameDigest),
        // A list of tags contains no digests.
        (_, None, Occasion::Scan) => Err(Reason::SameTag),
        // In an event, a missing digest counts as a new one.
        (_, _, Occasion::Scan | Occasion::Event) => Ok(()),
    }
}

/// Policy force accepts other tags only from events.
pub(super) fn other_tag(occasion: Occasion) -> Result<(), Reason> {
    match occasion {
        Occasion::Scan => Err(Reason::NotFollowed),
        Occasion::Event => Ok(()),
    }
}
