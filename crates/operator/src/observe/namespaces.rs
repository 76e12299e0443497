//! Defaults from the annotations of namespaces.
//!
//! Where all namespaces are watched, so are the Namespace objects. Where Headwind is limited to
//! some, a Role in each is all it has: that allows to get the namespace, not to watch it, so it is
//! read again and again.

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

/// How often the annotations of a namespace are read where they cannot be watched.
const PERIOD: Duration = Duration::from_secs(30);
/// The same while they cannot be read.
const RETRY: Duration = Duration::from_secs(2);

/// Feeds the index with what the watch shows.
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

/// Reads the annotations of one namespace again and again.
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
                        tracing::warn!(%error, "cannot read the namespace {namespace}; trying again");
                    }
                }
            }
        }
        tokio::time::sleep(if trouble.is_some() { RETRY } else { PERIOD }).await;
    }
}
