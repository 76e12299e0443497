//! The order of accepted candidates.

use std::cmp::Ordering;

use super::evaluation::Evaluation;
use super::glob_order;
use crate::artifact::ArtifactKind;
use crate::artifact::version::{Version, natural_order, skeleton};

/// Compares two candidates. A total order that does not depend on their positions.
pub(super) fn better(evaluation: &Evaluation<'_>, a: usize, b: usize) -> Ordering {
    let (left, right) = (evaluation.tag(a), evaluation.tag(b));
    match (evaluation.version(a), evaluation.version(b), evaluation.glob_order()) {
        (_, _, Some(glob_order::Order::Natural)) => natural_order(left, right),
        (Some(x), Some(y), Some(glob_order::Order::Version)) => {
            let current = evaluation.current_version();
            let variants = || glob_order::by_variant(x, y, current);
            x.cmp_precedence(y).then_with(variants).then_with(|| tie(evaluation, (left, x), (right, y)))
        }
        (Some(x), Some(y), None) => x.cmp_precedence(y).then_with(|| tie(evaluation, (left, x), (right, y))),
        (x, y, _) => x.is_some().cmp(&y.is_some()).then_with(|| natural_order(right, left)),
    }
}

/// Orders equal versions: the one written like the current tag is better, else the first in natural order. Of charts,
/// the one with the highest build metadata is better.
fn tie(evaluation: &Evaluation<'_>, a: (&str, &Version), b: (&str, &Version)) -> Ordering {
    let metadata = match evaluation.kind() {
        ArtifactKind::Chart => natural_order(&a.1.metadata, &b.1.metadata),
        ArtifactKind::Image => Ordering::Equal,
    };
    metadata.then_with(|| likeness(evaluation, a).cmp(&likeness(evaluation, b))).then_with(|| natural_order(b.0, a.0))
}

/// Returns how similar a candidate's spelling is to the current tag's: the same metadata, the same text around its
/// numbers, leading zeros at the same places, and the count of numbers with the same width.
fn likeness(evaluation: &Evaluation<'_>, (tag, version): (&str, &Version)) -> (bool, bool, bool, usize) {
    let Some(current) = evaluation.current_version() else { return Default::default() };
    let padded = |version: &Version| version.numbers.iter().map(|number| is_padded(number.as_written())).collect::<Vec<_>>();
    let widths = version.numbers.iter().zip(&current.numbers);
    let same_width = widths.filter(|(a, b)| a.as_written().len() == b.as_written().len()).count();
    (
        version.metadata == current.metadata,
        skeleton(without_metadata(tag, version)) == skeleton(without_metadata(evaluation.current_tag(), current)),
        padded(version) == padded(current),
        same_width,
    )
}

fn is_padded(digits: &str) -> bool {
    digits.len() > 1 && digits.starts_with('0')
}

fn without_metadata<'a>(tag: &'a str, version: &Version) -> &'a str {
    tag.strip_suffix(version.metadata.as_str()).unwrap_or(tag)
}
