//! Which images a workload may go back to.
//!
//! The history of a workload is an annotation: everybody who may edit the workload may write into it, and
//! Headwind must not thereby put an image in place that never ran there. So an entry counts only if
//! something else than the annotation vouches for it.

use super::Request;
use crate::artifact::Artifact;
use crate::workload::Container;

/// Returns whether the container of the workload with that uid may go back to `image`: it is of the same
/// repository (or chart) as what stands there, or a request on record put it in place or replaced it.
pub fn may_return_to<'a>(container: &Container, target_uid: &str, image: &str, requests: impl IntoIterator<Item = &'a Request>) -> bool {
    let artifact = Artifact::parse(container.kind(), image).ok();
    let same = artifact.zip(container.artifact().ok()).is_some_and(|(to, standing)| to.name() == standing.name());
    let vouches = |request: &Request| {
        let Request { spec, status, .. } = request;
        // Who may only ask for a change must not vouch for what it names.
        request.target_uid == target_uid
            && status.times_applied > 0
            && spec.container.as_deref() == Some(&container.name)
            && (spec.new_image == image || spec.current_image == image || status.applied_image.as_deref() == Some(image))
    };
    same || requests.into_iter().any(vouches)
}
