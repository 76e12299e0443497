//! The artifact that an update writes into the workload.

use crate::artifact::Artifact;
use crate::policy::Candidate;
use crate::reason::{Reason, Reasoned};
use crate::settings::{DigestUpdate, Settings};
use crate::workload::Container;

/// Returns the artifact that replaces the current one.
///
/// # Errors
/// If the image must be pinned and the digest is not known.
pub(super) fn written(
    installed: &Artifact,
    container: &Container,
    settings: &Settings,
    candidate: &Candidate,
) -> Result<Artifact, Reasoned> {
    let Artifact::Image(image) = installed else { return Ok(installed.with_version(&candidate.tag)) };
    let same_tag = image.effective_tag() == Some(candidate.tag.as_str());
    let restart = same_tag
        && image.digest().is_none()
        && match settings.digest_update {
            DigestUpdate::Restart => true,
            DigestUpdate::Pin => false,
            DigestUpdate::Auto => container.pulls_always,
        };
    let pin = image.digest().is_some() || (same_tag && !restart);
    let unknown = || Reasoned {
        reason: Reason::DigestUnknown,
        message: format!("the digest of {} is not known, so Headwind cannot pin it; the webhook did not contain it", candidate.tag),
    };
    Ok(Artifact::Image(if restart {
        image.clone()
    } else if pin {
        // A reference that has only a digest keeps that form.
        let digest = candidate.digest.as_ref().ok_or_else(unknown)?;
        if image.tag().is_none() && image.digest().is_some() {
            image.with_digest(digest)
        } else {
            image.with_tag_and_digest(&candidate.tag, digest)
        }
    } else {
        image.with_tag(&candidate.tag)
    }))
}
