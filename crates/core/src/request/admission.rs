//! Detects images that an admission webhook changed in Headwind's patch.

use super::Request;
use crate::artifact::{Artifact, ArtifactKind};
use crate::workload::Container;

/// Returns the container's image if it is the applied version written differently: an admission webhook added a digest,
/// or replaced the registry by a mirror.
pub(super) fn rewritten(request: &Request, container: &Container) -> Option<String> {
    let (there, asked) = (&container.image, &request.spec.new_image);
    (there != asked && is_same_version(request.spec.kind, asked, there)).then(|| there.clone())
}

/// Returns true if an admission webhook may have turned `asked` into `there`: the tag is the same, or `there` names the
/// same repository by digest only, and a digest in `asked` is unchanged.
pub(super) fn is_same_version(kind: ArtifactKind, asked: &str, there: &str) -> bool {
    let (Ok(Artifact::Image(asked)), Ok(Artifact::Image(there))) = (Artifact::parse(kind, asked), Artifact::parse(kind, there)) else {
        return false;
    };
    let pinned = there.tag().is_none() && there.digest().is_some();
    let version = if pinned { there.repository() == asked.repository() } else { there.effective_tag() == asked.effective_tag() };
    version && asked.digest().is_none_or(|digest| there.digest() == Some(digest))
}
