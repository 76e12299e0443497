//! Turns of the readers of indexes: they limit how many are parsed at the same time.

use std::sync::Arc;

use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};

/// Maximum number of indexes that are parsed at the same time.
const AT_ONCE: usize = 2;

/// The turns of all readers.
#[derive(Debug, Clone)]
pub(crate) struct Turns(Arc<Semaphore>);

impl Default for Turns {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(AT_ONCE)))
    }
}

impl Turns {
    /// Waits for a turn. Dropping the permit ends the turn.
    pub(crate) async fn take(&self) -> Result<OwnedSemaphorePermit, AcquireError> {
        Arc::clone(&self.0).acquire_owned().await
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Waker};

    use super::*;

    #[tokio::test]
    async fn a_third_reader_waits_until_a_turn_ends() {
        let turns = Turns::default();
        let reader = turns.clone();
        let first = turns.take().await.unwrap();
        let _second = reader.take().await.unwrap();
        let mut third = pin!(reader.take());
        let mut context = Context::from_waker(Waker::noop());
        assert!(third.as_mut().poll(&mut context).is_pending());
        drop(first);
        assert!(third.as_mut().poll(&mut context).is_ready());
    }
}
