//! `force`: what the event names, and the same tag with a new digest.

use super::{Candidate, Kind, Occasion, Policy, Refused, Scene};
use crate::reason::Reason;

/// The candidate is the current tag, or the image has a digest alone.
pub(super) fn same_tag(scene: &Scene<'_>, candidate: &Candidate) -> Result<(), Refused> {
    let tag = &candidate.tag;
    if scene.kind == Kind::Chart {
        return Err(Refused::new(Reason::SameTag, format!("{tag} is the current version; a chart's version is published once")));
    }
    if scene.rule.policy != Policy::Force {
        return Err(Refused::new(Reason::SameTag, format!("{tag} is the current tag; set policy force to follow new digests behind it")));
    }
    match (&scene.current.digest, &candidate.digest) {
        (Some(runs), Some(new)) if runs == new => Err(Refused::new(Reason::SameDigest, format!("{tag} runs with this digest already"))),
        // Without a digest it counts as a new one (SPEC section 3).
        (_, _) => Ok(()),
    }
}

/// Other tags come to force by events alone.
pub(super) fn admits_occasion(scene: &Scene<'_>, occasion: Occasion, tag: &str) -> Result<(), Refused> {
    match (scene.rule.policy, occasion) {
        (Policy::Force, Occasion::Scan) => {
            Err(Refused::new(Reason::NotFollowed, format!("while polling, force follows {} only, not {tag}", scene.current_tag())))
        }
        (_, _) => Ok(()),
    }
}
