//! Calls for the ConfigMap and the Secret with Headwind's own settings.

use k8s_openapi::NamespaceResourceScope;
use kube::api::{Api, PostParams};
use kube::{Resource, ResourceExt as _};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{ClusterClient, Failure, MANAGER};

/// Returns the parameters of a write.
pub(super) fn params() -> PostParams {
    PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() }
}

impl ClusterClient {
    /// Reads the object; `None` if it does not exist.
    pub(crate) async fn own_object<K>(&self, namespace: &str, name: &str) -> Result<Option<K>, Failure>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + DeserializeOwned + std::fmt::Debug,
    {
        Ok(Api::<K>::namespaced(self.client.clone(), namespace).get_opt(name).await?)
    }

    /// Creates the object, or writes it if it is unchanged since it was read.
    pub(crate) async fn write_own_object<K>(&self, object: &K, exists: bool) -> Result<K, Failure>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Serialize + Clone + DeserializeOwned + std::fmt::Debug,
    {
        let api: Api<K> = Api::namespaced(self.client.clone(), &object.namespace().unwrap_or_default());
        let written = if exists { api.replace(&object.name_any(), &params(), object).await } else { api.create(&params(), object).await };
        Ok(written?)
    }
}
