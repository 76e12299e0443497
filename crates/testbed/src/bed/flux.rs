//! Flux in the test bed.

use anyhow::Result;

use super::Bed;
use crate::flux::{self, Flux};

impl Bed {
    /// Returns Flux's CRDs and controllers. The first caller starts them.
    pub async fn flux(&self) -> Result<&Flux> {
        self.flux
            .get_or_try_init(|| async {
                self.install_flux_crds().await?;
                self.apply_yaml(flux::NAMESPACE).await?;
                Flux::start(self).await
            })
            .await
    }

    /// Installs Flux's current CRDs (HelmRelease `v2`, sources `v1`), without controllers, once.
    pub async fn install_flux_crds(&self) -> Result<()> {
        self.flux_crds.get_or_try_init(|| self.apply_flux_crds(None)).await.copied()
    }

    /// Installs Flux's CRDs as an old Flux has them: only these versions are served and stored, with the current schema
    /// (the current CRDs no longer contain them). For [`Bed::own`], without controllers:
    /// `install_old_flux_crds("v2beta2", "v1beta2")`.
    pub async fn install_old_flux_crds(&self, releases: &str, sources: &str) -> Result<()> {
        self.apply_flux_crds(Some((releases, sources))).await
    }

    async fn apply_flux_crds(&self, versions: Option<(&str, &str)>) -> Result<()> {
        self.apply_yaml(&flux::manifests(self.tools(), versions)?).await?;
        self.established(&flux::CRDS).await
    }
}
