//! `glob`: the highest of the tags that match the pattern.
//!
//! Versions order where every match is a version of one scheme, else natural order over the whole
//! tag. The current tag has no say in that, or the order would be another one once a tag is taken.
//! Never lower than the current tag where that one matches too; one of another scheme is compared
//! in natural order.

use std::cmp::Ordering;

use super::{Candidate, Refused, Scene};
use crate::reason::Reason;
use crate::version::{Version, natural_order};

/// How the matches are ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    Version,
    Natural,
}

/// The order that all matches allow.
pub(super) fn order(scene: &Scene<'_>, candidates: &[Candidate]) -> Order {
    let Some(pattern) = &scene.rule.pattern else { return Order::Natural };
    let tags = candidates.iter().map(|candidate| candidate.tag.as_str());
    let mut versions = tags.filter(|tag| pattern.matches(tag)).map(|tag| scene.kind.read(tag));
    let Some(first) = versions.next() else { return Order::Natural };
    let alike = |version: Option<Version>| matches!((&first, &version), (Some(first), Some(version)) if first.same_scheme(version));
    if first.is_some() && versions.all(alike) { Order::Version } else { Order::Natural }
}

pub(super) fn admits(scene: &Scene<'_>, tag: &str, order: Option<Order>) -> Result<(), Refused> {
    let order = order.unwrap_or(Order::Natural);
    let mine = scene.current_tag();
    let current_matches = scene.rule.pattern.as_ref().is_some_and(|pattern| pattern.matches(mine));
    if order == Order::Version
        && let Some(candidate) = scene.kind.read(tag)
    {
        let standing = scene.version.as_ref().filter(|_| current_matches);
        let same_release = standing.is_some_and(|current| current.is_pre_release() && current.same_release(&candidate));
        let named = scene.rule.pattern.as_ref().is_some_and(|pattern| pattern.names_pre_release(&candidate));
        if candidate.is_pre_release() && !same_release && !named {
            return Err(Refused::new(Reason::PreRelease, format!("{tag} is a pre-release; a pattern that names it takes it")));
        }
    }
    if !current_matches {
        return Ok(());
    }
    let one_scheme = match (&scene.version, scene.kind.read(tag)) {
        (Some(current), Some(candidate)) => current.same_scheme(&candidate),
        (_, _) => false,
    };
    match compare(scene, if one_scheme { order } else { Order::Natural }, tag, mine) {
        Ordering::Greater => Ok(()),
        Ordering::Equal => Err(Refused::new(Reason::SameVersion, format!("{tag} is the same version as {mine}, spelt otherwise"))),
        Ordering::Less => Err(Refused::new(Reason::LowerMatch, format!("{tag} is lower than {mine}, which matches the pattern too"))),
    }
}

/// Which of two matches is the higher.
pub(super) fn compare(scene: &Scene<'_>, order: Order, a: &str, b: &str) -> Ordering {
    match (order, scene.kind.read(a), scene.kind.read(b)) {
        (Order::Version, Some(x), Some(y)) => x.cmp_precedence(&y).then_with(|| natural_order(&x.variant, &y.variant)).then_with(|| {
            // Equal in order and spelt otherwise: no update; among candidates the first in natural order.
            if scene.current.tag.as_deref() == Some(b) || scene.current.tag.as_deref() == Some(a) {
                Ordering::Equal
            } else {
                natural_order(b, a)
            }
        }),
        (_, _, _) => natural_order(a, b),
    }
}
