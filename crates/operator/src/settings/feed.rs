//! The feeds of the watches on the ConfigMap and the Secret.

use std::collections::HashSet;
use std::sync::Arc;

use headwind_core::config::{Store, Values};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::core::ObjectMeta;

use super::OwnSettings;
use crate::observe::watch::Feed;

/// An object with settings.
pub(crate) trait Holds {
    /// Which of the two it is.
    const STORE: Store;

    /// Returns its metadata and its entries.
    fn read(self) -> (ObjectMeta, Values);
}

impl Holds for ConfigMap {
    const STORE: Store = Store::ConfigMap;

    fn read(self) -> (ObjectMeta, Values) {
        (self.metadata, self.data.unwrap_or_default())
    }
}

impl Holds for Secret {
    const STORE: Store = Store::Secret;

    fn read(self) -> (ObjectMeta, Values) {
        let text = |(name, bytes): (String, k8s_openapi::ByteString)| (name, String::from_utf8_lossy(&bytes.0).into_owned());
        (self.metadata, self.data.unwrap_or_default().into_iter().map(text).collect())
    }
}

impl<K: Holds> Feed<K> for Arc<OwnSettings> {
    /// There is one object.
    type Key = ();

    fn apply(&self, object: K, _first: bool) -> Option<()> {
        let (metadata, values) = object.read();
        self.set(K::STORE, &metadata, values);
        Some(())
    }

    fn delete(&self, _: K) {
        self.clear(K::STORE);
    }

    fn delete_odd(&self, _: &ObjectMeta) {
        self.clear(K::STORE);
    }

    fn odd(&self, _: &ObjectMeta, problem: &str) -> Option<()> {
        tracing::warn!("failed to decode the {} headwind; its last content stays in effect: {problem}", K::STORE.kind());
        Some(())
    }

    fn sweep(&self, seen: &HashSet<()>) {
        if seen.is_empty() {
            self.clear(K::STORE);
        }
    }
}
