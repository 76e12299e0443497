//! What an index that is being read shares with all others: the processors, and the budget of bytes.
//!
//! An index of some kilobytes can unfold to hundreds of megabytes that take minutes to parse. A turn is taken for a
//! piece of it and given back while the next piece is awaited, so that a slow repository holds nobody up.

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
    /// A share for a reader that `runtime` has started.
    pub(super) fn new(turns: &Turns, runtime: Handle, held: Held) -> Self {
        Self { turns: turns.clone(), runtime: Some(runtime), turn: None, held }
    }

    /// A share for a reader that is alone.
    #[cfg(test)]
    pub(super) fn alone() -> Self {
        Self { turns: Turns::default(), runtime: None, turn: None, held: crate::budget::Budget::default().reader() }
    }

    /// Gives the turn back while the next piece is awaited.
    pub(super) fn rest(&mut self) {
        self.turn = None;
    }

    /// Waits for a turn.
    pub(super) fn begin(&mut self) {
        let Some(runtime) = &self.runtime else { return };
        self.turn = runtime.block_on(self.turns.take()).ok();
    }

    /// Holds as many bytes more.
    pub(super) fn keep(&mut self, bytes: usize) -> Result<(), Exhausted> {
        self.held.try_grow(bytes)
    }
}
