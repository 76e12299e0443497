//! What an admission webhook may have made of the image that Headwind wrote.

use super::Request;
use crate::artifact::{Artifact, ArtifactKind};
use crate::workload::Container;

/// The image that stands in the place of the one that was just applied, if that is the same version written
/// differently: an admission webhook pinned it to a digest, or named a mirror.
pub(super) fn rewritten(request: &Request, container: &Container) -> Option<String> {
    let (there, asked) = (&container.image, &request.spec.new_image);
    (there != asked && is_same_version(request.spec.kind, asked, there)).then(|| there.clone())
}

/// Returns whether an admission webhook may have made `there` of `asked`: the tag is the same, or the same
/// repository is named by a digest alone, and a digest that was asked for is kept.
pub(super) fn is_same_version(kind: ArtifactKind, asked: &str, there: &str) -> bool {
    let (Ok(Artifact::Image(asked)), Ok(Artifact::Image(there))) = (Artifact::parse(kind, asked), Artifact::parse(kind, there)) else {
        return false;
    };
    let pinned = there.tag().is_none() && there.digest().is_some();
    let version = if pinned { there.repository() == asked.repository() } else { there.effective_tag() == asked.effective_tag() };
    version && asked.digest().is_none_or(|digest| there.digest() == Some(digest))
}
