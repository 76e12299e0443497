//! The resources that a reader of an index shares with all others: the processors, and the budget of bytes.
//!
//! An index of a few kilobytes can expand to hundreds of megabytes that take minutes to parse. A reader takes a turn
//! for one chunk and releases it while it waits for the next, so that a slow repository blocks no other.

use tokio::runtime::Handle;
use tokio::sync::OwnedSemaphorePermit;

use crate::budget::{Exhausted, Held};
use crate::turns::Turns;

/// One reader's share. It blocks, so it is used on a blocking thread.
#[derive(Debug)]
pub(super) struct Share {
    turns: Turns,
    runtime: Option<Handle>,
    turn: Option<OwnedSemaphorePermit>,
    held: Held,
}

impl Share {
    /// Creates a share for a reader started by `runtime`.
    pub(super) fn new(turns: &Turns, runtime: Handle, held: Held) -> Self {
        Self { turns: turns.clone(), runtime: Some(runtime), turn: None, held }
    }

    /// Creates a share for a single reader.
    #[cfg(test)]
    pub(super) fn alone() -> Self {
        Self { turns: Turns::default(), runtime: None, turn: None, held: crate::budget::Budget::default().reader() }
    }

    /// Releases the turn while the reader waits for the next chunk.
    pub(super) fn rest(&mut self) {
        self.turn = None;
    }

    /// Waits for a turn.
    pub(super) fn begin(&mut self) {
        let Some(runtime) = &self.runtime else { return };
        self.turn = runtime.block_on(self.turns.take()).ok();
    }

    /// Adds `bytes` to what the reader holds.
    pub(super) fn keep(&mut self, bytes: usize) -> Result<(), Exhausted> {
        self.held.try_grow(bytes)
    }
}
