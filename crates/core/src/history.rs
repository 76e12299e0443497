//! The `update-history` annotation: what Headwind put into a workload, newest first.
//!
//! At most ten entries a container; the oldest of them is always the image that stood there
//! before Headwind's first update, so that there is something to go back to. An annotation that
//! somebody broke is repaired, not trusted: what can be read of it is kept.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// How many entries a container has at most (SPEC section 2).
pub const LIMIT: usize = 10;
/// The longest annotation that is written: all annotations of an object share 256 KiB.
const SIZE: usize = 32 * 1024;

/// One image that stood in one container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// The container's name.
    pub container: String,
    /// The image as it was written.
    pub image: String,
    /// When it was put there, or, for the first of all, first seen.
    pub timestamp: Timestamp,
    /// The request that put it there; none for the image before the first update.
    pub update_request_name: Option<String>,
    /// Who approved it; none where the policy did.
    pub approved_by: Option<String>,
}

/// The history of all containers, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct History {
    entries: Vec<Entry>,
}

impl History {
    /// Reads the annotation; says whether all of it could be read.
    pub fn parse(annotation: Option<&str>) -> (Self, bool) {
        let Some(text) = annotation else { return (Self::default(), true) };
        let Ok(values) = serde_json::from_str::<Vec<serde_json::Value>>(text) else { return (Self::default(), false) };
        let all = values.len();
        let entries: Vec<Entry> = values.into_iter().filter_map(|value| serde_json::from_value(value).ok()).collect();
        let whole = entries.len() == all;
        (Self { entries }, whole)
    }

    /// The entries of a container, newest first.
    pub fn of<'a>(&'a self, container: &'a str) -> impl Iterator<Item = &'a Entry> {
        self.entries.iter().filter(move |entry| entry.container == container)
    }

    /// How many entries the request left.
    pub fn times_applied(&self, request: &str) -> usize {
        self.entries.iter().filter(|entry| entry.update_request_name.as_deref() == Some(request)).count()
    }

    /// Notes that `image` took the place of `before`.
    pub fn record(&mut self, container: &str, before: &str, image: &str, now: Timestamp, request: &str, approved_by: Option<&str>) {
        let entry = |image: &str, request: Option<&str>, approved_by: Option<&str>| Entry {
            container: container.to_owned(),
            image: image.to_owned(),
            timestamp: now,
            update_request_name: request.map(str::to_owned),
            approved_by: approved_by.map(str::to_owned),
        };
        // The image before the first update; later, one that another hand put there.
        if self.of(container).next().is_none_or(|newest| newest.image != before) {
            self.entries.insert(0, entry(before, None, None));
        }
        self.entries.insert(0, entry(image, Some(request), approved_by));
        self.trim(container, LIMIT);
        // Many containers with long names: the fullest one gives way first.
        while self.to_annotation().len() > SIZE {
            let Some((container, count)) = self.fullest() else { break };
            self.trim(&container, count - 1);
        }
    }

    /// What stood in the container before `standing`, newest first: what a rollback can go to.
    pub fn before<'a>(&'a self, container: &'a str, standing: &'a str) -> impl Iterator<Item = &'a Entry> {
        self.of(container).skip_while(move |entry| entry.image == standing)
    }

    /// Notes that the container went back to `image`: what was put there after it is forgotten, so
    /// that the next rollback goes further back.
    pub fn go_back(&mut self, container: &str, standing: &str, image: &str, now: Timestamp) {
        let skipped = self.of(container).take_while(|entry| entry.image == standing).count();
        let newer = self.before(container, standing).take_while(|entry| entry.image != image).count();
        let known = self.before(container, standing).any(|entry| entry.image == image);
        let mut drop = if known { skipped + newer } else { usize::MAX };
        self.entries.retain(|entry| {
            let goes = entry.container == container && drop > 0;
            drop = drop.saturating_sub(usize::from(goes));
            !goes
        });
        if !known {
            let entry = Entry {
                container: container.to_owned(),
                image: image.to_owned(),
                timestamp: now,
                update_request_name: None,
                approved_by: None,
            };
            self.entries.insert(0, entry);
        }
    }

    /// Whether an entry names the request.
    pub fn names(&self, request: &str) -> bool {
        self.times_applied(request) > 0
    }

    /// Leaves at most that many entries of the container; the oldest one stays.
    fn trim(&mut self, container: &str, limit: usize) {
        let places: Vec<usize> =
            self.entries.iter().enumerate().filter(|(_, entry)| entry.container == container).map(|(place, _)| place).collect();
        let too_many = places.len().saturating_sub(limit);
        for place in places.iter().rev().skip(1).take(too_many) {
            self.entries.remove(*place);
        }
    }

    /// The container with the most entries, while one has more than the least that makes sense.
    fn fullest(&self) -> Option<(String, usize)> {
        let count = |name: &str| self.of(name).count();
        let fullest = self.entries.iter().max_by_key(|entry| count(&entry.container))?;
        let count = count(&fullest.container);
        (count > 2).then(|| (fullest.container.clone(), count))
    }

    /// The annotation's text.
    pub fn to_annotation(&self) -> String {
        serde_json::to_string(&self.entries).unwrap_or_else(|_| "[]".to_owned())
    }
}

#[cfg(test)]
mod tests;
