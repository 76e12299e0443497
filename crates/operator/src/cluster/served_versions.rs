//! The versions of optional APIs that the API server serves: discovered by [`crate::observe::optional_apis`], used by
//! every call that reads or writes one of their objects.

use std::collections::HashMap;

use headwind_k8s::optional_api::OptionalApi;
use parking_lot::RwLock;

/// The version of each optional API that is in use, as an index into [`OptionalApi::versions`].
#[derive(Debug, Default)]
pub(crate) struct ServedVersions(RwLock<HashMap<OptionalApi, usize>>);

impl ServedVersions {
    /// Returns the version's index; `None` if the API is not served.
    pub(crate) fn get(&self, api: OptionalApi) -> Option<usize> {
        self.0.read().get(&api).copied()
    }

    /// Returns the index of the version that calls use; that of the preferred version if the API is not served.
    pub(crate) fn in_use(&self, api: OptionalApi) -> usize {
        self.get(api).unwrap_or_default()
    }

    pub(crate) fn set(&self, api: OptionalApi, version: Option<usize>) {
        match version {
            Some(version) => drop(self.0.write().insert(api, version)),
            None => drop(self.0.write().remove(&api)),
        }
    }
}
