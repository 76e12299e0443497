//! The number of requests in each phase.
//!
//! Counted on demand, in one pass over the store: a maintained count could drift.

use headwind_core::request::Phase;

use super::Requests;
use crate::observe::visible::Visible;

/// The number of requests in each phase.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PhaseCounts([usize; Phase::ALL.len()]);

impl PhaseCounts {
    /// Returns the number of requests in the phase.
    pub fn of(&self, phase: Phase) -> usize {
        self.iter().find(|(known, _)| *known == phase).map_or(0, |(_, count)| count)
    }

    /// Returns the number of requests in all phases.
    pub fn total(&self) -> usize {
        self.0.iter().sum()
    }

    /// Returns every phase with its number of requests, in the order of [`Phase::ALL`].
    pub fn iter(&self) -> impl Iterator<Item = (Phase, usize)> {
        Phase::ALL.iter().copied().zip(self.0)
    }

    pub(crate) fn add(&mut self, phase: Phase) {
        let place = Phase::ALL.iter().zip(&mut self.0).find(|(known, _)| **known == phase);
        if let Some((_, count)) = place {
            *count += 1;
        }
    }
}

impl Requests {
    /// Counts the requests in these namespaces.
    pub(crate) fn count_phases(&self, visible: &Visible) -> PhaseCounts {
        let mut counts = PhaseCounts::default();
        for (_, held) in self.all().filter(|(workload, _)| visible.includes(&workload.namespace)) {
            counts.add(held.phase());
        }
        counts
    }
}
