//! The nodes, as far as they are known.

use std::sync::Arc;

use headwind_core::workload::placement::Node;
use parking_lot::RwLock;

/// The nodes.
#[derive(Debug, Default)]
pub(crate) struct Nodes(RwLock<Option<Arc<Vec<Node>>>>);

impl Nodes {
    /// Returns all nodes; `None` if they were not read.
    pub(crate) fn all(&self) -> Option<Arc<Vec<Node>>> {
        self.0.read().clone()
    }

    /// Stores the nodes, or forgets them.
    pub(super) fn store(&self, nodes: Option<Vec<Node>>) {
        *self.0.write() = nodes.map(Arc::new);
    }
}
