//! The images that a workload may be rolled back to.
//!
//! The history of a workload is an annotation, and everybody who may edit the workload may write to it. Headwind must
//! not deploy an image that never ran there. So an entry counts only if something other than the annotation confirms
//! it.

use super::Request;
use crate::artifact::Artifact;
use crate::workload::Container;

/// Returns true if the container of the workload with that UID may be rolled back to `image`: it is in the same
/// repository (or chart) as the current image, or a stored request applied it or replaced it.
pub fn may_return_to<'a>(container: &Container, target_uid: &str, image: &str, requests: impl IntoIterator<Item = &'a Request>) -> bool {
    let artifact = Artifact::parse(container.kind(), image).ok();
    let same = artifact.zip(container.artifact().ok()).is_some_and(|(to, installed)| to.name() == installed.name());
    let vouches = |request: &Request| {
        let Request { spec, status, .. } = request;
        // A request that was only created does not confirm the image that it names.
        request.target_uid == target_uid
            && status.times_applied > 0
            && spec.container.as_deref() == Some(&container.name)
            && (spec.new_image == image || spec.current_image == image || status.applied_image.as_deref() == Some(image))
    };
    same || requests.into_iter().any(vouches)
}
