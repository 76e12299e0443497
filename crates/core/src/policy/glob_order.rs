//! The order of the tags that match a pattern.

use std::cmp::Ordering;

use crate::artifact::version::{Version, natural_order, skeleton};

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

/// Compares versions whose variants may differ under a pattern. Variants with the same text around their numbers are in
/// natural order (`alpine3.19` and `alpine3.20`). Others are equal: `perl` is no newer `alpine`.
pub(super) fn by_version(a: &Version, b: &Version) -> Ordering {
    a.cmp_precedence(b).then_with(|| {
        let comparable = skeleton(&a.variant) == skeleton(&b.variant);
        if comparable { natural_order(&a.variant, &b.variant) } else { Ordering::Equal }
    })
}

/// Ranks a candidate's variant among those of equal versions: one like the current tag's is better, else the first in
/// natural order, and of variants that are alike the one with the higher numbers.
pub(super) fn by_variant(a: &Version, b: &Version, current: Option<&Version>) -> Ordering {
    let (left, right) = (skeleton(&a.variant), skeleton(&b.variant));
    let wanted = current.map(|current| skeleton(&current.variant));
    let is_like = |skeleton: &String| wanted.as_ref() == Some(skeleton);
    is_like(&left).cmp(&is_like(&right)).then_with(|| natural_order(&right, &left)).then_with(|| natural_order(&a.variant, &b.variant))
}
