//! The verdict that summarises a whole list.

use super::evaluation::Evaluation;
use super::{Family, Headline, Occasion, order};
use crate::reason::Reason;

/// Summarises the verdicts.
pub(super) fn headline(evaluation: &Evaluation<'_>, verdicts: &[Result<(), Reason>], best: Option<usize>) -> Headline {
    if let Some(candidate) = best.and_then(|place| evaluation.candidates().get(place)) {
        return Headline { place: best, reason: evaluation.why(candidate) };
    }
    if let Err(reason) = evaluation.whole_question() {
        return Headline { place: None, reason };
    }
    let at = |place: usize| verdicts.get(place).and_then(|verdict| verdict.err());
    let about = |place: usize| Headline { place: Some(place), reason: at(place).unwrap_or(Reason::UpToDate) };
    // An event is about its own tag.
    if verdicts.len() == 1 && evaluation.occasion() == Occasion::Event {
        return about(0);
    }
    let places = || 0..verdicts.len();
    if evaluation.policy().family() == Family::Versions && evaluation.current_version().is_none() {
        return Headline { place: None, reason: Reason::CurrentNotAVersion };
    }
    let highest = |accepts: fn(Reason) -> bool| {
        places().filter(|place| at(*place).is_some_and(accepts)).max_by(|a, b| order::better(evaluation, *a, *b))
    };
    if let Some(place) = highest(is_beyond_policy).or_else(|| highest(|reason| reason == Reason::PreRelease)) {
        return about(place);
    }
    let current = places().find(|place| evaluation.tag(*place) == evaluation.current_tag());
    if let Some(place) = current.filter(|place| evaluation.candidates().get(*place).is_some_and(|candidate| candidate.deprecated)) {
        return Headline { place: Some(place), reason: Reason::Deprecated };
    }
    match evaluation.policy().family() {
        Family::Digests => match current.map(at) {
            Some(Some(Reason::SameDigest)) => Headline { place: None, reason: Reason::UpToDate },
            _ => Headline { place: None, reason: Reason::NotFollowed },
        },
        Family::Matches if !evaluation.current_matches() && places().all(|place| at(place) == Some(Reason::PatternMismatch)) => {
            Headline { place: None, reason: Reason::PatternMismatch }
        }
        Family::Nothing | Family::Versions | Family::Matches => Headline { place: None, reason: Reason::UpToDate },
    }
}

/// Returns true if a higher version was refused because of the policy's limit, or because its author has deprecated it.
fn is_beyond_policy(reason: Reason) -> bool {
    matches!(reason, Reason::MajorDiffers | Reason::MinorDiffers | Reason::Deprecated | Reason::PartialVersion)
}
