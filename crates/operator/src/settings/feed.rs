//! The feeds of the watches on the ConfigMap and the Secret.

use std::collections::HashSet;
use std::sync::Arc;

use kube::core::ObjectMeta;

use super::{Holds, OwnSettings};
use crate::observe::watch::Feed;

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
