//! The memory for responses of registries: one budget of bytes for everything that is being read.
//!
//! The first bytes of a body are not counted, so that the many small responses never wait. A larger body waits a
//! limited time for free memory and then fails, so that two readers that wait for each other end as well.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes of everything that is being read.
const ALL: usize = 32 * 1024 * 1024;
/// Bytes of one reader that are not counted.
const FREE: usize = 64 * 1024;
/// Maximum time that a reader waits for free memory.
const PATIENCE: Duration = Duration::from_secs(10);

/// No memory was free within the time limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many large answers are being read at once (more than {} MiB)", ALL >> 20)]
pub(crate) struct Exhausted;

/// The budget of bytes in memory.
#[derive(Debug, Clone)]
pub(crate) struct Budget {
    available: Arc<Semaphore>,
    patience: Duration,
}

/// The bytes that one reader holds. Dropping it releases them.
#[derive(Debug)]
pub(crate) struct Held {
    budget: Budget,
    bytes: usize,
    permit: Option<OwnedSemaphorePermit>,
}

impl Default for Budget {
    fn default() -> Self {
        Self::new(ALL, PATIENCE)
    }
}

impl Budget {
    fn new(bytes: usize, patience: Duration) -> Self {
        Self { available: Arc::new(Semaphore::new(bytes)), patience }
    }

    /// Creates a reader that holds nothing yet.
    pub(crate) fn reader(&self) -> Held {
        Held { budget: self.clone(), bytes: 0, permit: None }
    }
}

impl Held {
    /// Adds `bytes` to what the reader holds. Waits if the budget does not have enough free memory.
    pub(crate) async fn grow(&mut self, bytes: usize) -> Result<(), Exhausted> {
        let more = self.count(bytes)?;
        if more > 0 {
            let available = tokio::time::timeout(self.budget.patience, Arc::clone(&self.budget.available).acquire_many_owned(more)).await;
            self.add(available.map_err(|_| Exhausted)?.map_err(|_| Exhausted)?);
        }
        Ok(())
    }

    /// Adds `bytes` to what the reader holds, if the budget has enough free memory now.
    pub(crate) fn try_grow(&mut self, bytes: usize) -> Result<(), Exhausted> {
        let more = self.count(bytes)?;
        if more > 0 {
            self.add(Arc::clone(&self.budget.available).try_acquire_many_owned(more).map_err(|_| Exhausted)?);
        }
        Ok(())
    }

    /// Counts the bytes and returns how many of them exceed the free ones.
    fn count(&mut self, bytes: usize) -> Result<u32, Exhausted> {
        let counted = |bytes: usize| bytes.saturating_sub(FREE);
        let before = counted(self.bytes);
        self.bytes = self.bytes.saturating_add(bytes);
        u32::try_from(counted(self.bytes) - before).map_err(|_| Exhausted)
    }

    fn add(&mut self, available: OwnedSemaphorePermit) {
        match &mut self.permit {
            Some(permit) => permit.merge(available),
            None => self.permit = Some(available),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget() -> Budget {
        Budget::new(1000, Duration::from_millis(50))
    }

    #[tokio::test]
    async fn small_readers_never_wait_and_large_ones_are_given_up() {
        let budget = budget();
        let mut large = budget.reader();
        large.grow(FREE).await.unwrap();
        large.grow(1000).await.unwrap();
        let mut small = budget.reader();
        small.grow(FREE).await.unwrap();
        assert_eq!(small.try_grow(1), Err(Exhausted));
        assert_eq!(small.grow(1).await, Err(Exhausted));
        drop(large);
        budget.reader().grow(FREE + 1000).await.unwrap();
    }

    #[tokio::test]
    async fn who_waits_is_served_when_there_is_room() {
        let budget = budget();
        let mut first = budget.reader();
        first.grow(FREE + 1000).await.unwrap();
        let mut second = budget.reader();
        let (served, ()) = tokio::join!(second.grow(FREE + 1), async { drop(first) });
        assert_eq!(served, Ok(()));
    }

    #[tokio::test]
    async fn what_never_fits_is_given_up() {
        assert_eq!(budget().reader().grow(FREE + 1001).await, Err(Exhausted));
    }
}
