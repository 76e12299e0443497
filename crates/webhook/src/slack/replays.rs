//! The calls that were received while their time stamps are valid.

use std::collections::{HashSet, VecDeque};

use jiff::Timestamp;

use super::{Head, Rejected, VALIDITY};

/// Maximum number of remembered calls. A person clicks once.
const REMEMBERED: usize = 10_000;

/// Remembers the verified calls, so that each counts once.
#[derive(Debug, Default)]
pub struct Replays {
    known: HashSet<[u8; 32]>,
    /// The same, oldest first, with the time until which a call is remembered.
    order: VecDeque<(Timestamp, [u8; 32])>,
}

impl Replays {
    /// Remembers a verified call.
    ///
    /// # Errors
    /// [`Rejected::Replayed`] if it was received before, or if too many calls are valid at this time to tell.
    pub fn accept(&mut self, head: &Head, now: Timestamp) -> Result<(), Rejected> {
        while let Some((_, signature)) = self.order.pop_front_if(|(until, _)| *until < now) {
            self.known.remove(&signature);
        }
        if self.order.len() >= REMEMBERED || !self.known.insert(head.signature) {
            return Err(Rejected::Replayed);
        }
        // A time stamp may be in the future by as much as in the past.
        let until = now.checked_add(VALIDITY * 2).unwrap_or(Timestamp::MAX);
        self.order.push_back((until, head.signature));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn head(n: u32) -> Head {
        let mut signature = [0; 32];
        signature[..4].copy_from_slice(&n.to_be_bytes());
        Head { timestamp: "0".to_owned(), signature }
    }

    #[test]
    fn a_call_counts_once_while_it_is_valid() {
        let mut replays = Replays::default();
        assert_eq!(replays.accept(&head(1), at(0)), Ok(()));
        assert_eq!(replays.accept(&head(2), at(1)), Ok(()));
        assert_eq!(replays.accept(&head(1), at(600)), Err(Rejected::Replayed));
        assert_eq!(replays.accept(&head(3), at(601)), Ok(()));
        assert_eq!((replays.known.len(), replays.order.len()), (2, 2), "what is not valid any more is forgotten");
    }

    #[test]
    fn memory_is_bounded() {
        let mut replays = Replays::default();
        for n in 0..u32::try_from(REMEMBERED).unwrap() {
            assert_eq!(replays.accept(&head(n), at(0)), Ok(()));
        }
        assert_eq!(replays.accept(&head(u32::MAX), at(0)), Err(Rejected::Replayed));
    }
}
