//! The versions that a claim or a scan offers, with the choices of the policies among them.
//!
//! Hundreds of containers of one repository often have the same policy and run the same version. The choice among
//! thousands of tags is made once for all of them.

use std::collections::HashMap;
use std::sync::Arc;

use headwind_core::decide::Inquiry;
use headwind_core::policy::{Candidate, Choice, Occasion};
use parking_lot::Mutex;

/// Maximum number of accepted versions in all cached choices (8 bytes each).
const MAX_KEPT: usize = 250_000;

/// Versions offered to containers of one repository.
#[derive(Debug)]
pub(crate) struct Offer {
    pub(crate) candidates: Vec<Candidate>,
    pub(crate) occasion: Occasion,
    choices: Mutex<Choices>,
}

#[derive(Debug, Default)]
struct Choices {
    made: HashMap<Inquiry, Arc<Choice>>,
    /// Number of accepted versions in all of them.
    accepted: usize,
}

impl Offer {
    pub(crate) fn new(occasion: Occasion, candidates: Vec<Candidate>) -> Self {
        Self { candidates, occasion, choices: Mutex::default() }
    }

    /// Returns the choice for the inquiry.
    pub(crate) fn choose(&self, inquiry: &Inquiry) -> Arc<Choice> {
        if let Some(made) = self.choices.lock().made.get(inquiry) {
            return Arc::clone(made);
        }
        let choice = Arc::new(inquiry.choose(self.occasion, &self.candidates));
        let mut choices = self.choices.lock();
        choices.accepted += choice.accepted.len() + 1;
        if choices.accepted > MAX_KEPT {
            *choices = Choices { accepted: choice.accepted.len() + 1, ..Choices::default() };
        }
        choices.made.insert(inquiry.clone(), Arc::clone(&choice));
        choice
    }
}

#[cfg(test)]
mod tests {
    use headwind_core::artifact::ArtifactKind;
    use headwind_core::policy::{Current, Policy, Rule};

    use super::*;

    fn inquiry(tag: &str) -> Inquiry {
        let current = Current { tag: Some(tag.to_owned()), digest: None, known: Vec::new() };
        Inquiry { rule: Rule { policy: Policy::Minor, pattern: None }, kind: ArtifactKind::Image, current }
    }

    #[test]
    fn equal_inquiries_share_one_choice() {
        let offer = Offer::new(Occasion::Scan, ["1.0.0", "1.2.0"].map(|tag| Candidate::new(tag, None)).into());
        let first = std::ptr::from_ref::<Choice>(&offer.choose(&inquiry("1.0.0")));
        assert_eq!(std::ptr::from_ref::<Choice>(&offer.choose(&inquiry("1.0.0"))), first);
        assert_eq!(offer.choose(&inquiry("1.0.0")).accepted, [1]);
        assert!(offer.choose(&inquiry("1.2.0")).accepted.is_empty());
        assert_eq!(offer.choices.lock().made.len(), 2);
    }

    /// A tenant with many workloads that each run another version uses a bounded amount of memory.
    #[test]
    fn what_is_kept_is_bounded() {
        let candidates: Vec<Candidate> = (0..1000).map(|n| Candidate::new(format!("1.{}.0", n + 3000), None)).collect();
        let offer = Offer::new(Occasion::Scan, candidates);
        for n in 0..300 {
            assert_eq!(offer.choose(&inquiry(&format!("1.{n}.0"))).accepted.len(), 1000);
            assert!(offer.choices.lock().accepted <= MAX_KEPT);
        }
    }
}
