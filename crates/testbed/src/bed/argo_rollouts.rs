//! Argo Rollouts in the test bed.

use anyhow::Result;

use super::Bed;
use crate::argo_rollouts;
use crate::controller::Controller;

impl Bed {
    /// Argo Rollouts' CRDs and controller. The first caller starts it.
    pub async fn argo_rollouts(&self) -> Result<&Controller> {
        self.argo_rollouts
            .get_or_try_init(|| async {
                self.apply_yaml(&argo_rollouts::manifests(self.tools())?).await?;
                self.established(&argo_rollouts::CRDS).await?;
                self.apply_yaml(argo_rollouts::NAMESPACE).await?;
                argo_rollouts::start(self).await
            })
            .await
    }
}
