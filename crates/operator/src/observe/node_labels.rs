//! The labels of the nodes, as far as they are known.

use std::sync::Arc;

use headwind_core::workload::placement::NodeLabels;
use parking_lot::RwLock;

/// The labels of the nodes.
#[derive(Debug, Default)]
pub(crate) struct Nodes(RwLock<Option<Arc<Vec<NodeLabels>>>>);

impl Nodes {
    /// Returns the labels of each node; `None` if they were not read.
    pub(crate) fn labels(&self) -> Option<Arc<Vec<NodeLabels>>> {
        self.0.read().clone()
    }

    /// Stores the labels, or forgets them.
    pub(super) fn store(&self, labels: Option<Vec<NodeLabels>>) {
        *self.0.write() = labels.map(Arc::new);
    }
}
