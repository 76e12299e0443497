//! `glob`: the highest of the tags that match the pattern.
//!
//! The order is selected once, from all matches: version order if every match is a version of one scheme, else natural
//! order of the whole tag. The current tag does not influence it, otherwise the order would change once a tag is
//! applied.
//!
//! If the current tag matches, no lower tag is selected. If it does not match, no tag is selected that is lower than
//! what Headwind applied or proposed before.

use std::cmp::Ordering;

use super::evaluation::Evaluation;
use super::glob_order::{Order, by_version};
use crate::artifact::version::{Version, natural_order};
use crate::reason::Reason;

/// Checks that a matching candidate may be selected.
pub(super) fn accepts(evaluation: &Evaluation<'_>, tag: &str, version: Option<&Version>, order: Order) -> Result<(), Reason> {
    if version.is_some_and(|version| version.is_pre_release() && !evaluation.wants_pre_release(version)) {
        return Err(Reason::PreRelease);
    }
    let against = |floor: &str, of_floor: Option<&Version>| match (order, version, of_floor) {
        (Order::Version, Some(version), Some(floor)) if version.same_scheme(floor) => by_version(version, floor),
        (_, _, _) => natural_order(tag, floor),
    };
    if evaluation.current_matches() {
        return match against(evaluation.current_tag(), evaluation.current_version()) {
            Ordering::Greater => Ok(()),
            Ordering::Equal => Err(Reason::SameVersion),
            Ordering::Less => Err(Reason::LowerMatch),
        };
    }
    let lower = evaluation.floors().any(|(floor, of_floor)| against(floor, of_floor).is_lt());
    if lower { Err(Reason::LowerMatch) } else { Ok(()) }
}
