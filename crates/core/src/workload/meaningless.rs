//! Annotations without effect (mistyped keys and missing containers), and containers that Headwind does not read.
//!
//! There is one report for each reason, however many annotations it covers, so that a workload cannot flood the log.

use super::{MAX_CONTAINERS, Workload};
use crate::artifact::Artifact;
use crate::reason::Reason;
use crate::settings::{Annotations, PREFIX, Settings, bounds, key, names};

/// Maximum length of a message in bytes: an Event holds 1 KiB.
const MESSAGE: usize = 900;

/// Annotations or containers that have no effect, which is probably a mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unknown {
    /// The reason.
    pub reason: Reason,
    /// The subjects of the message.
    pub keys: String,
    /// The reason as a message for people.
    pub message: String,
}

/// Returns everything on the workload that has no effect: at most one report for each reason.
pub fn unknown(annotations: &Annotations, workload: &Workload) -> Vec<Unknown> {
    let mut reports: Vec<Unknown> = Vec::new();
    let (mut left_out, mut unknown_keys) = (0, 0);
    for meaningless in meaningless(annotations, workload) {
        unknown_keys += usize::from(matches!(meaningless, Meaningless::Key(_)));
        if unknown_keys > bounds::UNKNOWN {
            left_out += 1;
            continue;
        }
        let Unknown { reason, keys, message } = meaningless.report();
        match reports.iter_mut().find(|report| report.reason == reason) {
            None => reports.push(Unknown { reason, keys, message }),
            Some(report) if report.message.len() + message.len() <= MESSAGE => {
                report.message = format!("{}; {message}", report.message);
                report.keys = format!("{}, {keys}", report.keys);
            }
            Some(_) => left_out += 1,
        }
    }
    if left_out > 0
        && let Some(last) = reports.last_mut()
    {
        last.message.push_str("; there are more");
    }
    reports
}

/// Returns true if anything on the workload has no effect.
pub fn has_unknown(annotations: &Annotations, workload: &Workload) -> bool {
    meaningless(annotations, workload).next().is_some()
}

/// An annotation or a part of it without effect, or containers that are not read.
enum Meaningless<'a> {
    /// A key that Headwind does not know.
    Key(&'a str),
    /// A key for a container that does not exist.
    Container { key: &'a str, container: &'a str },
    /// An entry of `images` that is neither a container nor an image.
    Entry(String),
    /// More containers than Headwind reads, with their number.
    Containers(usize),
}

fn meaningless<'a>(annotations: &'a Annotations, workload: &'a Workload) -> impl Iterator<Item = Meaningless<'a>> {
    let left_out = (workload.left_out > 0).then(|| Meaningless::Containers(workload.containers.len() + workload.left_out));
    // A name that is not found may be that of a container that is not read.
    let may_exist = move |name: &str| workload.left_out > 0 || workload.container(name).is_some();
    let keys = annotations.keys().filter(|name| name.starts_with(PREFIX) && *name != bounds::TOO_MUCH).filter_map(move |name| {
        let managed = key::MANAGED.contains(&name.as_str()) || name.starts_with(key::SEEN);
        let Some(known) = key::of_users(name) else { return (!managed).then_some(Meaningless::Key(name)) };
        let container = name.strip_prefix(known)?.strip_prefix('.')?;
        (!may_exist(container)).then_some(Meaningless::Container { key: name, container })
    });
    let images = annotations.get(key::IMAGES);
    let named = images.and_then(|_| Settings::resolve(&Annotations::new(), annotations, "").ok()?.images).unwrap_or_default();
    let artifacts: Vec<Artifact> =
        if named.is_empty() { Vec::new() } else { workload.containers.iter().filter_map(|container| container.artifact().ok()).collect() };
    let is_there = move |entry: &String| may_exist(entry) || artifacts.iter().any(|artifact| names(entry, artifact));
    left_out.into_iter().chain(keys).chain(named.into_iter().filter(move |entry| !is_there(entry)).map(Meaningless::Entry))
}

impl Meaningless<'_> {
    fn report(&self) -> Unknown {
        match self {
            Meaningless::Key(full) => {
                let known = key::SET_BY_USERS.iter().chain(key::MANAGED);
                let nearest = known.map(|key| (distance(key, full), *key)).min().filter(|(distance, _)| *distance <= 3);
                let hint = nearest.map(|(_, key)| format!("; is {key} meant?")).unwrap_or_default();
                Unknown {
                    reason: Reason::InvalidAnnotation,
                    keys: (*full).to_owned(),
                    message: format!("annotation {full} is not known to Headwind and has no effect{hint}"),
                }
            }
            Meaningless::Container { key, container } => Unknown {
                reason: Reason::UnknownContainer,
                keys: (*key).to_owned(),
                message: format!("annotation {key} is for container {container}, which the workload does not have"),
            },
            Meaningless::Entry(entry) => Unknown {
                reason: Reason::UnknownContainer,
                keys: format!("{} {entry}", key::IMAGES),
                message: format!("annotation {} names {entry}, which is neither a container nor an image of the workload", key::IMAGES),
            },
            Meaningless::Containers(count) => Unknown {
                reason: Reason::NotTracked,
                keys: "containers".to_owned(),
                message: format!(
                    "the workload has {count} containers, init containers and image volumes; Headwind reads the first {MAX_CONTAINERS} and does not update the others"
                ),
            },
        }
    }
}

/// Returns the Levenshtein distance of two short texts; long ones count as far apart.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::deployment;

    /// A name that is not found may be that of a container that is not read.
    #[test]
    fn containers_that_are_not_read_are_reported() {
        let mut workload = deployment("app:1.0", &[("policy.nobody", "minor"), ("images", "ghost")]);
        let reasons = |workload: &Workload| {
            let all = unknown(&workload.annotations, workload);
            all.into_iter().map(|one| (one.reason, one.message)).collect::<Vec<_>>()
        };
        assert!(reasons(&workload).iter().all(|(reason, _)| *reason == Reason::UnknownContainer));
        workload.left_out = 99;
        assert!(has_unknown(&workload.annotations, &workload));
        let found = reasons(&workload);
        let [(Reason::NotTracked, message)] = found.as_slice() else { panic!("{found:?}") };
        assert!(message.contains("has 100 containers") && message.contains("the first 64"), "{message}");
    }
}
