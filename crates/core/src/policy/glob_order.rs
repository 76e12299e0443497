//! The order of the tags that match a pattern.

use std::cmp::Ordering;

use crate::artifact::version::{Version, natural_order};

/// The order of the matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    Version,
    Natural,
}

/// Returns the order for all matches.
pub(super) fn of<'a>(mut matches: impl Iterator<Item = Option<&'a Version>>) -> Order {
    let Some(Some(first)) = matches.next() else { return Order::Natural };
    let alike = |version: Option<&Version>| version.is_some_and(|version| first.same_scheme(version));
    if matches.all(alike) { Order::Version } else { Order::Natural }
}

/// Compares versions whose variants may differ under a pattern.
pub(super) fn by_version(a: &Version, b: &Version) -> Ordering {
    a.cmp_precedence(b).then_with(|| natural_order(&a.variant, &b.variant))
}
