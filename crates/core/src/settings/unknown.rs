//! Annotations that mean nothing: mistyped keys, and containers that are not there.

use super::{Annotations, PREFIX, Settings, key, names};
use crate::reason::Reason;
use crate::target::Target;

/// An annotation that has no effect, which its writer surely did not want.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unknown {
    /// Why, as a code.
    pub reason: Reason,
    /// The whole key.
    pub key: String,
    /// Why, for a person.
    pub message: String,
}

/// Everything on the workload that has no effect.
pub fn unknown(annotations: &Annotations, target: &Target) -> Vec<Unknown> {
    let mut all: Vec<Unknown> = annotations.keys().filter(|key| key.starts_with(PREFIX)).filter_map(|key| judge(key, target)).collect();
    let named = Settings::resolve(&Annotations::new(), annotations, "").ok().and_then(|settings| settings.images).unwrap_or_default();
    all.extend(named.into_iter().filter(|entry| !is_there(entry, target)).map(|entry| Unknown {
        reason: Reason::UnknownContainer,
        key: format!("{} {entry}", key::IMAGES),
        message: format!("annotation {} names {entry}, which is neither a container nor an image of the workload", key::IMAGES),
    }));
    all
}

fn judge(full: &str, target: &Target) -> Option<Unknown> {
    let known = || key::SET_BY_USERS.iter().chain(key::MANAGED);
    if known().any(|key| *key == full) || full.starts_with(key::SEEN) {
        return None;
    }
    let of_container = key::SET_BY_USERS.iter().find_map(|key| full.strip_prefix(key)?.strip_prefix('.'));
    if let Some(container) = of_container {
        return target.container(container).is_none().then(|| Unknown {
            reason: Reason::UnknownContainer,
            key: full.to_owned(),
            message: format!("annotation {full} is for container {container}, which the workload does not have"),
        });
    }
    let nearest = known().map(|key| (distance(key, full), *key)).min().filter(|(distance, _)| *distance <= 3).map(|(_, key)| key);
    let hint = nearest.map(|key| format!("; is {key} meant?")).unwrap_or_default();
    Some(Unknown {
        reason: Reason::InvalidAnnotation,
        key: full.to_owned(),
        message: format!("annotation {full} is not known to Headwind and has no effect{hint}"),
    })
}

fn is_there(entry: &str, target: &Target) -> bool {
    target.container(entry).is_some()
        || target.containers.iter().any(|container| container.artifact().is_ok_and(|artifact| names(entry, &artifact)))
}

/// Levenshtein's distance of two short texts; long ones are far apart.
fn distance(a: &str, b: &str) -> usize {
    if a.len().max(b.len()) > 80 {
        return usize::MAX;
    }
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (cell, y) in row.iter_mut().skip(1).zip(b.chars()) {
            let replaced = diagonal + usize::from(x != y);
            diagonal = *cell;
            left = replaced.min(left + 1).min(diagonal + 1);
            *cell = left;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}
