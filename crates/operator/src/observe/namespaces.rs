//! Defaults from the annotations of namespaces.
//!
//! If Headwind watches all namespaces, it watches the Namespace objects. If it is limited to some namespaces, it has
//! only a Role in each. A Role can allow to get the Namespace, but not to watch it, so Headwind reads it periodically.

use std::collections::HashSet;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use headwind_core::settings::Annotations;
use headwind_k8s::kinds::own_annotations;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::Api;
use kube::core::{ObjectMeta, PartialObjectMeta};
use kube::{Client, ResourceExt as _};

use crate::cluster::{Class, classify};
use crate::observe::queue::Queue;
use crate::observe::state::State;
use crate::observe::watch::Feed;

/// Interval for reading the annotations of a namespace that cannot be watched.
const PERIOD: Duration = Duration::from_secs(30);
/// The same while reading fails.
const RETRY: Duration = Duration::from_secs(2);

/// Feeds the index with the annotations of watched namespaces.
pub(crate) struct Defaults {
    pub(crate) state: Arc<State>,
    pub(crate) queue: Queue,
}

impl Defaults {
    fn set(&self, namespace: &str, annotations: Annotations) {
        let touched = self.state.index.write().set_defaults(namespace, annotations);
        for key in touched {
            self.queue.now(key);
        }
    }
}

impl Feed<PartialObjectMeta<Namespace>> for Defaults {
    type Key = String;

    fn apply(&self, namespace: PartialObjectMeta<Namespace>, _: bool) -> Option<String> {
        let name = namespace.name_any();
        self.set(&name, own_annotations(&namespace.metadata));
        Some(name)
    }

    fn delete(&self, namespace: PartialObjectMeta<Namespace>) {
        self.set(&namespace.name_any(), Annotations::new());
    }

    fn delete_odd(&self, metadata: &ObjectMeta) {
        self.set(metadata.name.as_deref().unwrap_or_default(), Annotations::new());
    }

    fn odd(&self, metadata: &ObjectMeta, _: &str) -> Option<String> {
        metadata.name.clone()
    }

    fn sweep(&self, _: &HashSet<String>) {}
}

/// Reads the annotations of one namespace periodically.
pub(crate) async fn poll(client: Client, namespace: String, part: String, defaults: Defaults) -> Result<(), Infallible> {
    let api: Api<Namespace> = Api::all(client);
    let mut trouble: Option<Class> = None;
    loop {
        match api.get_metadata_opt(&namespace).await {
            Ok(read) => {
                trouble = None;
                defaults.set(&namespace, read.map(|namespace| own_annotations(&namespace.metadata)).unwrap_or_default());
                defaults.state.readiness.done(&part);
            }
            Err(error) => {
                let class = classify(&error);
                if trouble.replace(class) != Some(class) {
                    if class == Class::Forbidden {
                        tracing::error!(%error, "not allowed to get the namespace {namespace}; apply the output of `headwind rbac`. Waiting for the permission");
                    } else {
                        tracing::warn!(%error, "failed to read the namespace {namespace}; retrying");
                    }
                }
            }
        }
        tokio::time::sleep(if trouble.is_some() { RETRY } else { PERIOD }).await;
    }
}
