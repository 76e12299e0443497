//! The cache of recently read version lists, shared by the poller and `explain`, and bounded by bytes.
//!
//! A cached list can be revalidated with its `ETag`s. An evicted list is read completely again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use headwind_core::artifact::Origin;
use headwind_registry::Fingerprint;
use moka::future::Cache;

use crate::registries::listed::Listed;

/// Maximum bytes of all lists.
const BYTES: u64 = 32 * 1024 * 1024;
/// Time for which a list is kept after its last use.
const IDLE: Duration = Duration::from_hours(24);
/// Approximate bytes of an entry in addition to the list.
const ENTRY: usize = 512;

/// The key of a list: the origin, the credentials, and the selection of versions.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct ListKey {
    pub(crate) origin: Origin,
    pub(crate) access: Fingerprint,
    pub(crate) wanted: u64,
}

#[derive(Debug, Clone)]
struct Kept {
    listed: Arc<Listed>,
    at: Instant,
}

/// The lists.
#[derive(Debug, Clone)]
pub(crate) struct Lists(Cache<ListKey, Kept>);

impl Default for Lists {
    fn default() -> Self {
        Self::of(BYTES)
    }
}

impl Lists {
    fn of(bytes: u64) -> Self {
        let weight = |_: &ListKey, kept: &Kept| u32::try_from(ENTRY + kept.listed.size()).unwrap_or(u32::MAX);
        Self(Cache::builder().weigher(weight).max_capacity(bytes).time_to_idle(IDLE).build())
    }

    /// Returns the list as last read, and its age.
    pub(crate) async fn get(&self, key: &ListKey) -> Option<(Arc<Listed>, Duration)> {
        self.0.get(key).await.map(|Kept { listed, at }| (listed, at.elapsed()))
    }

    pub(crate) async fn insert(&self, key: ListKey, listed: Arc<Listed>) {
        self.0.insert(key, Kept { listed, at: Instant::now() }).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use headwind_core::artifact::reference::RepositoryKey;
    use headwind_registry::Listing;

    #[tokio::test]
    async fn they_are_bounded_by_bytes() {
        let lists = Lists::of(10 * 1024);
        for wanted in 0..1000 {
            let origin = Origin::Registry(RepositoryKey::parse("nginx").unwrap());
            lists.insert(ListKey { origin, access: Fingerprint::default(), wanted }, Arc::new(Listed::Tags(Listing::default()))).await;
        }
        lists.0.run_pending_tasks().await;
        assert!(lists.0.weighted_size() <= 10 * 1024 && lists.0.entry_count() < 21, "{}", lists.0.entry_count());
    }
}
