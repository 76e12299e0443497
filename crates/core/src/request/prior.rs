//! The part of a request that matters for later decisions about its workload.

use super::{Phase, Request};
use crate::decide::PriorRequest;

impl Request {
    /// Returns the part of the request that later decisions about the workload use.
    pub fn prior(&self) -> PriorRequest {
        let Self { spec, status, .. } = self;
        let set_aside = matches!(status.phase, Phase::Rejected | Phase::Failed | Phase::Expired | Phase::RolledBack);
        // An admission webhook may have renamed the image, which was then rolled back under the new name.
        let renamed = || status.applied_image.as_deref().filter(|_| status.phase == Phase::RolledBack);
        let (image, digest) = match &status.rolled_back_from {
            Some(left) => (Some(left.as_str()), &spec.current_digest),
            None => (renamed(), &spec.new_digest),
        };
        PriorRequest {
            name: self.name.clone(),
            container: spec.container.clone().unwrap_or_default(),
            identity: spec.identity(),
            new_image: spec.new_image.clone(),
            new_digest: spec.new_digest.clone(),
            obstacle: status.obstacle(),
            waits: matches!(status.phase, Phase::Pending | Phase::Approved),
            counts: !set_aside,
            rolled_back_from: image.and_then(|image| self.artifact(image)).map(|artifact| (artifact, digest.clone())),
        }
    }
}
